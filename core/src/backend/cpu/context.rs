//! The state of one run at a time: an arena.

use super::executable::CpuExecutable;
use super::kernel::Operands;
use super::thread_pool::{Team, ThreadPool};
use crate::backend::{Executable, ExecutionContext, TensorSpec};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::show_shape;
use crate::memory::Arena;
use crate::plan::Work;
use libvision_kernels::cpu::layout::{clear_border, to_nchw};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(super) struct CpuContext {
    pub(super) executable: Arc<CpuExecutable>,
    /// Borders that no step clears are zero from the start: steps write what is inside of them.
    pub(super) arena: Arena,
}

impl CpuContext {
    pub(super) fn new(executable: Arc<CpuExecutable>) -> Result<Self> {
        let floats = executable.plan.arena_floats();
        let arena = Arena::new(floats).map_err(|error| {
            let batch = executable.plan.max_batch_size();
            error.context(format_args!("the arena of an execution context for {batch} images"))
        })?;
        ThreadPool::global().reserve(executable.threads);
        Ok(Self { executable, arena })
    }

    fn check(&self, batch: usize, inputs: &[&[f32]], outputs: &[&mut [f32]]) -> Result<()> {
        let most = self.executable.max_batch_size();
        if batch == 0 || batch > most {
            return Err(invalid(format!("batch size: expected 1 to {most}, found {batch}")));
        }
        let (input_specs, output_specs) = (self.executable.inputs(), self.executable.outputs());
        if (inputs.len(), outputs.len()) != (input_specs.len(), output_specs.len()) {
            return Err(invalid(format!(
                "expected {} inputs and {} outputs, found {} and {}",
                input_specs.len(),
                output_specs.len(),
                inputs.len(),
                outputs.len()
            )));
        }
        for (spec, input) in input_specs.iter().zip(inputs) {
            check_len("input", spec, batch, input.len())?;
        }
        for (spec, output) in output_specs.iter().zip(outputs) {
            if !output.is_empty() {
                check_len("output", spec, batch, output.len())?;
            }
        }
        Ok(())
    }

    /// Runs the steps in order and calls `done` after each.
    fn run_steps(
        &mut self,
        team: &Team,
        batch: usize,
        inputs: &[&[f32]],
        outputs: &mut [&mut [f32]],
        mut done: impl FnMut(usize),
    ) {
        for index in 0..self.executable.steps.len() {
            self.run_step(team, batch, inputs, outputs, index);
            done(index);
        }
    }

    fn run_step(
        &mut self,
        team: &Team,
        batch: usize,
        inputs: &[&[f32]],
        outputs: &mut [&mut [f32]],
        index: usize,
    ) {
        let CpuExecutable { plan, steps, .. } = &*self.executable;
        let (step, lowered) = (&plan.steps()[index], &steps[index]);
        if let (Work::Store { output }, Some(tensor)) = (step.work, lowered.first) {
            let output = &mut *outputs[output];
            if !output.is_empty() {
                let source = self.arena.part(plan.range(tensor, batch));
                to_nchw(team, &plan.tensors()[tensor].layout, batch, source, output);
            }
            return;
        }
        let Some(target) = step.output else { return };
        let (carved, workspace) = self.arena.carve(plan.range(target, batch), plan.workspace_start());
        if step.clear_border {
            clear_border(&plan.tensors()[target].layout, batch, carved.output);
        }
        let tensor = |id| carved.rest.part(plan.range(id, batch));
        let first = match step.work {
            Work::Load { input } => inputs[input],
            Work::Compute { .. } | Work::Store { .. } => lowered.first.map_or(&[][..], tensor),
        };
        let second = lowered.second.map(tensor);
        lowered.kernel.run(team, batch, Operands { first, second, output: carved.output, workspace });
    }
}

impl ExecutionContext for CpuContext {
    fn run(&mut self, batch: usize, inputs: &[&[f32]], outputs: &mut [&mut [f32]]) -> Result<()> {
        self.check(batch, inputs, outputs)?;
        let threads = self.executable.threads;
        ThreadPool::global().run(threads, |team| self.run_steps(team, batch, inputs, outputs, |_| ()));
        Ok(())
    }

    fn run_timed(
        &mut self,
        batch: usize,
        inputs: &[&[f32]],
        outputs: &mut [&mut [f32]],
        times: &mut [Duration],
    ) -> Result<()> {
        self.check(batch, inputs, outputs)?;
        let steps = self.executable.steps.len();
        if times.len() != steps {
            return Err(invalid(format!(
                "times: expected one for each of {steps} steps, found {}",
                times.len()
            )));
        }
        let threads = self.executable.threads;
        ThreadPool::global().run(threads, |team| {
            let mut last = Instant::now();
            self.run_steps(team, batch, inputs, outputs, |step| {
                let now = Instant::now();
                times[step] += now - last;
                last = now;
            });
        });
        Ok(())
    }
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidArgument, message)
}

fn check_len(what: &str, spec: &TensorSpec, batch: usize, found: usize) -> Result<()> {
    let expected = batch * spec.elements_per_image();
    if found == expected {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::ShapeMismatch,
        format!(
            "{what} {:?}: expected {expected} elements for {batch} images of {}, found {found}",
            spec.name,
            show_shape(&spec.shape)
        ),
    ))
}

//! The state of one run at a time: an arena.

use super::executable::CpuExecutable;
use super::kernel::Operands;
use super::thread_pool::{Reservation, ThreadPool};
use crate::backend::check_run::check_run;
use crate::backend::{Executable, ExecutionContext};
use crate::error::{Error, ErrorKind, Result};
use crate::memory::{Arena, Carved, SharedArena};
use crate::plan::Work;
use libvision_kernels::cpu::layout::{clear_border, to_nchw};
use libvision_kernels::parallel::{Parallel, Serial};
use parking_lot::Mutex;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(super) struct CpuContext {
    pub(super) executable: Arc<CpuExecutable>,
    /// Borders that no step clears are zero from the start: steps write what is inside of them.
    pub(super) arena: Arena,
    _workers: Reservation,
}

impl CpuContext {
    pub(super) fn new(executable: Arc<CpuExecutable>) -> Result<Self> {
        let floats = executable.plan.arena_floats();
        let arena = Arena::new(floats).map_err(|error| {
            let images = executable.max_batch_size();
            error.context(format_args!("the arena of an execution context for {images} images"))
        })?;
        let workers = ThreadPool::global().reserve(executable.threads);
        Ok(Self { executable, arena, _workers: workers })
    }

    /// As long as there is an image for each thread, each takes one through all steps by itself: nobody waits for
    /// anybody, and what a step writes is still near when the next one reads it. What is left goes through with
    /// all threads in each step.
    fn run_batch(
        &mut self,
        batch: usize,
        inputs: &[&[f32]],
        outputs: &mut [&mut [f32]],
        times: Option<&mut [Duration]>,
    ) {
        let executable = &*self.executable;
        let (threads, images) = (executable.threads, executable.plan.images());
        let arena = self.arena.share();
        let outputs = Mutex::new(&mut *outputs);
        let times = times.map(Mutex::new);
        let (outputs, times) = (&outputs, times.as_ref());
        let run = Run { executable, batch, arena: &arena, inputs, outputs, times };
        ThreadPool::global().run(threads, |team| {
            let alone = if images == 1 { batch - batch % threads } else { 0 };
            team.for_each(alone, &|task| run.steps(&Serial, task.thread, task.index..task.index + 1));
            for first in (alone..batch).step_by(images) {
                run.steps(team, 0, first..batch.min(first + images));
            }
        });
    }
}

/// The tensors of a run.
struct Run<'a, 'o> {
    executable: &'a CpuExecutable,
    batch: usize,
    arena: &'a SharedArena<'a>,
    inputs: &'a [&'a [f32]],
    outputs: &'a Mutex<&'a mut [&'o mut [f32]]>,
    /// The time of each step, if it is measured.
    times: Option<&'a Mutex<&'a mut [Duration]>>,
}

impl Run<'_, '_> {
    /// Takes `images` of the batch through all steps. From number `replica` on, nobody else may use that replica of
    /// the tensors and the workspaces of as many threads as `parallel` has.
    fn steps(&self, parallel: &dyn Parallel, replica: usize, images: Range<usize>) {
        let mut last = self.times.map(|_| Instant::now());
        for index in 0..self.executable.steps.len() {
            self.step(parallel, replica, &images, index);
            if let (Some(times), Some(last)) = (self.times, &mut last) {
                let now = Instant::now();
                let share = parallel.threads() as f64 / self.executable.threads as f64;
                times.lock()[index] += (now - *last).mul_f64(share);
                *last = now;
            }
        }
    }

    fn step(&self, parallel: &dyn Parallel, replica: usize, images: &Range<usize>, index: usize) {
        let CpuExecutable { plan, steps, .. } = self.executable;
        let (step, lowered) = (&plan.steps()[index], &steps[index]);
        let count = images.len();
        let of = |floats: usize| {
            let per_image = floats / self.batch;
            images.start * per_image..images.end * per_image
        };
        if let (Work::Store { output }, Some(tensor)) = (step.work, lowered.first) {
            let mut outputs = self.outputs.lock();
            let part = of(outputs[output].len());
            if !part.is_empty() {
                // SAFETY: the replica is this call's alone, and it writes nothing here.
                let source = unsafe { self.arena.read(plan.range(tensor, replica, count)) };
                let target = &mut outputs[output][part];
                to_nchw(parallel, &plan.tensors()[tensor].layout, count, source, target);
            }
            return;
        }
        let Some(target) = step.output else { return };
        let workspace = self.executable.workspace(replica..replica + parallel.threads());
        // SAFETY: replica and workspaces are this call's alone.
        let carved = unsafe { self.arena.carve(plan.range(target, replica, count), workspace) };
        if step.clear_border {
            clear_border(parallel, &plan.tensors()[target].layout, count, carved.output);
        }
        let tensor = |id| carved.rest.part(plan.range(id, replica, count));
        let first = match step.work {
            Work::Load { input } => &self.inputs[input][of(self.inputs[input].len())],
            Work::Compute { .. } | Work::Store { .. } => lowered.first.map_or(&[][..], tensor),
        };
        let second = lowered.second.map(tensor);
        let Carved { output, workspace, .. } = carved;
        lowered.kernel.run(parallel, count, Operands { first, second, output, workspace });
    }
}

impl ExecutionContext for CpuContext {
    fn run(&mut self, batch: usize, inputs: &[&[f32]], outputs: &mut [&mut [f32]]) -> Result<()> {
        check_run(&*self.executable, batch, inputs, outputs)?;
        self.run_batch(batch, inputs, outputs, None);
        Ok(())
    }

    fn run_timed(
        &mut self,
        batch: usize,
        inputs: &[&[f32]],
        outputs: &mut [&mut [f32]],
        times: &mut [Duration],
    ) -> Result<()> {
        check_run(&*self.executable, batch, inputs, outputs)?;
        let steps = self.executable.steps.len();
        if times.len() != steps {
            return Err(invalid(format!(
                "times: expected one for each of {steps} steps, found {}",
                times.len()
            )));
        }
        self.run_batch(batch, inputs, outputs, Some(times));
        Ok(())
    }
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidArgument, message)
}

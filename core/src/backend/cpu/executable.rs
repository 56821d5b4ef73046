//! A graph lowered for this CPU: the plan, a kernel per step, packed weights.

use super::context::CpuContext;
use super::lower::{CpuRules, Lowered, lower, lower_each};
use super::thread_count::thread_count;
use super::thread_pool::ThreadPool;
use crate::backend::{
    CompileOptions, Executable, ExecutionContext, Forecast, MemoryNeed, Precision, StepDescription,
    TensorSpec,
};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Graph, ValueId};
use crate::plan::Plan;
use libvision_kernels::cpu::peak::peak_flops;
use libvision_kernels::cpu::variants::KernelSet;
use std::ops::Range;
use std::sync::Arc;

/// Floats that a workspace's length is a multiple of: two threads never write one pair of cache lines.
const WORKSPACE_GRANULE: usize = 32;

/// Immutable and shared by its contexts.
pub(super) struct CpuExecutable {
    pub(super) plan: Plan,
    pub(super) steps: Vec<Lowered>,
    pub(super) threads: usize,
    max_batch_size: usize,
    /// Floats of one thread's workspace.
    workspace: usize,
    inputs: Vec<TensorSpec>,
    outputs: Vec<TensorSpec>,
    set: &'static KernelSet,
}

/// What is settled before any weight is packed.
struct Planned {
    plan: Plan,
    rules: CpuRules,
    threads: usize,
    max_batch_size: usize,
}

impl Planned {
    fn new(graph: &Graph, options: &CompileOptions, set: &'static KernelSet) -> Result<Self> {
        let max_batch_size = options.max_batch_size.min(graph.batch_limit.unwrap_or(usize::MAX));
        if max_batch_size == 0 {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "max_batch_size: expected at least 1, found 0",
            ));
        }
        if !matches!(options.precision, Precision::Auto | Precision::F32) {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!("precision: the CPU computes in f32, found {:?}", options.precision.name()),
            ));
        }
        let threads = thread_count(options.threads)?;
        // With an image for each thread, each takes its own; with fewer, all work on all of them together.
        let (images, replicas) = if threads <= max_batch_size { (1, threads) } else { (max_batch_size, 1) };
        if let Some(tuning) = &options.tuning {
            if options.precise {
                return Err(Error::new(
                    ErrorKind::InvalidArgument,
                    "precise and tuning: expected one of them, found both; precise leaves nothing to choose",
                ));
            }
            tuning.check_isa(set.isa.name())?;
        }
        let rules = CpuRules { set, precise: options.precise, tuning: options.tuning.clone() };
        let mut plan = Plan::new(graph, &rules, images)?;
        plan.set_replicas(replicas);
        Ok(Self { plan, rules, threads, max_batch_size })
    }
}

/// Adds workspaces for so many threads to the plan; the floats of one.
fn reserve(plan: &mut Plan, threads: usize, needs: impl Iterator<Item = usize>) -> usize {
    let workspace = needs.max().unwrap_or(0).next_multiple_of(WORKSPACE_GRANULE);
    plan.reserve_workspace(threads * workspace);
    workspace
}

impl CpuExecutable {
    /// Plans and lowers `graph` and packs its weights.
    pub(super) fn new(graph: &Graph, options: &CompileOptions, set: &'static KernelSet) -> Result<Self> {
        let Planned { mut plan, rules, threads, max_batch_size } = Planned::new(graph, options, set)?;
        let steps = ThreadPool::global().run(threads, |team| lower(graph, &plan, &rules, team))?;
        let workspace = reserve(&mut plan, threads, steps.iter().map(|step| step.kernel.workspace_len()));
        let spec = |name: &str, id: ValueId| {
            let value = graph.value(id);
            TensorSpec {
                name: name.to_owned(),
                dtype: value.dtype,
                shape: value.shape.clone().unwrap_or_default(),
            }
        };
        let inputs: Vec<_> = graph.inputs.iter().map(|&id| spec(&graph.value(id).name, id)).collect();
        let outputs: Vec<_> = graph.outputs.iter().map(|output| spec(&output.name, output.value)).collect();
        for spec in inputs.iter().chain(&outputs) {
            let floats = spec.elements_per_image().checked_mul(max_batch_size);
            if floats.is_none_or(|floats| floats > isize::MAX as usize / size_of::<f32>()) {
                return Err(Error::new(
                    ErrorKind::OutOfMemory,
                    format!("{:?} of {max_batch_size} images exceeds what can be addressed", spec.name),
                ));
            }
        }
        Ok(Self { plan, steps, threads, max_batch_size, workspace, inputs, outputs, set })
    }

    /// What [`CpuExecutable::new`] would take; packs the weights and lets go of them, step by step.
    pub(super) fn forecast(
        graph: &Graph,
        options: &CompileOptions,
        set: &'static KernelSet,
    ) -> Result<Forecast> {
        let Planned { mut plan, rules, threads, max_batch_size } = Planned::new(graph, options, set)?;
        let size = |step: Lowered| (step.kernel.packed_bytes(), step.kernel.workspace_len());
        let sizes = ThreadPool::global().run(threads, |team| lower_each(graph, &plan, &rules, team, size))?;
        reserve(&mut plan, threads, sizes.iter().map(|(_, workspace)| *workspace));
        let memory = MemoryNeed {
            weights: sizes.iter().map(|(packed, _)| packed).sum(),
            arena: plan.arena_floats() * size_of::<f32>(),
        };
        Ok(Forecast { memory, max_batch_size, useful_contexts: 1 })
    }

    /// Where in the arena the workspaces of `threads` lie.
    pub(super) fn workspace(&self, threads: Range<usize>) -> Range<usize> {
        let start = self.plan.workspace_start();
        start + threads.start * self.workspace..start + threads.end * self.workspace
    }
}

impl Executable for CpuExecutable {
    fn inputs(&self) -> &[TensorSpec] {
        &self.inputs
    }

    fn outputs(&self) -> &[TensorSpec] {
        &self.outputs
    }

    fn max_batch_size(&self) -> usize {
        self.max_batch_size
    }

    fn one_image_proves_all(&self) -> bool {
        true
    }

    fn memory_need(&self) -> MemoryNeed {
        MemoryNeed {
            weights: self.steps.iter().map(|step| step.kernel.packed_bytes()).sum(),
            arena: self.plan.arena_floats() * size_of::<f32>(),
        }
    }

    fn describe(&self) -> String {
        let algorithms: Vec<&str> = self.steps.iter().map(|step| step.kernel.algorithm()).collect();
        format!(
            "kernels: {} ({} lanes), {} threads, at most {} images per run\n{}packed weights: {} bytes\n",
            self.set.isa,
            self.set.lanes,
            self.threads,
            self.max_batch_size,
            self.plan.describe(&algorithms),
            self.memory_need().weights
        )
    }

    fn steps(&self) -> Vec<StepDescription> {
        let steps = self.plan.steps().iter().zip(&self.steps);
        let describe = steps.map(|(step, lowered)| StepDescription {
            name: step.name.clone(),
            operation: step.operation.clone(),
            shape: step.output.or(lowered.first).map_or(vec![], |id| self.plan.tensors()[id].shape.clone()),
            algorithm: lowered.kernel.algorithm(),
            multiplications: lowered.kernel.multiplications(),
            convolution: lowered.kernel.convolution().copied(),
            is_transfer: false,
        });
        describe.collect()
    }

    fn threads(&self) -> usize {
        self.threads
    }

    fn measure_peak(&self) -> Option<f64> {
        Some(ThreadPool::global().run(self.threads, |team| peak_flops(self.set, team)))
    }

    fn new_context(self: Arc<Self>) -> Result<Box<dyn ExecutionContext>> {
        Ok(Box::new(CpuContext::new(self)?))
    }
}

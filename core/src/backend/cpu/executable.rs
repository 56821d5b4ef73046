//! A graph lowered for this CPU: the plan, a kernel per step, packed weights.

use super::context::CpuContext;
use super::lower::{CpuRules, Lowered, lower};
use super::thread_count::thread_count;
use crate::backend::{CompileOptions, Executable, ExecutionContext, MemoryNeed, TensorSpec};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Graph, ValueId};
use crate::plan::Plan;
use libvision_kernels::cpu::variants::KernelSet;
use std::sync::Arc;

/// Immutable and shared by its contexts.
pub(super) struct CpuExecutable {
    pub(super) plan: Plan,
    pub(super) steps: Vec<Lowered>,
    pub(super) threads: usize,
    inputs: Vec<TensorSpec>,
    outputs: Vec<TensorSpec>,
    set: &'static KernelSet,
}

impl CpuExecutable {
    /// Plans and lowers `graph` and packs its weights.
    pub(super) fn new(graph: &Graph, options: &CompileOptions, set: &'static KernelSet) -> Result<Self> {
        let max_batch_size = options.max_batch_size.min(graph.batch_limit.unwrap_or(usize::MAX));
        if max_batch_size == 0 {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "max_batch_size: expected at least 1, found 0",
            ));
        }
        let threads = thread_count(options.threads)?;
        let mut plan = Plan::new(graph, &CpuRules(set), max_batch_size)?;
        let steps = lower(graph, &plan, set)?;
        for step in &steps {
            plan.reserve_workspace(step.kernel.workspace_len(threads));
        }
        let spec = |name: &str, id: ValueId| {
            let value = graph.value(id);
            TensorSpec {
                name: name.to_owned(),
                dtype: value.dtype,
                shape: value.shape.clone().unwrap_or_default(),
            }
        };
        let inputs = graph.inputs.iter().map(|&id| spec(&graph.value(id).name, id)).collect();
        let outputs = graph.outputs.iter().map(|output| spec(&output.name, output.value)).collect();
        Ok(Self { plan, steps, threads, inputs, outputs, set })
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
        self.plan.max_batch_size()
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
            "kernels: {} ({} lanes), {} threads\n{}packed weights: {} bytes\n",
            self.set.isa,
            self.set.lanes,
            self.threads,
            self.plan.describe(&algorithms),
            self.memory_need().weights
        )
    }

    fn new_context(self: Arc<Self>) -> Result<Box<dyn ExecutionContext>> {
        Ok(Box::new(CpuContext::new(self)?))
    }
}

//! A backend with a set service curve: computes nothing and keeps one core busy for as long as it is told.

use libvision::backend::{
    Availability, Backend, CompileOptions, Executable, ExecutionContext, MemoryNeed, TensorSpec,
};
use libvision::graph::{Dim, Graph};
use libvision::{DType, Result};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Time of a launch, and of each image in it.
#[derive(Clone, Copy, Debug)]
pub struct Stub {
    /// Whatever the size.
    pub launch: Duration,
    /// Times the images of the batch.
    pub image: Duration,
    /// Elements of each output.
    pub outputs: usize,
}

impl Backend for Stub {
    fn name(&self) -> &'static str {
        "stub"
    }

    fn probe(&self) -> Availability {
        Availability::Available("always".into())
    }

    fn compile(&self, graph: &Graph, options: &CompileOptions) -> Result<Arc<dyn Executable>> {
        let inputs = graph.inputs.iter().map(|&input| {
            let value = graph.value(input);
            spec(&value.name, value.shape.clone().unwrap_or_default())
        });
        let outputs =
            graph.outputs.iter().map(|output| spec(&output.name, vec![Dim::Batch, Dim::Fixed(self.outputs)]));
        Ok(Arc::new(StubExecutable {
            curve: *self,
            inputs: inputs.collect(),
            outputs: outputs.collect(),
            max_batch_size: options.max_batch_size,
        }))
    }
}

fn spec(name: &str, shape: Vec<Dim>) -> TensorSpec {
    TensorSpec { name: name.into(), dtype: DType::F32, shape }
}

struct StubExecutable {
    curve: Stub,
    inputs: Vec<TensorSpec>,
    outputs: Vec<TensorSpec>,
    max_batch_size: usize,
}

impl Executable for StubExecutable {
    fn inputs(&self) -> &[TensorSpec] {
        &self.inputs
    }

    fn outputs(&self) -> &[TensorSpec] {
        &self.outputs
    }

    fn max_batch_size(&self) -> usize {
        self.max_batch_size
    }

    fn memory_need(&self) -> MemoryNeed {
        MemoryNeed::default()
    }

    fn describe(&self) -> String {
        format!("{:?}\n", self.curve)
    }

    fn new_context(self: Arc<Self>) -> Result<Box<dyn ExecutionContext>> {
        Ok(Box::new(StubContext(self.curve)))
    }
}

struct StubContext(Stub);

impl ExecutionContext for StubContext {
    fn run(&mut self, batch: usize, _: &[&[f32]], _: &mut [&mut [f32]]) -> Result<()> {
        let started = Instant::now();
        let took = self.0.launch + self.0.image * batch as u32;
        while started.elapsed() < took {
            std::hint::spin_loop();
        }
        Ok(())
    }
}

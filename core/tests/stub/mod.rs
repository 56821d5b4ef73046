//! A backend that a test holds and releases, and whose answers show which input they belong to.

use libvision::backend::{
    Availability, Backend, CompileOptions, Executable, ExecutionContext, MemoryNeed, TensorSpec,
};
use libvision::graph::{Dim, Graph, Op, Output, Value, ValueKind};
use libvision::preprocess::{CropPolicy, Layout, PreprocessSpec, ResizeFilter, ResizeMode};
use libvision::{
    DType, Engine, EngineOptions, Error, ErrorKind, Head, ImageSource, Model, PixelFormat, RawPixels, Result,
    Tensor,
};
use std::sync::{Arc, Condvar, Mutex};

/// Height and width of the model's input.
pub const SIDE: usize = 4;
/// Classes of the model.
pub const CLASSES: usize = 5;

/// What a run does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    #[default]
    None,
    Error,
    Panic,
}

#[derive(Default)]
struct State {
    held: bool,
    fault: Fault,
    batches: Vec<usize>,
}

/// The test's hand on the backend.
#[derive(Clone, Default)]
pub struct Stub(Arc<(Mutex<State>, Condvar)>);

impl Stub {
    /// Runs that begin from now on wait for `release`.
    pub fn hold(&self) {
        self.0.0.lock().unwrap().held = true;
    }

    pub fn release(&self) {
        self.0.0.lock().unwrap().held = false;
        self.0.1.notify_all();
    }

    pub fn fail(&self, fault: Fault) {
        self.0.0.lock().unwrap().fault = fault;
    }

    /// Sizes of the batches that have begun, in order.
    pub fn batches(&self) -> Vec<usize> {
        self.0.0.lock().unwrap().batches.clone()
    }

    /// Blocks until so many batches have begun.
    pub fn wait_for_batches(&self, count: usize) {
        let mut state = self.0.0.lock().unwrap();
        while state.batches.len() < count {
            state = self.0.1.wait(state).unwrap();
        }
    }

    pub fn engine(&self, options: &EngineOptions) -> Result<Engine> {
        Engine::with_backend(Arc::new(model()), options, Arc::new(self.clone()))
    }
}

impl Backend for Stub {
    fn name(&self) -> &'static str {
        "stub"
    }

    fn probe(&self) -> Availability {
        Availability::Available("always".into())
    }

    fn compile(&self, _: &Graph, options: &CompileOptions) -> Result<Arc<dyn Executable>> {
        let spec = |name: &str, shape: &[usize]| TensorSpec {
            name: name.into(),
            dtype: DType::F32,
            shape: std::iter::once(Dim::Batch).chain(shape.iter().copied().map(Dim::Fixed)).collect(),
        };
        Ok(Arc::new(StubExecutable {
            stub: self.clone(),
            max_batch_size: options.max_batch_size,
            inputs: [spec("input", &[3, SIDE, SIDE])],
            outputs: [spec("logits", &[CLASSES]), spec("embedding", &[2])],
        }))
    }
}

struct StubExecutable {
    stub: Stub,
    max_batch_size: usize,
    inputs: [TensorSpec; 1],
    outputs: [TensorSpec; 2],
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
        "stub".into()
    }

    fn new_context(self: Arc<Self>) -> Result<Box<dyn ExecutionContext>> {
        Ok(Box::new(StubContext(self.stub.clone())))
    }
}

struct StubContext(Stub);

impl ExecutionContext for StubContext {
    fn run(&mut self, batch: usize, inputs: &[&[f32]], outputs: &mut [&mut [f32]]) -> Result<()> {
        let (lock, changed) = &*self.0.0;
        let mut state = lock.lock().unwrap();
        state.batches.push(batch);
        changed.notify_all();
        while state.held {
            state = changed.wait(state).unwrap();
        }
        let fault = state.fault;
        drop(state);
        match fault {
            Fault::None => {}
            Fault::Error => return Err(Error::new(ErrorKind::DeviceLost, "the stub was told to fail")),
            Fault::Panic => panic!("the stub was told to panic"),
        }
        for (image, input) in inputs[0].chunks_exact(inputs[0].len() / batch).enumerate() {
            if let Some(logits) = outputs[0].get_mut(image * CLASSES..(image + 1) * CLASSES) {
                logits.copy_from_slice(&logits_of(input));
            }
            if let Some(embedding) = outputs[1].get_mut(image * 2..(image + 1) * 2) {
                embedding.copy_from_slice(&[input[0], input[1]]);
            }
        }
        Ok(())
    }
}

/// What the stub computes for one image.
pub fn logits_of(input: &[f32]) -> [f32; CLASSES] {
    std::array::from_fn(|class| {
        input.iter().enumerate().map(|(i, x)| x * ((i * 7 + class * 3) % 11) as f32).sum::<f32>() / 100.0
    })
}

/// A model whose graph the stub ignores; pictures are resized to the input and scaled by 1/255.
pub fn model() -> Model {
    let mut graph = Graph { name: "stub".into(), ..Graph::default() };
    let input = graph.add_value(Value {
        name: "input".into(),
        kind: ValueKind::Input,
        dtype: DType::F32,
        shape: Some(vec![Dim::Batch, Dim::Fixed(3), Dim::Fixed(SIDE), Dim::Fixed(SIDE)]),
    });
    graph.inputs.push(input);
    let logits = graph.add_node("flatten", Op::Flatten, vec![input], "logits");
    graph.outputs.push(Output { name: "logits".into(), value: logits });
    let preprocess = PreprocessSpec {
        resize: ResizeMode::Exact { height: SIDE, width: SIDE },
        filter: ResizeFilter::Nearest,
        crop: CropPolicy::None,
        scale: 1.0 / 255.0,
        mean: [0.0; 3],
        std: [1.0; 3],
        layout: Layout::Nchw,
        apply_orientation: false,
    };
    let labels = (0..CLASSES).map(|class| format!("class {class}")).collect();
    Model::from_graph("stub", graph, preprocess, labels, Head::Softmax).unwrap()
}

/// A picture of the model's size whose content follows from `seed`.
pub fn picture(seed: usize) -> ImageSource {
    let data: Vec<u8> = (0..SIDE * SIDE * 3).map(|i| ((i + 1) * (seed * 37 + 11) % 256) as u8).collect();
    ImageSource::Pixels(RawPixels {
        width: SIDE,
        height: SIDE,
        format: PixelFormat::Rgb,
        row_stride: SIDE * 3,
        data: data.into(),
    })
}

/// `images` inputs of the model.
pub fn tensor(images: usize) -> Tensor {
    let elements = (0..images * 3 * SIDE * SIDE).map(|i| (i as f32).sin()).collect();
    Tensor::new(&[images, 3, SIDE, SIDE], elements).unwrap()
}

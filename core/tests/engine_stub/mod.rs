//! A backend for tests of the engine: holds runs at a gate, fails on request, and computes numbers that tell
//! which slot they came from.
#![allow(dead_code, reason = "each test file uses a part")]

use libvision::backend::registry::Device;
use libvision::backend::{
    Availability, Backend, CompileOptions, Executable, ExecutionContext, MemoryNeed, TensorSpec,
};
use libvision::engine::clock::ManualClock;
use libvision::engine::{Devices, Surroundings};
use libvision::graph::{Dim, Graph, Op, Output, Value, ValueKind};
use libvision::preprocess::{CropPolicy, Layout, ResizeFilter, ResizeMode};
use libvision::{
    BatchWindow, DType, Engine, EngineOptions, Error, ErrorKind, Head, ImageSource, Model, Pending,
    PixelFormat, PreprocessSpec, RawPixels, RequestOptions, Response, Result, Task, Tensor,
};
use parking_lot::{Condvar, Mutex};
use std::collections::BTreeSet;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

pub const SIDE: usize = 4;
pub const PIXELS: usize = 3 * SIDE * SIDE;
pub const CLASSES: usize = 10;
pub const FEATURES: usize = 5;

/// Longest that a test waits for another thread before it fails instead of hanging.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What the next runs do.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Fault {
    #[default]
    None,
    Error(ErrorKind),
    Panic,
    /// Does not come back before [`Control::release_hanging`], and then fails.
    Hang,
    /// There is memory for so many images.
    Memory(usize),
    /// One bit of the answer is another, in runs of so many images; 0 is all.
    Wrong(usize),
}

/// The test's hand on all runs of a [`Stub`].
#[derive(Default)]
pub struct Control {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    held: bool,
    /// Runs that may pass the gate although it is held.
    passes: usize,
    fault: Fault,
    /// Sizes of all runs that have begun, in order.
    begun: Vec<usize>,
    running: usize,
    contexts: usize,
    /// Runs that hang go on once this is more than the number they found.
    hanging_released: usize,
    refuses_contexts: bool,
    /// The fault begins with this run, counted in `begun`.
    fault_from: usize,
    /// And ends with it.
    fault_once: bool,
}

/// A test's hold on a [`Control`]. When the test fails it lets the backend go, as the engine, which is
/// dropped after it, waits for what runs.
pub struct Hand(pub Arc<Control>);

impl Deref for Hand {
    type Target = Control;

    fn deref(&self) -> &Control {
        &self.0
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.release();
            self.release_hanging();
        }
    }
}

impl Control {
    /// From now on runs begin and do not end.
    pub fn hold(&self) {
        self.state.lock().held = true;
    }

    /// Lets everything go on.
    pub fn release(&self) {
        self.state.lock().held = false;
        self.changed.notify_all();
    }

    /// Whether no context can be made.
    pub fn refuse_contexts(&self, refuse: bool) {
        self.state.lock().refuses_contexts = refuse;
    }

    /// Lets those go on that hang.
    pub fn release_hanging(&self) {
        self.state.lock().hanging_released += 1;
        self.changed.notify_all();
    }

    /// Lets one run go on.
    pub fn release_one(&self) {
        self.state.lock().passes += 1;
        self.changed.notify_all();
    }

    pub fn set_fault(&self, fault: Fault) {
        let mut state = self.state.lock();
        (state.fault, state.fault_from, state.fault_once) = (fault, 0, false);
    }

    /// The fault comes after so many more good runs, and goes again after one bad run if it comes `once`.
    pub fn set_fault_after(&self, fault: Fault, good: usize, once: bool) {
        let mut state = self.state.lock();
        (state.fault, state.fault_from, state.fault_once) = (fault, state.begun.len() + good + 1, once);
    }

    /// Blocks until so many runs have begun in total.
    pub fn wait_begun(&self, runs: usize) {
        let mut state = self.state.lock();
        while state.begun.len() < runs {
            let timed_out = self.changed.wait_for(&mut state, PATIENCE).timed_out();
            assert!(!timed_out, "{runs} runs expected, {:?} have begun", state.begun);
        }
    }

    /// Sizes of all runs so far.
    pub fn begun(&self) -> Vec<usize> {
        self.state.lock().begun.clone()
    }

    /// Takes no memory for runs that are over.
    pub fn forget_begun(&self) {
        self.state.lock().begun.clear();
    }

    pub fn contexts(&self) -> usize {
        self.state.lock().contexts
    }

    fn enter(&self, batch: usize, most_at_once: usize) -> Fault {
        let mut state = self.state.lock();
        state.begun.push(batch);
        state.running += 1;
        assert!(state.running <= most_at_once, "more runs at once than contexts");
        self.changed.notify_all();
        while state.held {
            if state.passes > 0 {
                state.passes -= 1;
                break;
            }
            self.changed.wait(&mut state);
        }
        state.running -= 1;
        let is_due = state.begun.len() >= state.fault_from;
        let fault = if is_due { state.fault } else { Fault::None };
        if is_due && state.fault_once {
            state.fault = Fault::None;
        }
        match fault {
            Fault::Hang => {
                let found = state.hanging_released;
                while state.hanging_released == found {
                    self.changed.wait(&mut state);
                }
                Fault::Error(ErrorKind::DeviceLost)
            }
            Fault::Memory(images) if batch > images => Fault::Error(ErrorKind::OutOfMemory),
            Fault::Memory(_) => Fault::None,
            Fault::Wrong(size) if size > 0 && size != batch => Fault::None,
            fault => fault,
        }
    }
}

/// The backend.
pub struct Stub {
    pub control: Arc<Control>,
    pub contexts: usize,
    pub max_batch_size: usize,
    /// The first context, counted from 1, that there is no memory for.
    pub fails_at_context: Option<usize>,
    pub buckets: &'static [usize],
    /// Whether [`Control::begun`] knows of runs, which takes memory.
    pub remembers_runs: bool,
}

impl Stub {
    pub fn new() -> Self {
        Self {
            control: Arc::default(),
            contexts: 1,
            max_batch_size: usize::MAX,
            fails_at_context: None,
            buckets: &[],
            remembers_runs: true,
        }
    }
}

impl Backend for Stub {
    fn name(&self) -> &'static str {
        "stub"
    }

    fn probe(&self) -> Availability {
        Availability::Available("always".into())
    }

    fn compile(&self, graph: &Graph, options: &CompileOptions) -> Result<Arc<dyn Executable>> {
        let spec = |name: &str, shape: Vec<Dim>| TensorSpec { name: name.into(), dtype: DType::F32, shape };
        let inputs = graph.inputs.iter().map(|&input| {
            let value = graph.value(input);
            spec(&value.name, value.shape.clone().unwrap_or_default())
        });
        let outputs = graph.outputs.iter().map(|output| {
            let size = if output.name == "embedding" { FEATURES } else { CLASSES };
            spec(&output.name, vec![Dim::Batch, Dim::Fixed(size)])
        });
        Ok(Arc::new(StubExecutable {
            inputs: inputs.collect(),
            outputs: outputs.collect(),
            max_batch_size: options.max_batch_size.min(self.max_batch_size),
            contexts: self.contexts,
            fails_at_context: self.fails_at_context,
            buckets: self.buckets,
            remembers_runs: self.remembers_runs,
            control: Arc::clone(&self.control),
        }))
    }
}

struct StubExecutable {
    inputs: Vec<TensorSpec>,
    outputs: Vec<TensorSpec>,
    max_batch_size: usize,
    contexts: usize,
    fails_at_context: Option<usize>,
    buckets: &'static [usize],
    remembers_runs: bool,
    control: Arc<Control>,
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

    fn useful_contexts(&self) -> usize {
        self.contexts
    }

    fn batch_buckets(&self) -> &[usize] {
        self.buckets
    }

    fn memory_need(&self) -> MemoryNeed {
        MemoryNeed { weights: 123, arena: 456 }
    }

    fn describe(&self) -> String {
        "plan of the stub\n".into()
    }

    fn new_context(self: Arc<Self>) -> Result<Box<dyn ExecutionContext>> {
        let mut state = self.control.state.lock();
        state.contexts += 1;
        if self.fails_at_context == Some(state.contexts) || state.refuses_contexts {
            return Err(Error::new(ErrorKind::OutOfMemory, "the stub was told to have no memory"));
        }
        drop(state);
        let seen = BTreeSet::new();
        Ok(Box::new(StubContext { executable: self, is_broken: false, seen, cold_paths: 0 }))
    }
}

struct StubContext {
    executable: Arc<StubExecutable>,
    /// After a panic: no run works any more.
    is_broken: bool,
    /// Batch sizes that have run: each takes something the first time.
    seen: BTreeSet<usize>,
    cold_paths: u64,
}

impl ExecutionContext for StubContext {
    fn cold_paths(&self) -> u64 {
        self.cold_paths
    }

    fn run(&mut self, batch: usize, inputs: &[&[f32]], outputs: &mut [&mut [f32]]) -> Result<()> {
        let executable = Arc::clone(&self.executable);
        assert!((1..=executable.max_batch_size).contains(&batch));
        assert!(!self.is_broken, "a context was used after it had panicked");
        if self.seen.insert(batch) {
            self.cold_paths += 1;
        }
        let fault = executable.control.enter(batch, executable.contexts);
        if !executable.remembers_runs {
            executable.control.forget_begun();
        }
        match fault {
            Fault::None | Fault::Wrong(_) => {}
            Fault::Error(kind) => return Err(Error::new(kind, "the stub was told to fail")),
            Fault::Hang | Fault::Memory(_) => unreachable!("resolved by the control"),
            Fault::Panic => {
                self.is_broken = true;
                panic!("the stub was told to panic");
            }
        }
        for (input, spec) in inputs.iter().zip(&executable.inputs) {
            assert_eq!(input.len(), batch * spec.elements_per_image());
        }
        for (index, (output, spec)) in outputs.iter_mut().zip(&executable.outputs).enumerate() {
            let size = spec.elements_per_image();
            assert!(output.is_empty() || output.len() == batch * size);
            for (image, result) in output.chunks_exact_mut(size).enumerate() {
                for (place, value) in result.iter_mut().enumerate() {
                    *value = inputs
                        .iter()
                        .zip(&executable.inputs)
                        .map(|(input, spec)| {
                            let size = spec.elements_per_image();
                            mix(&input[image * size..][..size], place + 100 * index)
                        })
                        .sum();
                }
            }
        }
        if let (Fault::Wrong(_), Some(value)) = (fault, outputs.iter_mut().flat_map(|o| o.iter_mut()).last())
        {
            *value = f32::from_bits(value.to_bits() ^ 1);
        }
        Ok(())
    }
}

/// A number that depends on every element and on where it is.
pub fn mix(image: &[f32], salt: usize) -> f32 {
    let weight = |i: usize| (((i + 1) * 7919 + salt * 104_729) % 211) as f32 / 211.0 - 0.5;
    image.iter().enumerate().map(|(i, x)| x * weight(i)).sum()
}

/// A graph with these inputs, each without its batch axis; outputs `logits` and perhaps `embedding`.
pub fn graph(inputs: &[(&str, &[usize])], has_embedding: bool, batch_limit: Option<usize>) -> Graph {
    let mut graph = Graph { name: "stub".into(), batch_limit, ..Graph::default() };
    for (name, shape) in inputs {
        let mut dims = vec![Dim::Batch];
        dims.extend(shape.iter().map(|&size| Dim::Fixed(size)));
        let input = graph.add_value(Value {
            name: (*name).into(),
            kind: ValueKind::Input,
            dtype: DType::F32,
            shape: Some(dims),
        });
        graph.inputs.push(input);
    }
    let flat = graph.add_node("flatten", Op::Flatten, vec![graph.inputs[0]], "flat");
    graph.outputs.push(Output { name: "logits".into(), value: flat });
    if has_embedding {
        graph.outputs.push(Output { name: "embedding".into(), value: flat });
    }
    graph
}

/// Pictures of `SIDE` x `SIDE` go into the model as they are, times 1/255.
pub fn preprocessing() -> PreprocessSpec {
    PreprocessSpec {
        resize: ResizeMode::Exact { height: SIDE, width: SIDE },
        filter: ResizeFilter::Nearest,
        crop: CropPolicy::None,
        scale: 1.0 / 255.0,
        mean: [0.0; 3],
        std: [1.0; 3],
        layout: Layout::Nchw,
        apply_orientation: false,
    }
}

pub fn model_of(graph: Graph) -> Arc<Model> {
    let labels = (0..CLASSES).map(|class| format!("class {class}")).collect();
    Arc::new(Model::from_graph("stub", graph, preprocessing(), labels, Head::Softmax).expect("a valid graph"))
}

/// Takes pictures, gives `logits` and `embedding`.
pub fn picture_model() -> Arc<Model> {
    model_of(graph(&[("pixels", &[3, SIDE, SIDE])], true, None))
}

/// One decoder, no delay.
pub fn options() -> EngineOptions {
    EngineOptions {
        decode_threads: 1,
        max_queue_delay: Duration::ZERO,
        window: BatchWindow::Throughput,
        // Tests hold the backend, and move the clock meanwhile.
        stuck_after: Duration::MAX,
        self_test_every: Duration::ZERO,
        ..EngineOptions::default()
    }
}

/// An engine on the stub with the real clock, and the hand on its runs.
pub fn engine(options: &EngineOptions) -> (Engine, Hand) {
    engine_on(Stub::new(), options)
}

/// The stub as a device of this name.
pub fn device(name: &str, stub: Stub) -> Device {
    Device { name: name.into(), what: name.into(), reason: "a test's".into(), backend: Arc::new(stub) }
}

/// The real clock and these devices.
pub fn surroundings(devices: Vec<Device>) -> Surroundings {
    Surroundings { devices: Devices::Given(devices), ..Surroundings::of(Arc::new(Stub::new())) }
}

/// The same on this stub.
pub fn engine_on(stub: Stub, options: &EngineOptions) -> (Engine, Hand) {
    let hand = Hand(Arc::clone(&stub.control));
    let engine = Engine::with_backend(picture_model(), options, Arc::new(stub)).expect("an engine");
    hand.forget_begun();
    (engine, hand)
}

/// The same on a clock that the test moves.
pub fn engine_on_manual_clock(options: &EngineOptions) -> (Engine, Hand, Arc<ManualClock>) {
    let stub = Stub::new();
    let (hand, clock) = (Hand(Arc::clone(&stub.control)), Arc::new(ManualClock::default()));
    let around = Surroundings { clock: clock.clone(), ..Surroundings::of(Arc::new(stub)) };
    let engine = Engine::start(picture_model(), options, around).expect("an engine");
    hand.forget_begun();
    (engine, hand, clock)
}

/// Blocks until a single decoder has put everything that was submitted before into its slots, as far as
/// there is room for it: the decoder finishes one request before it begins the next.
pub fn wait_filled(engine: &Engine) {
    let missing = engine.submit(ImageSource::Path("no/such/picture".into()), RequestOptions::default());
    assert_eq!(kind_of(wait(missing.expect("files are opened later"))), ErrorKind::FileNotFound);
}

fn picture_bytes(seed: usize) -> Vec<u8> {
    (0..PIXELS).map(|i| (((i + 1) * (seed + 3) * 2_654_435_761) >> 7) as u8).collect()
}

/// A picture unlike those of other seeds.
pub fn picture(seed: usize) -> ImageSource {
    let data = picture_bytes(seed).into();
    let format = PixelFormat::Rgb;
    ImageSource::Pixels(RawPixels { width: SIDE, height: SIDE, format, row_stride: 3 * SIDE, data })
}

/// What preprocessing makes of it.
pub fn picture_tensor(seed: usize) -> Vec<f32> {
    let bytes = picture_bytes(seed);
    let planes = (0..3).flat_map(|channel| bytes.iter().skip(channel).step_by(3));
    planes.map(|&byte| f32::from(byte) / 255.0).collect()
}

/// The same picture as a 24-bit BMP file.
pub fn bmp(seed: usize) -> Vec<u8> {
    let bytes = picture_bytes(seed);
    let mut file = b"BM".to_vec();
    let mut put = |value: u32| file.extend(value.to_le_bytes());
    for value in [54 + PIXELS as u32, 0, 54, 40, SIDE as u32, SIDE as u32, 1 | 24 << 16, 0] {
        put(value);
    }
    for value in [PIXELS as u32, 2835, 2835, 0, 0] {
        put(value);
    }
    for row in bytes.chunks(3 * SIDE).rev() {
        file.extend(row.chunks(3).flat_map(|pixel| [pixel[2], pixel[1], pixel[0]]));
    }
    file
}

/// A BMP file with a good header and no pixels: accepted, then fails to decode.
pub fn corrupt() -> ImageSource {
    ImageSource::Encoded(bmp(0)[..60].to_vec().into())
}

pub fn task(task: Task) -> RequestOptions {
    RequestOptions { task, ..RequestOptions::default() }
}

pub fn classify_all() -> RequestOptions {
    task(Task::Classify { top_k: CLASSES, min_score: 0.0 })
}

pub fn deadline(deadline: Duration) -> RequestOptions {
    RequestOptions { deadline: Some(deadline), ..RequestOptions::default() }
}

/// A tensor of these pictures for the input `pixels`.
pub fn tensor_of(seeds: &[usize]) -> Vec<(String, Tensor)> {
    let elements: Vec<f32> = seeds.iter().flat_map(|&seed| picture_tensor(seed)).collect();
    vec![("pixels".into(), Tensor::new(&[seeds.len(), 3, SIDE, SIDE], elements).expect("sizes fit"))]
}

/// The answer, or a failed test if it does not come.
pub fn wait(pending: Pending) -> Result<Response> {
    pending.wait_timeout(PATIENCE).unwrap_or_else(|_| panic!("a request was not answered"))
}

pub fn kind_of<T>(result: Result<T>) -> ErrorKind {
    match result {
        Ok(_) => panic!("expected an error"),
        Err(error) => error.kind(),
    }
}

/// Softmax of the stub's logits for this picture, by class.
pub fn expected_scores(seed: usize) -> Vec<f32> {
    let image = picture_tensor(seed);
    let mut scores: Vec<f32> = (0..CLASSES).map(|class| mix(&image, class)).collect();
    Head::Softmax.apply(&mut scores);
    scores
}

/// Scores of an answer, by class.
pub fn scores(response: &Response) -> Vec<f32> {
    let mut scores = vec![f32::NAN; CLASSES];
    for prediction in &response.predictions {
        scores[prediction.class_index] = prediction.score;
    }
    scores
}

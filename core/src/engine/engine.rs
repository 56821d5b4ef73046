//! The engine: one model on one device, behind a queue that batches.

use super::admission::Admission;
use super::batcher::BatcherConfig;
use super::clock::RealClock;
use super::config::EngineOptions;
use super::intake::Intake;
use super::pending::{Canceller, Pending};
use super::request::{RequestOptions, Response};
use super::shared::{Payload, Shared};
use super::staging::Staging;
use super::worker::Worker;
use crate::backend::{Backend, CompileOptions, Executable, TensorSpec, registry};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::Dim;
use crate::image::ImageSource;
use crate::model::Model;
use crate::preprocess::CpuPreprocessor;
use crate::tensor::Tensor;
use crossbeam::channel::unbounded;
use parking_lot::Mutex;
use std::fmt::Write;
use std::sync::Arc;
use std::thread::{JoinHandle, ThreadId};

/// Largest batch and queue that may be asked for: far beyond use, well within memory.
const MAX_BATCH_SIZE: usize = 4096;
const MAX_QUEUE_CAPACITY: usize = 1 << 20;
/// More decode threads than this only wait for each other.
const MAX_DECODE_THREADS: usize = 64;
const DEFAULT_DECODE_THREADS: usize = 8;

/// Takes pictures or tensors from any number of threads, forms batches, and answers each request once.
///
/// Two engines in one process do not disturb each other. Dropping an engine closes it.
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    model: Arc<Model>,
    shared: Arc<Shared>,
    admission: Admission,
    device: String,
    description: String,
    thread_ids: Vec<ThreadId>,
    /// Taken by the first to close; others wait for it to be done.
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Engine {
    /// Prepares `model` for the device, takes all memory and starts the threads.
    pub fn new(model: Arc<Model>, options: &EngineOptions) -> Result<Self> {
        let device = registry::open(&options.device)?;
        Self::start(model, options, device.backend, &device.name, &device.reason)
    }

    /// The same on a backend of the caller's own, whatever `options.device` says.
    pub fn with_backend(
        model: Arc<Model>,
        options: &EngineOptions,
        backend: Arc<dyn Backend>,
    ) -> Result<Self> {
        let name = backend.name();
        Self::start(model, options, backend, name, "given by the caller")
    }

    fn start(
        model: Arc<Model>,
        options: &EngineOptions,
        backend: Arc<dyn Backend>,
        device: &str,
        reason: &str,
    ) -> Result<Self> {
        let max_batch_size = batch_limit(options, &model)?;
        let queue_capacity = at_most("queue_capacity", options.queue_capacity, MAX_QUEUE_CAPACITY)?;
        let decode_threads = decode_threads(options)?;
        let compile = CompileOptions { max_batch_size, threads: options.threads };
        let executable = backend.compile(model.graph(), &compile)?;
        let preprocessor = preprocessor(&model, executable.inputs());
        let embedding = executable.outputs().iter().position(|output| output.name == "embedding");
        let admission = Admission {
            limits: options.limits,
            inputs: executable.inputs().to_vec(),
            max_batch_size,
            has_embedding: embedding.is_some(),
            no_images: preprocessor.as_ref().err().cloned(),
        };

        // One batch runs, one waits, one is being built.
        let config = BatcherConfig {
            max_batch_size,
            max_queue_delay: options.max_queue_delay,
            decode_threads,
            workers: 1,
            stagings: 3,
        };
        let stagings: Arc<[Staging]> =
            (0..config.stagings).map(|_| Staging::new(executable.inputs(), max_batch_size)).collect();
        let (prepare, prepare_jobs) = unbounded();
        let (workers, worker_jobs): (Vec<_>, Vec<_>) = (0..config.workers).map(|_| unbounded()).unzip();
        let shared =
            Arc::new(Shared::new(config, queue_capacity, Arc::new(RealClock::new()), prepare, workers));

        let mut inner = Inner {
            description: describe(&model, options, &*executable, (device, reason), &config, &stagings),
            model: Arc::clone(&model),
            shared: Arc::clone(&shared),
            admission,
            device: device.to_owned(),
            thread_ids: Vec::new(),
            threads: Mutex::new(Vec::new()),
        };
        // From here on a failure drops `inner`, which ends the threads started so far.
        let timer = Arc::clone(&shared);
        inner.spawn("libvision-batcher".into(), move || timer.run_timer())?;
        let intake = Intake {
            shared: Arc::clone(&shared),
            jobs: prepare_jobs,
            stagings: Arc::clone(&stagings),
            limits: options.limits,
            preprocessor: preprocessor.ok().map(Arc::new),
        };
        for index in 0..config.decode_threads {
            let intake = intake.clone();
            inner.spawn(format!("libvision-decode-{index}"), move || intake.run())?;
        }
        for (index, jobs) in worker_jobs.into_iter().enumerate() {
            let output = |spec: &TensorSpec| vec![0.0; max_batch_size * spec.elements_per_image()];
            let worker = Worker {
                index,
                shared: Arc::clone(&shared),
                jobs,
                stagings: Arc::clone(&stagings),
                model: Arc::clone(&model),
                context: Arc::clone(&executable).new_context()?,
                outputs: executable.outputs().iter().map(output).collect(),
                executable: Arc::clone(&executable),
                embedding,
            };
            inner.spawn(format!("libvision-worker-{index}"), move || worker.run())?;
        }
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Accepts a picture, or refuses at once (`QUEUE_FULL`, `IMAGE_TOO_COSTLY`, `ENGINE_CLOSED`, ...).
    /// Never blocks on other requests. Files are opened later, by the engine's threads.
    pub fn submit(&self, image: ImageSource, options: RequestOptions) -> Result<Pending> {
        self.inner.admission.check_image(&image, &options)?;
        self.accept(Payload::Image(image), 1, options)
    }

    /// Accepts input tensors by name, already preprocessed; the first axis is the number of images, at
    /// most `max_batch_size`, and 1 for [`Task::Classify`](super::Task::Classify).
    pub fn submit_tensors(&self, inputs: Vec<(String, Tensor)>, options: RequestOptions) -> Result<Pending> {
        let (tensors, images) = self.inner.admission.check_tensors(inputs, &options)?;
        self.accept(Payload::Tensors(tensors), images, options)
    }

    fn accept(&self, payload: Payload, slots: usize, options: RequestOptions) -> Result<Pending> {
        let shared = &self.inner.shared;
        let (id, completion) = shared.accept(payload, slots, options)?;
        Ok(Pending { completion, canceller: Canceller { shared: Arc::downgrade(shared), id } })
    }

    /// Submits and waits.
    pub fn classify(&self, image: ImageSource, options: RequestOptions) -> Result<Response> {
        self.submit(image, options)?.wait()
    }

    /// The model.
    pub fn model(&self) -> &Arc<Model> {
        &self.inner.model
    }

    /// The device taken, `cpu` or `cuda:N`.
    pub fn device(&self) -> &str {
        &self.inner.device
    }

    /// Largest batch, after the model's own limit.
    pub fn max_batch_size(&self) -> usize {
        self.inner.admission.max_batch_size
    }

    /// Device and why, options in force, plan, fusions, memory; for people.
    pub fn describe(&self) -> String {
        self.inner.description.clone()
    }

    /// Accepts nothing more, answers what was accepted, then stops the threads. Idempotent.
    ///
    /// Blocks until that is done, except on one of the engine's own threads (in a callback), where it only
    /// starts it.
    pub fn close(&self) {
        Inner::close(&self.inner);
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        Inner::close(&self.inner);
    }
}

impl Inner {
    fn spawn(&mut self, name: String, run: impl FnOnce() + Send + 'static) -> Result<()> {
        let failed = |error: std::io::Error| {
            Error::new(ErrorKind::OutOfMemory, format!("thread {name} could not be started: {error}"))
                .with_source(error)
        };
        let handle = std::thread::Builder::new().name(name.clone()).spawn(run).map_err(failed)?;
        self.thread_ids.push(handle.thread().id());
        self.threads.get_mut().push(handle);
        Ok(())
    }

    fn close(inner: &Arc<Self>) {
        inner.shared.start_closing();
        if inner.thread_ids.contains(&std::thread::current().id()) {
            let inner = Arc::clone(inner);
            // Without a thread the rest is done when the last reference is dropped.
            let _ = std::thread::Builder::new().name("libvision-close".into()).spawn(move || inner.stop());
        } else {
            inner.stop();
        }
    }

    fn stop(&self) {
        let mut threads = self.threads.lock();
        if threads.is_empty() {
            return;
        }
        self.shared.finish_closing();
        for thread in threads.drain(..) {
            // A panic of an engine thread was answered where it happened.
            let _ = thread.join();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Only an engine that failed to start still has threads here, and no request.
        if !self.threads.get_mut().is_empty() {
            self.shared.start_closing();
            self.stop();
        }
    }
}

fn batch_limit(options: &EngineOptions, model: &Model) -> Result<usize> {
    let asked = at_most("max_batch_size", options.max_batch_size, MAX_BATCH_SIZE)?;
    Ok(model.graph().batch_limit.map_or(asked, |limit| asked.min(limit)))
}

fn at_most(name: &str, value: usize, limit: usize) -> Result<usize> {
    if (1..=limit).contains(&value) {
        return Ok(value);
    }
    let message =
        format!("{name} must be from 1 to {limit}, found {value}; nothing in an engine is unlimited");
    Err(Error::new(ErrorKind::InvalidArgument, message))
}

fn decode_threads(options: &EngineOptions) -> Result<usize> {
    match options.decode_threads {
        0 => Ok(std::thread::available_parallelism().map_or(1, usize::from).min(DEFAULT_DECODE_THREADS)),
        count => at_most("decode_threads", count, MAX_DECODE_THREADS),
    }
}

/// The preprocessor, or why this model takes no pictures.
fn preprocessor(model: &Model, inputs: &[TensorSpec]) -> std::result::Result<CpuPreprocessor, String> {
    let [input] = inputs else {
        return Err(format!("the model has {} inputs and takes tensors only, no pictures", inputs.len()));
    };
    let preprocessor = CpuPreprocessor::new(model.preprocess()).map_err(|error| error.to_string())?;
    let picture = preprocessor.output_shape();
    let expected: Vec<Dim> = std::iter::once(Dim::Batch).chain(picture.map(Dim::Fixed)).collect();
    if input.shape != expected {
        return Err(format!(
            "preprocessing gives {picture:?} for each picture, but input \"{}\" is {:?}; give the model its \
             preprocessing, or tensors",
            input.name,
            input.shape_for(1)
        ));
    }
    Ok(preprocessor)
}

fn describe(
    model: &Model,
    options: &EngineOptions,
    executable: &dyn Executable,
    (device, reason): (&str, &str),
    config: &BatcherConfig,
    stagings: &[Staging],
) -> String {
    let mut text = model.describe();
    let limit = match model.graph().batch_limit {
        Some(limit) if limit < options.max_batch_size => {
            format!("the model's limit, {} was asked for", options.max_batch_size)
        }
        _ => "as asked for".to_owned(),
    };
    let memory = executable.memory_need();
    let staging: usize = stagings.iter().map(Staging::bytes).sum();
    let _ = write!(
        text,
        "\nengine\n  device           {device} ({reason})\n  max_batch_size   {} ({limit})\n  \
         max_queue_delay  {:?}\n  queue_capacity   {}\n  decode threads   {}\n  \
         memory           weights {}, arena {}, staging {} bytes\n\n{}",
        config.max_batch_size,
        config.max_queue_delay,
        options.queue_capacity,
        config.decode_threads,
        memory.weights,
        memory.arena * config.workers,
        staging,
        executable.describe()
    );
    text
}

//! The engine: one model on one device, behind a queue that batches.

use super::admission::Admission;
use super::clock::{Clock, RealClock};
use super::completion::run_callbacks;
use super::config::EngineOptions;
use super::describe::Description;
use super::hand_over::Input;
use super::intake::{Decoder, Filler};
use super::machine::{Cost, Machine, Shape};
use super::metrics::Metrics;
use super::pending::Pending;
use super::pictures::preprocessor_for;
use super::request::{RequestOptions, Response};
use super::scheduler::{Channels, Scheduler, forked};
use super::shutdown::Threads;
use super::staging::Staging;
use super::tenant::{Tenant, Tenants};
use super::trace::Recorder;
use super::workshop::Workshop;
use crate::backend::{Availability, Backend, CompileOptions, Executable, TensorSpec, registry};
use crate::error::{Error, ErrorKind, Result};
use crate::image::ImageSource;
use crate::model::Model;
use crate::tensor::Tensor;
use crossbeam::channel::{bounded, unbounded};
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Takes pictures or tensors from any number of threads, forms batches, and answers each request once.
///
/// All memory for batches is taken when it is made. Two engines in one process do not disturb each other.
/// Dropping an engine closes it. A child process made by `fork` cannot use the engines of its parent: it
/// gets `ENGINE_CLOSED` from them.
pub struct Engine {
    model: Arc<Model>,
    scheduler: Arc<Scheduler>,
    admission: Admission,
    filler: Arc<Filler>,
    device: String,
    description: String,
    threads: Arc<Threads>,
    tenants: Tenants,
    close_timeout: Duration,
    memory_bytes: u64,
}

/// Where an engine runs and what time it lives by.
pub struct Surroundings {
    /// Prepares the model and runs it.
    pub backend: Arc<dyn Backend>,
    /// Name of the device, for people.
    pub device: String,
    /// Why this device, for people.
    pub reason: String,
    /// Decides delays and deadlines.
    pub clock: Arc<dyn Clock>,
}

impl Engine {
    /// Prepares `model` for the device, takes all memory and starts the threads. Blocks meanwhile.
    ///
    /// Fails with `INVALID_ARGUMENT` for an option that is zero where that means unlimited, or beyond use;
    /// with `DEVICE_UNAVAILABLE`, `OPERATOR_UNSUPPORTED` or `OUT_OF_MEMORY` where the device cannot run it. Device
    /// `auto` takes the CPU instead, and [`Engine::describe`] says why.
    pub fn new(model: Arc<Model>, options: &EngineOptions) -> Result<Self> {
        options.check()?;
        let device = registry::open(&options.device)?;
        let may_fall_back = options.device == "auto" && device.name != "cpu";
        match Self::start(Arc::clone(&model), options, Surroundings::on(device)) {
            Err(error) if may_fall_back && suits_another_device(error.kind()) => {
                Self::start(model, options, Surroundings::on(registry::cpu_instead(&error)?))
            }
            started => started,
        }
    }

    /// The same on a backend of the caller's own, whatever `options.device` says: the way in for devices that
    /// libvision does not know.
    pub fn with_backend(
        model: Arc<Model>,
        options: &EngineOptions,
        backend: Arc<dyn Backend>,
    ) -> Result<Self> {
        Self::start(model, options, Surroundings::of(backend))
    }

    /// The same with everything that an engine takes from its surroundings in the caller's hands.
    pub fn start(model: Arc<Model>, options: &EngineOptions, around: Surroundings) -> Result<Self> {
        options.check()?;
        let tenants = Tenants::new(&options.tenant_weights)?;
        if let Availability::Unavailable(error) = around.backend.probe() {
            return Err(error);
        }
        let max_batch_size =
            model.graph().batch_limit.unwrap_or(usize::MAX).min(options.max_batch_size).max(1);
        let compile = CompileOptions {
            max_batch_size,
            threads: options.threads,
            batch_buckets: options.batch_buckets.clone(),
            precise: options.precise,
            tuning: options.tuning.clone(),
            precision: options.precision,
            device_memory_limit: options.device_memory_limit,
        };
        model.check_file()?;
        let executable = around.backend.compile(model.graph(), &compile)?;
        let max_batch_size = max_batch_size.min(executable.max_batch_size());
        let workers = executable.useful_contexts().max(1);
        let shape = Shape {
            max_batch_size,
            buckets: buckets(&options.batch_buckets, executable.batch_buckets(), max_batch_size),
            decoders: options.decoders(),
            workers,
            // Beside those that run, one is complete and waits, and one is being filled.
            stagings: workers + 2,
        };

        let stagings = (0..shape.stagings).map(|_| Staging::new(executable.inputs(), max_batch_size));
        let stagings: Arc<[Staging]> = stagings.collect::<Result<_>>()?;
        let (preprocessor, no_pictures) = match preprocessor_for(&model, executable.inputs()) {
            Ok(preprocessor) => (Some(preprocessor), None),
            Err(reason) => (None, Some(reason)),
        };
        let description = Description {
            model: &model,
            options,
            device: &around.device,
            reason: &around.reason,
            executable: &*executable,
            shape: &shape,
            staging_bytes: stagings.iter().map(Staging::bytes).sum(),
            output_bytes: output_bytes(&*executable, max_batch_size).saturating_mul(workers),
            no_pictures: no_pictures.as_deref(),
        };
        let memory_bytes = description.memory_bytes() as u64;
        let description = description.write();
        let output_names: Vec<String> =
            executable.outputs().iter().map(|output| output.name.clone()).collect();
        let workshop = Workshop {
            model: Arc::clone(&model),
            embedding: output_names.iter().position(|name| name == "embedding"),
            stagings: Arc::clone(&stagings),
            max_batch_size,
            executable,
        };
        let benches = (0..workers).map(|_| workshop.bench()).collect::<Result<Vec<_>>>()?;

        // A decoder may be told to drop what it holds and, before it has, what to decode next.
        let (to_decoders, decoders): (Vec<_>, Vec<_>) = (0..shape.decoders).map(|_| bounded(2)).unzip();
        let (to_workers, batches): (Vec<_>, Vec<_>) = (0..workers).map(|_| bounded(1)).unzip();
        // Bounded by admission, which counts what lies in it.
        let (callbacks, deliveries) = unbounded();
        let channels = Channels { decoders: to_decoders, workers: to_workers, callbacks };
        let machine = Machine::new(shape, options.policy());
        let recorder = options.trace.as_deref().map(|path| record(path, &machine)).transpose()?;
        let scheduler = Arc::new(Scheduler::new(machine, recorder, around.clock, channels));
        let inputs = workshop.executable.inputs().to_vec();
        let filler = Arc::new(Filler { stagings: Arc::clone(&stagings), preprocessor });
        let engine = Self {
            model: Arc::clone(&model),
            scheduler: Arc::clone(&scheduler),
            admission: Admission {
                limits: options.limits,
                inputs,
                outputs: output_names,
                max_batch_size,
                decode_budget: options.decode_budget,
                no_pictures,
            },
            filler: Arc::clone(&filler),
            device: around.device,
            description,
            threads: Arc::default(),
            tenants,
            close_timeout: options.close_timeout,
            memory_bytes,
        };

        // From here on a failure drops the engine, which ends the threads that have started.
        let threads = &engine.threads;
        threads.spawn("libvision-complete".into(), true, move || run_callbacks(&deliveries))?;
        for (index, commands) in decoders.into_iter().enumerate() {
            let decoder = Decoder {
                index,
                scheduler: Arc::clone(&scheduler),
                commands,
                limits: options.limits,
                filler: Arc::clone(&filler),
            };
            threads.spawn(format!("libvision-decode-{index}"), false, move || decoder.run())?;
        }
        for (index, (batches, bench)) in batches.into_iter().zip(benches).enumerate() {
            let worker = workshop.worker(Arc::clone(&scheduler), batches, bench);
            threads.spawn(format!("libvision-worker-{index}"), false, move || worker.run())?;
        }
        let (timer, others) = (Arc::clone(&scheduler), Arc::downgrade(threads));
        let workshop = Arc::new(workshop);
        threads.spawn("libvision-timer".into(), true, move || {
            timer.run_timer(|worker| workshop.replace(worker, &timer, &others));
        })?;
        Ok(engine)
    }

    /// Accepts a picture, or refuses at once (`QUEUE_FULL`, `IMAGE_TOO_COSTLY`, `ENGINE_CLOSED`, ...).
    /// Never blocks on other requests. The header of encoded bytes is read here; files are opened later, by
    /// the engine's threads.
    pub fn submit(&self, image: ImageSource, options: RequestOptions) -> Result<Pending> {
        self.scheduler.check_open()?;
        let cost = self.admission.check_image(&image, &options)?;
        self.accept(Input::Image(image), cost, options)
    }

    /// Accepts input tensors by name, already preprocessed, and copies them into their batch if one has room; the
    /// first axis is the number of images, at most `max_batch_size`, and 1 for [`Task::Classify`](super::Task::Classify). All images of one request
    /// run in one batch.
    pub fn submit_tensors(&self, inputs: Vec<(String, Tensor)>, options: RequestOptions) -> Result<Pending> {
        self.scheduler.check_open()?;
        let (tensors, cost) = self.admission.check_tensors(inputs, &options)?;
        self.accept(Input::Tensors(tensors), cost, options)
    }

    fn accept(&self, input: Input, cost: Cost, options: RequestOptions) -> Result<Pending> {
        let accepted = self.scheduler.accept(input, cost, options)?;
        if let Some(fill) = accepted.fill {
            self.filler.fill(fill, &self.scheduler);
        }
        Ok(Pending::new(accepted.answer, accepted.id, &self.scheduler))
    }

    /// Submits and waits.
    pub fn classify(&self, image: ImageSource, options: RequestOptions) -> Result<Response> {
        self.submit(image, options)?.wait()
    }

    /// The tenant of this name, for [`RequestOptions::tenant`], with its share in
    /// [`EngineOptions::tenant_weights`]. At most 1024 names in one engine, else `INVALID_ARGUMENT`.
    pub fn tenant(&self, name: &str) -> Result<Tenant> {
        self.tenants.get(name)
    }

    /// Whether requests are accepted and every worker can run them. A device that is lost turns it off until
    /// the engine has replaced what was lost.
    pub fn is_ready(&self) -> bool {
        forked(self.scheduler.process()).is_none() && self.scheduler.is_ready()
    }

    /// Everything counted and measured so far.
    pub fn metrics(&self) -> Metrics {
        Metrics { memory_bytes: self.memory_bytes, ..self.scheduler.metrics() }
    }

    /// The model.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// The device taken, `cpu` or `cuda:N`.
    pub fn device(&self) -> &str {
        &self.device
    }

    /// Largest batch, after the model's own limit.
    pub fn max_batch_size(&self) -> usize {
        self.admission.max_batch_size
    }

    /// Device and why, options in force, plan, fusions, memory; for people.
    pub fn describe(&self) -> String {
        self.description.clone()
    }

    /// Accepts nothing more, answers what was accepted, calls the callbacks, then stops the threads.
    /// Idempotent. Blocks until that is done, for a backend that hangs at most `close_timeout`: what is not
    /// answered by then is answered `ENGINE_CLOSED`, and threads that do not come back are left to themselves.
    /// Only in a callback, on the engine's own thread, it returns at once and the engine stops after the
    /// callbacks.
    pub fn close(&self) {
        // In a forked child there are no threads to stop, and their locks may be held for ever.
        if forked(self.scheduler.process()).is_none() {
            self.scheduler.close(self.close_timeout);
            if !self.threads.are_asking() {
                self.scheduler.wait_drained();
                self.threads.join();
            }
        }
    }
}

/// Whether a model that one device refuses may do on another.
fn suits_another_device(kind: ErrorKind) -> bool {
    use ErrorKind::*;
    matches!(kind, OperatorUnsupported | DeviceUnavailable | DeviceLost | OutOfMemory | TuningMismatch)
}

fn record(path: &Path, machine: &Machine) -> Result<Recorder> {
    let file = File::create(path).map_err(|error| Error::from_io(path, error))?;
    Recorder::new(Box::new(BufWriter::new(file)), machine).map_err(|error| Error::from_io(path, error))
}

/// Sizes that batches are run at: what was asked for, unless the device has its own. The largest is one of them.
fn buckets(asked: &[usize], own: &[usize], max_batch_size: usize) -> Vec<usize> {
    let mut buckets = if own.is_empty() { asked } else { own }.to_vec();
    for size in &mut buckets {
        *size = max_batch_size.min(*size);
    }
    buckets.extend((!buckets.is_empty()).then_some(max_batch_size));
    buckets.sort_unstable();
    buckets.dedup();
    buckets
}

fn output_bytes(executable: &dyn Executable, max_batch_size: usize) -> usize {
    let floats: usize = executable.outputs().iter().map(TensorSpec::elements_per_image).sum();
    floats.saturating_mul(max_batch_size).saturating_mul(size_of::<f32>())
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.close();
    }
}

impl Surroundings {
    /// The real clock, and a device of the registry.
    fn on(device: registry::Device) -> Self {
        let registry::Device { name, backend, reason, .. } = device;
        Self { backend, device: name, reason, clock: Arc::new(RealClock::new()) }
    }

    /// The real clock, and the backend under its own name.
    pub fn of(backend: Arc<dyn Backend>) -> Self {
        Self {
            device: backend.name().into(),
            reason: "the caller's own backend".into(),
            backend,
            clock: Arc::new(RealClock::new()),
        }
    }
}

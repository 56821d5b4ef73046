//! The engine: models on devices, each behind a queue that batches, all below one limit of memory.

use super::clock::{Clock, RealClock};
use super::config::EngineOptions;
use super::devices::Devices;
use super::lane::{Lane, Plans};
use super::ledger::{Ledger, write_ledger};
use super::metrics::{Exposition, Metrics};
use super::model_id::ModelId;
use super::models::Models;
use super::pending::Pending;
use super::pool::Pool;
use super::readiness::Readiness;
use super::request::{RequestOptions, Response};
use super::scheduler::forked;
use super::tenant::{Tenant, Tenants};
use crate::backend::Backend;
use crate::backend::registry::{self, Device};
use crate::error::{Error, ErrorKind, Result};
use crate::image::ImageSource;
use crate::model::Model;
use crate::tensor::Tensor;
use parking_lot::{Mutex, RwLock};
use std::sync::Arc;

/// Takes pictures or tensors from any number of threads, forms batches, and answers each request once.
///
/// All memory for batches is taken when a model comes. Most engines have one model; others can be loaded beside it,
/// swapped for new versions and unloaded, while requests go on. Two engines in one process do not disturb each
/// other. Dropping an engine closes it. A child process made by `fork` cannot use the engines of its parent: it
/// gets `ENGINE_CLOSED` from them.
pub struct Engine {
    /// Held for reading while a request is accepted: a lane that is taken out has accepted its last one.
    models: RwLock<Models>,
    /// Held by who loads, swaps or unloads.
    changing: Mutex<()>,
    devices: Devices,
    clock: Arc<dyn Clock>,
    ledger: Arc<Ledger>,
    tenants: Tenants,
    responses: Arc<Pool<Response>>,
    process: u32,
}

/// Answers that callers gave back and that no run has taken yet.
const MOST_SPARE_RESPONSES: usize = 64;

/// Where an engine runs and what time it lives by.
pub struct Surroundings {
    /// What its models run on.
    pub devices: Devices,
    /// Decides delays and deadlines.
    pub clock: Arc<dyn Clock>,
}

impl Engine {
    /// Prepares `model` for the device, takes all memory, proves that it works (see [`Engine::readiness`]) and
    /// starts the threads. Blocks meanwhile. The model's name in the engine is `default`.
    ///
    /// Fails with `INVALID_ARGUMENT` for an option that is zero where that means unlimited, or beyond use;
    /// with `DEVICE_UNAVAILABLE`, `OPERATOR_UNSUPPORTED` or `OUT_OF_MEMORY` where the device cannot run it, the
    /// last also if it does not hold below `memory_limit`; with `SELF_TEST_FAILED` if it computes wrong results.
    /// Device `auto` takes the CPU instead, and [`Engine::describe`] says why.
    pub fn new(model: Arc<Model>, options: &EngineOptions) -> Result<Self> {
        let (devices, clock) = (Devices::ByName, Arc::new(RealClock::new()));
        Self::start(model, options, Surroundings { devices, clock })
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
        let Surroundings { devices, clock } = around;
        let engine = Self {
            models: RwLock::default(),
            changing: Mutex::default(),
            devices,
            clock,
            ledger: Arc::new(Ledger::new(options)),
            tenants: Tenants::new(&options.tenant_weights)?,
            responses: Arc::new(Pool::new(MOST_SPARE_RESPONSES)),
            process: std::process::id(),
        };
        engine.load(Models::DEFAULT, model, options)?;
        Ok(engine)
    }

    /// Loads another model under a name of its own and proves it, while requests go on. Blocks meanwhile. Its queue,
    /// budgets, decoders and workers are its own, by `options`; limits of memory and weights of tenants are those that
    /// the engine was made with, for all models together.
    ///
    /// Fails as [`Engine::new`], with `INVALID_ARGUMENT` if the name is taken, and with `ENGINE_CLOSED`; the engine
    /// is then as before.
    pub fn load(&self, name: &str, model: Arc<Model>, options: &EngineOptions) -> Result<ModelId> {
        options.check()?;
        let _alone = self.changing.lock();
        if self.models.read().find(name).is_ok() {
            let message = format!("model {name:?} is loaded already; swap it, or take another name");
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        let lane = self.lane(name, model, options.clone())?;
        self.put(lane).map(|(id, _)| id)
    }

    /// Prepares and proves a new version of a model, with the options of the present one; then hands all requests
    /// to it that come from that moment on. Those accepted before are answered by the version that accepted them,
    /// and none is refused for the change. Blocks until the last of them is answered, at most the model's
    /// `close_timeout`; only on one of its own threads, in a callback, not.
    ///
    /// Both versions are in memory meanwhile, and in the ledger. Fails as [`Engine::load`], with `INVALID_ARGUMENT` if
    /// there is no such model; the present version then goes on as before.
    pub fn swap(&self, name: &str, model: Arc<Model>) -> Result<()> {
        let alone = self.changing.lock();
        let options = self.models.read().find(name)?.1.options().clone();
        let lane = self.lane(name, model, options)?;
        let (_, old) = self.put(lane)?;
        // A callback of the old version may want to change models too.
        drop(alone);
        if let Some(old) = old {
            old.close();
        }
        Ok(())
    }

    /// Answers what a model has accepted, as [`Engine::swap`], and gives its memory back; later requests for it get
    /// `INVALID_ARGUMENT`. The model `default` stays until the engine is closed.
    pub fn unload(&self, name: &str) -> Result<()> {
        if name == Models::DEFAULT {
            let message =
                "model \"default\" is that of requests that name none; swap it, or close the engine";
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        let old = {
            let _alone = self.changing.lock();
            self.models.read().find(name)?;
            self.models.write().take(name)
        };
        if let Some(old) = old {
            old.close();
        }
        Ok(())
    }

    fn lane(&self, name: &str, model: Arc<Model>, options: EngineOptions) -> Result<Arc<Lane>> {
        let version = {
            let models = self.models.read();
            check_open(&models)?;
            models.next_version(name)?
        };
        let start = |devices: &Devices| {
            let (model, clock, options) = (Arc::clone(&model), Arc::clone(&self.clock), options.clone());
            let (ledger, responses) = (&self.ledger, &self.responses);
            Lane::start(Plans { name, version, model, options, devices, clock, ledger, responses })
        };
        let started = match start(&self.devices) {
            Err(error)
                if self.devices.may_fall_back(&options.device) && suits_another_device(error.kind()) =>
            {
                start(&Devices::Given(vec![registry::cpu_instead(&error)?]))
            }
            started => started,
        };
        started.map(Arc::new)
    }

    fn put(&self, lane: Arc<Lane>) -> Result<(ModelId, Option<Arc<Lane>>)> {
        let mut models = self.models.write();
        check_open(&models)?;
        Ok(models.put(lane))
    }

    /// The number of a loaded model, for [`RequestOptions::model`]. Fails with `INVALID_ARGUMENT`, naming those that
    /// are loaded.
    pub fn model_id(&self, name: &str) -> Result<ModelId> {
        self.models.read().find(name).map(|(id, _)| id)
    }

    /// Names of the loaded models, `default` first.
    pub fn models(&self) -> Vec<String> {
        self.models.read().loaded().map(|lane| lane.name().to_owned()).collect()
    }

    /// Accepts a picture, or refuses at once (`QUEUE_FULL`, `IMAGE_TOO_COSTLY`, `ENGINE_CLOSED`, ...).
    /// Never blocks on other requests. The header of encoded bytes is read here; files are opened later, by
    /// the engine's threads.
    pub fn submit(&self, image: ImageSource, options: RequestOptions) -> Result<Pending> {
        self.check_process()?;
        self.models.read().get(options.model)?.submit(image, options)
    }

    /// Accepts input tensors by name, already preprocessed, and copies them into their batch if one has room; the
    /// first axis is the number of images, at most `max_batch_size`, and 1 for
    /// [`Task::Classify`](super::Task::Classify). All images of one request run in one batch.
    pub fn submit_tensors<N: AsRef<str>>(
        &self,
        inputs: impl IntoIterator<Item = (N, Tensor)>,
        options: RequestOptions,
    ) -> Result<Pending> {
        self.check_process()?;
        self.models.read().get(options.model)?.submit_tensors(inputs, options)
    }

    /// Takes an answer that is not needed any more: a later one is written to its memory. Who gives back every answer,
    /// and submits tensors that it has, is served without any memory being taken in the long run. At most 64 wait to be
    /// used; what is given back beside them is freed.
    pub fn reuse(&self, response: Response) {
        if self.check_process().is_ok() {
            self.responses.put(response);
        }
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

    /// Whether requests should be sent here: all models are open, and every worker of theirs has run images whose
    /// answers are known, at every batch bucket, with the same bits, and has done nothing wrong since. A worker that
    /// is lost, hangs, or fails a self-test turns it off until another has taken its place and proven itself.
    pub fn readiness(&self) -> Readiness {
        if let Err(error) = self.check_process() {
            return Readiness::NotReady { reason: error.message().into() };
        }
        let models = self.models.read();
        if let Err(error) = check_open(&models) {
            return Readiness::NotReady { reason: error.message().into() };
        }
        let of = |lane: &Arc<Lane>| (lane.readiness(), lane.name().to_owned());
        let unready = models.loaded().map(of).find(|(readiness, _)| *readiness != Readiness::Ready);
        match unready {
            Some((Readiness::NotReady { reason }, name)) => {
                Readiness::NotReady { reason: format!("model {name:?}: {reason}") }
            }
            _ => Readiness::Ready,
        }
    }

    /// Whether [`Engine::readiness`] is that.
    pub fn is_ready(&self) -> bool {
        self.readiness() == Readiness::Ready
    }

    /// Everything counted and measured of the model `default`.
    pub fn metrics(&self) -> Metrics {
        self.first(|lane| lane.metrics())
    }

    /// Everything counted and measured of this model. Fails with `INVALID_ARGUMENT`.
    pub fn metrics_of(&self, name: &str) -> Result<Metrics> {
        self.models.read().find(name).map(|(_, lane)| lane.metrics())
    }

    /// Everything counted and measured of all models, and the ledger, as text for Prometheus.
    pub fn prometheus(&self) -> String {
        let all: Vec<Metrics> = self.models.read().loaded().map(|lane| lane.metrics()).collect();
        let mut text = Exposition(&all).to_string();
        // Writing to a string does not fail.
        let _ = write_ledger(&mut text, &self.ledger);
        text
    }

    /// The model `default`.
    pub fn model(&self) -> Arc<Model> {
        self.first(|lane| Arc::clone(lane.model()))
    }

    /// The device of the model `default`, `cpu` or `cuda:N`; several with commas between.
    pub fn device(&self) -> String {
        self.first(|lane| lane.device().to_owned())
    }

    /// Largest batch of the model `default`, after the model's own limit.
    pub fn max_batch_size(&self) -> usize {
        self.first(Lane::max_batch_size)
    }

    /// Device and why, options in force, plan, fusions, memory, of the model `default`; for people.
    pub fn describe(&self) -> String {
        self.first(|lane| lane.describe().to_owned())
    }

    /// In a forked child the locks may be held for ever.
    fn check_process(&self) -> Result<()> {
        forked(self.process).map_or(Ok(()), Err)
    }

    fn first<T>(&self, of: impl Fn(&Lane) -> T) -> T {
        match self.models.read().loaded().next() {
            Some(lane) => of(lane),
            None => unreachable!("an engine has its first model from the start to the end"),
        }
    }

    /// Accepts nothing more, answers what was accepted, calls the callbacks, then stops the threads.
    /// Idempotent. Blocks until that is done, for a backend that hangs at most `close_timeout`: what is not
    /// answered by then is answered `ENGINE_CLOSED`, and threads that do not come back are left to themselves.
    /// Only in a callback, on the engine's own thread, it returns at once and the engine stops after the
    /// callbacks.
    pub fn close(&self) {
        if self.check_process().is_err() {
            return;
        }
        let lanes: Vec<Arc<Lane>> = {
            let mut models = self.models.write();
            models.is_closed = true;
            models.loaded().map(Arc::clone).collect()
        };
        lanes.iter().for_each(|lane| lane.stop_accepting());
        lanes.iter().for_each(|lane| lane.close());
    }
}

/// Whether a model that one device refuses may do on another.
fn suits_another_device(kind: ErrorKind) -> bool {
    use ErrorKind::*;
    matches!(
        kind,
        OperatorUnsupported | DeviceUnavailable | DeviceLost | OutOfMemory | TuningMismatch | SelfTestFailed
    )
}

fn check_open(models: &Models) -> Result<()> {
    match models.is_closed {
        true => Err(Error::new(ErrorKind::EngineClosed, "the engine is closed")),
        false => Ok(()),
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.close();
    }
}

impl Surroundings {
    /// The real clock, and the backend under its own name.
    pub fn of(backend: Arc<dyn Backend>) -> Self {
        let (name, reason) = (backend.name().to_owned(), "the caller's own backend".to_owned());
        let device = Device { what: name.clone(), name, backend, reason };
        Self { devices: Devices::Given(vec![device]), clock: Arc::new(RealClock::new()) }
    }
}

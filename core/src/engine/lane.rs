//! One version of one model, behind a queue of its own: its devices, its memory and its threads, from the start to
//! the last answer.

use super::admission::Admission;
use super::cache::Cache;
use super::cache_key::key_of;
use super::clock::Clock;
use super::completion::run_callbacks;
use super::config::EngineOptions;
use super::describe::Description;
use super::devices::{self, Devices};
use super::golden::{Proof, SelfTest};
use super::hand_over::Input;
use super::intake::{Decoder, Filler};
use super::ledger::{Charge, Ledger, stagings_for};
use super::machine::{Cost, Machine, Shape};
use super::memory_plan::MemoryPlan;
use super::metrics::Metrics;
use super::pending::Pending;
use super::pictures::preprocessor_for;
use super::pool::Pool;
use super::readiness::Readiness;
use super::request::{RequestOptions, Response};
use super::scheduler::{Channels, Scheduler, forked};
use super::shutdown::Threads;
use super::staging::Staging;
use super::trace::Recorder;
use super::workshop::{Part, Workshop};
use crate::backend::Forecast;
use crate::error::{Error, Result};
use crate::image::ImageSource;
use crate::model::Model;
use crate::tensor::Tensor;
use crossbeam::channel::{bounded, unbounded};
use std::fs::File;
use std::io::BufWriter;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// What a lane is made of.
pub(super) struct Plans<'a> {
    /// The model's name in the engine.
    pub(super) name: &'a str,
    /// Counts the versions of this name from 1.
    pub(super) version: u64,
    pub(super) model: Arc<Model>,
    pub(super) options: EngineOptions,
    pub(super) devices: &'a Devices,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ledger: &'a Arc<Ledger>,
    pub(super) responses: &'a Arc<Pool<Response>>,
}

/// See the module. Dropping it closes it.
pub(super) struct Lane {
    name: String,
    version: u64,
    model: Arc<Model>,
    options: EngineOptions,
    scheduler: Arc<Scheduler>,
    admission: Admission,
    filler: Arc<Filler>,
    /// Whether one is left to callers while a batch runs.
    has_spare_cpu: bool,
    device: String,
    description: String,
    memory: MemoryPlan,
    workshop: Arc<Workshop>,
    threads: Arc<Threads>,
    _charge: Charge,
}

impl Lane {
    /// Charges the ledger, compiles, takes all memory, has every worker prove itself, and starts the threads.
    /// Blocks meanwhile.
    pub(super) fn start(plans: Plans<'_>) -> Result<Self> {
        let Plans { name, version, model, options, devices, clock, ledger, responses } = plans;
        let devices = devices.open(&options.device)?;
        model.check_file()?;
        // Without limits the plan is only kept, so that nothing is reckoned twice.
        if ledger.is_limited() {
            let forecasts = devices::forecasts(&model, &options, &devices)?;
            ledger.check(name, &MemoryPlan::forecast(&model, &options, &devices, &forecasts))?;
        }
        let executables = devices::compile(&model, &options, &devices)?;
        let needs: Vec<Forecast> = executables.iter().map(|executable| Forecast::of(&**executable)).collect();
        let memory = MemoryPlan::forecast(&model, &options, &devices, &needs);
        let charge = ledger.charge(name, memory.clone())?;
        let limit = executables.iter().map(|executable| executable.max_batch_size()).min();
        let max_batch_size =
            devices::compile_options(&model, &options).max_batch_size.min(limit.unwrap_or(1));
        let owners: Vec<usize> = executables
            .iter()
            .enumerate()
            .flat_map(|(part, executable)| {
                std::iter::repeat_n(part, devices::workers_of(executable.useful_contexts(), &options))
            })
            .collect();
        let workers = owners.len();
        let shape = Shape {
            max_batch_size,
            buckets: devices::common_buckets(&options.batch_buckets, &executables, max_batch_size),
            decoders: options.decoders(),
            workers,
            stagings: stagings_for(workers),
        };

        let (inputs, outputs) = (executables[0].inputs().to_vec(), executables[0].outputs().to_vec());
        let loader = devices::picture_loader(&executables);
        let picture_bytes = loader.as_ref().map(|loader| loader.slot_bytes());
        let stagings = (0..shape.stagings).map(|_| Staging::new(&inputs, picture_bytes, max_batch_size));
        let stagings: Arc<[Staging]> = stagings.collect::<Result<_>>()?;
        let (preprocessor, no_pictures) = match preprocessor_for(&model, &inputs) {
            Ok(preprocessor) => (Some(preprocessor), None),
            Err(reason) => (None, Some(reason)),
        };
        let description = Description {
            model: &model,
            options: &options,
            devices: &devices,
            executables: &executables,
            shape: &shape,
            memory: &memory,
            no_pictures: no_pictures.as_deref(),
        }
        .write();
        let threads = executables.iter().map(|executable| executable.threads()).max();
        let has_spare_cpu = threads < std::thread::available_parallelism().ok().map(NonZero::get);
        let output_names: Vec<String> = outputs.iter().map(|output| output.name.clone()).collect();
        let device = devices::names(&devices);
        let self_test = SelfTest::new(&inputs, &outputs, model.golden().cloned(), shape.bucket(1))?;
        let executables_are_alike = executables.iter().all(|executable| executable.one_image_proves_all());
        let parts =
            devices.into_iter().zip(executables).map(|(device, executable)| Part::new(device, executable));
        let workshop = Arc::new(Workshop {
            model: Arc::clone(&model),
            compile: devices::compile_options(&model, &options),
            parts: parts.collect(),
            owners,
            responses: Arc::clone(responses),
            embedding: output_names.iter().position(|name| name == "embedding"),
            stagings: Arc::clone(&stagings),
            max_batch_size,
            self_test,
            proves: options.prove,
            proof: Proof::of(&shape, executables_are_alike),
            cold_paths: Default::default(),
        });
        let benches = (0..workers).map(|worker| workshop.bench(worker)).collect::<Result<Vec<_>>>()?;

        // A decoder may be told to drop what it holds and, before it has, what to decode next.
        let (to_decoders, decoders): (Vec<_>, Vec<_>) = (0..shape.decoders).map(|_| bounded(2)).unzip();
        // One to look out, and one with something to do.
        let (to_workers, batches): (Vec<_>, Vec<_>) = (0..workers).map(|_| bounded(2)).unzip();
        // Bounded by admission, which counts what lies in it.
        let (callbacks, deliveries) = unbounded();
        let channels = Channels { decoders: to_decoders, workers: to_workers, callbacks };
        let machine = Machine::new(shape, options.policy());
        let trace = options.trace.as_deref().map(|path| record(&version_of(path, version), &machine));
        let cache =
            (options.cache_entries > 0).then(|| Cache::new(options.cache_entries, options.cache_bytes));
        let scheduler = Arc::new(Scheduler::new(machine, trace.transpose()?, cache, clock, channels));
        let filler = Arc::new(Filler { stagings, preprocessor, loader });
        let lane = Self {
            name: name.to_owned(),
            version,
            model,
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
            has_spare_cpu,
            device,
            description,
            memory,
            workshop: Arc::clone(&workshop),
            threads: Arc::default(),
            _charge: charge,
            options,
        };

        // From here on a failure drops the lane, which ends the threads that have started.
        let threads = &lane.threads;
        threads.spawn("libvision-complete".into(), true, move || run_callbacks(&deliveries))?;
        for (index, commands) in decoders.into_iter().enumerate() {
            let decoder = Decoder {
                index,
                scheduler: Arc::clone(&scheduler),
                commands,
                limits: lane.options.limits,
                filler: Arc::clone(&filler),
            };
            threads.spawn(format!("libvision-decode-{index}"), false, move || decoder.run())?;
        }
        for (index, (commands, bench)) in batches.into_iter().zip(benches).enumerate() {
            let worker = Workshop::worker(&workshop, Arc::clone(&scheduler), commands, bench);
            threads.spawn(format!("libvision-worker-{index}"), false, move || worker.run())?;
        }
        let (timer, others) = (Arc::clone(&scheduler), Arc::downgrade(threads));
        threads.spawn("libvision-timer".into(), true, move || {
            timer.run_timer(|worker| workshop.replace(worker, &timer, &others));
        })?;
        Ok(lane)
    }

    /// See [`Engine::submit`](super::Engine::submit).
    pub(super) fn submit(&self, image: ImageSource, options: RequestOptions) -> Result<Pending> {
        self.scheduler.check_open()?;
        let cost = self.admission.check_image(&image, &options)?;
        self.accept(Input::Image(image), cost, options)
    }

    /// See [`Engine::submit_tensors`](super::Engine::submit_tensors).
    pub(super) fn submit_tensors<N: AsRef<str>>(
        &self,
        inputs: impl IntoIterator<Item = (N, Tensor)>,
        options: RequestOptions,
    ) -> Result<Pending> {
        self.scheduler.expect_tensors()?;
        let (tensors, cost) = self.admission.check_tensors(inputs, &options)?;
        self.accept(Input::Tensors(tensors), cost, options)
    }

    fn accept(&self, input: Input, cost: Cost, options: RequestOptions) -> Result<Pending> {
        let key = if self.options.cache_entries > 0 { key_of(&input, &options) } else { None };
        let accepted = self.scheduler.accept(input, cost, options, key)?;
        let expected = accepted.fill.and_then(|fill| self.filler.fill(fill, &self.scheduler));
        let expected = expected
            .filter(|_| self.has_spare_cpu)
            .map(|expected| Instant::now() + expected.since(self.scheduler.now()));
        Ok(Pending::new(accepted.answer, accepted.id, expected, &self.scheduler))
    }

    pub(super) fn readiness(&self) -> Readiness {
        match forked(self.scheduler.process()) {
            Some(error) => Readiness::NotReady { reason: error.message().into() },
            None => self.scheduler.readiness(self.options.prove),
        }
    }

    pub(super) fn metrics(&self) -> Metrics {
        let measured = self.scheduler.metrics();
        let readiness = self.readiness();
        Metrics {
            model: self.name.clone(),
            version: self.version,
            memory_bytes: self.memory.taken_at_start(),
            memory: self.memory.clone(),
            is_ready: readiness == Readiness::Ready,
            cold_paths: self.workshop.cold_paths(),
            ..measured
        }
    }

    pub(super) fn model(&self) -> &Arc<Model> {
        &self.model
    }

    pub(super) fn options(&self) -> &EngineOptions {
        &self.options
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn device(&self) -> &str {
        &self.device
    }

    pub(super) fn max_batch_size(&self) -> usize {
        self.admission.max_batch_size
    }

    pub(super) fn describe(&self) -> &str {
        &self.description
    }

    /// Accepts nothing more; what was accepted goes on.
    pub(super) fn stop_accepting(&self) {
        if forked(self.scheduler.process()).is_none() {
            self.scheduler.close(self.options.close_timeout);
        }
    }

    /// See [`Engine::close`](super::Engine::close).
    pub(super) fn close(&self) {
        self.stop_accepting();
        // In a forked child there are no threads to stop, and their locks may be held for ever.
        if forked(self.scheduler.process()).is_none() && !self.threads.are_asking() {
            self.scheduler.wait_drained();
            self.threads.join();
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.close();
    }
}

/// Where a later version of a model records: beside the first, which wrote to `path` itself.
fn version_of(path: &Path, version: u64) -> PathBuf {
    match version {
        1 => path.to_path_buf(),
        _ => {
            let mut name = path.as_os_str().to_owned();
            name.push(format!(".{version}"));
            name.into()
        }
    }
}

fn record(path: &Path, machine: &Machine) -> Result<Recorder> {
    let file = File::create(path).map_err(|error| Error::from_io(path, error))?;
    Recorder::new(Box::new(BufWriter::new(file)), machine).map_err(|error| Error::from_io(path, error))
}

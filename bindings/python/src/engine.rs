//! The engine, closed without the GIL, and the defaults of its options.

use crate::array::tensor;
use crate::error::{argument, exception};
use crate::image;
use crate::metrics::Snapshot;
use crate::model::Model;
use crate::number::{count, seconds};
use crate::request::Request;
use crate::request_options::request_options;
use libvision::backend::Precision;
use libvision::{BatchWindow, DecodeLimits, EngineOptions, Task, Tuning};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// What the options of an engine and of a request are if nobody says otherwise.
#[pyclass(frozen, get_all)]
pub(crate) struct Defaults {
    device: String,
    max_batch_size: usize,
    max_queue_delay: f64,
    queue_capacity: usize,
    decode_threads: usize,
    threads: usize,
    precise: bool,
    window: &'static str,
    precision: &'static str,
    prove: bool,
    self_test_every: f64,
    instances: usize,
    cache_entries: usize,
    cache_bytes: u64,
    preserve_order: bool,
    encoded_budget: u64,
    decode_budget: u64,
    ageing: f64,
    stuck_after: f64,
    outage_patience: f64,
    close_timeout: f64,
    max_pixels: usize,
    max_side: usize,
    max_encoded_bytes: usize,
    max_progressive_scans: usize,
    top_k: usize,
    min_score: f32,
}

/// The core's defaults.
#[pyfunction]
pub(crate) fn defaults() -> Defaults {
    let options = EngineOptions::default();
    let Task::Classify { top_k, min_score } = Task::default() else {
        unreachable!("a request classifies unless it says otherwise")
    };
    Defaults {
        device: options.device,
        max_batch_size: options.max_batch_size,
        max_queue_delay: options.max_queue_delay.as_secs_f64(),
        queue_capacity: options.queue_capacity,
        decode_threads: options.decode_threads,
        threads: options.threads,
        precise: options.precise,
        window: WINDOWS.iter().find(|(_, window)| *window == options.window).map_or("", |(name, _)| name),
        precision: options.precision.name(),
        prove: options.prove,
        self_test_every: options.self_test_every.as_secs_f64(),
        instances: options.instances,
        cache_entries: options.cache_entries,
        cache_bytes: options.cache_bytes,
        preserve_order: options.preserve_order,
        encoded_budget: options.encoded_budget,
        decode_budget: options.decode_budget,
        ageing: options.ageing.as_secs_f64(),
        stuck_after: options.stuck_after.as_secs_f64(),
        outage_patience: options.outage_patience.as_secs_f64(),
        close_timeout: options.close_timeout.as_secs_f64(),
        max_pixels: options.limits.max_pixels,
        max_side: options.limits.max_side,
        max_encoded_bytes: options.limits.max_encoded_bytes,
        max_progressive_scans: options.limits.max_progressive_scans,
        top_k,
        min_score,
    }
}

/// The policies by their names.
const WINDOWS: [(&str, BatchWindow); 3] = [
    ("latency", BatchWindow::Latency),
    ("throughput", BatchWindow::Throughput),
    ("adaptive", BatchWindow::Adaptive),
];

/// The element types that a network can be computed in.
const PRECISIONS: [Precision; 4] = [Precision::Auto, Precision::F32, Precision::F16, Precision::Bf16];

/// The options of an engine, from a dictionary that has them all.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Options {
    device: String,
    max_batch_size: i64,
    max_queue_delay: f64,
    queue_capacity: i64,
    decode_threads: i64,
    threads: i64,
    precise: bool,
    tuning: Option<PathBuf>,
    window: String,
    batch_buckets: Vec<i64>,
    tenant_weights: BTreeMap<String, i64>,
    preserve_order: bool,
    encoded_budget: i64,
    decode_budget: i64,
    ageing: f64,
    stuck_after: f64,
    outage_patience: f64,
    close_timeout: f64,
    trace: Option<PathBuf>,
    precision: String,
    prove: bool,
    self_test_every: f64,
    memory_limit: Option<i64>,
    device_memory_limit: Option<i64>,
    instances: i64,
    cache_entries: i64,
    cache_bytes: i64,
    max_pixels: i64,
    max_side: i64,
    max_encoded_bytes: i64,
    max_progressive_scans: i64,
}

impl Options {
    fn checked(self, py: Python<'_>) -> PyResult<EngineOptions> {
        let tuning = self.tuning.map(Tuning::read).transpose().map_err(|error| exception(py, &error))?;
        let window = WINDOWS.iter().find(|(name, _)| *name == self.window).ok_or_else(|| {
            let found = self.window;
            argument(py, format!("window: expected 'latency', 'throughput' or 'adaptive', found '{found}'"))
        })?;
        let precision =
            PRECISIONS.into_iter().find(|known| known.name() == self.precision).ok_or_else(|| {
                let found = self.precision;
                argument(py, format!("precision: expected 'auto', 'f32', 'f16' or 'bf16', found '{found}'"))
            })?;
        let limit = |name, bytes: Option<i64>| {
            bytes.map(|bytes| count(py, name, bytes).map(|bytes| bytes as u64)).transpose()
        };
        let bucket = |size| count(py, "batch_buckets", size);
        let weight = |(name, weight): (String, i64)| {
            let size = count(py, &format!("tenant_weights[{name:?}]"), weight)?;
            Ok((name, u32::try_from(size).unwrap_or(u32::MAX)))
        };
        Ok(EngineOptions {
            device: self.device,
            max_batch_size: count(py, "max_batch_size", self.max_batch_size)?,
            max_queue_delay: seconds(py, "max_queue_delay", self.max_queue_delay)?,
            queue_capacity: count(py, "queue_capacity", self.queue_capacity)?,
            decode_threads: count(py, "decode_threads", self.decode_threads)?,
            threads: count(py, "threads", self.threads)?,
            precise: self.precise,
            tuning: tuning.map(Arc::new),
            limits: DecodeLimits {
                max_pixels: count(py, "max_pixels", self.max_pixels)?,
                max_side: count(py, "max_side", self.max_side)?,
                max_encoded_bytes: count(py, "max_encoded_bytes", self.max_encoded_bytes)?,
                max_progressive_scans: count(py, "max_progressive_scans", self.max_progressive_scans)?,
            },
            window: window.1,
            batch_buckets: self.batch_buckets.into_iter().map(bucket).collect::<PyResult<_>>()?,
            tenant_weights: self.tenant_weights.into_iter().map(weight).collect::<PyResult<_>>()?,
            preserve_order: self.preserve_order,
            encoded_budget: count(py, "encoded_budget", self.encoded_budget)? as u64,
            decode_budget: count(py, "decode_budget", self.decode_budget)? as u64,
            ageing: seconds(py, "ageing", self.ageing)?,
            stuck_after: seconds(py, "stuck_after", self.stuck_after)?,
            outage_patience: seconds(py, "outage_patience", self.outage_patience)?,
            close_timeout: seconds(py, "close_timeout", self.close_timeout)?,
            trace: self.trace,
            precision,
            prove: self.prove,
            self_test_every: seconds(py, "self_test_every", self.self_test_every)?,
            memory_limit: limit("memory_limit", self.memory_limit)?,
            device_memory_limit: limit("device_memory_limit", self.device_memory_limit)?,
            instances: count(py, "instances", self.instances)?,
            cache_entries: count(py, "cache_entries", self.cache_entries)?,
            cache_bytes: count(py, "cache_bytes", self.cache_bytes)? as u64,
        })
    }
}

/// A model on a device, behind a queue that batches. None of the `start_` methods waits.
#[pyclass(frozen)]
pub(crate) struct Engine {
    engine: Arc<libvision::Engine>,
    // Engine threads exist in this process only.
    process: u32,
}

#[pymethods]
impl Engine {
    #[new]
    #[pyo3(signature = (model, options: "dict[str, Any]"))]
    fn new(py: Python<'_>, model: &Bound<'_, Model>, options: Options) -> PyResult<Self> {
        let model = model.get().shared();
        let options = options.checked(py)?;
        let engine = py.detach(|| libvision::Engine::new(model, &options));
        let engine = Arc::new(engine.map_err(|error| exception(py, &error))?);
        Ok(Self { engine, process: std::process::id() })
    }

    /// Asks for labels.
    #[pyo3(signature = (image, *, top_k, min_score, deadline, **options: "Any"))]
    fn start_classify(
        &self,
        image: &Bound<'_, PyAny>,
        top_k: i64,
        min_score: f32,
        deadline: Option<f64>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Request> {
        let top_k = count(image.py(), "top_k", top_k)?;
        self.start(image, Task::Classify { top_k, min_score }, deadline, options)
    }

    /// Asks for the pooled feature before the classifier.
    #[pyo3(signature = (image, *, deadline, **options: "Any"))]
    fn start_embed(
        &self,
        image: &Bound<'_, PyAny>,
        deadline: Option<f64>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Request> {
        self.start(image, Task::Embed, deadline, options)
    }

    /// Asks for every output of the network.
    #[pyo3(signature = (image, *, deadline, **options: "Any"))]
    fn start_outputs(
        &self,
        image: &Bound<'_, PyAny>,
        deadline: Option<f64>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Request> {
        self.start(image, Task::Run, deadline, options)
    }

    /// Asks for every output of the network, from input tensors by name.
    #[pyo3(signature = (inputs: "dict[str, Any]", *, deadline, **options: "Any"))]
    fn start_run(
        &self,
        inputs: &Bound<'_, PyDict>,
        deadline: Option<f64>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Request> {
        let py = inputs.py();
        let mut tensors = Vec::with_capacity(inputs.len());
        for (name, array) in inputs {
            let name: String = name.extract()?;
            let tensor = tensor(&name, &array)?;
            tensors.push((name, tensor));
        }
        let options = request_options(py, &self.engine, Task::Run, deadline, options)?;
        let pending = self.engine.submit_tensors(tensors, options);
        pending.map(Request::new).map_err(|error| exception(py, &error))
    }

    /// The device taken, `cpu` or `cuda:N`.
    #[getter]
    fn device(&self) -> String {
        self.engine.device()
    }

    /// Largest batch, after the model's own limit.
    #[getter]
    fn max_batch_size(&self) -> usize {
        self.engine.max_batch_size()
    }

    /// Device and why, options in force, plan, fusions, memory; for people.
    fn describe(&self) -> String {
        self.engine.describe()
    }

    /// Loads another model under a name of its own, without the GIL.
    #[pyo3(signature = (name, model, options: "dict[str, Any]"))]
    fn load(&self, py: Python<'_>, name: &str, model: &Bound<'_, Model>, options: Options) -> PyResult<()> {
        let (model, options) = (model.get().shared(), options.checked(py)?);
        let loaded = py.detach(|| self.engine.load(name, model, &options));
        loaded.map(drop).map_err(|error| exception(py, &error))
    }

    /// Hands all later requests to a new version, and waits for the old one, without the GIL.
    fn swap(&self, py: Python<'_>, name: &str, model: &Bound<'_, Model>) -> PyResult<()> {
        let model = model.get().shared();
        py.detach(|| self.engine.swap(name, model)).map_err(|error| exception(py, &error))
    }

    /// Answers what a model has accepted and gives its memory back, without the GIL.
    fn unload(&self, py: Python<'_>, name: &str) -> PyResult<()> {
        py.detach(|| self.engine.unload(name)).map_err(|error| exception(py, &error))
    }

    /// Names of the loaded models, `default` first.
    #[getter]
    fn models(&self) -> Vec<String> {
        self.engine.models()
    }

    /// Everything counted and measured of a model so far: the fields of a `Metrics`.
    fn metrics(&self, py: Python<'_>, model: &str) -> PyResult<Snapshot> {
        let metrics = self.engine.metrics_of(model).map_err(|error| exception(py, &error))?;
        Ok((&metrics).into())
    }

    /// The same of all models as text for Prometheus.
    fn prometheus(&self) -> String {
        self.engine.prometheus()
    }

    /// Why requests should not be sent here; `None` if they should.
    fn unready_reason(&self) -> Option<String> {
        self.engine.readiness().reason().map(str::to_owned)
    }

    /// Accepts nothing more, answers what was accepted, stops the threads. Idempotent. In a forked child
    /// there is nothing to stop.
    fn close(&self, py: Python<'_>) {
        if !self.is_forked() {
            py.detach(|| self.engine.close());
        }
    }
}

impl Engine {
    fn is_forked(&self) -> bool {
        self.process != std::process::id()
    }

    fn start(
        &self,
        image: &Bound<'_, PyAny>,
        task: Task,
        deadline: Option<f64>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Request> {
        let py = image.py();
        let options = request_options(py, &self.engine, task, deadline, options)?;
        let pending = self.engine.submit(image::source(image)?, options);
        pending.map(Request::new).map_err(|error| exception(py, &error))
    }
}

impl Drop for Engine {
    /// Closing waits for what was accepted; other Python threads run meanwhile. A forked child leaks its
    /// parent's engine, because to close it means to wait for threads that the child does not have.
    fn drop(&mut self) {
        if self.is_forked() {
            std::mem::forget(self.engine.clone());
        } else {
            Python::attach(|py| py.detach(|| self.engine.close()));
        }
    }
}

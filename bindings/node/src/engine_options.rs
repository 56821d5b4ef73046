//! The options of an engine; names and defaults are those of core.

use crate::number::{bytes, invalid, milliseconds, whole_number};
use libvision::backend::Precision;
use libvision::{BatchWindow, EngineOptions, Result, Tuning};
use napi_derive::napi;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// What is not set keeps the core's default.
#[napi(object, object_to_js = false)]
pub struct NativeEngineOptions {
    /// `auto`, `cpu` or `cuda:N`.
    pub device: Option<String>,
    /// Largest batch.
    pub max_batch_size: Option<f64>,
    /// Milliseconds.
    pub max_queue_delay_ms: Option<f64>,
    /// `latency`, `throughput` or `adaptive`.
    pub window: Option<String>,
    /// Sizes that batches are filled up to.
    pub batch_buckets: Option<Vec<f64>>,
    /// Requests accepted and not yet dispatched.
    pub queue_capacity: Option<f64>,
    /// Bytes of files that wait.
    pub encoded_budget: Option<f64>,
    /// Bytes of all decoders.
    pub decode_budget: Option<f64>,
    /// Shares of tenants.
    pub tenant_weights: Option<HashMap<String, f64>>,
    /// Results in order of acceptance.
    pub preserve_order: Option<bool>,
    /// Milliseconds.
    pub ageing_ms: Option<f64>,
    /// Milliseconds.
    pub stuck_after_ms: Option<f64>,
    /// Milliseconds.
    pub outage_patience_ms: Option<f64>,
    /// Milliseconds.
    pub close_timeout_ms: Option<f64>,
    /// Threads that decode.
    pub decode_threads: Option<f64>,
    /// Threads that compute.
    pub threads: Option<f64>,
    /// Direct convolution only.
    pub precise: Option<bool>,
    /// Path of a file of `vision tune`; empty goes without.
    pub tuning: Option<String>,
    /// Path of a file to record in; empty goes without.
    pub trace: Option<String>,
    /// `auto`, `f32`, `f16` or `bf16`.
    pub precision: Option<String>,
    /// Whether workers prove themselves.
    pub prove: Option<bool>,
    /// Milliseconds.
    pub self_test_every_ms: Option<f64>,
    /// Bytes of this machine's memory; 0 for no limit.
    pub memory_limit: Option<f64>,
    /// Bytes of each device's memory; 0 for no limit.
    pub device_memory_limit: Option<f64>,
    /// Batches on a device at one time.
    pub instances: Option<f64>,
    /// Results kept.
    pub cache_entries: Option<f64>,
    /// Bytes of them.
    pub cache_bytes: Option<f64>,
    /// Largest width times height.
    pub max_pixels: Option<f64>,
    /// Largest width, and height.
    pub max_side: Option<f64>,
    /// Largest file.
    pub max_encoded_bytes: Option<f64>,
    /// Most scans of a progressive JPEG.
    pub max_progressive_scans: Option<f64>,
}

/// The core's defaults, in the same shape.
#[napi(object, object_from_js = false)]
pub struct NativeEngineDefaults {
    /// `auto`, `cpu` or `cuda:N`.
    pub device: String,
    /// Largest batch.
    pub max_batch_size: u32,
    /// Milliseconds.
    pub max_queue_delay_ms: f64,
    /// `latency`, `throughput` or `adaptive`.
    pub window: String,
    /// Sizes that batches are filled up to.
    pub batch_buckets: Vec<u32>,
    /// Requests accepted and not yet dispatched.
    pub queue_capacity: u32,
    /// Bytes of files that wait.
    pub encoded_budget: f64,
    /// Bytes of all decoders.
    pub decode_budget: f64,
    /// Shares of tenants.
    pub tenant_weights: HashMap<String, u32>,
    /// Results in order of acceptance.
    pub preserve_order: bool,
    /// Milliseconds.
    pub ageing_ms: f64,
    /// Milliseconds.
    pub stuck_after_ms: f64,
    /// Milliseconds.
    pub outage_patience_ms: f64,
    /// Milliseconds.
    pub close_timeout_ms: f64,
    /// Threads that decode.
    pub decode_threads: u32,
    /// Threads that compute.
    pub threads: u32,
    /// Direct convolution only.
    pub precise: bool,
    /// Empty: none.
    pub tuning: String,
    /// Empty: none.
    pub trace: String,
    /// `auto`, `f32`, `f16` or `bf16`.
    pub precision: String,
    /// Whether workers prove themselves.
    pub prove: bool,
    /// Milliseconds.
    pub self_test_every_ms: f64,
    /// Bytes of this machine's memory; 0 for no limit.
    pub memory_limit: f64,
    /// Bytes of each device's memory; 0 for no limit.
    pub device_memory_limit: f64,
    /// Batches on a device at one time.
    pub instances: u32,
    /// Results kept.
    pub cache_entries: u32,
    /// Bytes of them.
    pub cache_bytes: f64,
    /// Largest width times height.
    pub max_pixels: f64,
    /// Largest width, and height.
    pub max_side: f64,
    /// Largest file.
    pub max_encoded_bytes: f64,
    /// Most scans of a progressive JPEG.
    pub max_progressive_scans: u32,
}

/// The policies by their names.
const WINDOWS: [(&str, BatchWindow); 3] = [
    ("latency", BatchWindow::Latency),
    ("throughput", BatchWindow::Throughput),
    ("adaptive", BatchWindow::Adaptive),
];

/// The element types that a network can be computed in.
const PRECISIONS: [Precision; 4] = [Precision::Auto, Precision::F32, Precision::F16, Precision::Bf16];

/// The options an engine has if none are given.
#[napi]
pub fn engine_defaults() -> NativeEngineDefaults {
    let options = EngineOptions::default();
    let milliseconds = |duration: Duration| duration.as_secs_f64() * 1e3;
    let window = WINDOWS.iter().find(|(_, window)| *window == options.window);
    NativeEngineDefaults {
        device: options.device,
        max_batch_size: options.max_batch_size as u32,
        max_queue_delay_ms: milliseconds(options.max_queue_delay),
        window: window.map_or("", |(name, _)| name).into(),
        batch_buckets: Vec::new(),
        queue_capacity: options.queue_capacity as u32,
        encoded_budget: options.encoded_budget as f64,
        decode_budget: options.decode_budget as f64,
        tenant_weights: HashMap::new(),
        preserve_order: options.preserve_order,
        ageing_ms: milliseconds(options.ageing),
        stuck_after_ms: milliseconds(options.stuck_after),
        outage_patience_ms: milliseconds(options.outage_patience),
        close_timeout_ms: milliseconds(options.close_timeout),
        decode_threads: options.decode_threads as u32,
        threads: options.threads as u32,
        precise: options.precise,
        tuning: String::new(),
        trace: String::new(),
        precision: options.precision.name().into(),
        prove: options.prove,
        self_test_every_ms: milliseconds(options.self_test_every),
        memory_limit: options.memory_limit.unwrap_or(0) as f64,
        device_memory_limit: options.device_memory_limit.unwrap_or(0) as f64,
        instances: options.instances as u32,
        cache_entries: options.cache_entries as u32,
        cache_bytes: options.cache_bytes as f64,
        max_pixels: options.limits.max_pixels as f64,
        max_side: options.limits.max_side as f64,
        max_encoded_bytes: options.limits.max_encoded_bytes as f64,
        max_progressive_scans: options.limits.max_progressive_scans as u32,
    }
}

impl NativeEngineOptions {
    pub(crate) fn into_options(self) -> Result<EngineOptions> {
        let mut options = EngineOptions::default();
        for (name, value, target) in [
            ("maxBatchSize", self.max_batch_size, &mut options.max_batch_size),
            ("queueCapacity", self.queue_capacity, &mut options.queue_capacity),
            ("decodeThreads", self.decode_threads, &mut options.decode_threads),
            ("threads", self.threads, &mut options.threads),
            ("instances", self.instances, &mut options.instances),
            ("cacheEntries", self.cache_entries, &mut options.cache_entries),
            ("maxPixels", self.max_pixels, &mut options.limits.max_pixels),
            ("maxSide", self.max_side, &mut options.limits.max_side),
            ("maxEncodedBytes", self.max_encoded_bytes, &mut options.limits.max_encoded_bytes),
            ("maxProgressiveScans", self.max_progressive_scans, &mut options.limits.max_progressive_scans),
        ] {
            if let Some(value) = value {
                *target = whole_number(name, value)?;
            }
        }
        for (name, value, target) in [
            ("encodedBudget", self.encoded_budget, &mut options.encoded_budget),
            ("decodeBudget", self.decode_budget, &mut options.decode_budget),
            ("cacheBytes", self.cache_bytes, &mut options.cache_bytes),
        ] {
            if let Some(value) = value {
                *target = bytes(name, value)?;
            }
        }
        for (name, value, target) in [
            ("maxQueueDelayMs", self.max_queue_delay_ms, &mut options.max_queue_delay),
            ("ageingMs", self.ageing_ms, &mut options.ageing),
            ("stuckAfterMs", self.stuck_after_ms, &mut options.stuck_after),
            ("outagePatienceMs", self.outage_patience_ms, &mut options.outage_patience),
            ("closeTimeoutMs", self.close_timeout_ms, &mut options.close_timeout),
            ("selfTestEveryMs", self.self_test_every_ms, &mut options.self_test_every),
        ] {
            if let Some(value) = value {
                *target = milliseconds(name, value)?;
            }
        }
        for (name, value, target) in [
            ("memoryLimit", self.memory_limit, &mut options.memory_limit),
            ("deviceMemoryLimit", self.device_memory_limit, &mut options.device_memory_limit),
        ] {
            if let Some(value) = value {
                *target = Some(bytes(name, value)?).filter(|limit| *limit != 0);
            }
        }
        if let Some(given) = self.precision {
            let known = PRECISIONS.into_iter().find(|known| known.name() == given);
            let expected = "precision must be 'auto', 'f32', 'f16' or 'bf16'";
            options.precision = known.ok_or_else(|| invalid(format!("{expected}, found '{given}'")))?;
        }
        options.prove = self.prove.unwrap_or(options.prove);
        if let Some(given) = self.window {
            let known = WINDOWS.iter().find(|(name, _)| *name == given);
            let expected = "window must be 'latency', 'throughput' or 'adaptive'";
            options.window = known.ok_or_else(|| invalid(format!("{expected}, found '{given}'")))?.1;
        }
        let bucket = |size| whole_number("a size in batchBuckets", size);
        options.batch_buckets =
            self.batch_buckets.unwrap_or_default().into_iter().map(bucket).collect::<Result<_>>()?;
        let weight = |(name, weight): (String, f64)| {
            let weight = whole_number(&format!("tenantWeights[{name:?}]"), weight)?;
            Ok((name, weight as u32))
        };
        let weights = self.tenant_weights.unwrap_or_default().into_iter().map(weight);
        options.tenant_weights = weights.collect::<Result<_>>()?;
        options.preserve_order = self.preserve_order.unwrap_or(options.preserve_order);
        options.precise = self.precise.unwrap_or(options.precise);
        if let Some(path) = self.tuning.filter(|path| !path.is_empty()) {
            options.tuning = Some(Arc::new(Tuning::read(path)?));
        }
        options.trace = self.trace.filter(|path| !path.is_empty()).map(Into::into);
        if let Some(device) = self.device {
            options.device = device;
        }
        Ok(options)
    }
}

//! Names, defaults and bounds of the engine's options; every language reads them from here.

use super::machine::{Policy, Window};
use crate::backend::Precision;
use crate::backend::cpu::Tuning;
use crate::error::{Error, ErrorKind, Result};
use crate::image::DecodeLimits;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How an engine runs. [`EngineOptions::default`] is right for most.
#[derive(Clone, Debug, PartialEq)]
pub struct EngineOptions {
    /// `auto`, `cpu` or `cuda:N`; several of them with commas between share the requests.
    pub device: String,
    /// Batches that each device works on at one time, at most [`EngineOptions::MOST_INSTANCES`]; 0 takes as
    /// many as keep it busy. The weights are there once.
    pub instances: usize,
    /// Largest batch, 1 to [`EngineOptions::LARGEST_BATCH`]; the model's own limit may lower it.
    pub max_batch_size: usize,
    /// How long the first request of a batch, once decoded, may wait for others while a worker is idle.
    pub max_queue_delay: Duration,
    /// Whether it does: never, always, or as long as that is measured to save time.
    pub window: Window,
    /// Sizes that batches are run at: a smaller one is filled up to the next of them. Each from 1 to
    /// [`EngineOptions::LARGEST_BATCH`], in any order; the largest batch is always one, and those beyond it are
    /// left out. Empty leaves them to the backend, for which any size may be as good.
    pub batch_buckets: Vec<usize>,
    /// Requests accepted and not yet given to a worker, 1 to [`EngineOptions::LARGEST_QUEUE`]; those that
    /// are decoded or wait in a batch count, those that run do not. One more is refused with `QUEUE_FULL`.
    pub queue_capacity: usize,
    /// Threads that decode and preprocess; 0 takes one per available CPU, at most 8.
    pub decode_threads: usize,
    /// Threads that one batch may compute on; 0 takes one per available CPU.
    pub threads: usize,
    /// Multiply inputs and weights as they are, always: no algorithm that saves multiplications at the
    /// price of rounding (about 1e-5 of a layer's largest value). Slower, with less memory for weights.
    pub precise: bool,
    /// Algorithms that `vision tune` measured, in place of the choice by a model of costs. Fails with
    /// `TUNING_MISMATCH` if they are for another model or instruction set. Not together with `precise`.
    pub tuning: Option<Arc<Tuning>>,
    /// Element type that the network is computed in; results are f32 in any case. Fails with `INVALID_ARGUMENT`
    /// where the device has no kernels for it.
    pub precision: Precision,
    /// Most bytes of a CUDA device's memory that all models of the engine may take, at least 1; `None` leaves it to
    /// the device. Beyond it, loading fails with `OUT_OF_MEMORY`. The CPU has none of its own.
    pub device_memory_limit: Option<u64>,
    /// Largest pictures that are accepted.
    pub limits: DecodeLimits,
    /// Bytes of files and tensors accepted and not yet decoded, at least 1. One more is refused with
    /// `QUEUE_FULL`, one that is larger by itself with `IMAGE_TOO_COSTLY`.
    pub encoded_budget: u64,
    /// Bytes that all decoders may take at one time, at least 1. Requests wait for it; one that is larger by
    /// itself is refused with `IMAGE_TOO_COSTLY`.
    pub decode_budget: u64,
    /// After how long a request rises to the next priority.
    pub ageing: Duration,
    /// Shares of tenants beside each other, 1 to 1000, by their names; 1 for those that are not named. At most
    /// 1024.
    pub tenant_weights: Vec<(String, u32)>,
    /// Results are given in order of acceptance. Errors that end a request early are not held back.
    pub preserve_order: bool,
    /// After how long, and at least eight times what it was expected to take, a batch that does not end is
    /// answered with `BACKEND_STUCK`, and its worker replaced.
    pub stuck_after: Duration,
    /// For how long requests wait while the device is lost before they are answered with `DEVICE_LOST`.
    pub outage_patience: Duration,
    /// For how long closing waits for what was accepted; the rest is answered with `ENGINE_CLOSED`.
    pub close_timeout: Duration,
    /// Before an engine is there, have every worker run images whose answers are known, at every batch bucket,
    /// and compare bit for bit. Without it the engine is there sooner and never says that it is ready.
    pub prove: bool,
    /// How often each worker runs such an image again; one that answers otherwise is replaced. Zero is never.
    pub self_test_every: Duration,
    /// Most bytes of this machine's memory that all models of an engine may come to in the worst case, pinned
    /// memory included; what does not hold is refused with `OUT_OF_MEMORY` before any is taken. At least 1; `None`
    /// sets no limit.
    pub memory_limit: Option<u64>,
    /// Results that are kept for pictures that come again, byte for byte, at most
    /// [`EngineOptions::LARGEST_CACHE`]; those that come at the same time are computed once. 0 keeps none.
    pub cache_entries: usize,
    /// Bytes of such results, at least 1.
    pub cache_bytes: u64,
    /// File to record in what decides who runs when, for [`trace`](super::trace); it holds no pictures and no
    /// results. A file that is there is overwritten.
    pub trace: Option<PathBuf>,
}

impl Default for EngineOptions {
    fn default() -> Self {
        let policy = Policy::default();
        Self {
            device: "auto".into(),
            instances: 0,
            max_batch_size: 8,
            max_queue_delay: policy.max_queue_delay,
            window: policy.window,
            batch_buckets: Vec::new(),
            queue_capacity: policy.queue_capacity,
            decode_threads: 0,
            threads: 0,
            precise: false,
            tuning: None,
            precision: Precision::Auto,
            device_memory_limit: None,
            limits: DecodeLimits::default(),
            encoded_budget: policy.encoded_bytes,
            decode_budget: policy.decode_bytes,
            ageing: policy.ageing,
            tenant_weights: Vec::new(),
            preserve_order: policy.preserve_order,
            stuck_after: policy.stuck_after,
            outage_patience: policy.outage_patience,
            close_timeout: Duration::from_secs(30),
            prove: true,
            self_test_every: Duration::from_secs(30),
            memory_limit: None,
            cache_entries: 0,
            cache_bytes: 64 << 20,
            trace: None,
        }
    }
}

impl EngineOptions {
    /// Most that `max_batch_size` may be.
    pub const LARGEST_BATCH: usize = 4096;
    /// Most that `queue_capacity` may be.
    pub const LARGEST_QUEUE: usize = 1 << 16;
    /// Most that `decode_threads` may be.
    pub const MOST_DECODE_THREADS: usize = 256;
    /// Most that `instances` may be.
    pub const MOST_INSTANCES: usize = 64;
    /// Most that `cache_entries` may be.
    pub const LARGEST_CACHE: usize = 1 << 20;

    /// Fails with `INVALID_ARGUMENT` for a number out of range. Nothing in an engine is unlimited.
    pub(super) fn check(&self) -> Result<()> {
        in_range("max_batch_size", self.max_batch_size, Self::LARGEST_BATCH, "")?;
        in_range("queue_capacity", self.queue_capacity, Self::LARGEST_QUEUE, "")?;
        for bucket in &self.batch_buckets {
            in_range("a size in batch_buckets", *bucket, Self::LARGEST_BATCH, "")?;
        }
        for (name, bytes) in [
            ("encoded_budget", self.encoded_budget),
            ("decode_budget", self.decode_budget),
            ("cache_bytes", self.cache_bytes),
        ] {
            in_range(name, usize::try_from(bytes).unwrap_or(usize::MAX), isize::MAX as usize, "")?;
        }
        if self.device_memory_limit == Some(0) {
            in_range("device_memory_limit", 0, isize::MAX as usize, "")?;
        }
        if self.memory_limit == Some(0) {
            in_range("memory_limit", 0, isize::MAX as usize, "")?;
        }
        for (name, number, most, or_else) in [
            ("decode_threads", self.decode_threads, Self::MOST_DECODE_THREADS, ", or 0 for one per CPU"),
            ("instances", self.instances, Self::MOST_INSTANCES, ", or 0 for what keeps the device busy"),
            ("cache_entries", self.cache_entries, Self::LARGEST_CACHE, ", or 0 for no cache"),
        ] {
            if number > 0 {
                in_range(name, number, most, or_else)?;
            }
        }
        Ok(())
    }

    /// What of it may change while the engine runs.
    pub(super) fn policy(&self) -> Policy {
        Policy {
            max_queue_delay: self.max_queue_delay,
            window: self.window,
            queue_capacity: self.queue_capacity,
            encoded_bytes: self.encoded_budget,
            decode_bytes: self.decode_budget,
            ageing: self.ageing,
            preserve_order: self.preserve_order,
            stuck_after: self.stuck_after,
            outage_patience: self.outage_patience,
            self_test_every: self.self_test_every,
        }
    }

    /// Threads that decode, none left to chance.
    pub(super) fn decoders(&self) -> usize {
        match self.decode_threads {
            0 => std::thread::available_parallelism().map_or(1, |cpus| cpus.get().min(8)),
            threads => threads,
        }
    }
}

fn in_range(name: &str, value: usize, most: usize, or_else: &str) -> Result<()> {
    if (1..=most).contains(&value) {
        return Ok(());
    }
    let message =
        format!("{name} must be from 1 to {most}{or_else}, found {value}; nothing in an engine is unlimited");
    Err(Error::new(ErrorKind::InvalidArgument, message))
}

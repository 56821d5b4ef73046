//! Names, defaults and bounds of the engine's options; every language reads them from here.

use crate::error::{Error, ErrorKind, Result};
use crate::image::DecodeLimits;
use std::time::Duration;

/// How an engine runs. [`EngineOptions::default`] is right for most.
#[derive(Clone, Debug, PartialEq)]
pub struct EngineOptions {
    /// `auto`, `cpu` or `cuda:N`.
    pub device: String,
    /// Largest batch, 1 to [`EngineOptions::LARGEST_BATCH`]; the model's own limit may lower it.
    pub max_batch_size: usize,
    /// How long the first request of a batch, once decoded, may wait for others while a worker is idle.
    pub max_queue_delay: Duration,
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
    /// Largest pictures that are accepted.
    pub limits: DecodeLimits,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            device: "auto".into(),
            max_batch_size: 8,
            max_queue_delay: Duration::from_millis(1),
            queue_capacity: 256,
            decode_threads: 0,
            threads: 0,
            precise: false,
            limits: DecodeLimits::default(),
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

    /// Fails with `INVALID_ARGUMENT` for a number out of range. Nothing in an engine is unlimited.
    pub(super) fn check(&self) -> Result<()> {
        in_range("max_batch_size", self.max_batch_size, Self::LARGEST_BATCH, "")?;
        in_range("queue_capacity", self.queue_capacity, Self::LARGEST_QUEUE, "")?;
        match self.decode_threads {
            0 => Ok(()),
            threads => {
                in_range("decode_threads", threads, Self::MOST_DECODE_THREADS, ", or 0 for one per CPU")
            }
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

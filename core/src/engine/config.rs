//! Names and defaults of the engine's options; every language reads them from here.

use crate::image::DecodeLimits;
use std::time::Duration;

/// How an engine runs. [`EngineOptions::default`] is right for most.
#[derive(Clone, Debug, PartialEq)]
pub struct EngineOptions {
    /// `auto`, `cpu` or `cuda:N`.
    pub device: String,
    /// Largest batch, at least 1; the model's own limit may lower it.
    pub max_batch_size: usize,
    /// How long the first request of a batch may wait for others.
    pub max_queue_delay: Duration,
    /// Requests accepted and not yet taken into a batch; one more is refused with `QUEUE_FULL`.
    pub queue_capacity: usize,
    /// Threads that decode and preprocess; 0 takes one per available CPU, at most 8.
    pub decode_threads: usize,
    /// Threads that one batch may compute on; 0 takes one per available CPU.
    pub threads: usize,
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
            limits: DecodeLimits::default(),
        }
    }
}

//! What the machine has to work with, and the limits it keeps.

use std::time::Duration;

/// What there is; every number is at least 1. It never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Slots of one batch.
    pub max_batch_size: usize,
    /// Sizes that a batch is run at, ascending, the last being `max_batch_size`; empty if any size is as good.
    pub buckets: Vec<usize>,
    /// Threads that decode and fill slots.
    pub decoders: usize,
    /// Threads that run batches.
    pub workers: usize,
    /// Buffers that batches are built in; more than `workers`, or nothing is built while all are busy.
    pub stagings: usize,
}

impl Shape {
    /// The size that so many images are run at.
    pub fn bucket(&self, images: usize) -> usize {
        self.buckets.iter().copied().find(|&bucket| bucket >= images).unwrap_or(images)
    }
}

/// How long a batch waits for others while a worker is idle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Window {
    /// Not at all.
    Latency,
    /// For `max_queue_delay`, or until it is full.
    Throughput,
    /// For as long as the next image is expected to save more time than waiting for it costs those there, by the
    /// measured times of batches and gaps between images; never longer than `max_queue_delay`. Who comes to an
    /// engine that was idle does not wait.
    #[default]
    Adaptive,
}

/// Limits that may be changed while the engine runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How long the first request of a batch keeps its place waiting for others.
    pub max_queue_delay: Duration,
    /// Whether it waits at all.
    pub window: Window,
    /// Requests accepted and not yet given to a worker.
    pub queue_capacity: usize,
    /// Bytes of files accepted and not yet decoded.
    pub encoded_bytes: u64,
    /// Bytes that decoders take at one time.
    pub decode_bytes: u64,
    /// After how long a request rises to the next priority.
    pub ageing: Duration,
    /// Results are given in order of acceptance. Errors that end a request early are not held back.
    pub preserve_order: bool,
    /// After how long, and eight times what the run was expected to take, a worker is given up.
    pub stuck_after: Duration,
    /// For how long requests wait while no worker can run.
    pub outage_patience: Duration,
    /// How often an idle worker proves that it still computes what it should; never if this is zero.
    pub self_test_every: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            max_queue_delay: Duration::from_millis(1),
            window: Window::Adaptive,
            queue_capacity: 256,
            encoded_bytes: 256 << 20,
            decode_bytes: 1 << 30,
            ageing: Duration::from_millis(500),
            preserve_order: false,
            stuck_after: Duration::from_secs(10),
            outage_patience: Duration::from_secs(10),
            self_test_every: Duration::ZERO,
        }
    }
}

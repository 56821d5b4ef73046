//! Where workers are made, at the start and again when one is lost or never comes back.

use super::hand_over::Batch;
use super::panic::contained;
use super::scheduler::Scheduler;
use super::shutdown::Threads;
use super::spans;
use super::staging::{Staging, output_buffers};
use super::worker::Worker;
use crate::backend::{Executable, ExecutionContext};
use crate::error::Result;
use crate::memory::AlignedFloats;
use crate::model::Model;
use crossbeam::channel::{Receiver, bounded};
use std::sync::{Arc, Weak};

/// What all workers of one engine share.
pub(super) struct Workshop {
    pub(super) model: Arc<Model>,
    pub(super) executable: Arc<dyn Executable>,
    pub(super) stagings: Arc<[Staging]>,
    pub(super) max_batch_size: usize,
    /// Which output is the embedding.
    pub(super) embedding: Option<usize>,
}

/// The memory that one worker works with.
pub(super) struct Bench {
    context: Box<dyn ExecutionContext>,
    outputs: Vec<AlignedFloats>,
}

impl Workshop {
    /// Takes the memory for one worker. Fails with `OUT_OF_MEMORY`, or as the backend does.
    pub(super) fn bench(&self) -> Result<Bench> {
        Ok(Bench {
            outputs: output_buffers(self.executable.outputs(), self.max_batch_size)?,
            context: Arc::clone(&self.executable).new_context()?,
        })
    }

    pub(super) fn worker(&self, scheduler: Arc<Scheduler>, batches: Receiver<Batch>, bench: Bench) -> Worker {
        Worker {
            scheduler,
            batches,
            stagings: Arc::clone(&self.stagings),
            model: Arc::clone(&self.model),
            executable: Arc::clone(&self.executable),
            context: bench.context,
            outputs: bench.outputs,
            embedding: self.embedding,
        }
    }

    /// Starts a thread that makes the worker anew, says so, and is it. Never blocks for long, as making it may
    /// take for ever on a device that hangs.
    pub(super) fn replace(
        self: &Arc<Self>,
        index: usize,
        scheduler: &Arc<Scheduler>,
        threads: &Weak<Threads>,
    ) {
        spans::replacing(index);
        let (workshop, new_scheduler) = (Arc::clone(self), Arc::clone(scheduler));
        let life = move || match contained("replacing a worker", || workshop.bench()) {
            Ok(bench) => {
                let (commands, batches) = bounded(1);
                let worker = workshop.worker(Arc::clone(&new_scheduler), batches, bench);
                spans::replaced(index, None);
                new_scheduler.rebuilt(index, Some(commands));
                worker.run();
            }
            Err(error) => {
                spans::replaced(index, Some(&error));
                new_scheduler.rebuilt(index, None);
            }
        };
        let name = format!("libvision-worker-{index}");
        let started = threads.upgrade().is_some_and(|threads| threads.spawn(name, false, life).is_ok());
        if !started {
            scheduler.rebuilt(index, None);
        }
    }
}

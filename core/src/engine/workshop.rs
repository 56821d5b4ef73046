//! Where workers are made and proven, at the start and again when one is lost, computes wrong results, or never
//! comes back.

use super::golden::{Proof, SelfTest};
use super::hand_over::WorkerCommand;
use super::panic::contained;
use super::pool::Pool;
use super::request::Response;
use super::scheduler::Scheduler;
use super::shutdown::Threads;
use super::spans;
use super::staging::{Staging, output_buffers};
use super::worker::Worker;
use crate::backend::registry::Device;
use crate::backend::{CompileOptions, Executable, ExecutionContext};
use crate::error::Result;
use crate::memory::AlignedFloats;
use crate::model::Model;
use crossbeam::channel::{Receiver, bounded};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// What all workers of one lane share.
pub(super) struct Workshop {
    pub(super) model: Arc<Model>,
    pub(super) compile: CompileOptions,
    pub(super) parts: Vec<Part>,
    /// By worker: which part it runs on.
    pub(super) owners: Vec<usize>,
    pub(super) stagings: Arc<[Staging]>,
    pub(super) max_batch_size: usize,
    /// Answers that callers are done with.
    pub(super) responses: Arc<Pool<Response>>,
    /// Which output is the embedding.
    pub(super) embedding: Option<usize>,
    pub(super) self_test: SelfTest,
    /// Whether workers prove themselves before they serve.
    pub(super) proves: bool,
    /// And how.
    pub(super) proof: Proof,
    /// Memory taken, and things compiled, tuned or captured, after the start.
    pub(super) cold_paths: AtomicU64,
}

/// A device with the model on it.
pub(super) struct Part {
    device: Device,
    /// Another one once this could not be trusted any more.
    executable: Mutex<Arc<dyn Executable>>,
}

impl Part {
    pub(super) fn new(device: Device, executable: Arc<dyn Executable>) -> Self {
        Self { device, executable: Mutex::new(executable) }
    }
}

/// What one worker works with.
pub(super) struct Bench {
    pub(super) executable: Arc<dyn Executable>,
    pub(super) context: Box<dyn ExecutionContext>,
    /// One for each of the executable's outputs, for the largest batch.
    pub(super) outputs: Vec<AlignedFloats>,
}

impl Workshop {
    /// Takes the memory for one worker and has it prove itself. Fails with `OUT_OF_MEMORY`, `SELF_TEST_FAILED`, or
    /// as the backend does.
    pub(super) fn bench(&self, worker: usize) -> Result<Bench> {
        let executable = Arc::clone(&*self.parts[self.owners[worker]].executable.lock());
        self.proven(executable)
    }

    fn proven(&self, executable: Arc<dyn Executable>) -> Result<Bench> {
        let mut outputs = output_buffers(executable.outputs(), self.max_batch_size)?;
        let mut context = Arc::clone(&executable).new_context()?;
        if self.proves {
            self.self_test.prove(&mut *context, &mut outputs, &self.proof)?;
        }
        Ok(Bench { executable, context, outputs })
    }

    /// As [`Workshop::bench`], for a worker whose device may have lost the model: if what is there does not work,
    /// the model is compiled anew.
    fn bench_again(&self, worker: usize) -> Result<Bench> {
        self.cold_paths.fetch_add(1, Ordering::Relaxed);
        let part = &self.parts[self.owners[worker]];
        self.bench(worker).or_else(|_| {
            self.model.check_file()?;
            let executable = part.device.backend.compile(self.model.graph(), &self.compile)?;
            let bench = self.proven(Arc::clone(&executable))?;
            *part.executable.lock() = executable;
            Ok(bench)
        })
    }

    pub(super) fn worker(
        self: &Arc<Self>,
        scheduler: Arc<Scheduler>,
        commands: Receiver<WorkerCommand>,
        bench: Bench,
    ) -> Worker {
        Worker {
            cold_paths: bench.context.cold_paths(),
            ranked: Vec::new(),
            scheduler,
            commands,
            workshop: Arc::clone(self),
            bench,
        }
    }

    /// Counts what a run did for the first time although it should not have been.
    pub(super) fn add_cold_paths(&self, more: u64) {
        if more > 0 {
            self.cold_paths.fetch_add(more, Ordering::Relaxed);
        }
    }

    pub(super) fn cold_paths(&self) -> u64 {
        self.cold_paths.load(Ordering::Relaxed)
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
        let life = move || match contained("replacing a worker", || workshop.bench_again(index)) {
            Ok(bench) => {
                let (sender, commands) = bounded(2);
                let worker = workshop.worker(Arc::clone(&new_scheduler), commands, bench);
                spans::replaced(index, None);
                new_scheduler.rebuilt(index, Ok(sender));
                worker.run();
            }
            Err(error) => {
                spans::replaced(index, Some(&error));
                new_scheduler.rebuilt(index, Err(error.message()));
            }
        };
        let name = format!("libvision-worker-{index}");
        let started = threads.upgrade().is_some_and(|threads| threads.spawn(name, false, life).is_ok());
        if !started {
            scheduler.rebuilt(index, Err("no thread could be started"));
        }
    }
}

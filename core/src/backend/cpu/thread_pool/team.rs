//! What a run computes on: its own thread and the workers that help it.

use super::ThreadPool;
use super::seats::Seat;
use super::sync::*;
use libvision_kernels::parallel::{Parallel, Serial, Task};

/// The calling thread and the workers that help it, for the length of one run.
pub(crate) struct Team<'a> {
    pool: &'a ThreadPool,
    /// Which crew; none if the run has one thread.
    crew: Option<usize>,
    threads: usize,
    is_in_use: AtomicBool,
    _seat: Seat<'a>,
}

impl<'a> Team<'a> {
    pub(super) fn new(pool: &'a ThreadPool, threads: usize) -> Self {
        let seat = pool.seats.insist();
        let crew = (threads > 1).then(|| pool.open_crew(threads - 1)).flatten();
        Self { pool, crew, threads, is_in_use: AtomicBool::new(false), _seat: seat }
    }
}

impl Drop for Team<'_> {
    fn drop(&mut self) {
        if let Some(crew) = self.crew {
            self.pool.close_crew(crew);
        }
    }
}

// SAFETY: each task is taken once, by a thread that has its number in the crew to itself until the run is
// over and runs one task at a time; `for_each` returns after the last task has ended, and refuses to be
// entered while it runs.
unsafe impl Parallel for Team<'_> {
    fn threads(&self) -> usize {
        self.threads
    }

    /// Panics if it is called from within one of its own tasks, and passes on the panic of a task after
    /// all tasks have ended.
    fn for_each(&self, tasks: usize, f: &(dyn Fn(Task) + Sync)) {
        assert!(!self.is_in_use.swap(true, Acquire), "a task of a parallel loop started another one");
        let _in_use = InUse(&self.is_in_use);
        match self.crew {
            Some(crew) if tasks > 1 => self.pool.for_each(crew, tasks, self.threads.min(tasks) - 1, f),
            _ => Serial.for_each(tasks, f),
        }
    }
}

/// Clears the mark when a loop ends, by a panic too.
struct InUse<'a>(&'a AtomicBool);

impl Drop for InUse<'_> {
    fn drop(&mut self) {
        self.0.store(false, Release);
    }
}

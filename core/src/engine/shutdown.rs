//! The engine's threads, from start to join.

use crate::error::{Error, ErrorKind, Result};
use parking_lot::Mutex;
use std::thread::{Builder, JoinHandle, ThreadId};

/// Threads of one engine. Dropping this lets them run on.
#[derive(Default)]
pub(super) struct Threads {
    /// Known without a lock: a thread that asks may be one that somebody else is joining.
    ids: Vec<ThreadId>,
    handles: Mutex<Vec<JoinHandle<()>>>,
}

impl Threads {
    /// Starts a thread. Fails with `OUT_OF_MEMORY` if the system gives none.
    pub(super) fn spawn(&mut self, name: String, life: impl FnOnce() + Send + 'static) -> Result<()> {
        let handle = Builder::new().name(name.clone()).spawn(life).map_err(|error| {
            Error::new(ErrorKind::OutOfMemory, format!("thread {name:?} could not be started: {error}"))
                .with_source(error)
        })?;
        self.ids.push(handle.thread().id());
        self.handles.get_mut().push(handle);
        Ok(())
    }

    /// Blocks until all have ended, whoever asked for it first. On one of them it returns at once: the
    /// thread ends by itself after what it is doing.
    pub(super) fn join(&self) {
        if self.ids.contains(&std::thread::current().id()) {
            return;
        }
        let mut handles = self.handles.lock();
        for handle in handles.drain(..) {
            // Threads contain the panics of what they run; one of their own would be a defect that the
            // panic hook has reported.
            let _ = handle.join();
        }
    }
}

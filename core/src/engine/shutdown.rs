//! The engine's threads, from start to join.

use crate::error::{Error, ErrorKind, Result};
use parking_lot::{Mutex, RwLock};
use std::thread::{Builder, JoinHandle, ThreadId};
use std::time::{Duration, Instant};

/// For how long a thread that may hang in a backend or in a file is waited for after everybody is answered.
const GRACE: Duration = Duration::from_secs(1);

/// How often such a thread is looked at.
const LOOK: Duration = Duration::from_millis(1);

/// Threads of one engine. Dropping this lets them run on.
#[derive(Default)]
pub(super) struct Threads {
    /// Held for a moment only, also while somebody joins.
    ids: RwLock<Vec<ThreadId>>,
    handles: Mutex<Vec<Thread>>,
}

struct Thread {
    handle: JoinHandle<()>,
    always_ends: bool,
}

impl Threads {
    /// Starts a thread. One that does not always end by itself is left alone at the end if it hangs. Fails
    /// with `OUT_OF_MEMORY` if the system gives none.
    pub(super) fn spawn(
        &self,
        name: String,
        always_ends: bool,
        life: impl FnOnce() + Send + 'static,
    ) -> Result<()> {
        let mut handles = self.handles.lock();
        // Those of workers that were replaced.
        handles.retain(|thread| !thread.handle.is_finished());
        let handle = Builder::new().name(name.clone()).spawn(life).map_err(|error| {
            Error::new(ErrorKind::OutOfMemory, format!("thread {name:?} could not be started: {error}"))
                .with_source(error)
        })?;
        self.ids.write().push(handle.thread().id());
        handles.push(Thread { handle, always_ends });
        Ok(())
    }

    /// Whether this is called on one of them.
    pub(super) fn are_asking(&self) -> bool {
        self.ids.read().contains(&std::thread::current().id())
    }

    /// Blocks until all have ended, whoever asked for it first; not for ever for those that may hang. On one
    /// of them it returns at once: the thread ends by itself after what it is doing.
    pub(super) fn join(&self) {
        if self.are_asking() {
            return;
        }
        let mut handles = self.handles.lock();
        let end = Instant::now() + GRACE;
        for Thread { handle, always_ends } in handles.drain(..) {
            while !always_ends && !handle.is_finished() && Instant::now() < end {
                std::thread::sleep(LOOK);
            }
            if always_ends || handle.is_finished() {
                // Threads contain the panics of what they run; one of their own would be a defect that the
                // panic hook has reported.
                let _ = handle.join();
            }
        }
    }
}

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
    ids: RwLock<Vec<ThreadId>>,
    /// Those that nobody waits for. Held for a moment only, as a thread that is waited for may start another.
    handles: Mutex<Vec<Thread>>,
    /// Held by who joins.
    joining: Mutex<()>,
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
        for thread in handles.extract_if(.., |thread| thread.handle.is_finished()) {
            let ended = thread.handle.thread().id();
            self.ids.write().retain(|id| *id != ended);
        }
        let handle = Builder::new().name(name.clone()).spawn(life).map_err(|error| {
            Error::new(ErrorKind::OutOfMemory, format!("thread {name:?} could not be started: {error}"))
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
        let _alone = self.joining.lock();
        let end = Instant::now() + GRACE;
        let next = || self.handles.lock().pop();
        while let Some(Thread { handle, always_ends }) = next() {
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_thread_that_is_waited_for_may_start_another() {
        let threads = Arc::new(Threads::default());
        let (starter, ended) = (Arc::clone(&threads), Arc::new(Mutex::new(false)));
        let last = Arc::clone(&ended);
        let life = move || {
            while !starter.joining.is_locked() {
                std::thread::sleep(LOOK);
            }
            // Until it is this one that is waited for.
            while !starter.handles.lock().is_empty() {
                std::thread::sleep(LOOK);
            }
            starter.spawn("last".into(), true, move || *last.lock() = true).expect("a thread");
        };
        threads.spawn("starter".into(), true, life).expect("a thread");
        let joined = std::thread::spawn(move || threads.join());
        let end = Instant::now() + Duration::from_secs(20);
        while !joined.is_finished() && Instant::now() < end {
            std::thread::sleep(LOOK);
        }
        assert!(joined.is_finished(), "waits for ever");
        assert!(*ended.lock());
    }

    #[test]
    fn threads_that_have_ended_are_forgotten() {
        let threads = Threads::default();
        for _ in 0..20 {
            threads.spawn("short".into(), true, || {}).expect("a thread");
            while !threads.handles.lock().iter().all(|thread| thread.handle.is_finished()) {
                std::thread::sleep(LOOK);
            }
        }
        assert_eq!(threads.ids.read().len(), 1);
        assert_eq!(threads.handles.lock().len(), 1);
        threads.join();
    }
}

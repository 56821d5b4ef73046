//! The pool of this process.

use super::{MAX_THREADS, ThreadPool};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicPtr, Ordering::*};

/// Runs that can have helpers at the same time; one more runs on its own thread alone.
const CREWS: usize = 31;

/// CPUs that this process may use: affinity and cgroup limits respected.
pub(crate) fn usable_cpus() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get).min(MAX_THREADS)
}

/// A pool and the process that its workers live in.
struct Owned {
    pid: u32,
    pool: ThreadPool,
}

impl ThreadPool {
    /// The pool of this process, made on first use. After a fork the child makes its own, because its parent's
    /// workers are not in it; the memory of the parent's pool is leaked.
    pub(crate) fn global() -> &'static ThreadPool {
        static POOL: AtomicPtr<Owned> = AtomicPtr::new(std::ptr::null_mut());
        let pid = std::process::id();
        loop {
            let current = POOL.load(Acquire);
            // SAFETY: `POOL` is null or came from `Box::into_raw` below and is never freed then.
            if let Some(owned) = unsafe { current.as_ref() }
                && owned.pid == pid
            {
                return &owned.pool;
            }
            let pool = ThreadPool::new(usable_cpus(), MAX_THREADS - 1, CREWS);
            let fresh = Box::into_raw(Box::new(Owned { pid, pool }));
            if POOL.compare_exchange(current, fresh, AcqRel, Acquire).is_err() {
                // SAFETY: `fresh` came from `Box::into_raw` and nobody else has seen it.
                drop(unsafe { Box::from_raw(fresh) });
            }
        }
    }
}

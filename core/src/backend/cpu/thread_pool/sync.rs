//! All that the protocol synchronises with. The model check (`tests/thread_pool_model/`) builds the same
//! pool on loom's counterpart of this file.

use std::time::{Duration, Instant};

pub(super) use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::*};
pub(super) use std::sync::{Condvar, Mutex, MutexGuard};
pub(super) use std::thread::{self, Thread};

/// How long a thread looks for work before it sleeps: longer than the pause between two layers.
pub(super) const SPIN: Duration = Duration::from_micros(50);

/// Looks between two looks at the clock.
const LOOKS: usize = 32;

/// Looks for something for a short time.
pub(super) fn spin<T>(ready: impl Fn() -> Option<T>) -> Option<T> {
    let mut start = None;
    loop {
        for _ in 0..LOOKS {
            let found = ready();
            if found.is_some() {
                return found;
            }
            std::hint::spin_loop();
        }
        if start.get_or_insert_with(Instant::now).elapsed() >= SPIN {
            return None;
        }
    }
}

/// A cell whose users answer for the order of their accesses.
pub(super) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    pub(super) fn new(value: T) -> Self {
        Self(std::cell::UnsafeCell::new(value))
    }

    pub(super) fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
        f(self.0.get())
    }

    pub(super) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        f(self.0.get())
    }
}

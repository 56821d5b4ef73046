//! The primitives of the pool as loom models them.

pub(super) use loom::cell::UnsafeCell;
pub(super) use loom::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
pub(super) use loom::sync::{Condvar, Mutex, MutexGuard};
pub(super) use loom::thread::{self, Thread};
pub(super) use std::sync::atomic::Ordering::*;

/// One look: each thread gets to where it sleeps, and may be held up for any time before it does.
pub(super) fn spin<T>(ready: impl Fn() -> Option<T>) -> Option<T> {
    ready()
}

//! The system's allocator with counters, for a test file that is one test.
#![allow(dead_code, reason = "each test file uses a part")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering::SeqCst};

struct Counting;

static CALLS: AtomicUsize = AtomicUsize::new(0);
static LIVE_BYTES: AtomicI64 = AtomicI64::new(0);

/// Blocks taken so far.
pub fn calls() -> usize {
    CALLS.load(SeqCst)
}

/// Bytes taken and not given back.
pub fn live_bytes() -> i64 {
    LIVE_BYTES.load(SeqCst)
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, SeqCst);
        LIVE_BYTES.fetch_add(layout.size() as i64, SeqCst);
        // SAFETY: passed on to the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        LIVE_BYTES.fetch_sub(layout.size() as i64, SeqCst);
        // SAFETY: passed on to the caller.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

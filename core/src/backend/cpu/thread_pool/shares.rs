//! The tasks of one loop, a share of neighbouring ones for each thread.
//!
//! Caches do not care for fairness: what a thread wrote in one step it should read in the next one. So each
//! thread starts with its own share, and helps others only when that is done. Where two cores have no cache in
//! common, fetching the other one's data takes several times as long as to compute it.

use super::sync::*;

/// Most shares: more threads than that share some.
const MOST: usize = 16;

/// Which tasks nobody has taken.
pub(super) struct Shares {
    tasks: usize,
    count: usize,
    /// The next task of each share.
    next: [Next; MOST],
}

/// A cache line of its own, and the one that is fetched with it.
#[repr(align(128))]
struct Next(AtomicUsize);

impl Shares {
    /// `tasks` tasks for `threads` threads, at least one of each.
    pub(super) fn new(tasks: usize, threads: usize) -> Self {
        let count = threads.min(MOST);
        let next = std::array::from_fn(|share| Next(AtomicUsize::new(tasks * share.min(count) / count)));
        Self { tasks, count, next }
    }

    /// Takes tasks, those of the own share first, and calls `run` with each until it says no or none is left.
    pub(super) fn take_all(&self, thread: usize, mut run: impl FnMut(usize) -> bool) {
        let own = thread % self.count;
        for share in (own..self.count).chain(0..own) {
            let (next, end) = (&self.next[share].0, self.tasks * (share + 1) / self.count);
            while next.load(Relaxed) < end {
                let index = next.fetch_add(1, Relaxed);
                if index < end && !run(index) {
                    return;
                }
            }
        }
    }
}

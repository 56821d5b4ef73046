//! How many threads compute at the same time, over all runs of the process.
//!
//! A caller always has a seat. A worker takes one while it works and gives way when there are more
//! threads than seats: so engines that run at the same time share the CPUs instead of crowding them.

use super::sync::*;

/// Accounting only: nothing is published through it, and a stale look costs no more than some help.
pub(super) struct Seats {
    limit: AtomicUsize,
    taken: AtomicUsize,
}

impl Seats {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit: AtomicUsize::new(limit), taken: AtomicUsize::new(0) }
    }

    pub(super) fn limit(&self) -> usize {
        self.limit.load(Relaxed)
    }

    /// Makes it at least so many.
    pub(super) fn raise(&self, limit: usize) {
        self.limit.fetch_max(limit, Relaxed);
    }

    pub(super) fn free(&self) -> usize {
        self.limit().saturating_sub(self.taken.load(Relaxed))
    }

    pub(super) fn is_crowded(&self) -> bool {
        self.taken.load(Relaxed) > self.limit()
    }

    /// A seat, if one is free.
    pub(super) fn take(&self) -> Option<Seat<'_>> {
        let limit = self.limit();
        let sit = |taken| (taken < limit).then_some(taken + 1);
        self.taken.fetch_update(Relaxed, Relaxed, sit).ok().map(|_| Seat(self))
    }

    /// A seat, even if none is free.
    pub(super) fn insist(&self) -> Seat<'_> {
        self.taken.fetch_add(1, Relaxed);
        Seat(self)
    }
}

/// Given back when it is dropped.
pub(super) struct Seat<'a>(&'a Seats);

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Relaxed);
    }
}

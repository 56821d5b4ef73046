//! How kernels spread their work over threads without knowing any thread pool.

use std::marker::PhantomData;
use std::ops::Range;

/// One piece of work, as a kernel's closure receives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Task {
    /// Which piece, in `0..tasks`.
    pub index: usize,
    /// Which of the `threads()` workspaces this piece may use.
    pub thread: usize,
}

/// Runs independent tasks, at the same time or one after the other.
///
/// # Safety
/// `for_each` calls `f` exactly once for each index in `0..tasks`, with `thread < threads()`; two tasks
/// with the same `thread` never run at the same time; it returns after all of them have ended. Kernels
/// give tasks disjoint parts of one buffer and rely on this.
pub unsafe trait Parallel: Sync {
    /// Number of tasks that may run at the same time, at least 1. Constant for the life of the value.
    fn threads(&self) -> usize;

    /// Runs the tasks and blocks until all have ended. Indices are best handed out in rising order, each
    /// to whichever thread is free: a thread that comes late then costs nothing.
    fn for_each(&self, tasks: usize, f: &(dyn Fn(Task) + Sync));
}

/// Runs every task on the calling thread, in order.
#[derive(Clone, Copy, Debug, Default)]
pub struct Serial;

// SAFETY: the loop calls `f` once per index, one after the other, on thread 0 of 1.
unsafe impl Parallel for Serial {
    fn threads(&self) -> usize {
        1
    }

    fn for_each(&self, tasks: usize, f: &(dyn Fn(Task) + Sync)) {
        for index in 0..tasks {
            f(Task { index, thread: 0 });
        }
    }
}

/// Tasks per thread where work is split into equal ranges: enough for a late thread to find work.
const RANGES_PER_THREAD: usize = 4;

/// Splits `0..total` into ranges of at least `smallest` (but for the last) and runs `f` on each.
pub(crate) fn for_each_range(
    parallel: &dyn Parallel,
    total: usize,
    smallest: usize,
    f: impl Fn(Range<usize>) + Sync,
) {
    let threads = parallel.threads();
    let most = if threads == 1 { 1 } else { threads * RANGES_PER_THREAD };
    let parts = total.div_ceil(smallest.max(1)).min(most);
    parallel.for_each(parts, &|task: Task| f(part(total, parts, task.index)));
}

/// Range number `index` of `parts` nearly equal ranges of `0..total`.
pub(crate) fn part(total: usize, parts: usize, index: usize) -> Range<usize> {
    total * index / parts..total * (index + 1) / parts
}

/// A slice that tasks write at the same time, each its own part.
pub(crate) struct Parts<'a> {
    start: *mut f32,
    len: usize,
    borrow: PhantomData<&'a mut [f32]>,
}

// SAFETY: it stands for the exclusive borrow it was made from; whoever reaches the memory through
// `start` or `part` promises to keep to a part that no other task touches.
unsafe impl Sync for Parts<'_> {}

impl<'a> Parts<'a> {
    pub(crate) fn new(slice: &'a mut [f32]) -> Self {
        Self { start: slice.as_mut_ptr(), len: slice.len(), borrow: PhantomData }
    }

    /// The first element, for kernels that address the slice by offsets.
    pub(crate) fn start(&self) -> *mut f32 {
        self.start
    }

    /// # Safety
    /// No other task may touch `range` while the returned slice lives.
    #[expect(clippy::mut_from_ref, reason = "tasks share the value and split the memory")]
    pub(crate) unsafe fn part(&self, range: Range<usize>) -> &mut [f32] {
        assert!(range.start <= range.end && range.end <= self.len);
        // SAFETY: in bounds by the assertion, and the caller's alone.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_everything_once() {
        for total in [0, 1, 7, 64, 1000] {
            for parts in 1..9 {
                let mut next = 0;
                for index in 0..parts {
                    let range = part(total, parts, index);
                    assert_eq!(range.start, next);
                    next = range.end;
                }
                assert_eq!(next, total);
            }
        }
    }
}

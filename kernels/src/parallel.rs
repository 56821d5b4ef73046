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

    /// Runs the tasks and blocks until all have ended. Each thread is best given a share of neighbouring tasks, the
    /// first thread the first ones, and then what others have not begun: kernels number tasks by their place in
    /// the image, so that a thread reads what it wrote in the step before.
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

/// Rows of images in the blocked layout.
#[derive(Clone, Copy)]
pub(crate) struct Rows {
    pub(crate) images: usize,
    pub(crate) blocks: usize,
    pub(crate) height: usize,
    /// Rows of one block that are worth a task.
    pub(crate) per_task: usize,
}

impl Rows {
    /// Runs `f` on each (image, block, row). Tasks are numbered from the top of the first image to the bottom of
    /// the last, whatever their blocks.
    pub(crate) fn for_each(self, parallel: &dyn Parallel, f: impl Fn(usize, usize, usize) + Sync) {
        let Self { images, blocks, height, per_task } = self;
        let rows = images * height;
        let most = (rows * blocks).div_ceil(per_task.max(1));
        let threads = parallel.threads();
        let wanted = if threads == 1 { images } else { most.min(threads * RANGES_PER_THREAD) };
        let bands = rows.min(wanted);
        let block_parts = wanted.div_ceil(bands.max(1)).min(blocks);
        parallel.for_each(bands * block_parts, &|task: Task| {
            let band = part(rows, bands, task.index / block_parts);
            for block in part(blocks, block_parts, task.index % block_parts) {
                band.clone().for_each(|row| f(row / height, block, row % height));
            }
        });
    }
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

    /// Says that it has so many threads, and runs everything on one.
    struct Pretend(usize);

    // SAFETY: as for `Serial`.
    unsafe impl Parallel for Pretend {
        fn threads(&self) -> usize {
            self.0
        }

        fn for_each(&self, tasks: usize, f: &(dyn Fn(Task) + Sync)) {
            Serial.for_each(tasks, f);
        }
    }

    #[test]
    fn every_row_comes_once_and_from_top_to_bottom() {
        for (images, blocks, height) in
            [(1, 1, 1), (1, 7, 1), (2, 3, 5), (1, 2, 0), (0, 2, 3), (3, 0, 2), (1, 42, 14)]
        {
            for (threads, per_task) in [(1, 8), (2, 1), (2, 8), (3, 4), (64, 1)] {
                let rows = Rows { images, blocks, height, per_task };
                let seen = std::sync::Mutex::new(Vec::new());
                rows.for_each(&Pretend(threads), |image, block, y| {
                    seen.lock().expect("no panic before").push((image, block, y));
                });
                let mut seen = seen.into_inner().expect("no panic before");
                let tops: Vec<usize> =
                    seen.iter().filter(|row| row.1 == 0).map(|row| row.0 * height + row.2).collect();
                assert!(tops.is_sorted(), "{images} {blocks} {height} {threads}: {tops:?}");
                seen.sort_unstable();
                seen.dedup();
                assert_eq!(seen.len(), images * blocks * height, "{images} {blocks} {height} {threads}");
            }
        }
    }

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

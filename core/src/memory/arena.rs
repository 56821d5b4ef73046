//! One block of floats that a plan's tensors lie in by offset, taken and freed whole.

use super::aligned::AlignedFloats;
use crate::error::Result;
use std::marker::PhantomData;
use std::ops::Range;
use std::ptr::NonNull;

/// The memory of one execution context.
pub struct Arena {
    floats: AlignedFloats,
}

/// An arena that several threads work in at the same time, each in parts of its own.
pub struct SharedArena<'a> {
    start: NonNull<f32>,
    len: usize,
    borrow: PhantomData<&'a mut [f32]>,
}

// SAFETY: it stands for the exclusive borrow it was made from; whoever reaches the floats promises to keep to
// parts that no other thread writes.
unsafe impl Sync for SharedArena<'_> {}

/// What one step works on: two parts lent for writing, and the rest for reading.
pub struct Carved<'a> {
    /// The part to write.
    pub output: &'a mut [f32],
    /// Memory of any content that no tensor lies in.
    pub workspace: &'a mut [f32],
    /// What lies around them.
    pub rest: Rest<'a>,
}

/// All of an arena but the parts lent for writing.
#[derive(Clone, Copy)]
pub struct Rest<'a> {
    arena: &'a SharedArena<'a>,
    lent: [[usize; 2]; 2],
}

impl Arena {
    /// `len` zeros. Fails with `OUT_OF_MEMORY`.
    pub fn new(len: usize) -> Result<Self> {
        Ok(Self { floats: AlignedFloats::zeroed(len)? })
    }

    /// Bytes taken.
    pub fn bytes(&self) -> usize {
        self.floats.bytes()
    }

    /// The arena for the threads of a run.
    pub fn share(&mut self) -> SharedArena<'_> {
        let floats: &mut [f32] = &mut self.floats;
        SharedArena { len: floats.len(), start: NonNull::from(floats).cast(), borrow: PhantomData }
    }

    /// Everything, to put into it what tests want.
    #[cfg(test)]
    pub(crate) fn floats(&mut self) -> &mut [f32] {
        &mut self.floats
    }
}

impl SharedArena<'_> {
    /// Lends `output` and `workspace` for writing. Panics if they overlap or reach beyond the arena.
    ///
    /// # Safety
    /// While the result lives, no other thread may touch what is lent, or write what is read through `rest`.
    pub unsafe fn carve(&self, output: Range<usize>, workspace: Range<usize>) -> Carved<'_> {
        assert!(!overlap(&output, &workspace), "output and workspace of a step overlap");
        let rest = Rest { arena: self, lent: [&output, &workspace].map(|part| [part.start, part.end]) };
        // SAFETY: the parts do not overlap, and others keep away from them.
        unsafe { Carved { output: self.write(output), workspace: self.write(workspace), rest } }
    }

    /// A part for reading. Panics if it reaches beyond the arena.
    ///
    /// # Safety
    /// Nobody may write the part while the result lives.
    pub unsafe fn read(&self, part: Range<usize>) -> &[f32] {
        assert!(part.start <= part.end && part.end <= self.len, "a part beyond the arena");
        // SAFETY: in bounds by the assertion; nobody writes it.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().add(part.start), part.len()) }
    }

    /// # Safety
    /// Nobody else may touch the part while the result lives.
    #[expect(clippy::mut_from_ref, reason = "threads share the arena and split its memory")]
    unsafe fn write(&self, part: Range<usize>) -> &mut [f32] {
        assert!(part.start <= part.end && part.end <= self.len, "a part beyond the arena");
        // SAFETY: in bounds by the assertion, and the caller's alone.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr().add(part.start), part.len()) }
    }
}

impl<'a> Rest<'a> {
    /// A part for reading. Panics if it overlaps what is lent for writing, or is not in the arena.
    pub fn part(&self, part: Range<usize>) -> &'a [f32] {
        for [start, end] in self.lent {
            assert!(!overlap(&part, &(start..end)), "a step reads what it writes");
        }
        // SAFETY: it is not lent for writing by this carving, and others do not write it, as whoever carved has
        // promised.
        unsafe { self.arena.read(part) }
    }
}

fn overlap(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn parts_are_where_they_were_asked_for() {
        let mut arena = Arena::new(100).expect("memory");
        assert_eq!(arena.bytes(), 400);
        arena.floats().iter_mut().enumerate().for_each(|(i, value)| *value = i as f32);
        let shared = arena.share();
        // SAFETY: one thread, and nothing lent is read.
        let carved = unsafe { shared.carve(30..50, 90..95) };
        assert_eq!((carved.output[0], carved.output.len()), (30.0, 20));
        assert_eq!((carved.workspace[0], carved.workspace.len()), (90.0, 5));
        for range in [0..30, 10..20, 50..90, 60..61, 90..90, 95..100] {
            let part = carved.rest.part(range.clone());
            assert_eq!(part.len(), range.len());
            assert!(part.iter().zip(range).all(|(value, i)| *value == i as f32));
        }
        // SAFETY: one thread, and nothing is lent any more.
        assert_eq!(unsafe { shared.read(7..9) }, [7.0, 8.0]);
    }

    #[test]
    fn what_is_lent_for_writing_cannot_be_read() {
        let mut arena = Arena::new(100).expect("memory");
        let shared = arena.share();
        // SAFETY: one thread, and every read of what is lent panics.
        let carved = unsafe { shared.carve(30..50, 90..95) };
        for range in [20..31, 30..50, 40..45, 49..60, 80..91, 92..93, 94..100, 99..101] {
            let read = catch_unwind(AssertUnwindSafe(|| carved.rest.part(range.clone()).len()));
            assert!(read.is_err(), "{range:?}");
        }
    }

    #[test]
    fn nothing_is_lent_twice_or_beyond_the_end() {
        let mut arena = Arena::new(100).expect("memory");
        let shared = arena.share();
        for (output, workspace) in [(30..50, 49..60), (90..101, 0..1), (0..1, 100..101)] {
            let carve = || {
                // SAFETY: one thread.
                unsafe { shared.carve(output.clone(), workspace.clone()) }.output.len()
            };
            assert!(catch_unwind(AssertUnwindSafe(carve)).is_err(), "{output:?} {workspace:?}");
        }
    }

    #[test]
    fn threads_write_parts_of_their_own() {
        let mut arena = Arena::new(4000).expect("memory");
        let shared = arena.share();
        std::thread::scope(|scope| {
            for slot in 0..4 {
                let shared = &shared;
                scope.spawn(move || {
                    let start = slot * 1000;
                    // SAFETY: each thread has a part of its own.
                    let carved = unsafe { shared.carve(start..start + 900, start + 900..start + 1000) };
                    carved.output.fill(slot as f32);
                    carved.workspace.fill(slot as f32);
                });
            }
        });
        assert!(arena.floats().iter().enumerate().all(|(i, value)| *value == (i / 1000) as f32));
    }
}

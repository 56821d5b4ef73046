//! One block of floats that a plan's tensors lie in by offset, taken and freed whole.

use super::aligned::AlignedFloats;
use crate::error::Result;
use std::ops::Range;

/// The memory of one execution context.
pub struct Arena {
    floats: AlignedFloats,
}

/// An arena with one part lent for writing and the rest for reading.
pub struct Carved<'a> {
    /// The part to write.
    pub output: &'a mut [f32],
    /// What lies around it.
    pub rest: Rest<'a>,
}

/// All of an arena but one part.
#[derive(Clone, Copy)]
pub struct Rest<'a> {
    before: &'a [f32],
    after: &'a [f32],
    /// Where `after` starts in the arena.
    resumes: usize,
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

    /// Everything, to put into it what tests want.
    #[cfg(test)]
    pub(crate) fn floats(&mut self) -> &mut [f32] {
        &mut self.floats
    }

    /// Lends `output` for writing and, behind it, everything from `workspace` on as memory that no tensor
    /// lies in. Panics if `output` reaches beyond `workspace`, or that beyond the arena.
    pub fn carve(&mut self, output: Range<usize>, workspace: usize) -> (Carved<'_>, &mut [f32]) {
        let (tensors, workspace) = self.floats.split_at_mut(workspace);
        let (before, rest) = tensors.split_at_mut(output.start);
        let (lent, after) = rest.split_at_mut(output.len());
        let rest = Rest { before, after, resumes: output.end };
        (Carved { output: lent, rest }, workspace)
    }

    /// A part for reading. Panics if it is not in the arena.
    pub fn part(&self, range: Range<usize>) -> &[f32] {
        &self.floats[range]
    }
}

impl<'a> Rest<'a> {
    /// A part for reading. Panics if it overlaps what is lent for writing.
    pub fn part(&self, range: Range<usize>) -> &'a [f32] {
        match range.start.checked_sub(self.resumes) {
            Some(start) => &self.after[start..][..range.len()],
            None => &self.before[range],
        }
    }
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
        let (carved, workspace) = arena.carve(30..50, 90);
        assert_eq!((carved.output[0], carved.output.len()), (30.0, 20));
        assert_eq!((workspace[0], workspace.len()), (90.0, 10));
        for range in [0..30, 10..20, 50..90, 60..61, 90..90] {
            let part = carved.rest.part(range.clone());
            assert_eq!(part.len(), range.len());
            assert!(part.iter().zip(range).all(|(value, i)| *value == i as f32));
        }
        assert_eq!(arena.part(7..9), [7.0, 8.0]);
    }

    #[test]
    fn what_is_lent_for_writing_cannot_be_read() {
        let mut arena = Arena::new(100).expect("memory");
        let (carved, _) = arena.carve(30..50, 90);
        for range in [20..31, 30..50, 40..45, 49..60, 80..91] {
            let read = catch_unwind(AssertUnwindSafe(|| carved.rest.part(range.clone()).len()));
            assert!(read.is_err(), "{range:?}");
        }
    }
}

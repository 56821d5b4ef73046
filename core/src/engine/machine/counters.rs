//! What happened so far, in numbers that only grow.

use super::language::Refusal;

/// Totals since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests that came.
    pub arrived: u64,
    /// Of those, accepted.
    pub accepted: u64,
    /// Of those, that followed another for the same picture when they came.
    pub joined: u64,
    /// Accepted and answered by what a thread made: a result, or an error of the request's own.
    pub delivered: u64,
    /// Refused at the door, or answered without a result, by [`Refusal`].
    pub refused: [u64; Refusal::ALL.len()],
    /// Batches run.
    pub runs: u64,
    /// Images in them.
    pub images: u64,
    /// Images that filled a bucket up.
    pub padding: u64,
    /// Batches split for want of memory.
    pub splits: u64,
    /// Workers given up.
    pub stuck: u64,
    /// Workers lost.
    pub lost: u64,
    /// Workers made anew.
    pub rebuilt: u64,
    /// Self-tests begun.
    pub self_tests: u64,
    /// Of those, that ended otherwise than with the known answer.
    pub self_tests_failed: u64,
}

impl Counters {
    /// Answers of this kind.
    pub fn refused(&self, refusal: Refusal) -> u64 {
        self.refused[refusal as usize]
    }
}

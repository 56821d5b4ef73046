//! From when to when each tensor must keep its content.

use super::step::Step;

/// The steps from the one that writes a tensor to the last one that reads it, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// The step that writes it.
    pub first: usize,
    /// The last step that reads it, or `first` if none does.
    pub last: usize,
}

impl Lifetime {
    /// Whether both are needed in some step.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// The lifetimes of `tensors` tensors, each of which some step writes before any reads it.
pub(super) fn lifetimes(tensors: usize, steps: &[Step]) -> Vec<Lifetime> {
    let mut lifetimes = vec![Lifetime { first: 0, last: 0 }; tensors];
    for (index, step) in steps.iter().enumerate() {
        if let Some(output) = step.output {
            lifetimes[output] = Lifetime { first: index, last: index };
        }
        for &input in step.inputs.iter().flatten() {
            lifetimes[input].last = index;
        }
    }
    lifetimes
}

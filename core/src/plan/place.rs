//! Where in the arena each tensor lies: best fit, largest first.
//!
//! The order and the fit are those of "greedy by size" in Pisarchyk and Lee, "Efficient Memory Management
//! for Deep Neural Net Inference" (2020). One rule comes before it: a tensor goes where one of the same
//! grid lies, if it can, because a border that is only ever left alone need not be cleared again.

use super::lifetimes::Lifetime;
use crate::error::{Error, ErrorKind, Result};
use libvision_kernels::cpu::layout::BlockedShape;

/// Floats that every offset is a multiple of: one cache line.
const GRANULE: usize = 16;

/// A tensor that needs a place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Demand {
    /// Its layout, with the border.
    pub(super) layout: BlockedShape,
    /// For the largest batch.
    pub(super) floats: usize,
    pub(super) lifetime: Lifetime,
}

/// The offset of each tensor, and the size of the arena, in floats. Tensors whose lifetimes overlap do not
/// share memory. Fails with `OUT_OF_MEMORY` if the arena could not be addressed.
pub(super) fn place(demands: &[Demand]) -> Result<(Vec<usize>, usize)> {
    let total = demands.iter().try_fold(0usize, |sum, demand| sum.checked_add(granules(demand.floats)));
    if total.is_none_or(|floats| floats > isize::MAX as usize / size_of::<f32>()) {
        return Err(Error::new(
            ErrorKind::OutOfMemory,
            "the tensors of one batch exceed what can be addressed",
        ));
    }
    let mut order: Vec<usize> = (0..demands.len()).collect();
    order.sort_by_key(|&index| (std::cmp::Reverse(demands[index].floats), demands[index].lifetime.first));
    let mut offsets = vec![0; demands.len()];
    let mut arena = 0;
    for (rank, &index) in order.iter().enumerate() {
        let demand = &demands[index];
        let (taken, free): (Vec<_>, Vec<_>) = order[..rank]
            .iter()
            .map(|&other| (offsets[other], &demands[other]))
            .partition(|(_, other)| other.lifetime.overlaps(&demand.lifetime));
        let mut taken: Vec<Span> =
            taken.iter().map(|(start, other)| Span { start: *start, len: granules(other.floats) }).collect();
        taken.sort_by_key(|span| span.start);
        let wanted = granules(demand.floats);
        let alike = free.iter().filter(|(_, other)| same_grid(&other.layout, &demand.layout));
        let alike = alike.map(|(start, _)| *start).filter(|&start| {
            let span = Span { start, len: wanted };
            taken.iter().all(|other| !other.overlaps(&span))
        });
        offsets[index] = alike.min().unwrap_or_else(|| best_fit(&taken, wanted));
        arena = arena.max(offsets[index] + wanted);
    }
    Ok((offsets, arena))
}

/// Whether borders are at the same positions of tensors that start at the same place.
pub(super) fn same_grid(a: &BlockedShape, b: &BlockedShape) -> bool {
    let grid = |shape: &BlockedShape| (shape.blocks(), shape.height, shape.width, shape.lanes, shape.border);
    grid(a) == grid(b)
}

/// Memory in use, rounded up to whole cache lines.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) len: usize,
}

impl Span {
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        self.start < other.start + other.len && other.start < self.start + self.len
    }
}

/// Rounds a number of floats up to whole cache lines.
pub(super) fn granules(floats: usize) -> usize {
    floats.next_multiple_of(GRANULE)
}

/// The start of the smallest gap that holds `wanted` floats, or the end of all. `taken` is sorted by start
/// and may overlap.
fn best_fit(taken: &[Span], wanted: usize) -> usize {
    let mut best = None;
    let mut end = 0;
    for span in taken {
        if span.start >= end + wanted && best.is_none_or(|(size, _)| span.start - end < size) {
            best = Some((span.start - end, end));
        }
        end = end.max(span.start + span.len);
    }
    best.map_or(end, |(_, start)| start)
}

//! Where in the arena each tensor lies: best fit, largest first.
//!
//! The order and the fit are those of "greedy by size" in Pisarchyk and Lee, "Efficient Memory Management
//! for Deep Neural Net Inference" (2020). One rule comes before it: a tensor goes where one of the same
//! grid lies, if it can, because a border that is only ever left alone need not be cleared again.

use super::lifetimes::Lifetime;
use crate::error::{Error, ErrorKind, Result};
use libvision_kernels::cpu::layout::BlockedShape;

/// Floats that every offset is a multiple of: one cache line.
pub(super) const GRANULE: usize = 16;

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

#[cfg(test)]
mod tests {
    use super::*;
    use libvision_kernels::geometry::Padding;
    use proptest::prelude::*;

    fn demand(sizes: (usize, usize, usize), first: usize, length: usize) -> Demand {
        let (blocks, side, border) = sizes;
        let layout = BlockedShape::new(blocks * 8, side, side, 8).with_border(Padding::uniform(border));
        Demand { layout, floats: layout.len(), lifetime: Lifetime { first, last: first + length } }
    }

    fn least(demands: &[Demand]) -> usize {
        let live = |step| {
            let live = demands.iter().filter(|d| d.lifetime.first <= step && step <= d.lifetime.last);
            live.map(|demand| granules(demand.floats)).sum()
        };
        (0..100).map(live).max().unwrap_or(0)
    }

    proptest! {
        #[test]
        fn tensors_that_live_together_lie_apart(
            demands in prop::collection::vec(
                ((1..4usize, 1..6usize, 0..2usize), 0..30usize, 0..12usize)
                    .prop_map(|(sizes, first, length)| demand(sizes, first, length)),
                0..40,
            )
        ) {
            let (offsets, arena) = place(&demands).expect("small");
            let span = |index: usize| Span { start: offsets[index], len: granules(demands[index].floats) };
            for a in 0..demands.len() {
                prop_assert!(offsets[a] % GRANULE == 0 && span(a).start + span(a).len <= arena);
                for b in 0..a {
                    let live_together = demands[a].lifetime.overlaps(&demands[b].lifetime);
                    prop_assert!(!live_together || !span(a).overlaps(&span(b)), "{a} and {b}");
                }
            }
            let all: usize = demands.iter().map(|demand| granules(demand.floats)).sum();
            prop_assert!(least(&demands) <= arena && arena <= all);
        }
    }

    #[test]
    fn a_network_that_narrows_takes_no_more_than_its_widest_step() {
        let sides = [6, 6, 5, 5, 4, 4, 3, 3, 2, 1].iter().enumerate();
        let chain: Vec<Demand> = sides.map(|(step, side)| demand((2, *side, 1), step, 1)).collect();
        let (_, arena) = place(&chain).expect("small");
        assert_eq!(arena, least(&chain));
    }

    #[test]
    fn a_tensor_goes_where_one_of_its_grid_has_been() {
        // By best fit alone the last one would start at 0, where something else has been.
        let demands = [demand((4, 5, 0), 0, 3), demand((1, 3, 1), 2, 1), demand((1, 3, 1), 6, 1)];
        let (offsets, _) = place(&demands).expect("small");
        assert_eq!(offsets[1], offsets[2]);
    }

    #[test]
    fn what_cannot_be_addressed_is_an_error() {
        for floats in [isize::MAX as usize, isize::MAX as usize / 4] {
            let demand = Demand { floats, ..demand((1, 1, 0), 0, 0) };
            let error = place(&[demand, demand]).expect_err("too large");
            assert_eq!(error.kind(), ErrorKind::OutOfMemory);
        }
    }
}

//! Where the transformed input has its points, and in which order their weights are packed.

use super::input::InputFn;
use super::scheme::{Line, Scheme};
use crate::cpu::layout::BlockedShape;

/// Floats between two points beyond their size: they keep the points of one tile from falling into the same
/// cache sets.
pub(super) const SKEW: usize = 16;

/// A part of the input that is transformed by itself: samples of one line down and one across.
pub(super) struct Phase {
    pub(super) transform: InputFn,
    /// Offset of its first sample in a patch.
    pub(super) first: usize,
    /// Where each of its points goes in V.
    pub(super) targets: Vec<usize>,
    lines: [&'static Line; 2],
}

impl Phase {
    /// Whether it has the point in row `y` and column `x`.
    fn has_point(&self, y: usize, x: usize) -> bool {
        y < self.lines[0].filter.len() && x < self.lines[1].filter.len()
    }
}

/// The matrix product of one transform point.
pub(super) struct Point {
    /// Offsets in V of its full channel blocks, over all phases that have this point.
    pub(super) segments: Vec<usize>,
    /// Offsets in V of the last, partly filled channel blocks.
    pub(super) tails: Vec<usize>,
    /// Inputs of the points before it.
    pub(super) first_input: usize,
}

/// The layout of V, `[point][phase][channel block][tile][lane]`, for blocks of `block_tiles` tiles.
pub(super) struct PointTable {
    pub(super) phases: Vec<Phase>,
    pub(super) points: Vec<Point>,
    /// Floats of V.
    pub(super) floats: usize,
    /// Channels of a partly filled channel block.
    pub(super) tail_length: usize,
    /// Channels in full blocks.
    full_channels: usize,
    /// Points along one axis.
    side: usize,
}

impl PointTable {
    /// `transforms` holds one input transform per phase: pairs of lines, down and across.
    pub(super) fn new(
        scheme: &'static Scheme,
        input: &BlockedShape,
        block_tiles: usize,
        transforms: &[InputFn],
    ) -> Self {
        let lanes = input.lanes;
        let pairs =
            scheme.lines.iter().flat_map(|down| scheme.lines.iter().map(move |across| [down, across]));
        let phases = pairs.zip(transforms).map(|(lines, transform)| Phase {
            transform: *transform,
            first: lines[0].first_sample * input.row_stride() + lines[1].first_sample * lanes,
            targets: Vec::new(),
            lines,
        });
        let full = input.channels / lanes;
        let mut table = Self {
            phases: phases.collect(),
            points: Vec::new(),
            floats: 0,
            tail_length: input.channels % lanes,
            full_channels: full * lanes,
            side: scheme.points(),
        };
        let block = block_tiles * lanes;
        let mut inputs = 0;
        for (y, x) in (0..table.side).flat_map(|y| (0..scheme.points()).map(move |x| (y, x))) {
            let mut point = Point { segments: Vec::new(), tails: Vec::new(), first_input: inputs };
            for phase in table.phases.iter_mut().filter(|phase| phase.has_point(y, x)) {
                phase.targets.push(table.floats);
                point.segments.extend((0..full).map(|b| table.floats + b * block));
                if table.tail_length > 0 {
                    point.tails.push(table.floats + full * block);
                }
                table.floats += input.blocks() * block;
                inputs += input.channels;
            }
            table.floats += SKEW;
            table.points.push(point);
        }
        table
    }

    /// The number of an input among those of all points, in the order of the sums: within a point full blocks
    /// of all phases come first, then the tails of all of them.
    pub(super) fn input(&self, point: usize, phase: usize, channel: usize) -> usize {
        let has_point = |phase: &&Phase| phase.has_point(point / self.side, point % self.side);
        let before = self.phases[..phase].iter().filter(has_point).count();
        let within = match channel.checked_sub(self.full_channels) {
            None => before * self.full_channels + channel,
            Some(tail) => {
                let phases = self.phases.iter().filter(has_point).count();
                phases * self.full_channels + before * self.tail_length + tail
            }
        };
        self.points[point].first_input + within
    }

    pub(super) fn bytes(&self) -> usize {
        let offsets = |list: &Vec<usize>| size_of_val(list.as_slice());
        self.points.iter().map(|p| offsets(&p.segments) + offsets(&p.tails)).sum::<usize>()
            + self.phases.iter().map(|p| offsets(&p.targets)).sum::<usize>()
    }
}

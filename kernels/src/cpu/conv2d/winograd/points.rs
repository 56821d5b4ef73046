//! Where transformed inputs and weights have their points.

use super::filter::MAX_ROWS;
use super::input::InputFn;
use super::scheme::{Line, Scheme, WeightTransform};
use crate::cpu::layout::BlockedShape;
use std::ops::Range;

/// Input channels whose weights are transformed at use together: a row of their points stays in the near caches, and
/// sums are seldom put down.
const CHUNK_CHANNELS: usize = 128;
/// Floats between two points beyond their size: they keep the points of one tile from falling into the same
/// cache sets.
pub(super) const SKEW: usize = 16;

/// A part of the input that is transformed by itself: samples of one line down and one across.
pub(super) struct Phase {
    pub(super) transform: InputFn,
    /// Offset of its first sample in a patch.
    pub(super) first: usize,
    /// Where each of its points goes in V, of the first channel block.
    pub(super) targets: Vec<usize>,
    lines: [&'static Line; 2],
}

impl Phase {
    /// Whether it has the point in row `y` and column `x`.
    fn has_point(&self, y: usize, x: usize) -> bool {
        y < self.lines[0].points && x < self.lines[1].points
    }

    /// Points down and across.
    pub(super) fn points(&self) -> [usize; 2] {
        self.lines.map(|line| line.points)
    }

    /// Where it goes.
    fn target(&self, y: usize, x: usize) -> usize {
        self.targets[y * self.lines[1].points + x]
    }
}

/// The matrix product of one transform point.
pub(super) struct Point {
    /// The phases that have this point.
    phases: Vec<usize>,
    /// Offsets in V of its full channel blocks, in each block those of all its phases.
    segments: Vec<usize>,
    /// Offsets in V of the last, partly filled channel blocks.
    tails: Vec<usize>,
    /// Full channel blocks.
    full: usize,
}

impl Point {
    /// Offsets of the full blocks among a run of channel blocks.
    pub(super) fn segments(&self, blocks: &Range<usize>) -> &[usize] {
        &self.segments[blocks.start * self.phases.len()..blocks.end.min(self.full) * self.phases.len()]
    }

    /// Offsets of the partly filled ones.
    pub(super) fn tails(&self, blocks: &Range<usize>) -> &[usize] {
        if blocks.end > self.full { &self.tails } else { &[] }
    }
}

/// The layout of V, `[chunk][point][phase][channel block][tile][lane]`, for blocks of `block_tiles` tiles.
pub(super) struct PointTable {
    pub(super) phases: Vec<Phase>,
    pub(super) points: Vec<Point>,
    /// Floats of V.
    pub(super) floats: usize,
    /// Channels of a partly filled channel block.
    pub(super) tail_length: usize,
    /// Channel blocks, the partly filled one included.
    pub(super) blocks: usize,
    /// Channel blocks that are multiplied together.
    pub(super) chunk_blocks: usize,
    /// Points along one axis.
    pub(super) side: usize,
    /// Floats of a chunk.
    chunk: usize,
    /// Floats of a channel block.
    block: usize,
    lanes: usize,
}

impl PointTable {
    /// `transforms` holds the input transform of each phase: pairs of lines, down and across.
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
        let blocks = input.blocks();
        // Weights that are transformed at use are zero for lanes without a channel.
        let (full, chunk_blocks) = match scheme.weights {
            WeightTransform::AtLoad => (input.channels / lanes, blocks),
            WeightTransform::AtUse => (blocks, (CHUNK_CHANNELS / lanes).clamp(1, blocks)),
        };
        let mut table = Self {
            phases: phases.collect(),
            points: Vec::new(),
            floats: 0,
            tail_length: input.channels.saturating_sub(full * lanes),
            blocks,
            chunk_blocks,
            side: scheme.points(),
            chunk: 0,
            block: block_tiles * lanes,
            lanes,
        };
        let side = table.side;
        for (y, x) in (0..side).flat_map(|y| (0..side).map(move |x| (y, x))) {
            for phase in table.phases.iter_mut().filter(|phase| phase.has_point(y, x)) {
                phase.targets.push(table.chunk);
                table.chunk += chunk_blocks * table.block;
            }
            table.chunk += SKEW;
        }
        table.floats = blocks.div_ceil(chunk_blocks) * table.chunk;
        for (y, x) in (0..side).flat_map(|y| (0..side).map(move |x| (y, x))) {
            let has_point = |phase: &usize| table.phases[*phase].has_point(y, x);
            let phases: Vec<usize> = (0..table.phases.len()).filter(has_point).collect();
            let starts = phases.iter().map(|phase| table.phases[*phase].target(y, x));
            let of_block = |block: usize| {
                let offset = table.block_offset(block);
                starts.clone().map(move |start| start + offset)
            };
            let segments = (0..full).flat_map(of_block).collect();
            let tails = (full..blocks).flat_map(of_block).collect();
            table.points.push(Point { phases, segments, tails, full });
        }
        table
    }

    /// Where a channel block starts, counted from where the first one does.
    pub(super) fn block_offset(&self, block: usize) -> usize {
        block / self.chunk_blocks * self.chunk + block % self.chunk_blocks * self.block
    }

    pub(super) fn bytes(&self) -> usize {
        let numbers = |list: &Vec<usize>| size_of_val(list.as_slice());
        let of_point =
            |point: &Point| [&point.phases, &point.segments, &point.tails].map(numbers).iter().sum::<usize>();
        self.points.iter().map(of_point).sum::<usize>()
            + self.phases.iter().map(|p| numbers(&p.targets)).sum::<usize>()
    }
}

/// Where the transformed weights of a chunk have their place, in the order of their use:
/// `[point][channel block][phase][input][channel of the panel]`.
pub(super) struct WeightTable {
    /// For each channel block of the chunk and phase, offsets of its points.
    targets: Vec<Vec<usize>>,
    /// Where each point starts.
    pub(super) starts: Vec<usize>,
    /// Floats of the weights.
    pub(super) floats: usize,
    phases: usize,
}

impl WeightTable {
    /// For panels of `width` channels. Rows of points share a place if they are transformed at use: it stays in the
    /// nearest cache.
    pub(super) fn new(points: &PointTable, weights: WeightTransform, width: usize) -> Self {
        let (blocks, phases) = (points.chunk_blocks, points.phases.len());
        let mut table =
            Self { targets: vec![Vec::new(); blocks * phases], starts: Vec::new(), floats: 0, phases };
        let mut offset = 0;
        for (index, point) in points.points.iter().enumerate() {
            if weights == WeightTransform::AtUse && index % (points.side * MAX_ROWS) == 0 {
                offset = 0;
            }
            table.starts.push(offset);
            for block in 0..blocks {
                let is_tail = points.tail_length > 0 && block + 1 == points.blocks;
                let inputs = if is_tail { points.tail_length } else { points.lanes };
                for phase in &point.phases {
                    table.targets[block * phases + phase].push(offset);
                    offset += inputs * width;
                }
            }
            offset += SKEW;
            table.floats = table.floats.max(offset);
        }
        table
    }

    /// Offsets of the points of a channel block and phase, row by row.
    pub(super) fn targets(&self, block: usize, phase: usize) -> &[usize] {
        &self.targets[block * self.phases + phase]
    }

    pub(super) fn bytes(&self) -> usize {
        let numbers = |list: &Vec<usize>| size_of_val(list.as_slice());
        self.targets.iter().map(numbers).sum::<usize>() + numbers(&self.starts)
    }
}

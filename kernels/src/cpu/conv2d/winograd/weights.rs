//! How a layer's weights are packed: in the order of their use, transformed when they are loaded or each time
//! anew.

use super::filter::{FilterFn, FilterPatch, MAX_ROWS};
use super::points::{Phase, PointTable, WeightTable};
use super::scheme::{Scheme, WeightTransform};
use crate::cpu::gemm::{AlignedFloats, MAX_VECTORS, Panel};
use crate::cpu::simd::MAX_LANES;
use crate::cpu::variants::KernelSet;
use crate::cpu::weight::Weight;
use std::ops::Range;

/// Taps along an axis of the longest filter.
const MAX_TAPS: usize = 4;

/// Weights as they come: `[out_channels, in_channels, taps, taps]`.
pub(super) struct Plain<'a, W> {
    pub(super) weights: &'a [W],
    pub(super) in_channels: usize,
    pub(super) out_channels: usize,
}

/// Runs of the rows of points that are transformed together.
pub(super) fn rows_together(rows: usize) -> impl Iterator<Item = Range<usize>> {
    (0..rows).step_by(MAX_ROWS).map(move |first| first..rows.min(first + MAX_ROWS))
}

/// Where each weight is. What is packed is, for each panel, its transformed weights, or its taps,
/// `[input][vector of the panel][tap][lane]`.
pub(super) struct WeightLayout {
    filters: &'static [FilterFn],
    weights: WeightTransform,
    /// Taps of a filter.
    pub(super) taps: usize,
    lanes: usize,
    vectors: usize,
    /// Channel blocks, and how many of them are transformed and multiplied together.
    blocks: usize,
    chunk_blocks: usize,
    /// Points of each phase, down and across.
    phases: Vec<[usize; 2]>,
    /// The transformed weights of a chunk, for panels of `vectors` and of one.
    tables: [WeightTable; 2],
}

impl WeightLayout {
    pub(super) fn new(set: &'static KernelSet, scheme: &'static Scheme, points: &PointTable) -> Self {
        let (lanes, vectors) = (set.lanes, set.tiles.vectors);
        let chunk_blocks = points.chunk_blocks;
        let is_contiguous = scheme.weights == WeightTransform::AtLoad || points.phases.len() == 1;
        assert!(is_contiguous, "at use, all inputs of a chunk are transformed as one run");
        Self {
            filters: set.winograd.of(scheme).1,
            weights: scheme.weights,
            taps: scheme.taps * scheme.taps,
            lanes,
            vectors,
            blocks: points.blocks,
            chunk_blocks,
            phases: points.phases.iter().map(Phase::points).collect(),
            tables: [vectors, 1].map(|vectors| WeightTable::new(points, scheme.weights, vectors * lanes)),
        }
    }

    /// Packs the weights of all panels, which are in the order of their channels, wide ones first.
    pub(super) fn pack<W: Weight>(&self, panels: &[Panel], plain: &Plain<W>) -> AlignedFloats {
        let mut packed = AlignedFloats::zeroed(panels.last().map_or(0, |panel| self.place(*panel).end));
        for panel in panels {
            let floats = self.taps * panel.vectors * self.lanes;
            let target = &mut packed[self.place(*panel)];
            let mut taps = [0.0; MAX_TAPS * MAX_TAPS * MAX_VECTORS * MAX_LANES];
            for channel in 0..plain.in_channels {
                self.gather(*panel, channel, plain, &mut taps[..floats]);
                match self.weights {
                    WeightTransform::AtLoad => {
                        for rows in rows_together(self.phases[0][0]) {
                            self.transform(*panel, rows, channel, &taps[..floats], target);
                        }
                    }
                    WeightTransform::AtUse => {
                        target[channel * floats..][..floats].copy_from_slice(&taps[..floats]);
                    }
                }
            }
        }
        packed
    }

    /// The taps of an input channel: `[vector of the panel][tap][lane]`.
    fn gather<W: Weight>(&self, panel: Panel, channel: usize, plain: &Plain<W>, taps: &mut [f32]) {
        let first = panel.first_block * self.lanes;
        for output in first..plain.out_channels.min(first + panel.vectors * self.lanes) {
            let filter = &plain.weights[(output * plain.in_channels + channel) * self.taps..][..self.taps];
            let (vector, lane) = ((output - first) / self.lanes, output % self.lanes);
            for (tap, weight) in filter.iter().enumerate() {
                taps[(vector * self.taps + tap) * self.lanes + lane] = weight.value();
            }
        }
    }

    /// Rows of points, of input channels of a chunk that lie in one channel block, from `first` on.
    fn transform(&self, panel: Panel, rows: Range<usize>, first: usize, taps: &[f32], target: &mut [f32]) {
        let (table, width) = (self.table(panel), panel.vectors * self.lanes);
        let inputs = taps.len() / (self.taps * width);
        assert!(target.len() >= table.floats, "weights of a chunk");
        let phases = self.filters.iter().zip(&self.phases).enumerate();
        for (phase, (filter, [down, across])) in phases.filter(|(_, (_, [down, _]))| rows.start < *down) {
            let patch = FilterPatch {
                rows: rows.start..rows.end.min(*down),
                vectors: inputs * panel.vectors,
                taps: taps.as_ptr(),
                target: target[first % self.lanes * width..].as_mut_ptr(),
                targets: table.targets(first / self.lanes, phase)[rows.start * across..].as_ptr(),
            };
            // SAFETY: the phase has these rows; the table has room for every input and channel of the panel and ends
            // with the target; a kernel set exists only where the CPU has its instructions.
            unsafe { filter(&patch) };
        }
    }

    /// Runs of channel blocks that are multiplied together.
    pub(super) fn chunks(&self) -> impl Iterator<Item = Range<usize>> {
        let starts = (0..self.blocks).step_by(self.chunk_blocks);
        starts.map(|start| start..self.blocks.min(start + self.chunk_blocks))
    }

    /// Transformed weights of rows of points and a chunk: where they are packed, or made from the taps in `scratch`.
    pub(super) fn transformed<'a>(
        &self,
        panel: Panel,
        rows: Range<usize>,
        chunk: &Range<usize>,
        packed: &'a [f32],
        scratch: &'a mut [f32],
    ) -> &'a [f32] {
        if self.weights == WeightTransform::AtLoad {
            return &packed[self.place(panel)];
        }
        self.transform(panel, rows, 0, &packed[self.taps_of(panel, chunk)], scratch);
        scratch
    }

    /// The taps that are transformed after those of a chunk; none of weights that were transformed at load.
    pub(super) fn taps_after<'a>(&self, panel: Panel, chunk: &Range<usize>, packed: &'a [f32]) -> &'a [f32] {
        match self.weights {
            WeightTransform::AtLoad => &[],
            WeightTransform::AtUse => {
                let taps = self.taps_of(panel, chunk);
                &packed[taps.end..packed.len().min(taps.end + taps.len())]
            }
        }
    }

    /// Where the products of each point have their weights.
    pub(super) fn starts(&self, panel: Panel) -> &[usize] {
        &self.table(panel).starts
    }

    /// Floats for the weights of a chunk that are transformed at use.
    pub(super) fn scratch_floats(&self) -> usize {
        match self.weights {
            WeightTransform::AtLoad => 0,
            WeightTransform::AtUse => self.tables[0].floats,
        }
    }

    /// Where a panel's weights are packed.
    fn place(&self, panel: Panel) -> Range<usize> {
        let floats = |vectors: usize| match self.weights {
            WeightTransform::AtLoad => self.tables[usize::from(vectors != self.vectors)].floats,
            WeightTransform::AtUse => self.blocks * self.lanes * self.taps * vectors * self.lanes,
        };
        let (wide, narrow) = (panel.first_block / self.vectors, panel.first_block % self.vectors);
        let start = wide * floats(self.vectors) + narrow * floats(1);
        start..start + floats(panel.vectors)
    }

    /// Where the taps of a chunk are packed.
    fn taps_of(&self, panel: Panel, chunk: &Range<usize>) -> Range<usize> {
        let per_block = self.lanes * self.taps * panel.vectors * self.lanes;
        let start = self.place(panel).start;
        start + chunk.start * per_block..start + chunk.end * per_block
    }

    fn table(&self, panel: Panel) -> &WeightTable {
        &self.tables[usize::from(panel.vectors != self.vectors)]
    }

    pub(super) fn bytes(&self) -> usize {
        self.tables.iter().map(WeightTable::bytes).sum()
    }
}

//! Cuts a layer's weights into panels and K blocks, and packs them in the order of their use.

use super::aligned::AlignedFloats;
use std::ops::Range;

/// Inputs per K block: with them a wide panel's weights stream from the second-level cache at full speed.
const K_BLOCK: usize = 512;

/// Channel blocks that one tile computes side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Panel {
    pub(crate) first_block: usize,
    pub(crate) vectors: usize,
}

/// Splits `blocks` channel blocks into panels of `vectors`, and of one where fewer remain.
pub(crate) fn split_panels(blocks: usize, vectors: usize) -> Vec<Panel> {
    let wide = blocks / vectors;
    let mut panels: Vec<Panel> = (0..wide).map(|p| Panel { first_block: p * vectors, vectors }).collect();
    panels.extend((wide * vectors..blocks).map(|first_block| Panel { first_block, vectors: 1 }));
    panels
}

/// The K dimension of a layer: which inputs a pixel's window holds, and where.
#[derive(Default)]
pub(crate) struct KTable {
    /// Offsets of segments as long as a vector, within a pixel's window.
    pub(crate) segments: Vec<usize>,
    /// Offsets of the shorter or longer segments that come last.
    pub(crate) tails: Vec<usize>,
    /// Length of the latter.
    pub(crate) tail_length: usize,
    /// For each input in order, (input channel, filter tap).
    pub(crate) order: Vec<(usize, usize)>,
}

impl KTable {
    /// Segments of both kinds.
    pub(crate) fn len(&self) -> usize {
        self.segments.len() + self.tails.len()
    }

    /// Whether each input is read once for each output pixel.
    pub(crate) fn is_1x1(&self) -> bool {
        self.order.iter().all(|(_, tap)| *tap == 0)
    }

    /// Inputs before segment number `segment`.
    fn inputs_before(&self, segment: usize, lanes: usize) -> usize {
        let whole = segment.min(self.segments.len());
        whole * lanes + (segment - whole) * self.tail_length
    }
}

/// One panel's share of one K block.
#[derive(Clone, Debug)]
pub(crate) struct Unit {
    /// Segments, numbered as in [`KTable`]; empty if the panel has no inputs in this K block.
    pub(crate) segments: Range<usize>,
    /// Where its weights start.
    pub(crate) weights: usize,
    /// Floats of its weights.
    pub(crate) floats: usize,
    /// Whether it is the panel's first: it does not add to anything.
    pub(crate) is_first: bool,
    /// Whether it is the panel's last: it applies the epilogue.
    pub(crate) is_last: bool,
}

/// Packed weights: `[K block][panel][input][channel of the panel]`.
pub(crate) struct Packing {
    pub(crate) panels: Vec<Panel>,
    /// `[K block][panel]`
    pub(crate) units: Vec<Unit>,
    pub(crate) weights: AlignedFloats,
}

impl Packing {
    /// Packs the weights of `channels` output channels in K blocks. `reach` gives each panel's range of
    /// segments and `weight` the value for (output channel, input channel, tap).
    pub(crate) fn new(
        panels: Vec<Panel>,
        lanes: usize,
        channels: usize,
        table: &KTable,
        reach: impl Fn(&Panel) -> Range<usize>,
        weight: impl Fn(usize, usize, usize) -> f32,
    ) -> Self {
        let longest = if table.segments.is_empty() { table.tail_length } else { lanes };
        let limit = (K_BLOCK / longest.max(1)).max(1);
        Self::cut(panels, lanes, limit, table, reach).filled(lanes, channels, table, weight)
    }

    /// Packs them in one K block: each sum is finished in registers.
    pub(crate) fn unblocked(
        panels: Vec<Panel>,
        lanes: usize,
        channels: usize,
        table: &KTable,
        weight: impl Fn(usize, usize, usize) -> f32,
    ) -> Self {
        let whole = table.len();
        Self::cut(panels, lanes, whole.max(1), table, |_| 0..whole).filled(lanes, channels, table, weight)
    }

    /// Lays out units of at most `limit` segments.
    fn cut(
        panels: Vec<Panel>,
        lanes: usize,
        limit: usize,
        table: &KTable,
        reach: impl Fn(&Panel) -> Range<usize>,
    ) -> Self {
        let reaches: Vec<Range<usize>> = panels.iter().map(reach).collect();
        let k_blocks = reaches.iter().map(|r| r.len().div_ceil(limit)).max().unwrap_or(0);
        let mut units = Vec::with_capacity(k_blocks * panels.len());
        let mut floats = 0;
        for k_block in 0..k_blocks {
            for (panel, reach) in panels.iter().zip(&reaches) {
                let own_blocks = reach.len().div_ceil(limit);
                let cut = |index: usize| reach.start + reach.len() * index / own_blocks;
                let segments = if k_block < own_blocks { cut(k_block)..cut(k_block + 1) } else { 0..0 };
                let inputs =
                    table.inputs_before(segments.end, lanes) - table.inputs_before(segments.start, lanes);
                let unit = Unit {
                    segments,
                    weights: floats,
                    floats: inputs * panel.vectors * lanes,
                    is_first: k_block == 0,
                    is_last: k_block + 1 == own_blocks,
                };
                floats += unit.floats;
                units.push(unit);
            }
        }
        Self { panels, units, weights: AlignedFloats::zeroed(floats) }
    }

    fn filled(
        mut self,
        lanes: usize,
        channels: usize,
        table: &KTable,
        weight: impl Fn(usize, usize, usize) -> f32,
    ) -> Self {
        for (index, unit) in self.units.iter().enumerate() {
            let panel = self.panels[index % self.panels.len()];
            let width = panel.vectors * lanes;
            let first = panel.first_block * lanes;
            let last = channels.min(first + width);
            let start = table.inputs_before(unit.segments.start, lanes);
            let target = &mut self.weights[unit.weights..unit.weights + unit.floats];
            for (row, &(channel, tap)) in target.chunks_exact_mut(width).zip(&table.order[start..]) {
                for (value, output) in row.iter_mut().zip(first..last) {
                    *value = weight(output, channel, tap);
                }
            }
        }
        self
    }

    /// Bytes taken.
    pub(crate) fn bytes(&self) -> usize {
        self.weights.bytes() + size_of_val(self.panels.as_slice()) + size_of_val(self.units.as_slice())
    }
}

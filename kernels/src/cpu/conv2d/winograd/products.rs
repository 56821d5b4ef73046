//! The matrix products of a block of tiles, one per transform point.

use super::Winograd;
use super::points::SKEW;
use crate::cpu::gemm::{Finish, Panel, PrefetchLevel, TileArguments};
use crate::parallel::part;
use std::ops::Range;

/// The floats of one thread that a panel's products are made of and go to.
pub(super) struct Products<'a> {
    pub(super) v: &'a [f32],
    /// `[point][tile][channel of the panel]`
    pub(super) products: &'a mut [f32],
    /// For weights that are transformed at use.
    pub(super) scratch: &'a mut [f32],
}

/// What the products of a panel and a chunk have in common.
struct Pass<'a> {
    panel: Panel,
    chunk: &'a Range<usize>,
    /// Tiles, and in how many runs they are multiplied.
    count: usize,
    runs: usize,
    level: PrefetchLevel,
}

impl Winograd {
    /// Distance between the products of two points for `count` tiles.
    pub(super) fn product_stride(&self, count: usize) -> usize {
        self.set.tiles.vectors * self.set.lanes * count + SKEW
    }

    /// Multiplies the points of `count` tiles by the weights of a panel.
    pub(super) fn multiply(&self, panel: Panel, count: usize, floats: &mut Products) {
        let tiles = &self.set.tiles;
        let runs = count.div_ceil(tiles.rows());
        let passes = runs * self.layout.products_per_weight();
        let level = tiles.choose(panel.vectors, self.set.lanes, passes, count / runs);
        let (starts, side) = (self.layout.starts(panel), self.table.side);
        for chunk in self.layout.chunks() {
            let pass = Pass { panel, chunk: &chunk, count, runs, level };
            let ahead = self.layout.taps_after(panel, &chunk, &self.weights).as_ptr_range();
            let mut next = ahead.start;
            for row in 0..side {
                let weights = self.layout.transformed(panel, row, &chunk, &self.weights, floats.scratch);
                for point in row * side..(row + 1) * side {
                    let weights = &weights[starts[point]..];
                    // What later tiles need: the weights of the next point or, transformed at use, the taps of the
                    // next chunk, until all of them are on their way.
                    if ahead.is_empty() {
                        next =
                            weights[self.inputs(point, &chunk) * panel.vectors * self.set.lanes..].as_ptr();
                    } else if next >= ahead.end {
                        next = weights.as_ptr();
                    }
                    next = self.multiply_point(&pass, point, weights, next, floats.v, floats.products);
                }
            }
        }
    }

    /// Inputs of a point's sums in a chunk.
    fn inputs(&self, point: usize, chunk: &Range<usize>) -> usize {
        let point = &self.table.points[point];
        point.segments(chunk).len() * self.set.lanes + point.tails(chunk).len() * self.table.tail_length
    }

    /// The product of one point, which fetches weights from `next` on; what it has not fetched comes after what it
    /// returns.
    fn multiply_point(
        &self,
        pass: &Pass,
        index: usize,
        weights: &[f32],
        next: *const f32,
        v: &[f32],
        products: &mut [f32],
    ) -> *const f32 {
        let point = &self.table.points[index];
        let (segments, tails) = (point.segments(pass.chunk), point.tails(pass.chunk));
        let [v_offsets, wide, narrow] = &self.tile_offsets;
        let offsets = if pass.panel.vectors == self.set.tiles.vectors { wide } else { narrow };
        let mut arguments = TileArguments {
            input: v.as_ptr(),
            input_pixels: v_offsets.as_ptr(),
            segments: segments.as_ptr(),
            segment_count: segments.len(),
            tails: tails.as_ptr(),
            tail_count: tails.len(),
            tail_length: self.table.tail_length,
            weights: weights.as_ptr(),
            prefetch: next,
            ahead: 0,
            output: products[index * self.product_stride(pass.count)..].as_mut_ptr(),
            output_pixels: offsets.as_ptr(),
            output_block: self.set.lanes,
            is_plain: pass.chunk.start == 0,
            accumulate: pass.chunk.start > 0,
            bias: std::ptr::null(),
            residual: std::ptr::null(),
            residual_pixels: std::ptr::null(),
            residual_block: 0,
            finish: Finish::NONE,
        };
        for run in 0..pass.runs {
            let rows = part(pass.count, pass.runs, run);
            arguments.input_pixels = v_offsets[rows.clone()].as_ptr();
            arguments.output_pixels = offsets[rows.clone()].as_ptr();
            // SAFETY: the tables describe V, the point's weights and the products of `count` tiles; a kernel set
            // exists only where the CPU has its instructions.
            unsafe { pass.level.tile(rows.len())(&arguments) };
            arguments.prefetch = arguments.prefetch.wrapping_add(segments.len() * pass.level.lines * 16);
        }
        arguments.prefetch
    }
}

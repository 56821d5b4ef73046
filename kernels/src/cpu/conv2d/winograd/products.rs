//! The matrix products of a block of tiles, one per transform point.

use super::points::{Point, SKEW};
use super::product::{PointProduct, PointProductFn};
use super::weights::rows_together;
use super::{FLOATS_PER_LINE, Winograd};
use crate::cpu::gemm::Panel;
use std::ops::Range;

/// The floats of one thread that a panel's products are made of and go to.
pub(super) struct Products<'a> {
    pub(super) v: &'a [f32],
    /// `[point][tile][channel of the panel]`
    pub(super) products: &'a mut [f32],
    /// For weights that are transformed at use.
    pub(super) scratch: &'a mut [f32],
}

/// How tiles are multiplied: in runs of nearly equal height, first those which have one tile more.
struct Runs {
    kernels: &'static [PointProductFn],
    count: usize,
    /// Tiles of a low run.
    low: usize,
    /// Runs that have one more.
    taller: usize,
}

impl Runs {
    fn new(kernels: &'static [PointProductFn], tiles: usize) -> Self {
        let count = tiles.div_ceil(kernels.len());
        Self { kernels, count, low: tiles / count, taller: tiles % count }
    }

    /// Multiplies all of them.
    ///
    /// # Safety
    /// As for [`PointProduct`], for all of the tiles; the CPU must have the kernels' instructions.
    unsafe fn multiply(&self, mut product: PointProduct, lanes: usize, width: usize) {
        // SAFETY: passed on to the caller.
        unsafe {
            if self.taller > 0 {
                product.runs = self.taller;
                self.kernels[self.low](&product);
                let tiles = self.taller * (self.low + 1);
                product.v = product.v.add(tiles * lanes);
                product.products = product.products.add(tiles * width);
                product.next = product.next.wrapping_add(self.taller * product.floats_ahead());
            }
            product.runs = self.count - self.taller;
            self.kernels[self.low - 1](&product);
        }
    }
}

impl Winograd {
    /// Distance between the products of two points for `count` tiles.
    pub(super) fn product_stride(&self, count: usize) -> usize {
        self.set.tiles.vectors * self.set.lanes * count + SKEW
    }

    /// Multiplies the points of `count` tiles by the weights of a panel.
    pub(super) fn multiply(&self, panel: Panel, count: usize, floats: &mut Products) {
        let (lanes, width) = (self.set.lanes, panel.vectors * self.set.lanes);
        let runs = Runs::new(self.set.winograd.products(panel.vectors), count);
        let (starts, side, stride) = (self.layout.starts(panel), self.table.side, self.product_stride(count));
        // Cache lines of what is needed later to ask for per segment: three quarters of the next point's weights, as
        // more makes no difference or evicts what is in use; or all taps of the next chunk.
        let of_weights = (lanes * width * 3).div_ceil(4 * FLOATS_PER_LINE * runs.count);
        let of_taps = (self.layout.taps * lanes * width).div_ceil(side * side * FLOATS_PER_LINE * runs.count);
        for chunk in self.layout.chunks() {
            let taps = self.layout.taps_after(panel, &chunk, &self.weights).as_ptr_range();
            let mut next = taps.start;
            for rows in rows_together(side) {
                let points = rows.start * side..rows.end * side;
                let weights = self.layout.transformed(panel, rows, &chunk, &self.weights, floats.scratch);
                for index in points {
                    let point = &self.table.points[index];
                    let weights = &weights[starts[index]..];
                    let lines = if taps.is_empty() {
                        next = weights[self.inputs(point, &chunk) * width..].as_ptr();
                        of_weights
                    } else {
                        if next < taps.end { of_taps } else { 0 }
                    };
                    let (segments, tails) = (point.segments(&chunk), point.tails(&chunk));
                    let product = PointProduct {
                        v: floats.v.as_ptr(),
                        segments: segments.as_ptr(),
                        segment_count: segments.len(),
                        tails: tails.as_ptr(),
                        tail_count: tails.len(),
                        tail_length: self.table.tail_length,
                        weights: weights.as_ptr(),
                        next,
                        lines,
                        products: floats.products[index * stride..][..count * width].as_mut_ptr(),
                        runs: runs.count,
                        accumulate: chunk.start > 0,
                    };
                    next = next.wrapping_add(runs.count * product.floats_ahead());
                    // SAFETY: the tables describe V, the point's weights and the products of `count` tiles; a kernel
                    // set exists only where the CPU has its instructions.
                    unsafe { runs.multiply(product, lanes, width) };
                }
            }
        }
    }

    /// Inputs of a point's sums in a chunk.
    fn inputs(&self, point: &Point, chunk: &Range<usize>) -> usize {
        point.segments(chunk).len() * self.set.lanes + point.tails(chunk).len() * self.table.tail_length
    }
}

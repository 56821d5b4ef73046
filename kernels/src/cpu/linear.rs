//! Fully connected layers on plain rows: `y = activation(x * weights^T + bias)`.

use super::gemm::{
    AlignedFloats, Finish, KTable, MAX_ROWS, MAX_VECTORS, Packing, TileArguments, split_panels,
};
use super::simd::MAX_LANES;
use super::variants::KernelSet;
use super::weight::Weight;
use crate::epilogue::Activation;
use crate::geometry::GeometryError;
use crate::parallel::{Parallel, Parts, Task, part};
use std::ops::Range;

/// Rows of a batch per task.
const ROWS_PER_TASK: usize = 4 * MAX_ROWS;

/// A fully connected layer with packed weights, for any batch. Shared by threads.
///
/// A row's result has the same bits in any batch, at any place of it and with any number of threads.
pub struct Linear {
    set: &'static KernelSet,
    in_features: usize,
    out_features: usize,
    table: KTable,
    packing: Packing,
    bias: AlignedFloats,
    finish: Finish,
}

impl Linear {
    /// Packs `weights`, plain `[out_features, in_features]`, and `bias`, one per output.
    pub fn new<W: Weight>(
        set: &'static KernelSet,
        in_features: usize,
        out_features: usize,
        weights: &[W],
        bias: Option<&[f32]>,
        activation: Activation,
    ) -> Result<Self, GeometryError> {
        if in_features == 0 || out_features == 0 {
            return Err(GeometryError::new(format!(
                "{in_features} input and {out_features} output features must both be at least 1"
            )));
        }
        if in_features.checked_mul(out_features) != Some(weights.len()) {
            return Err(GeometryError::new(format!(
                "weights of a fully connected layer: expected {out_features} x {in_features} values, found {}",
                weights.len()
            )));
        }
        if bias.is_some_and(|bias| bias.len() != out_features) {
            return Err(GeometryError::new(format!(
                "bias of a fully connected layer: expected {out_features} values, found {}",
                bias.map_or(0, <[f32]>::len)
            )));
        }
        let lanes = set.lanes;
        let whole = in_features / lanes;
        let mut table = KTable {
            segments: (0..whole).map(|s| s * lanes).collect(),
            tails: if in_features.is_multiple_of(lanes) { vec![] } else { vec![whole * lanes] },
            tail_length: in_features % lanes,
            order: (0..in_features).map(|feature| (feature, 0)).collect(),
        };
        let blocks = out_features.div_ceil(lanes);
        let panels = split_panels(blocks, set.tiles.vectors);
        let weight = |output: usize, feature: usize, _| weights[output * in_features + feature].value();
        let packing = Packing::unblocked(panels, lanes, out_features, &table, weight);
        table.order = Vec::new();
        let finish = Finish::new(activation);
        Ok(Self {
            set,
            in_features,
            out_features,
            table,
            packing,
            bias: AlignedFloats::padded(bias, blocks * lanes),
            finish,
        })
    }

    /// Computes `batch` rows: `x` is plain `[batch, in_features]`, `y` plain `[batch, out_features]`. Panics
    /// if a slice has another length.
    pub fn run(&self, parallel: &dyn Parallel, batch: usize, x: &[f32], y: &mut [f32]) {
        assert_eq!(x.len(), batch * self.in_features, "input of a fully connected layer");
        assert_eq!(y.len(), batch * self.out_features, "output of a fully connected layer");
        let y = Parts::new(y);
        let panels = self.packing.panels.len();
        let row_parts = batch.div_ceil(ROWS_PER_TASK);
        let panel_parts = if parallel.threads() == 1 { 1 } else { panels.min(4 * parallel.threads()) };
        parallel.for_each(row_parts * panel_parts, &|task: Task| {
            let rows = part(batch, row_parts, task.index % row_parts);
            for panel in part(panels, panel_parts, task.index / row_parts) {
                self.panel(panel, rows.clone(), x, &y);
            }
        });
    }

    /// One panel of outputs for some rows. No other task may write them.
    fn panel(&self, index: usize, rows: Range<usize>, x: &[f32], y: &Parts) {
        let (panel, unit, lanes) = (&self.packing.panels[index], &self.packing.units[index], self.set.lanes);
        let first = panel.first_block * lanes;
        let width = panel.vectors * lanes;
        let columns = width.min(self.out_features - first);
        let tiles = rows.len().div_ceil(self.set.tiles.rows());
        let level = self.set.tiles.choose(panel.vectors, lanes, tiles, rows.len() / tiles.max(1));
        let weights = self.packing.weights[unit.weights..].as_ptr();
        // A panel that ends beyond the last output goes through a buffer: in `y` the next row follows.
        let is_whole = columns == width;
        let mut buffer = [0.0; MAX_ROWS * MAX_VECTORS * MAX_LANES];
        let input_pixels: [usize; MAX_ROWS] = std::array::from_fn(|row| row * self.in_features);
        let step = if is_whole { self.out_features } else { width };
        let output_pixels: [usize; MAX_ROWS] = std::array::from_fn(|row| row * step);
        for tile in 0..tiles {
            let tile_rows = part(rows.len(), tiles, tile);
            let row = rows.start + tile_rows.start;
            let target = y.start().wrapping_add(row * self.out_features + first);
            let arguments = TileArguments {
                input: x[row * self.in_features..].as_ptr(),
                input_pixels: input_pixels.as_ptr(),
                segments: self.table.segments.as_ptr(),
                segment_count: self.table.segments.len(),
                tails: self.table.tails.as_ptr(),
                tail_count: self.table.tails.len(),
                tail_length: self.table.tail_length,
                weights,
                prefetch: weights.wrapping_add(unit.floats),
                ahead: 0,
                output: if is_whole { target } else { buffer.as_mut_ptr() },
                output_pixels: output_pixels.as_ptr(),
                output_block: lanes,
                is_plain: false,
                accumulate: false,
                bias: self.bias[first..].as_ptr(),
                residual: std::ptr::null(),
                residual_pixels: std::ptr::null(),
                residual_block: 0,
                finish: self.finish,
            };
            // SAFETY: `run` has checked the lengths; the buffer holds the largest
            // tile; a kernel set exists only where the CPU has its instructions.
            unsafe { level.tile(tile_rows.len())(&arguments) };
            if !is_whole {
                for (row, values) in (row..).zip(buffer.chunks_exact(width)).take(tile_rows.len()) {
                    let start = row * self.out_features + first;
                    // SAFETY: these rows of this panel are this task's alone.
                    unsafe { y.part(start..start + columns) }.copy_from_slice(&values[..columns]);
                }
            }
        }
    }

    /// Multiplications per image.
    pub fn multiplications(&self) -> usize {
        self.in_features * self.out_features
    }

    /// Bytes of packed weights.
    pub fn packed_bytes(&self) -> usize {
        self.packing.bytes() + self.bias.bytes() + size_of_val(self.table.segments.as_slice())
    }
}

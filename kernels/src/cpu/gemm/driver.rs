//! Runs packed weights over the pixels of a batch.

use super::aligned::AlignedFloats;
use super::panels::{KTable, Packing, Panel, Unit};
use super::partition::Partition;
use super::pixels::{PixelTable, Place};
use super::tile::{Finish, MAX_ROWS, TileArguments};
use crate::cpu::variants::KernelSet;
use crate::parallel::{Parallel, Parts, Task};
use std::ops::Range;

/// Up to this number of panels the first pass over the inputs counts so much that it fetches them ahead.
const FEW_PANELS: usize = 8;

/// A matrix product in the blocked layout, ready to run: output pixel x channel = sum over K.
pub(crate) struct Gemm {
    pub(crate) set: &'static KernelSet,
    pub(crate) table: KTable,
    pub(crate) packing: Packing,
    /// One value per channel of every panel.
    pub(crate) bias: AlignedFloats,
    pub(crate) input_pixels: PixelTable,
    pub(crate) output_pixels: PixelTable,
    pub(crate) output_block: usize,
    /// Pixels and block distance of the tensor to add.
    pub(crate) residual: Option<(PixelTable, usize)>,
    pub(crate) finish: Finish,
}

/// The tensors of one run.
#[derive(Clone, Copy)]
pub(crate) struct Operands<'a> {
    pub(crate) input: &'a [f32],
    pub(crate) residual: Option<&'a [f32]>,
    pub(crate) output: &'a Parts<'a>,
}

impl Gemm {
    /// # Safety
    /// The tables must describe tensors of `batch` images that `operands` holds.
    pub(crate) unsafe fn run(&self, parallel: &dyn Parallel, batch: usize, operands: Operands) {
        let pixels = batch * self.output_pixels.pixels();
        let panels = self.packing.panels.len();
        let (weights, rows) = (self.packing.weights.len(), self.set.tiles.rows());
        let partition = Partition::new(pixels, panels, weights, rows, parallel.threads());
        let is_1x1 = self.table.is_1x1();
        parallel.for_each(partition.tasks(), &|task: Task| {
            let (pixels, panels) = partition.task(task.index);
            let reads_ahead = is_1x1 && panels.len() <= FEW_PANELS;
            let units = self.packing.units.chunks_exact(self.packing.panels.len());
            let units = units.flat_map(|units| panels.clone().map(move |panel| (panel, &units[panel])));
            let mut units = units.filter(|(_, unit)| !unit.segments.is_empty()).peekable();
            while let Some((panel, unit)) = units.next() {
                let next = units.peek().map_or(unit, |(_, unit)| unit);
                let is_first_pass = reads_ahead && panel == panels.start;
                // SAFETY: tasks have disjoint pixels or panels, and so disjoint parts of the output; the caller
                // answers for the tables.
                unsafe {
                    self.panel(&self.packing.panels[panel], [unit, next], &pixels, operands, is_first_pass)
                };
            }
        });
    }

    /// One panel over a run of pixels: its weights stay in the nearest cache, and those of the next unit are
    /// fetched meanwhile.
    ///
    /// # Safety
    /// As for `run`; no other task may write these pixels of this panel.
    unsafe fn panel(
        &self,
        panel: &Panel,
        [unit, next]: [&Unit; 2],
        pixels: &Range<usize>,
        operands: Operands,
        is_first_pass: bool,
    ) {
        let (set, lanes) = (self.set, self.set.lanes);
        let tiles = pixels.len().div_ceil(set.tiles.rows());
        // First those which have one pixel more.
        let (low, taller) = (pixels.len() / tiles.max(1), pixels.len() % tiles.max(1));
        let mut level = set.tiles.choose(panel.vectors, lanes, tiles, low);
        if is_first_pass && panel.vectors == set.tiles.vectors {
            level = set.tiles.fresh.unwrap_or(level);
        }
        let weights = self.packing.weights[unit.weights..].as_ptr();
        let (next, next_floats) = (self.packing.weights[next.weights..].as_ptr(), next.floats);
        let whole = self.table.segments.len();
        let segments = unit.segments.start.min(whole)..unit.segments.end.min(whole);
        let tails = unit.segments.start.max(whole) - whole..unit.segments.end.max(whole) - whole;
        let mut arguments = TileArguments {
            input: operands.input.as_ptr(),
            input_pixels: std::ptr::null(),
            segments: self.table.segments[segments.clone()].as_ptr(),
            segment_count: segments.len(),
            tails: self.table.tails[tails.clone()].as_ptr(),
            tail_count: tails.len(),
            tail_length: self.table.tail_length,
            weights,
            prefetch: next,
            ahead: 0,
            output: std::ptr::null_mut(),
            output_pixels: std::ptr::null(),
            output_block: self.output_block,
            is_plain: unit.is_first && !unit.is_last,
            accumulate: !unit.is_first,
            bias: std::ptr::null(),
            residual: std::ptr::null(),
            residual_pixels: std::ptr::null(),
            residual_block: 0,
            finish: Finish::NONE,
        };
        if unit.is_last {
            arguments.bias = self.bias[panel.first_block * lanes..].as_ptr();
            arguments.finish = self.finish;
        }
        let residual = self.residual.as_ref().zip(operands.residual).filter(|_| unit.is_last);
        let output = operands.output.start().wrapping_add(panel.first_block * self.output_block);
        let per_image = self.output_pixels.pixels();
        let mut place = Place { image: pixels.start / per_image, pixel: pixels.start % per_image };
        let mut scratch = [[0; MAX_ROWS]; 3];
        let mut next_scratch = [0; MAX_ROWS];
        let [input_scratch, output_scratch, residual_scratch] = &mut scratch;
        for tile in 0..tiles {
            let rows = low + usize::from(tile < taller);
            let (base, run) = self.input_pixels.run(place, rows, input_scratch);
            arguments.input = operands.input.as_ptr().wrapping_add(base);
            arguments.input_pixels = run.as_ptr();
            if is_first_pass {
                let mut after = place;
                after.advance(rows, per_image);
                let (next_base, next_run) = self.input_pixels.run(after, 1, &mut next_scratch);
                arguments.ahead = (next_base + next_run[0]).wrapping_sub(base + run[0]).cast_signed();
            }
            let (base, run) = self.output_pixels.run(place, rows, output_scratch);
            arguments.output = output.wrapping_add(base);
            arguments.output_pixels = run.as_ptr();
            if let Some(((table, block), data)) = residual {
                let (base, run) = table.run(place, rows, residual_scratch);
                arguments.residual = data[panel.first_block * block..].as_ptr().wrapping_add(base);
                arguments.residual_pixels = run.as_ptr();
                arguments.residual_block = *block;
            }
            // SAFETY: the tables hold `rows` pixels and describe the operands; a kernel set exists only
            // where the CPU has its instructions.
            unsafe { level.tile(rows)(&arguments) };
            place.advance(rows, per_image);
            arguments.prefetch = arguments.prefetch.wrapping_add(segments.len() * level.lines * 16);
            if arguments.prefetch >= next.wrapping_add(next_floats) {
                arguments.prefetch = weights; // All is on its way: touch what is near anyway.
            }
        }
    }

    /// Bytes of weights and tables.
    pub(crate) fn bytes(&self) -> usize {
        let residual = self.residual.as_ref().map_or(0, |(table, _)| table.bytes());
        let table = size_of_val(self.table.segments.as_slice()) + size_of_val(self.table.tails.as_slice());
        self.packing.bytes()
            + self.bias.bytes()
            + self.input_pixels.bytes()
            + self.output_pixels.bytes()
            + residual
            + table
    }
}

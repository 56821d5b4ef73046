//! Winograd convolution of small windows.
//!
//! For each block of tiles: transform the input into `V[point][phase][channel block][tile][lane]`, which
//! stays in the second-level cache; then for each panel of output channels run one small matrix product
//! per point into `products[point][tile][channel]` and transform that panel's output at once.

mod filter;
mod input;
mod output;
mod points;
mod scheme;

pub(crate) use filter::{FilterFn, FilterTransform};
pub(crate) use input::{F23, F43, F44, InputFn, InputTransform, Middle, Outer};
pub(crate) use output::{OutputFn, OutputTransform};
pub(crate) use scheme::{F4_TAPS_4, Scheme, choose, direct_cost, suitable};

use super::Conv2dSpec;
use crate::cpu::gemm::{AlignedFloats, Finish, Panel, TileArguments, split_panels};
use crate::cpu::layout::BlockedShape;
use crate::cpu::variants::KernelSet;
use crate::cpu::weight::Weight;
use crate::parallel::{Parallel, Parts, Task, part};
use input::InputPatch;
use output::OutputTile;
use points::{PointTable, SKEW};
use std::ops::Range;

/// Floats of V and products together: with the weights in use they fit the second-level cache.
const BLOCK_FLOATS: usize = 1 << 18;
/// Tiles of the largest block.
const MAX_TILES: usize = 48;
/// Floats at the start of a workspace, a cache line: the first says which block of tiles V holds.
const HEADER: usize = 16;
/// Tasks per thread where panels are split.
const TASKS_PER_THREAD: usize = 2;

/// The transforms of an instruction set.
pub(crate) struct WinogradKernels {
    pub(crate) filter: FilterFn,
    pub(crate) f2: (InputFn, OutputFn),
    pub(crate) f4: (InputFn, OutputFn),
    pub(crate) f4_taps_4: (InputFn, OutputFn),
    /// Input transforms for pairs of lines: outer and middle taps, down and across.
    pub(crate) f4_stride_2: ([InputFn; 4], OutputFn),
}

impl WinogradKernels {
    fn of(&self, scheme: &Scheme) -> (&[InputFn], OutputFn) {
        match (scheme.tile, scheme.stride, scheme.taps) {
            (2, _, _) => (std::slice::from_ref(&self.f2.0), self.f2.1),
            (_, 1, 3) => (std::slice::from_ref(&self.f4.0), self.f4.1),
            (_, 1, _) => (std::slice::from_ref(&self.f4_taps_4.0), self.f4_taps_4.1),
            _ => (&self.f4_stride_2.0, self.f4_stride_2.1),
        }
    }
}

pub(super) struct Winograd {
    set: &'static KernelSet,
    scheme: &'static Scheme,
    input: BlockedShape,
    output: BlockedShape,
    residual: Option<BlockedShape>,
    /// Offset of the first tile's patch in the input.
    corner: usize,
    /// Tiles of an image, down and across.
    tiles: [usize; 2],
    /// Tiles that are transformed, multiplied and transformed back together, at most.
    block_tiles: usize,
    table: PointTable,
    panels: Vec<Panel>,
    /// `[panel][point][input][channel of the panel]`
    weights: AlignedFloats,
    bias: AlignedFloats,
    /// Offsets of the tiles of a block in V, in wide products and in narrow ones.
    tile_offsets: [Vec<usize>; 3],
    finish: Finish,
}

/// Where a tile is in each tensor, and what of it lies within the image.
#[derive(Clone, Copy, Default)]
struct Spot {
    input: usize,
    output: usize,
    residual: usize,
    rows: usize,
    columns: usize,
}

impl Winograd {
    /// The sizes have been checked, and the border is at least that of the scheme.
    pub(super) fn new<W: Weight>(
        set: &'static KernelSet,
        scheme: &'static Scheme,
        spec: &Conv2dSpec,
        weights: &[W],
        bias: Option<&[f32]>,
    ) -> Self {
        let (g, lanes) = (&spec.geometry, set.lanes);
        let width = set.tiles.vectors * lanes;
        let per_tile = scheme.products() * spec.input.blocks() * lanes + scheme.points().pow(2) * width;
        let block_tiles = (BLOCK_FLOATS / per_tile).clamp(set.tiles.rows(), MAX_TILES);
        let (transforms, _) = set.winograd.of(scheme);
        let table = PointTable::new(scheme, &spec.input, block_tiles, transforms);
        let panels = split_panels(spec.output.blocks(), set.tiles.vectors);
        let plain =
            filter::Weights { plain: weights, in_channels: g.in_channels, out_channels: g.out_channels };
        let packed = filter::pack(set, scheme, &panels, &plain, |point, phase, channel| {
            table.input(point, phase, channel)
        });
        let padding = g.window.padding;
        Self {
            set,
            scheme,
            input: spec.input,
            output: spec.output,
            residual: spec.residual,
            corner: spec.input.pixel(-(padding.top as isize), -(padding.left as isize)),
            tiles: scheme.tiles(g),
            block_tiles,
            table,
            panels,
            weights: packed,
            bias: AlignedFloats::padded(bias, spec.output.blocks() * lanes),
            tile_offsets: [lanes, width, lanes].map(|step| (0..block_tiles).map(|t| t * step).collect()),
            finish: Finish::new(spec.epilogue.activation),
        }
    }

    pub(super) fn name(&self) -> &'static str {
        self.scheme.name
    }

    pub(super) fn bytes(&self) -> usize {
        let tiles: usize = self.tile_offsets.iter().map(|list| size_of_val(list.as_slice())).sum();
        self.weights.bytes() + self.bias.bytes() + self.table.bytes() + tiles
    }

    /// Floats of one thread's workspace: header, V, products.
    fn thread_floats(&self) -> usize {
        let floats =
            HEADER + self.table.floats + self.table.points.len() * self.product_stride(self.block_tiles);
        floats.next_multiple_of(HEADER)
    }

    pub(super) fn workspace_len(&self, threads: usize) -> usize {
        threads * self.thread_floats()
    }

    /// Distance between the products of two points for `count` tiles.
    fn product_stride(&self, count: usize) -> usize {
        self.set.tiles.vectors * self.set.lanes * count + SKEW
    }

    /// The lengths have been checked.
    pub(super) fn run(
        &self,
        parallel: &dyn Parallel,
        batch: usize,
        input: &[f32],
        residual: Option<&[f32]>,
        output: &Parts,
        workspace: &mut [f32],
    ) {
        let (threads, per_thread) = (parallel.threads(), self.thread_floats());
        for header in workspace.chunks_exact_mut(per_thread).take(threads) {
            header[0] = -1.0;
        }
        let total = batch * self.tiles[0] * self.tiles[1];
        let mut blocks = total.div_ceil(self.block_tiles);
        if total >= threads * self.set.tiles.rows() {
            blocks = blocks.next_multiple_of(threads);
        }
        // Threads share out the tiles, or else the output channels. In the second case each of them
        // transforms all of the input: that is faster than to fetch what another core has just made.
        let panel_parts = if blocks >= threads {
            1
        } else {
            (threads * TASKS_PER_THREAD).div_ceil(blocks).min(self.panels.len())
        };
        let workspace = Parts::new(workspace);
        parallel.for_each(blocks * panel_parts, &|task: Task| {
            let (block, panels) = (task.index / panel_parts, task.index % panel_parts);
            let tiles = part(total, blocks, block);
            let mut spots = [Spot::default(); MAX_TILES];
            let spots = &mut spots[..tiles.len()];
            spots.iter_mut().zip(tiles).for_each(|(spot, tile)| *spot = self.spot(tile));
            let start = task.thread * per_thread;
            // SAFETY: tasks of the same thread do not run at the same time.
            let own = unsafe { workspace.part(start..start + per_thread) };
            let (header, own) = own.split_at_mut(HEADER);
            let (v, products) = own.split_at_mut(self.table.floats);
            if header[0] != block as f32 {
                self.transform_input(input, spots, v);
                header[0] = block as f32;
            }
            for panel in part(self.panels.len(), panel_parts, panels) {
                self.multiply(panel, spots.len(), v, products);
                self.transform_output(panel, spots, products, residual, output);
            }
        });
    }

    fn spot(&self, tile: usize) -> Spot {
        let [down, across] = self.tiles;
        let (image, tile) = (tile / (down * across), tile % (down * across));
        let (y, x) = (tile / across * self.scheme.tile, tile % across * self.scheme.tile);
        let stride = self.scheme.stride;
        let place = |shape: &BlockedShape| image * shape.len() + shape.pixel(y as isize, x as isize);
        Spot {
            input: image * self.input.len()
                + self.corner
                + y * stride * self.input.row_stride()
                + x * stride * self.input.lanes,
            output: place(&self.output),
            residual: self.residual.as_ref().map_or(0, place),
            rows: self.scheme.tile.min(self.output.height - y),
            columns: self.scheme.tile.min(self.output.width - x),
        }
    }

    fn transform_input(&self, input: &[f32], spots: &[Spot], v: &mut [f32]) {
        let lanes = self.set.lanes;
        for block in 0..self.input.blocks() {
            let source = &input[block * self.input.block_stride()..];
            for (t, spot) in spots.iter().enumerate() {
                let target = &mut v[(block * self.block_tiles + t) * lanes..];
                for phase in &self.table.phases {
                    let patch = InputPatch {
                        source: source[spot.input + phase.first..].as_ptr(),
                        row_stride: self.input.row_stride(),
                        target: target.as_mut_ptr(),
                        targets: phase.targets.as_ptr(),
                    };
                    // SAFETY: the border was checked to hold every patch; V holds all points; a kernel
                    // set exists only where the CPU has its instructions.
                    unsafe { (phase.transform)(&patch) };
                }
            }
        }
    }

    /// A panel's matrix products, one per transform point.
    fn multiply(&self, index: usize, count: usize, v: &[f32], products: &mut [f32]) {
        let (panel, lanes, tiles) = (self.panels[index], self.set.lanes, &self.set.tiles);
        let width = panel.vectors * lanes;
        let runs = count.div_ceil(tiles.rows());
        let level = tiles.choose(panel.vectors, lanes, runs);
        let [v_offsets, wide, narrow] = &self.tile_offsets;
        let offsets = if panel.vectors == tiles.vectors { wide } else { narrow };
        let weights = &self.weights[self.panel_weights(panel)];
        for (i, point) in self.table.points.iter().enumerate() {
            let weights = weights[point.first_input * width..].as_ptr();
            let inputs = point.segments.len() * lanes + point.tails.len() * self.table.tail_length;
            let next = weights.wrapping_add(inputs * width);
            let output = products[i * self.product_stride(count)..].as_mut_ptr();
            let mut arguments = TileArguments {
                input: v.as_ptr(),
                input_pixels: v_offsets.as_ptr(),
                segments: point.segments.as_ptr(),
                segment_count: point.segments.len(),
                tails: point.tails.as_ptr(),
                tail_count: point.tails.len(),
                tail_length: self.table.tail_length,
                weights,
                prefetch: next,
                ahead: 0,
                output,
                output_pixels: offsets.as_ptr(),
                output_block: lanes,
                is_plain: true,
                accumulate: false,
                bias: std::ptr::null(),
                residual: std::ptr::null(),
                residual_pixels: std::ptr::null(),
                residual_block: 0,
                finish: Finish::NONE,
            };
            for run in 0..runs {
                let rows = part(count, runs, run);
                arguments.input_pixels = v_offsets[rows.clone()].as_ptr();
                arguments.output_pixels = offsets[rows.clone()].as_ptr();
                // SAFETY: the tables describe V and the products of `count` tiles; a kernel set exists
                // only where the CPU has its instructions.
                unsafe { level.tile(rows.len())(&arguments) };
                arguments.prefetch = arguments.prefetch.wrapping_add(point.segments.len() * level.lines * 16);
            }
        }
    }

    /// Where a panel's weights are.
    fn panel_weights(&self, panel: Panel) -> Range<usize> {
        let per_block = self.scheme.products() * self.input.channels * self.set.lanes;
        panel.first_block * per_block..(panel.first_block + panel.vectors) * per_block
    }

    fn transform_output(
        &self,
        index: usize,
        spots: &[Spot],
        products: &[f32],
        residual: Option<&[f32]>,
        output: &Parts,
    ) {
        let (panel, lanes) = (self.panels[index], self.set.lanes);
        let (_, transform) = self.set.winograd.of(self.scheme);
        let residual = self.residual.as_ref().zip(residual);
        for vector in 0..panel.vectors {
            let block = panel.first_block + vector;
            for (t, spot) in spots.iter().enumerate() {
                let place = block * self.output.block_stride() + spot.output;
                let tile = OutputTile {
                    products: products[(t * panel.vectors + vector) * lanes..].as_ptr(),
                    point_stride: self.product_stride(spots.len()),
                    bias: self.bias[block * lanes..].as_ptr(),
                    residual: residual.map_or(std::ptr::null(), |(shape, data)| {
                        data[block * shape.block_stride() + spot.residual..].as_ptr()
                    }),
                    residual_row: residual.map_or(0, |(shape, _)| shape.row_stride()),
                    output: output.start().wrapping_add(place),
                    output_row: self.output.row_stride(),
                    rows: spot.rows,
                    columns: spot.columns,
                    finish: self.finish,
                };
                // SAFETY: `rows` and `columns` keep the tile within the image; tasks have disjoint tiles
                // or panels; a kernel set exists only where the CPU has its instructions.
                unsafe { transform(&tile) };
            }
        }
    }
}

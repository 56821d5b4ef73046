//! Winograd convolution of small windows.
//!
//! For each block of tiles: transform the input into V, by point, channel block, tile and lane, which
//! stays in the second-level cache; then for each panel of output channels run one small matrix product
//! per point into `products[point][tile][channel]` and transform that panel's output at once. Where tiles are
//! few, a chunk of the panel's weights is transformed just before its products: see [`Scheme`].

mod filter;
mod input;
mod output;
mod points;
mod product;
mod products;
mod scheme;
mod weights;

pub(crate) use filter::{FilterFn, FilterTransform};
pub(crate) use input::{F23, F43, F43AtUse, F44, F53, InputFn, InputTransform, Middle, Outer};
pub(crate) use output::{OutputFn, OutputTransform};
pub(crate) use product::{MultiplyPoint, PointProductFn};
pub(crate) use scheme::{F4_TAPS_4, Scheme, choose, direct_cost, suitable};

use super::Conv2dSpec;
use crate::cpu::gemm::{AlignedFloats, Finish, Panel, split_panels};
use crate::cpu::layout::BlockedShape;
use crate::cpu::simd::prefetch;
use crate::cpu::variants::KernelSet;
use crate::cpu::weight::Weight;
use crate::parallel::{Parallel, Parts, Task, part};
use input::InputPatch;
use output::OutputTile;
use points::PointTable;
use products::Products;
use scheme::{MAX_TILES, WeightTransform};
use weights::{Plain, WeightLayout};

/// Floats of V and products together: with the weights in use they fit the second-level cache.
const BLOCK_FLOATS: usize = 1 << 18;
/// Floats at the start of a workspace, a cache line: the first says which block of tiles V holds.
const HEADER: usize = 16;
/// Floats of a cache line.
const FLOATS_PER_LINE: usize = 16;
/// Tasks per thread where panels are split.
const TASKS_PER_THREAD: usize = 2;

/// The transforms of a scheme, of inputs and filters one for each pair of lines, down and across.
pub(crate) struct Transforms<const N: usize> {
    pub(crate) inputs: [InputFn; N],
    pub(crate) filters: [FilterFn; N],
    pub(crate) output: OutputFn,
}

/// The transforms of an instruction set.
pub(crate) struct WinogradKernels {
    pub(crate) f2: Transforms<1>,
    pub(crate) f4: Transforms<1>,
    pub(crate) f4_at_use: Transforms<1>,
    pub(crate) f4_taps_4: Transforms<1>,
    pub(crate) f5: Transforms<1>,
    pub(crate) f4_stride_2: Transforms<4>,
    /// By the runs' tiles less one: of wide panels and of narrow ones.
    pub(crate) wide_products: &'static [PointProductFn],
    pub(crate) narrow_products: &'static [PointProductFn],
}

impl WinogradKernels {
    /// The products of panels of so many vectors.
    fn products(&self, vectors: usize) -> &'static [PointProductFn] {
        if vectors == 1 { self.narrow_products } else { self.wide_products }
    }

    fn of(&'static self, scheme: &Scheme) -> (&'static [InputFn], &'static [FilterFn], OutputFn) {
        let of_one = |t: &'static Transforms<1>| (t.inputs.as_slice(), t.filters.as_slice(), t.output);
        match (scheme.tile, scheme.stride, scheme.taps, scheme.weights) {
            (2, ..) => of_one(&self.f2),
            (5, ..) => of_one(&self.f5),
            (_, 1, 3, WeightTransform::AtLoad) => of_one(&self.f4),
            (_, 1, 3, WeightTransform::AtUse) => of_one(&self.f4_at_use),
            (_, 1, ..) => of_one(&self.f4_taps_4),
            _ => (&self.f4_stride_2.inputs, &self.f4_stride_2.filters, self.f4_stride_2.output),
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
    layout: WeightLayout,
    weights: AlignedFloats,
    bias: AlignedFloats,
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
        let most = (BLOCK_FLOATS / per_tile).clamp(set.tiles.rows(), scheme.most_tiles());
        let tiles = scheme.tiles(g);
        let all: usize = tiles.iter().product();
        // No more than an image needs: V is dense then.
        let block_tiles = all.div_ceil(all.div_ceil(most));
        let (inputs, _, _) = set.winograd.of(scheme);
        let table = PointTable::new(scheme, &spec.input, block_tiles, inputs);
        let panels = split_panels(spec.output.blocks(), set.tiles.vectors);
        let layout = WeightLayout::new(set, scheme, &table);
        let plain = Plain { weights, in_channels: g.in_channels, out_channels: g.out_channels };
        let padding = g.window.padding;
        Self {
            set,
            scheme,
            input: spec.input,
            output: spec.output,
            residual: spec.residual,
            corner: spec.input.pixel(-(padding.top as isize), -(padding.left as isize)),
            tiles,
            block_tiles,
            table,
            weights: layout.pack(&panels, &plain),
            layout,
            panels,
            bias: AlignedFloats::padded(bias, spec.output.blocks() * lanes),
            finish: Finish::new(spec.epilogue.activation),
        }
    }

    pub(super) fn name(&self) -> &'static str {
        self.scheme.name
    }

    pub(super) fn bytes(&self) -> usize {
        self.weights.bytes() + self.layout.bytes() + self.bias.bytes() + self.table.bytes()
    }

    /// Floats of one thread's workspace: header, V, weights transformed at use, products.
    fn thread_floats(&self) -> usize {
        let products = self.table.points.len() * self.product_stride(self.block_tiles);
        let floats = HEADER + self.table.floats + self.layout.scratch_floats() + products;
        floats.next_multiple_of(HEADER)
    }

    pub(super) fn workspace_len(&self, threads: usize) -> usize {
        threads * self.thread_floats()
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
            let (v, own) = own.split_at_mut(self.table.floats);
            let (scratch, products) = own.split_at_mut(self.layout.scratch_floats());
            if header[0] != block as f32 {
                self.transform_input(input, spots, v);
                header[0] = block as f32;
            }
            let mut floats = Products { v, products, scratch };
            for panel in &self.panels[part(self.panels.len(), panel_parts, panels)] {
                self.multiply(*panel, spots.len(), &mut floats);
                self.transform_output(*panel, spots, floats.products, residual, output);
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
                if let Some(next) = spots.get(t + 1) {
                    self.prefetch_input(source, next);
                }
                let target = &mut v[self.table.block_offset(block) + t * lanes..];
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

    fn transform_output(
        &self,
        panel: Panel,
        spots: &[Spot],
        products: &[f32],
        residual: Option<&[f32]>,
        output: &Parts,
    ) {
        let lanes = self.set.lanes;
        let (_, _, transform) = self.set.winograd.of(self.scheme);
        let residual = self.residual.as_ref().zip(residual);
        for (t, spot) in spots.iter().enumerate() {
            for vector in 0..panel.vectors {
                let block = panel.first_block + vector;
                if let Some(next) = spots.get(t + 1) {
                    self.prefetch_output(block, next, output);
                }
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

    /// Asks for the cache lines of a tile's samples in a channel block.
    fn prefetch_input(&self, source: &[f32], spot: &Spot) {
        let samples = (self.scheme.tile - 1) * self.scheme.stride + self.scheme.taps;
        let start = source.as_ptr().wrapping_add(spot.input);
        for row in 0..samples {
            let row = start.wrapping_add(row * self.input.row_stride());
            for line in (0..samples * self.set.lanes).step_by(FLOATS_PER_LINE) {
                prefetch(row.wrapping_add(line));
            }
        }
    }

    /// Asks for the cache lines of a tile's outputs: of a large image none is near.
    fn prefetch_output(&self, block: usize, spot: &Spot, output: &Parts) {
        let start = output.start().wrapping_add(block * self.output.block_stride() + spot.output);
        for row in 0..spot.rows {
            let row = start.wrapping_add(row * self.output.row_stride());
            for line in (0..spot.columns * self.set.lanes).step_by(FLOATS_PER_LINE) {
                prefetch(row.wrapping_add(line));
            }
        }
    }
}

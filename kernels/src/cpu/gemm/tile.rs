//! The f32 micro-kernel that direct convolutions and fully connected layers are built from.
//!
//! It computes a tile of `MR` pixels x `NV` vectors of output channels:
//!
//! ```text
//! acc[pixel][channel] += input[pixel_offset + segment_offset + j] * weights[k][channel]
//! ```
//!
//! A *segment* is a run of inputs which lie next to each other in memory: one channel block, the last few
//! channels, a filter row of an interleaved image. Pixels are found through a table of offsets, segments
//! through another: 1x1, 3x3, strided, dilated and padded convolutions and fully connected layers differ
//! in these tables only, and tiles may run across image rows and images.

use crate::cpu::simd::{Kernel, Vector, activate, prefetch, unroll};
use crate::epilogue::Activation;

/// Pixels of the tallest tile.
pub(crate) const MAX_ROWS: usize = 14;
/// Vectors of the widest tile.
pub(crate) const MAX_VECTORS: usize = 2;

/// What a tile reads and writes. Offsets and distances are in floats.
#[derive(Clone, Copy)]
pub(crate) struct TileArguments {
    pub(crate) input: *const f32,
    /// Offset of each pixel's window from `input`.
    pub(crate) input_pixels: *const usize,
    /// Offsets of segments of one vector's lanes.
    pub(crate) segments: *const usize,
    pub(crate) segment_count: usize,
    /// Offsets of segments of `tail_length` inputs, summed after the others.
    pub(crate) tails: *const usize,
    pub(crate) tail_count: usize,
    pub(crate) tail_length: usize,
    /// `[k][NV * lanes]`
    pub(crate) weights: *const f32,
    /// Weights that a later tile needs; a fixed number of cache lines is asked for per segment.
    pub(crate) prefetch: *const f32,
    /// From a pixel's inputs to those in its place in the next tile, for the kernels that fetch them meanwhile.
    pub(crate) ahead: isize,
    pub(crate) output: *mut f32,
    pub(crate) output_pixels: *const usize,
    /// Distance between two channel blocks of the output.
    pub(crate) output_block: usize,
    /// Store the sums as they are; what follows does not matter then.
    pub(crate) is_plain: bool,
    /// Add what the output holds already: all K blocks but the first.
    pub(crate) accumulate: bool,
    /// Bias of the tile's channels, or null.
    pub(crate) bias: *const f32,
    /// A tensor to add, or null, with its own pixels and block distance.
    pub(crate) residual: *const f32,
    pub(crate) residual_pixels: *const usize,
    pub(crate) residual_block: usize,
    pub(crate) finish: Finish,
}

/// The activation, in the form the kernels apply it.
#[derive(Clone, Copy)]
pub(crate) struct Finish {
    /// Bounds of the stored value, applied in registers; infinite where there are none.
    pub(crate) low: f32,
    pub(crate) high: f32,
    /// Applied to the tile's fresh output, still in the nearest cache: it needs registers of its own.
    pub(crate) curve: Option<Activation>,
}

impl Finish {
    pub(crate) const NONE: Finish = Finish { low: f32::NEG_INFINITY, high: f32::INFINITY, curve: None };

    pub(crate) fn new(activation: Activation) -> Self {
        match activation {
            Activation::Identity => Self::NONE,
            Activation::Relu => Self { low: 0.0, ..Self::NONE },
            Activation::Clip { low, high } => Self { low, high, curve: None },
            curve => Self { curve: Some(curve), ..Self::NONE },
        }
    }
}

pub(crate) type TileFn = unsafe fn(&TileArguments);

/// The micro-kernel for `MR` pixels, `NV` vectors, and `LINES` cache lines of weights prefetched per segment; if
/// `AHEAD` the next tile's inputs too.
///
/// # Safety
/// All pointers and tables of the arguments must be valid for `MR` pixels and `NV` channel blocks.
pub(crate) struct Tile<const MR: usize, const NV: usize, const LINES: usize, const AHEAD: bool>;

impl<const MR: usize, const NV: usize, const LINES: usize, const AHEAD: bool> Kernel
    for Tile<MR, NV, LINES, AHEAD>
{
    type Arguments = TileArguments;

    #[inline(always)]
    unsafe fn run<V: Vector>(t: &TileArguments) {
        // SAFETY: passed on to the caller.
        unsafe {
            let mut acc = [[V::splat(0.0); NV]; MR];
            let mut pixel = [t.input; MR];
            unroll!(i < MR, { pixel[i] = t.input.add(*t.input_pixels.add(i)) });
            prefetch_tile::<MR, NV>(t.output, t.output_pixels, t.output_block);
            if !t.residual.is_null() {
                prefetch_tile::<MR, NV>(t.residual, t.residual_pixels, t.residual_block);
            }
            let mut weights = t.weights;
            let mut next = t.prefetch;
            // The prefetches are spread evenly over the segment.
            let chunks = if LINES == 0 { 1 } else { LINES.min(V::LANES) };
            for s in 0..t.segment_count {
                let mut offset = *t.segments.add(s);
                if AHEAD {
                    let ahead = t.ahead.wrapping_add_unsigned(offset);
                    unroll!(i < MR, { prefetch(pixel[i].wrapping_offset(ahead)) });
                }
                for c in 0..chunks {
                    for line in c * LINES / chunks..(c + 1) * LINES / chunks {
                        prefetch(next.wrapping_add(line * 16));
                    }
                    for _ in c * V::LANES / chunks..(c + 1) * V::LANES / chunks {
                        multiply_add::<V, MR, NV>(&mut acc, &pixel, offset, weights);
                        offset += 1;
                        weights = weights.add(NV * V::LANES);
                    }
                }
                next = next.wrapping_add(LINES * 16);
            }
            for s in 0..t.tail_count {
                let start = *t.tails.add(s);
                for offset in start..start + t.tail_length {
                    multiply_add::<V, MR, NV>(&mut acc, &pixel, offset, weights);
                    weights = weights.add(NV * V::LANES);
                }
            }
            store::<V, MR, NV>(t, &acc);
            if let Some(curve) = t.finish.curve {
                bend::<V, MR, NV>(t, curve);
            }
        }
    }
}

/// One step of K: `NV` weight vectors times `MR` broadcast inputs.
#[inline(always)]
unsafe fn multiply_add<V: Vector, const MR: usize, const NV: usize>(
    acc: &mut [[V; NV]; MR],
    pixel: &[*const f32; MR],
    offset: usize,
    weights: *const f32,
) {
    // SAFETY: passed on to the caller.
    unsafe {
        let mut w = [V::splat(0.0); NV];
        unroll!(v < NV, { w[v] = V::load(weights.add(v * V::LANES)) });
        unroll!(i < MR, {
            let x = V::splat(*pixel[i].add(offset));
            unroll!(v < NV, { acc[i][v] = x.mul_add(w[v], acc[i][v]) });
        });
    }
}

/// Asks for what the end of the tile will need: until it came the next tile's sums would have to wait.
#[inline(always)]
unsafe fn prefetch_tile<const MR: usize, const NV: usize>(
    start: *const f32,
    pixels: *const usize,
    block: usize,
) {
    unroll!(i < MR, {
        // SAFETY: the table holds `MR` pixels.
        let pixel = start.wrapping_add(unsafe { *pixels.add(i) });
        unroll!(v < NV, { prefetch(pixel.wrapping_add(v * block)) });
    });
}

#[inline(always)]
unsafe fn store<V: Vector, const MR: usize, const NV: usize>(t: &TileArguments, acc: &[[V; NV]; MR]) {
    // SAFETY: passed on to the caller.
    unsafe {
        if t.is_plain {
            unroll!(i < MR, {
                let out = t.output.add(*t.output_pixels.add(i));
                unroll!(v < NV, { acc[i][v].store(out.add(v * t.output_block)) });
            });
            return;
        }
        // One question for the whole tile, not for each of its sums.
        let mut y = *acc;
        if t.accumulate {
            unroll!(i < MR, {
                let out = t.output.add(*t.output_pixels.add(i));
                unroll!(v < NV, { y[i][v] = y[i][v].add(V::load(out.add(v * t.output_block))) });
            });
        }
        if !t.bias.is_null() {
            unroll!(v < NV, {
                let bias = V::load(t.bias.add(v * V::LANES));
                unroll!(i < MR, { y[i][v] = y[i][v].add(bias) });
            });
        }
        if !t.residual.is_null() {
            unroll!(i < MR, {
                let residual = t.residual.add(*t.residual_pixels.add(i));
                unroll!(v < NV, { y[i][v] = y[i][v].add(V::load(residual.add(v * t.residual_block))) });
            });
        }
        let (low, high) = (V::splat(t.finish.low), V::splat(t.finish.high));
        unroll!(i < MR, {
            let out = t.output.add(*t.output_pixels.add(i));
            unroll!(v < NV, { high.min(low.max(y[i][v])).store(out.add(v * t.output_block)) });
        });
    }
}

/// Applies an activation to the stored tile.
#[inline(always)]
unsafe fn bend<V: Vector, const MR: usize, const NV: usize>(t: &TileArguments, curve: Activation) {
    for i in 0..MR {
        for v in 0..NV {
            // SAFETY: passed on to the caller.
            unsafe {
                let target = t.output.add(*t.output_pixels.add(i) + v * t.output_block);
                activate(curve, V::load(target)).store(target);
            }
        }
    }
}

/// Tiles of one width which prefetch the same number of cache lines per segment.
#[derive(Clone, Copy)]
pub(crate) struct PrefetchLevel {
    pub(crate) lines: usize,
    /// Pixels of the lowest tile.
    pub(crate) lowest: usize,
    /// By pixels: `by_rows[MR - lowest]`.
    pub(crate) by_rows: &'static [TileFn],
}

impl PrefetchLevel {
    /// The tile of `rows` pixels.
    pub(crate) fn tile(&self, rows: usize) -> TileFn {
        self.by_rows[rows - self.lowest]
    }
}

/// The tiles of an instruction set.
pub(crate) struct TileKernels {
    /// Vectors of a wide tile.
    pub(crate) vectors: usize,
    /// Wide tiles, by rising prefetch. A low level serves many tiles of nearly equal height, so that only
    /// high ones are needed.
    pub(crate) wide: &'static [PrefetchLevel],
    /// Wide tiles which fetch the next tile's inputs, for the first pass over them; where that pays.
    pub(crate) fresh: Option<PrefetchLevel>,
    /// Tiles of one vector, for the channel blocks that do not fill a wide one.
    pub(crate) narrow: PrefetchLevel,
}

impl TileKernels {
    /// Pixels of the tallest tile.
    pub(crate) fn rows(&self) -> usize {
        self.narrow.by_rows.len()
    }

    /// The tiles for panels of `vectors` vectors which fetch most of the next panel's weights during
    /// `tiles` passes over one. Three quarters of it: more makes no difference or evicts what is in use.
    ///
    /// They serve tiles of at least `rows` pixels.
    pub(crate) fn choose(&self, vectors: usize, lanes: usize, tiles: usize, rows: usize) -> PrefetchLevel {
        if vectors != self.vectors {
            return self.narrow;
        }
        let lines_per_segment = vectors * lanes * lanes / 16;
        let needed = (lines_per_segment * 3).div_ceil(tiles.max(1) * 4);
        let level = self.wide.iter().find(|level| level.lines >= needed && level.lowest <= rows);
        *level.unwrap_or(&self.wide[self.wide.len() - 1])
    }
}

#[cfg(test)]
mod tests {
    use crate::cpu::variants::usable_sets;
    use crate::parallel::part;

    #[test]
    fn every_number_of_pixels_finds_its_tiles() {
        for set in usable_sets() {
            for pixels in 1..1000usize {
                let tiles = pixels.div_ceil(set.tiles.rows());
                for vectors in [1, set.tiles.vectors] {
                    let level = set.tiles.choose(vectors, set.lanes, tiles, pixels / tiles);
                    for tile in 0..tiles {
                        let rows = part(pixels, tiles, tile).len();
                        assert!(level.by_rows.get(rows - level.lowest).is_some(), "{pixels} {}", set.isa);
                    }
                }
            }
        }
    }
}

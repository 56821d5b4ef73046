//! The matrix product of one transform point: tiles x channels = sum over input channels.
//!
//! Unlike the tiles of a convolution these lie next to each other, in V and in the products, so that one register
//! finds them all; and sums are short, so that what comes before and after them counts.

use super::FLOATS_PER_LINE;
use crate::cpu::simd::{Kernel, Vector, prefetch, unroll};

/// Runs of tiles and what they are multiplied by. Offsets are in floats.
///
/// # Safety
/// For each of the runs, `MR` tiles long, `v` must hold a vector per tile at each segment's offset, and `products` `NV`
/// vectors per tile; `weights` must hold `NV` vectors per input.
pub(crate) struct PointProduct {
    /// `[channel block][tile][lane]`
    pub(super) v: *const f32,
    /// Offsets in V of full channel blocks.
    pub(super) segments: *const usize,
    pub(super) segment_count: usize,
    /// Offsets of those with `tail_length` channels, summed after the others.
    pub(super) tails: *const usize,
    pub(super) tail_count: usize,
    pub(super) tail_length: usize,
    /// `[input][vector][lane]`
    pub(super) weights: *const f32,
    /// What is needed later, and how many cache lines of it to ask for per segment.
    pub(super) next: *const f32,
    pub(super) lines: usize,
    /// `[tile][vector][lane]`
    pub(super) products: *mut f32,
    pub(super) runs: usize,
    /// Add to what the products hold already.
    pub(super) accumulate: bool,
}

impl PointProduct {
    /// Floats of what is needed later that are asked for in one run.
    pub(super) fn floats_ahead(&self) -> usize {
        self.lines * self.segment_count * FLOATS_PER_LINE
    }
}

pub(crate) type PointProductFn = unsafe fn(&PointProduct);

/// The kernel for runs of `MR` tiles, and `NV` vectors of output channels.
pub(crate) struct MultiplyPoint<const MR: usize, const NV: usize>;

impl<const MR: usize, const NV: usize> Kernel for MultiplyPoint<MR, NV> {
    type Arguments = PointProduct;

    #[inline(always)]
    unsafe fn run<V: Vector>(p: &PointProduct) {
        // SAFETY: passed on to the caller.
        unsafe {
            let (mut v, mut products, mut next) = (p.v, p.products, p.next);
            for _ in 0..p.runs {
                let mut sums = [[V::splat(0.0); NV]; MR];
                if p.accumulate {
                    unroll!(i < MR, {
                        unroll!(n < NV, { sums[i][n] = V::load(products.add((i * NV + n) * V::LANES)) });
                    });
                }
                let mut weights = p.weights;
                for s in 0..p.segment_count {
                    let inputs = v.add(*p.segments.add(s));
                    for line in 0..p.lines {
                        prefetch(next.wrapping_add(line * FLOATS_PER_LINE));
                    }
                    next = next.wrapping_add(p.lines * FLOATS_PER_LINE);
                    for j in 0..V::LANES {
                        multiply_add::<V, MR, NV>(&mut sums, inputs.add(j), weights);
                        weights = weights.add(NV * V::LANES);
                    }
                }
                for s in 0..p.tail_count {
                    let inputs = v.add(*p.tails.add(s));
                    for j in 0..p.tail_length {
                        multiply_add::<V, MR, NV>(&mut sums, inputs.add(j), weights);
                        weights = weights.add(NV * V::LANES);
                    }
                }
                unroll!(i < MR, {
                    unroll!(n < NV, { sums[i][n].store(products.add((i * NV + n) * V::LANES)) });
                });
                v = v.add(MR * V::LANES);
                products = products.add(MR * NV * V::LANES);
            }
        }
    }
}

/// One input of `MR` tiles times `NV` vectors of weights.
#[inline(always)]
unsafe fn multiply_add<V: Vector, const MR: usize, const NV: usize>(
    sums: &mut [[V; NV]; MR],
    inputs: *const f32,
    weights: *const f32,
) {
    // SAFETY: passed on to the caller.
    unsafe {
        let mut w = [V::splat(0.0); NV];
        unroll!(n < NV, { w[n] = V::load(weights.add(n * V::LANES)) });
        unroll!(i < MR, {
            let x = V::splat(*inputs.add(i * V::LANES));
            unroll!(n < NV, { sums[i][n] = x.mul_add(w[n], sums[i][n]) });
        });
    }
}

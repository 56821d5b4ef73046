//! The transform of a tile's products to outputs, `A^T m A`, and the epilogue.

use crate::cpu::gemm::Finish;
use crate::cpu::simd::{Kernel, Vector, activate, unroll};

/// A tile of one channel block. Offsets and distances are in floats.
///
/// # Safety
/// `products` must hold a vector per point, `bias` one; `output` and `residual` (if not null) must hold
/// the rows and columns.
pub(crate) struct OutputTile {
    pub(super) products: *const f32,
    /// Distance between the products of two points.
    pub(super) point_stride: usize,
    pub(super) bias: *const f32,
    pub(super) residual: *const f32,
    pub(super) residual_row: usize,
    pub(super) output: *mut f32,
    pub(super) output_row: usize,
    /// What of the tile lies within the image.
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) finish: Finish,
}

pub(crate) type OutputFn = unsafe fn(&OutputTile);

/// The transform of `P` points to `M` outputs along each axis.
pub(crate) struct OutputTransform<const P: usize, const M: usize>;

impl<const P: usize, const M: usize> Kernel for OutputTransform<P, M> {
    type Arguments = OutputTile;

    #[inline(always)]
    unsafe fn run<V: Vector>(tile: &OutputTile) {
        // SAFETY: passed on to the caller.
        unsafe {
            let mut rows = [[V::splat(0.0); P]; M];
            unroll!(x < P, {
                let mut m = [V::splat(0.0); P];
                unroll!(y < P, { m[y] = V::load(tile.products.add((y * P + x) * tile.point_stride)) });
                let column = line::<V, P, M>(m);
                unroll!(y < M, { rows[y][x] = column[y] });
            });
            let bias = V::load(tile.bias);
            let (low, high) = (V::splat(tile.finish.low), V::splat(tile.finish.high));
            unroll!(y < M, {
                if y < tile.rows {
                    let values = line::<V, P, M>(rows[y]);
                    unroll!(x < M, {
                        if x < tile.columns {
                            let mut value = values[x].add(bias);
                            if !tile.residual.is_null() {
                                let at = y * tile.residual_row + x * V::LANES;
                                value = value.add(V::load(tile.residual.add(at)));
                            }
                            let target = tile.output.add(y * tile.output_row + x * V::LANES);
                            high.min(low.max(value)).store(target);
                        }
                    });
                }
            });
            if let Some(curve) = tile.finish.curve {
                for y in 0..tile.rows {
                    for x in 0..tile.columns {
                        let target = tile.output.add(y * tile.output_row + x * V::LANES);
                        activate(curve, V::load(target)).store(target);
                    }
                }
            }
        }
    }
}

/// One axis. The number of points tells the scheme: 4 is F(2, 3), 5 is F(4, 2), 6 is F(4, 3), 7 is F(4, 4) or F(5, 3).
#[inline(always)]
unsafe fn line<V: Vector, const P: usize, const M: usize>(m: [V; P]) -> [V; M] {
    // SAFETY: passed on to the caller.
    unsafe {
        let (two, four, eight) = (V::splat(2.0), V::splat(4.0), V::splat(8.0));
        let mut y = [V::splat(0.0); M];
        let sum = m[1].add(m[2]);
        let difference = m[1].sub(m[2]);
        if P == 4 {
            y[0] = m[0].add(sum);
            y[1] = difference.sub(m[3]);
        } else if P == 5 {
            y[0] = m[0].add(sum).add(m[3]);
            y[1] = two.mul_add(m[3], difference);
            y[2] = four.mul_add(m[3], sum);
            y[3] = eight.mul_add(m[3], difference).add(m[4]);
        } else {
            let sum2 = m[3].add(m[4]);
            let difference2 = m[3].sub(m[4]);
            y[0] = m[0].add(sum).add(sum2);
            y[1] = two.mul_add(difference2, difference);
            y[2] = four.mul_add(sum2, sum);
            y[3] = eight.mul_add(difference2, difference);
            if M == 5 {
                y[4] = V::splat(16.0).mul_add(sum2, sum).add(m[5]);
                y[4] = V::splat(0.0625).mul_add(m[6], y[4]);
            } else {
                y[3] = y[3].add(m[5]);
            }
            if P == 7 {
                let (half, quarter, eighth) = (V::splat(0.5), V::splat(0.25), V::splat(0.125));
                y[0] = y[0].add(m[6]);
                y[1] = half.mul_add(m[6], y[1]);
                y[2] = quarter.mul_add(m[6], y[2]);
                y[3] = eighth.mul_add(m[6], y[3]);
            }
        }
        y
    }
}

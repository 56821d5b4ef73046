//! The transform of the weights, `G g G^T`, a vector of filters and some rows of points at a time.

use super::input::{F23, F43, F43AtUse, F44, F53, Middle, Outer};
use crate::cpu::simd::{Kernel, Vector, unroll};
use std::marker::PhantomData;
use std::ops::Range;

/// Rows of points that are computed together, at most: taps come from the second-level cache.
pub(super) const MAX_ROWS: usize = 2;

/// Filters of a panel, in vectors of output channels, and where the points of some rows go. Offsets are in floats.
///
/// # Safety
/// There must be such rows, `MAX_ROWS` at most. `taps` must hold the filters; `targets` must hold an offset for each
/// point of the rows, and `target` as many vectors at each as there are vectors of filters.
pub(crate) struct FilterPatch {
    /// The rows of points.
    pub(super) rows: Range<usize>,
    /// Vectors of filters: for each input channel those of the panel.
    pub(super) vectors: usize,
    /// `[vector][tap][lane]`
    pub(super) taps: *const f32,
    pub(super) target: *mut f32,
    pub(super) targets: *const usize,
}

pub(crate) type FilterFn = unsafe fn(&FilterPatch);

/// A transform of `R` taps to `P` points.
pub(crate) trait Taps<const R: usize, const P: usize> {
    /// The factors of the taps for each point.
    const FACTORS: [[f32; R]; P];

    #[inline(always)]
    unsafe fn transform<V: Vector>(g: [V; R]) -> [V; P] {
        // SAFETY: passed on to the caller.
        unsafe {
            let mut points = [V::splat(0.0); P];
            unroll!(p < P, {
                unroll!(t < R, {
                    if Self::FACTORS[p][t] != 0.0 {
                        points[p] = V::splat(Self::FACTORS[p][t]).mul_add(g[t], points[p]);
                    }
                });
            });
            points
        }
    }
}

impl Taps<3, 4> for F23 {
    const FACTORS: [[f32; 3]; 4] = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]];
}

impl Taps<3, 6> for F43 {
    const FACTORS: [[f32; 3]; 6] = [
        [1.0 / 4.0, 0.0, 0.0],
        [-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
        [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
        [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
        [1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
        [0.0, 0.0, 1.0],
    ];
}

/// Those of F(4, 3) without the factors that the samples are multiplied by.
impl Taps<3, 6> for F43AtUse {
    const FACTORS: [[f32; 3]; 6] = [
        [1.0, 0.0, 0.0],
        [1.0, 1.0, 1.0],
        [1.0, -1.0, 1.0],
        [1.0, 2.0, 4.0],
        [1.0, -2.0, 4.0],
        [0.0, 0.0, 1.0],
    ];

    #[inline(always)]
    unsafe fn transform<V: Vector>(g: [V; 3]) -> [V; 6] {
        // SAFETY: passed on to the caller.
        unsafe {
            let two = V::splat(2.0);
            let (even, even2) = (g[0].add(g[2]), V::splat(4.0).mul_add(g[2], g[0]));
            [
                g[0],
                even.add(g[1]),
                even.sub(g[1]),
                two.mul_add(g[1], even2),
                two.mul_sub_from(g[1], even2),
                g[2],
            ]
        }
    }
}

/// Those of F(4, 4) with three taps, without the factors that the samples are multiplied by.
impl Taps<3, 7> for F53 {
    const FACTORS: [[f32; 3]; 7] = [
        [1.0, 0.0, 0.0],
        [1.0, 1.0, 1.0],
        [1.0, -1.0, 1.0],
        [1.0, 2.0, 4.0],
        [1.0, -2.0, 4.0],
        [0.0, 0.0, 1.0],
        [4.0, 2.0, 1.0],
    ];

    #[inline(always)]
    unsafe fn transform<V: Vector>(g: [V; 3]) -> [V; 7] {
        // SAFETY: passed on to the caller.
        unsafe {
            let [first, sum, difference, sum2, difference2, last] = F43AtUse::transform(g);
            let half = V::splat(4.0).mul_add(g[0], V::splat(2.0).mul_add(g[1], g[2]));
            [first, sum, difference, sum2, difference2, last, half]
        }
    }
}

impl Taps<4, 7> for F44 {
    const FACTORS: [[f32; 4]; 7] = [
        [-0.5, 0.0, 0.0, 0.0],
        [-1.0 / 3.0, -1.0 / 3.0, -1.0 / 3.0, -1.0 / 3.0],
        [1.0 / 9.0, -1.0 / 9.0, 1.0 / 9.0, -1.0 / 9.0],
        [1.0 / 36.0, 2.0 / 36.0, 4.0 / 36.0, 8.0 / 36.0],
        [-1.0 / 60.0, 2.0 / 60.0, -4.0 / 60.0, 8.0 / 60.0],
        [0.0, 0.0, 0.0, 1.0],
        [32.0 / 45.0, 16.0 / 45.0, 8.0 / 45.0, 4.0 / 45.0],
    ];
}

impl Taps<3, 5> for Outer {
    const FACTORS: [[f32; 3]; 5] = [
        [0.5, 0.0, 0.0],
        [-0.5, 0.0, -0.5],
        [-1.0 / 6.0, 0.0, 1.0 / 6.0],
        [1.0 / 6.0, 0.0, 1.0 / 3.0],
        [0.0, 0.0, 1.0],
    ];
}

impl Taps<3, 4> for Middle {
    const FACTORS: [[f32; 3]; 4] =
        [[0.0, 0.5, 0.0], [0.0, -0.5, 0.0], [0.0, -1.0 / 6.0, 0.0], [0.0, 1.0 / 6.0, 0.0]];
}

/// The transform of filters with `R` rows and columns by `LY` along columns, some points of it, and by `LX` along rows.
pub(crate) struct FilterTransform<LY, LX, const R: usize, const PY: usize, const PX: usize>(
    PhantomData<(LY, LX)>,
);

impl<LY: Taps<R, PY>, LX: Taps<R, PX>, const R: usize, const PY: usize, const PX: usize> Kernel
    for FilterTransform<LY, LX, R, PY, PX>
{
    type Arguments = FilterPatch;

    #[inline(always)]
    unsafe fn run<V: Vector>(patch: &FilterPatch) {
        // SAFETY: passed on to the caller.
        unsafe {
            if patch.rows.len() == MAX_ROWS {
                Self::rows::<V, MAX_ROWS>(patch);
            } else {
                Self::rows::<V, 1>(patch);
            }
        }
    }
}

impl<LY: Taps<R, PY>, LX: Taps<R, PX>, const R: usize, const PY: usize, const PX: usize>
    FilterTransform<LY, LX, R, PY, PX>
{
    #[inline(always)]
    unsafe fn rows<V: Vector, const N: usize>(patch: &FilterPatch) {
        // SAFETY: passed on to the caller.
        unsafe {
            let mut factors = [[V::splat(0.0); R]; N];
            let mut targets = [[patch.target; PX]; N];
            unroll!(n < N, {
                unroll!(y < R, { factors[n][y] = V::splat(LY::FACTORS[patch.rows.start + n][y]) });
                unroll!(x < PX, { targets[n][x] = patch.target.add(*patch.targets.add(n * PX + x)) });
            });
            let mut taps = patch.taps;
            for vector in 0..patch.vectors {
                unroll!(n < N, {
                    let mut g = [V::splat(0.0); R];
                    unroll!(x < R, {
                        g[x] = factors[n][0].mul(V::load(taps.add(x * V::LANES)));
                        unroll!(y < R, {
                            if y > 0 {
                                g[x] = factors[n][y].mul_add(V::load(taps.add((y * R + x) * V::LANES)), g[x]);
                            }
                        });
                    });
                    let points = LX::transform(g);
                    unroll!(x < PX, { points[x].store(targets[n][x].add(vector * V::LANES)) });
                });
                taps = taps.add(R * R * V::LANES);
            }
        }
    }
}

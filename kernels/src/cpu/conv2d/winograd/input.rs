//! The transform of an input patch: `B^T d B`, a vector of channels at a time.

use crate::cpu::simd::{Kernel, Vector, unroll};
use std::marker::PhantomData;

/// A patch and where its points go. Offsets and distances are in floats.
///
/// # Safety
/// `source` must hold the samples, `targets` an offset for each point, and `target` a vector at each.
pub(crate) struct InputPatch {
    pub(super) source: *const f32,
    pub(super) row_stride: usize,
    pub(super) target: *mut f32,
    pub(super) targets: *const usize,
}

pub(crate) type InputFn = unsafe fn(&InputPatch);

/// A transform of `P` samples to `P` points.
pub(crate) trait Samples<const P: usize> {
    /// Distance between the samples, in pixels.
    const STEP: usize;

    unsafe fn transform<V: Vector>(d: [V; P]) -> [V; P];
}

/// For F(2, 3).
pub(crate) struct F23;
/// For F(4, 3).
pub(crate) struct F43;
/// For F(4, 4).
pub(crate) struct F44;
/// For F(4, 3) with filters that are transformed at use.
pub(crate) struct F43AtUse;
/// For F(5, 3), whose filters are transformed at use.
pub(crate) struct F53;
/// For F(4, 2), outer taps of a filter with stride 2.
pub(crate) struct Outer;
/// For F(4, 2), middle tap: there is no product at infinity.
pub(crate) struct Middle;

impl Samples<4> for F23 {
    const STEP: usize = 1;

    #[inline(always)]
    unsafe fn transform<V: Vector>(d: [V; 4]) -> [V; 4] {
        // SAFETY: passed on to the caller.
        unsafe { [d[0].sub(d[2]), d[1].add(d[2]), d[2].sub(d[1]), d[1].sub(d[3])] }
    }
}

impl Samples<6> for F43 {
    const STEP: usize = 1;

    #[inline(always)]
    unsafe fn transform<V: Vector>(d: [V; 6]) -> [V; 6] {
        // SAFETY: passed on to the caller.
        unsafe {
            let (two, four, five) = (V::splat(2.0), V::splat(4.0), V::splat(5.0));
            let even = four.mul_sub_from(d[2], d[4]);
            let odd = four.mul_sub_from(d[1], d[3]);
            let even2 = d[4].sub(d[2]);
            let odd2 = d[3].sub(d[1]);
            [
                four.mul_add(d[0], five.mul_sub_from(d[2], d[4])),
                even.add(odd),
                even.sub(odd),
                two.mul_add(odd2, even2),
                two.mul_sub_from(odd2, even2),
                four.mul_add(d[1], five.mul_sub_from(d[3], d[5])),
            ]
        }
    }
}

impl Samples<6> for F43AtUse {
    const STEP: usize = 1;

    /// As for F(4, 3), and the factors that are left out of the filters.
    #[inline(always)]
    unsafe fn transform<V: Vector>(d: [V; 6]) -> [V; 6] {
        const FACTORS: [f32; 6] = [1.0 / 4.0, -1.0 / 6.0, -1.0 / 6.0, 1.0 / 24.0, 1.0 / 24.0, 1.0];
        // SAFETY: passed on to the caller.
        unsafe {
            let mut points = F43::transform(d);
            unroll!(i < 6, { points[i] = points[i].mul(V::splat(FACTORS[i])) });
            points
        }
    }
}

impl Samples<7> for F53 {
    const STEP: usize = 1;

    /// As for F(4, 4), and the factors that are left out of the filters.
    #[inline(always)]
    unsafe fn transform<V: Vector>(d: [V; 7]) -> [V; 7] {
        const FACTORS: [f32; 7] =
            [-1.0 / 2.0, -1.0 / 3.0, 1.0 / 9.0, 1.0 / 36.0, -1.0 / 60.0, 1.0, 8.0 / 45.0];
        // SAFETY: passed on to the caller.
        unsafe {
            let mut points = F44::transform(d);
            unroll!(i < 7, { points[i] = points[i].mul(V::splat(FACTORS[i])) });
            points
        }
    }
}

impl Samples<7> for F44 {
    const STEP: usize = 1;

    /// The polynomials of all points but 1/2 have the factor x - 1/2: what is left of them is that of F(4, 3).
    #[inline(always)]
    unsafe fn transform<V: Vector>(d: [V; 7]) -> [V; 7] {
        // SAFETY: passed on to the caller.
        unsafe {
            let (half, four, five) = (V::splat(0.5), V::splat(4.0), V::splat(5.0));
            let mut e = [V::splat(0.0); 6];
            unroll!(i < 6, { e[i] = half.mul_sub_from(d[i], d[i + 1]) });
            let [a, b, c, low, f, last] = F43::transform(e);
            [a, b, c, low, f, last, four.mul_add(d[1], five.mul_sub_from(d[3], d[5]))]
        }
    }
}

impl Samples<5> for Outer {
    const STEP: usize = 2;

    #[inline(always)]
    unsafe fn transform<V: Vector>(d: [V; 5]) -> [V; 5] {
        // SAFETY: passed on to the caller.
        unsafe {
            let [a, b, c, low] = Middle::transform([d[0], d[1], d[2], d[3]]);
            [a, b, c, low, V::splat(2.0).mul_sub_from(low, d[4].sub(d[2]))]
        }
    }
}

impl Samples<4> for Middle {
    const STEP: usize = 2;

    #[inline(always)]
    unsafe fn transform<V: Vector>(d: [V; 4]) -> [V; 4] {
        // SAFETY: passed on to the caller.
        unsafe {
            let (two, three) = (V::splat(2.0), V::splat(3.0));
            let low = d[3].sub(d[1]);
            [
                two.mul_add(d[0].sub(d[2]), low),
                two.mul_sub_from(d[1], d[3].sub(d[2])),
                two.mul_add(d[1], three.mul_sub_from(d[2], d[3])),
                low,
            ]
        }
    }
}

/// The transform of a patch by `LY` along columns and by `LX` along rows.
pub(crate) struct InputTransform<LY, LX, const PY: usize, const PX: usize>(PhantomData<(LY, LX)>);

impl<LY: Samples<PY>, LX: Samples<PX>, const PY: usize, const PX: usize> Kernel
    for InputTransform<LY, LX, PY, PX>
{
    type Arguments = InputPatch;

    #[inline(always)]
    unsafe fn run<V: Vector>(patch: &InputPatch) {
        // SAFETY: passed on to the caller.
        unsafe {
            let mut rows = [[V::splat(0.0); PX]; PY];
            unroll!(x < PX, {
                let mut d = [V::splat(0.0); PY];
                unroll!(y < PY, {
                    let at = y * LY::STEP * patch.row_stride + x * LX::STEP * V::LANES;
                    d[y] = V::load(patch.source.add(at));
                });
                let column = LY::transform(d);
                unroll!(y < PY, { rows[y][x] = column[y] });
            });
            unroll!(y < PY, {
                let row = LX::transform(rows[y]);
                unroll!(x < PX, { row[x].store(patch.target.add(*patch.targets.add(y * PX + x))) });
            });
        }
    }
}

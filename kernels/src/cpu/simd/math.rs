//! Functions of a vector: the exponential and the activations built on it.

use super::Vector;
use crate::epilogue::Activation;

/// Arguments are clamped to this range, in which the result is a normal number.
const EXP_RANGE: [f32; 2] = [-87.0, 88.0];
/// ln 2 in two parts: a multiple of the first by a whole number is exact.
const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
/// `(exp(r) - 1 - r) / r^2` on `|r| <= ln(2) / 2`, highest power first.
const EXP_POLYNOMIAL: [f32; 6] =
    [1.987_569_2e-4, 1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5];

/// `exp(x)` to about two units in the last place, by the reduction and the polynomial of `expf` in the
/// Cephes library (S. Moshier). Arguments below -87 or above 88 give the value there.
///
/// # Safety
/// The CPU must have the instruction set of `V`.
#[inline(always)]
pub(crate) unsafe fn exp<V: Vector>(x: V) -> V {
    // SAFETY: passed on to the caller.
    unsafe {
        let x = V::splat(EXP_RANGE[1]).min(V::splat(EXP_RANGE[0]).max(x));
        let n = x.mul(V::splat(std::f32::consts::LOG2_E)).round();
        let r = n.mul_sub_from(V::splat(LN_2[1]), n.mul_sub_from(V::splat(LN_2[0]), x));
        let mut p = V::splat(EXP_POLYNOMIAL[0]);
        for coefficient in &EXP_POLYNOMIAL[1..] {
            p = p.mul_add(r, V::splat(*coefficient));
        }
        let y = p.mul_add(r.mul(r), r.add(V::splat(1.0)));
        y.mul(n.exp2_of_integer())
    }
}

/// The activation of each lane. What is not a number stays so.
///
/// # Safety
/// The CPU must have the instruction set of `V`.
#[inline(always)]
pub(crate) unsafe fn activate<V: Vector>(activation: Activation, x: V) -> V {
    // SAFETY: passed on to the caller.
    unsafe {
        let unit_clip = |x: V| V::splat(1.0).min(V::splat(0.0).max(x));
        match activation {
            Activation::Identity => x,
            Activation::Relu => V::splat(0.0).max(x),
            Activation::Clip { low, high } => V::splat(high).min(V::splat(low).max(x)),
            Activation::Sigmoid => V::splat(1.0).div(one_plus_exp_of_negative(x)),
            Activation::Silu => x.div(one_plus_exp_of_negative(x)),
            Activation::HardSigmoid { alpha, beta } => unit_clip(x.mul_add(V::splat(alpha), V::splat(beta))),
            Activation::HardSwish => x.mul(unit_clip(x.mul_add(V::splat(1.0 / 6.0), V::splat(0.5)))),
        }
    }
}

/// # Safety
/// The CPU must have the instruction set of `V`.
#[inline(always)]
unsafe fn one_plus_exp_of_negative<V: Vector>(x: V) -> V {
    // SAFETY: passed on to the caller.
    unsafe { V::splat(1.0).add(exp(V::splat(0.0).sub(x))) }
}

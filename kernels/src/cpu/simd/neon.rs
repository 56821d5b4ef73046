//! AArch64: two vectors of four floats used as one of eight.

use super::{Entry, Kernel, Vector};
use std::arch::aarch64::*;

/// Advanced SIMD, which every AArch64 target of Rust's standard library has.
pub(crate) struct Neon;

/// Eight floats.
#[derive(Clone, Copy)]
pub(crate) struct Pair(float32x4_t, float32x4_t);

impl Entry for Neon {
    type Vector = Pair;

    #[target_feature(enable = "neon")]
    unsafe fn enter<K: Kernel>(arguments: &K::Arguments) {
        // SAFETY: passed on to the caller.
        unsafe { K::run::<Pair>(arguments) }
    }
}

impl Vector for Pair {
    const LANES: usize = 8;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        // SAFETY: the caller has checked the CPU.
        unsafe { Self(vdupq_n_f32(x), vdupq_n_f32(x)) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller has checked the CPU and gives eight readable floats.
        unsafe { Self(vld1q_f32(from), vld1q_f32(from.add(4))) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller has checked the CPU and gives eight writable floats.
        unsafe {
            vst1q_f32(to, self.0);
            vst1q_f32(to.add(4), self.1);
        }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: the caller has checked the CPU.
        unsafe { Self(vaddq_f32(self.0, other.0), vaddq_f32(self.1, other.1)) }
    }
    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        // SAFETY: the caller has checked the CPU.
        unsafe { Self(vsubq_f32(self.0, other.0), vsubq_f32(self.1, other.1)) }
    }
    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        // SAFETY: the caller has checked the CPU.
        unsafe { Self(vmulq_f32(self.0, other.0), vmulq_f32(self.1, other.1)) }
    }
    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        // SAFETY: the caller has checked the CPU.
        unsafe { Self(vdivq_f32(self.0, other.0), vdivq_f32(self.1, other.1)) }
    }
    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        // SAFETY: the caller has checked the CPU.
        unsafe { Self(vmaxq_f32(self.0, other.0), vmaxq_f32(self.1, other.1)) }
    }
    #[inline(always)]
    unsafe fn min(self, other: Self) -> Self {
        // SAFETY: the caller has checked the CPU.
        unsafe { Self(vminq_f32(self.0, other.0), vminq_f32(self.1, other.1)) }
    }
    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, term: Self) -> Self {
        // SAFETY: the caller has checked the CPU.
        unsafe { Self(vfmaq_f32(term.0, self.0, factor.0), vfmaq_f32(term.1, self.1, factor.1)) }
    }
    #[inline(always)]
    unsafe fn mul_sub_from(self, factor: Self, term: Self) -> Self {
        // SAFETY: the caller has checked the CPU.
        unsafe { Self(vfmsq_f32(term.0, self.0, factor.0), vfmsq_f32(term.1, self.1, factor.1)) }
    }
    #[inline(always)]
    unsafe fn round(self) -> Self {
        // SAFETY: the caller has checked the CPU.
        unsafe { Self(vrndnq_f32(self.0), vrndnq_f32(self.1)) }
    }
    #[inline(always)]
    unsafe fn permute(self, index: *const u32) -> Self {
        let mut lanes = [0.0; 8];
        // SAFETY: the array holds eight floats, and the caller gives eight readable numbers.
        unsafe {
            self.store(lanes.as_mut_ptr());
            let index = index.cast::<[u32; 8]>().read_unaligned();
            Self::load(index.map(|lane| lanes[lane as usize % 8]).as_ptr())
        }
    }
    #[inline(always)]
    unsafe fn exp2_of_integer(self) -> Self {
        // SAFETY: the caller has checked the CPU.
        unsafe {
            let exponent = |x| vshlq_n_s32::<23>(vaddq_s32(vcvtq_s32_f32(x), vdupq_n_s32(127)));
            Self(vreinterpretq_f32_s32(exponent(self.0)), vreinterpretq_f32_s32(exponent(self.1)))
        }
    }
}

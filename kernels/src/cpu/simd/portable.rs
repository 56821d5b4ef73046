//! Vectors as plain arrays: the path that runs everywhere and that the others are compared with.

use super::{Entry, Kernel, Vector};

/// Plain Rust.
pub(crate) struct Portable;

/// Eight floats. Multiplication and addition round separately: a fused one is a slow library call on
/// targets that do not have it.
#[derive(Clone, Copy)]
#[repr(align(32))]
pub(crate) struct Floats([f32; 8]);

/// Adding and subtracting it rounds a small float to an integer.
const ROUNDER: f32 = 12_582_912.0;

impl Floats {
    #[inline(always)]
    fn zip(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        let mut result = self;
        for (r, o) in result.0.iter_mut().zip(other.0) {
            *r = f(*r, o);
        }
        result
    }
}

impl Vector for Floats {
    const LANES: usize = 8;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        Self([x; 8])
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller gives eight readable floats.
        Self(unsafe { from.cast::<[f32; 8]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller gives eight writable floats.
        unsafe { to.cast::<[f32; 8]>().write_unaligned(self.0) }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }
    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }
    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        self.zip(other, |a, b| a * b)
    }
    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        self.zip(other, |a, b| a / b)
    }
    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        self.zip(other, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    unsafe fn min(self, other: Self) -> Self {
        self.zip(other, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, term: Self) -> Self {
        self.zip(factor, |a, b| a * b).zip(term, |a, b| a + b)
    }
    #[inline(always)]
    unsafe fn mul_sub_from(self, factor: Self, term: Self) -> Self {
        self.zip(factor, |a, b| a * b).zip(term, |a, b| b - a)
    }
    #[inline(always)]
    unsafe fn round(self) -> Self {
        self.zip(self, |x, _| (x + ROUNDER) - ROUNDER)
    }
    #[inline(always)]
    unsafe fn permute(self, index: *const u32) -> Self {
        // SAFETY: the caller gives eight readable numbers.
        let index = unsafe { index.cast::<[u32; 8]>().read_unaligned() };
        Self(index.map(|lane| self.0[lane as usize % 8]))
    }
    #[inline(always)]
    unsafe fn exp2_of_integer(self) -> Self {
        self.zip(self, |x, _| f32::from_bits(((x as i32 + 127) as u32) << 23))
    }
}

impl Entry for Portable {
    type Vector = Floats;

    unsafe fn enter<K: Kernel>(arguments: &K::Arguments) {
        // SAFETY: passed on to the caller; every CPU has this instruction set.
        unsafe { K::run::<Floats>(arguments) }
    }
}

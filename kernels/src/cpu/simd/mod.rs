//! One way to write vector code for every instruction set.
//!
//! A kernel is an `#[inline(always)]` body over a [`Vector`] type. An [`Entry`] compiles it for one
//! instruction set: its `enter` carries the `#[target_feature]` attribute and all of the body is inlined
//! into it, so that `E::enter::<K>` is a function pointer for the table of variants.

mod math;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(crate) use math::{activate, exp};
#[cfg(target_arch = "aarch64")]
pub(crate) use neon::Neon;
pub(crate) use portable::Portable;
#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2Fma, Avx512};

/// Lanes of the widest vector: the size of stack buffers that hold one.
pub(crate) const MAX_LANES: usize = 16;

/// A vector of `LANES` floats.
///
/// # Safety
/// The methods are unsafe to call: they need a CPU that has the type's instruction set, and the pointers
/// need `LANES` readable (writable) floats, at any alignment.
pub(crate) trait Vector: Copy {
    const LANES: usize;

    unsafe fn splat(x: f32) -> Self;
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn sub(self, other: Self) -> Self;
    unsafe fn mul(self, other: Self) -> Self;
    unsafe fn div(self, other: Self) -> Self;
    /// The larger value; `other` if it is not a number.
    unsafe fn max(self, other: Self) -> Self;
    /// The smaller value; `other` if it is not a number.
    unsafe fn min(self, other: Self) -> Self;
    /// `self * factor + term`
    unsafe fn mul_add(self, factor: Self, term: Self) -> Self;
    /// `term - self * factor`
    unsafe fn mul_sub_from(self, factor: Self, term: Self) -> Self;
    /// The nearest integer, for values below 2^22.
    unsafe fn round(self) -> Self;
    /// Each lane from the lane that `index` names, `LANES` numbers below `LANES`.
    unsafe fn permute(self, index: *const u32) -> Self;
    /// `2^self` for whole numbers from -126 to 127.
    unsafe fn exp2_of_integer(self) -> Self;
}

/// A vectorised computation, not yet bound to an instruction set.
pub(crate) trait Kernel {
    type Arguments;

    /// # Safety
    /// The CPU must have the instruction set of `V`; what the arguments must hold is said by each kernel.
    unsafe fn run<V: Vector>(arguments: &Self::Arguments);
}

/// An instruction set that kernels can be compiled for.
pub(crate) trait Entry {
    type Vector: Vector;

    /// # Safety
    /// As for `K::run`.
    unsafe fn enter<K: Kernel>(arguments: &K::Arguments);
}

/// Asks for the cache line of an address that will be read soon. Never faults, whatever the address.
#[inline(always)]
pub(crate) fn prefetch(address: *const f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint that every x86-64 CPU has and that does not access memory.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// Repeats a block for `i` in `0..n`, `n` a constant of at most 14, without a loop: the compiler leaves
/// long loops over arrays of vectors in place, and the arrays in memory instead of in registers.
macro_rules! unroll {
    ($i:ident < $n:expr, $body:block) => {
        unroll!(@ $i, $n, $body, 0 1 2 3 4 5 6 7 8 9 10 11 12 13)
    };
    (@ $i:ident, $n:expr, $body:block, $($value:literal)*) => {
        $(if $value < $n {
            let $i: usize = $value;
            $body
        })*
    };
}
pub(crate) use unroll;

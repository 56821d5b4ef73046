//! AVX2 with FMA, and AVX-512F.

use super::{Entry, Kernel, Vector};
use std::arch::x86_64::*;

/// AVX2 and FMA.
pub(crate) struct Avx2Fma;

/// AVX-512F besides AVX2 and FMA.
pub(crate) struct Avx512;

impl Entry for Avx2Fma {
    type Vector = __m256;

    #[target_feature(enable = "avx2,fma")]
    unsafe fn enter<K: Kernel>(arguments: &K::Arguments) {
        // SAFETY: passed on to the caller.
        unsafe { K::run::<__m256>(arguments) }
    }
}

impl Entry for Avx512 {
    type Vector = __m512;

    #[target_feature(enable = "avx512f,avx2,fma")]
    unsafe fn enter<K: Kernel>(arguments: &K::Arguments) {
        // SAFETY: passed on to the caller.
        unsafe { K::run::<__m512>(arguments) }
    }
}

/// Implements the trait by naming the intrinsic of each method.
macro_rules! vector {
    ($type:ty, $lanes:literal,
     $splat:ident $load:ident $store:ident $add:ident $sub:ident $mul:ident $div:ident $max:ident $min:ident
     $mul_add:ident $mul_sub_from:ident, round: $round:ident::<$mode:ident>,
     exp2: $integers:ident $splat_integer:ident $add_integer:ident $shift:ident $floats:ident,
     permute: |$x:ident, $index:ident| $permute:expr) => {
        impl Vector for $type {
            const LANES: usize = $lanes;

            #[inline(always)]
            unsafe fn splat(x: f32) -> Self {
                // SAFETY: the caller has checked the CPU.
                unsafe { $splat(x) }
            }
            #[inline(always)]
            unsafe fn load(from: *const f32) -> Self {
                // SAFETY: the caller has checked the CPU and gives readable floats.
                unsafe { $load(from) }
            }
            #[inline(always)]
            unsafe fn store(self, to: *mut f32) {
                // SAFETY: the caller has checked the CPU and gives writable floats.
                unsafe { $store(to, self) }
            }
            #[inline(always)]
            unsafe fn add(self, other: Self) -> Self {
                // SAFETY: the caller has checked the CPU.
                unsafe { $add(self, other) }
            }
            #[inline(always)]
            unsafe fn sub(self, other: Self) -> Self {
                // SAFETY: the caller has checked the CPU.
                unsafe { $sub(self, other) }
            }
            #[inline(always)]
            unsafe fn mul(self, other: Self) -> Self {
                // SAFETY: the caller has checked the CPU.
                unsafe { $mul(self, other) }
            }
            #[inline(always)]
            unsafe fn div(self, other: Self) -> Self {
                // SAFETY: the caller has checked the CPU.
                unsafe { $div(self, other) }
            }
            #[inline(always)]
            unsafe fn max(self, other: Self) -> Self {
                // SAFETY: the caller has checked the CPU.
                unsafe { $max(self, other) }
            }
            #[inline(always)]
            unsafe fn min(self, other: Self) -> Self {
                // SAFETY: the caller has checked the CPU.
                unsafe { $min(self, other) }
            }
            #[inline(always)]
            unsafe fn mul_add(self, factor: Self, term: Self) -> Self {
                // SAFETY: the caller has checked the CPU.
                unsafe { $mul_add(self, factor, term) }
            }
            #[inline(always)]
            unsafe fn mul_sub_from(self, factor: Self, term: Self) -> Self {
                // SAFETY: the caller has checked the CPU.
                unsafe { $mul_sub_from(self, factor, term) }
            }
            #[inline(always)]
            unsafe fn round(self) -> Self {
                // SAFETY: the caller has checked the CPU.
                unsafe { $round::<$mode>(self) }
            }
            #[inline(always)]
            unsafe fn permute(self, index: *const u32) -> Self {
                let ($x, $index) = (self, index);
                // SAFETY: the caller has checked the CPU and gives readable numbers.
                unsafe { $permute }
            }
            #[inline(always)]
            unsafe fn exp2_of_integer(self) -> Self {
                // SAFETY: the caller has checked the CPU.
                unsafe { $floats($shift::<23>($add_integer($integers(self), $splat_integer(127)))) }
            }
        }
    };
}

const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;

vector!(__m256, 8,
    _mm256_set1_ps _mm256_loadu_ps _mm256_storeu_ps _mm256_add_ps _mm256_sub_ps _mm256_mul_ps _mm256_div_ps
    _mm256_max_ps _mm256_min_ps _mm256_fmadd_ps _mm256_fnmadd_ps, round: _mm256_round_ps::<NEAREST>,
    exp2: _mm256_cvtps_epi32 _mm256_set1_epi32 _mm256_add_epi32 _mm256_slli_epi32 _mm256_castsi256_ps,
    permute: |x, index| _mm256_permutevar8x32_ps(x, _mm256_loadu_si256(index.cast())));

vector!(__m512, 16,
    _mm512_set1_ps _mm512_loadu_ps _mm512_storeu_ps _mm512_add_ps _mm512_sub_ps _mm512_mul_ps _mm512_div_ps
    _mm512_max_ps _mm512_min_ps _mm512_fmadd_ps _mm512_fnmadd_ps, round: _mm512_roundscale_ps::<NEAREST>,
    exp2: _mm512_cvtps_epi32 _mm512_set1_epi32 _mm512_add_epi32 _mm512_slli_epi32 _mm512_castsi512_ps,
    permute: |x, index| _mm512_permutexvar_ps(_mm512_loadu_si512(index.cast()), x));

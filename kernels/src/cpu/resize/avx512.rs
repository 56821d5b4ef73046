//! The two passes with AVX-512 VNNI. A coefficient is split into three signed 8-bit digits, base 256, so
//! that one dot product takes four taps; the sums are put together modulo 2^32, which makes them exact.

use super::four_rows::{FourRows, ROWS};
use super::plan::TAP_GROUP;
use super::portable;
use super::{Axis, Rows, RowsMut};
use crate::reference::resize::PRECISION_BITS;
use std::arch::x86_64::*;

/// The digits of four taps: highest, middle and lowest.
type Digits = [i32; 3];

pub(super) fn available() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vnni")
}

pub(super) fn horizontal(axis: &Axis, input: Rows<'_>, rows: usize, output: RowsMut<'_>) {
    debug_assert!(available());
    if !axis.has_small_weights() {
        return portable::horizontal(axis, input, rows, output);
    }
    // SAFETY: `available` was true before this function could be reached through the table.
    unsafe { horizontal_avx512(axis, input, rows, output) }
}

pub(super) fn vertical(axis: &Axis, input: Rows<'_>, bytes: usize, output: RowsMut<'_>) {
    debug_assert!(available());
    if !axis.has_small_weights() {
        return portable::vertical(axis, input, bytes, output);
    }
    // SAFETY: `available` was true before this function could be reached through the table.
    unsafe { vertical_avx512(axis, input, bytes, output) }
}

/// Digits in -128..128 with `((high * 256) + middle) * 256 + low == weight`.
fn digits(weight: i32) -> [i8; 3] {
    let low = weight as i8;
    let rest = (weight - i32::from(low)) >> 8;
    let middle = rest as i8;
    let high = (rest - i32::from(middle)) >> 8;
    debug_assert!(i8::try_from(high).is_ok(), "a coefficient of {weight} is no weight of a filter");
    [high as i8, middle, low]
}

fn grouped(taps: &[i32]) -> impl Iterator<Item = Digits> {
    taps.as_chunks::<TAP_GROUP>().0.iter().map(|group| {
        let digits = group.map(digits);
        std::array::from_fn(|place| i32::from_le_bytes(digits.map(|digits| digits[place] as u8)))
    })
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn horizontal_avx512(axis: &Axis, input: Rows<'_>, rows: usize, output: RowsMut<'_>) {
    let weights: Vec<Digits> = (0..axis.len()).flat_map(|x| grouped(axis.taps(x).1)).collect();
    let per_position = weights.len() / axis.len().max(1);
    let mut input = FourRows::new(axis, input, rows);
    for y in (0..rows).step_by(ROWS) {
        let (count, sources) = input.from(y);
        let targets = &mut output.data[y * output.stride..];
        for x in 0..axis.len() {
            let weights = &weights[x * per_position..][..per_position];
            // SAFETY: each source reaches 16 bytes beyond the start of every group of taps.
            let bytes = unsafe { four_pixels(axis.taps(x).0, weights, &sources) };
            for row in 0..count {
                let at = row * output.stride + x * 3;
                targets[at..at + 3].copy_from_slice(&bytes[row * 4..row * 4 + 3]);
            }
        }
    }
}

/// One pixel of each of four rows: red, green, blue and a byte of no meaning.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn four_pixels(start: usize, weights: &[Digits], sources: &[&[u8]; ROWS]) -> [u8; 16] {
    // Bytes of four pixels to R0 R1 R2 R3, G0 G1 G2 G3, B0 B1 B2 B3.
    let by_channel =
        _mm512_broadcast_i32x4(_mm_setr_epi8(0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11, -1, -1, -1, -1));
    let mut sums = [_mm512_setzero_si512(); 3];
    let mut offset = start * 3;
    for group in weights {
        let [a, b, c, d] = sources.map(|source| {
            debug_assert!(offset + 16 <= source.len());
            // SAFETY: by the caller's promise there are 16 bytes at the start of every group.
            unsafe { _mm_loadu_si128(source.as_ptr().add(offset).cast()) }
        });
        let values = _mm512_inserti32x4::<1>(_mm512_castsi128_si512(a), b);
        let values = _mm512_inserti32x4::<3>(_mm512_inserti32x4::<2>(values, c), d);
        let values = _mm512_shuffle_epi8(values, by_channel);
        for (sum, &digits) in sums.iter_mut().zip(group) {
            *sum = _mm512_dpbusd_epi32(*sum, values, _mm512_set1_epi32(digits));
        }
        offset += 3 * TAP_GROUP;
    }
    let mut bytes = [0; 16];
    let pixels = _mm512_cvtusepi32_epi8(clamp_low(put_together(sums)));
    // SAFETY: the array has 16 bytes.
    unsafe { _mm_storeu_si128(bytes.as_mut_ptr().cast(), pixels) };
    bytes
}

/// The sums over the three digits as whole numbers without their fraction.
#[target_feature(enable = "avx512f")]
fn put_together([high, middle, low]: [__m512i; 3]) -> __m512i {
    let upper = _mm512_add_epi32(_mm512_slli_epi32::<8>(high), middle);
    let sum = _mm512_add_epi32(_mm512_slli_epi32::<8>(upper), low);
    let half = _mm512_set1_epi32(1 << (PRECISION_BITS - 1));
    _mm512_srai_epi32::<PRECISION_BITS>(_mm512_add_epi32(sum, half))
}

#[target_feature(enable = "avx512f")]
fn clamp_low(values: __m512i) -> __m512i {
    _mm512_max_epi32(values, _mm512_setzero_si512())
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn vertical_avx512(axis: &Axis, input: Rows<'_>, bytes: usize, output: RowsMut<'_>) {
    const BLOCK: usize = 64;
    let last_row = axis.input_len() - 1;
    let mut weights: Vec<Digits> = Vec::new();
    for y in 0..axis.len() {
        let (start, taps) = axis.taps(y);
        let target = &mut output.data[y * output.stride..][..bytes];
        if bytes < BLOCK {
            portable::vertical_row(axis, y, input, 0, target);
            continue;
        }
        weights.clear();
        weights.extend(grouped(taps));
        let mut column = 0;
        loop {
            // The last block overlaps the one before it.
            column = column.min(bytes - BLOCK);
            let mut sums = [[_mm512_setzero_si512(); 3]; 4];
            for (group, digits) in weights.iter().enumerate() {
                let [a, b, c, d] = std::array::from_fn(|offset| {
                    // Rows beyond the last have zero coefficients.
                    let row = (start + group * TAP_GROUP + offset).min(last_row);
                    let block = &input.data[row * input.stride + column..][..BLOCK];
                    // SAFETY: the slice has 64 bytes.
                    unsafe { _mm512_loadu_si512(block.as_ptr().cast()) }
                });
                let [ab, cd] = [_mm512_unpacklo_epi8(a, b), _mm512_unpacklo_epi8(c, d)];
                let [ab_upper, cd_upper] = [_mm512_unpackhi_epi8(a, b), _mm512_unpackhi_epi8(c, d)];
                let values = [
                    _mm512_unpacklo_epi16(ab, cd),
                    _mm512_unpackhi_epi16(ab, cd),
                    _mm512_unpacklo_epi16(ab_upper, cd_upper),
                    _mm512_unpackhi_epi16(ab_upper, cd_upper),
                ];
                for (sums, values) in sums.iter_mut().zip(values) {
                    for (sum, &digits) in sums.iter_mut().zip(digits) {
                        *sum = _mm512_dpbusd_epi32(*sum, values, _mm512_set1_epi32(digits));
                    }
                }
            }
            let [a, b, c, d] = sums.map(|sums| put_together(sums));
            let packed = _mm512_packus_epi16(_mm512_packs_epi32(a, b), _mm512_packs_epi32(c, d));
            let block = &mut target[column..column + BLOCK];
            // SAFETY: the slice has 64 bytes.
            unsafe { _mm512_storeu_si512(block.as_mut_ptr().cast(), packed) };
            column += BLOCK;
            if column >= bytes {
                break;
            }
        }
    }
}

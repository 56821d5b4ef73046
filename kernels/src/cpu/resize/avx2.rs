//! The two passes with AVX2. A coefficient is split into two 16-bit halves, `high * 2^11 + low`, so that
//! one multiply-add takes two taps; the sums are put together modulo 2^32, which makes them exact.

use super::four_rows::{FourRows, ROWS};
use super::portable;
use super::{Axis, Rows, RowsMut};
use crate::reference::resize::PRECISION_BITS;
use std::arch::x86_64::*;

const LOW_BITS: i32 = 11;

pub(super) fn available() -> bool {
    is_x86_feature_detected!("avx2")
}

pub(super) fn horizontal(axis: &Axis, input: Rows<'_>, rows: usize, output: RowsMut<'_>) {
    debug_assert!(available());
    if !axis.has_small_weights() {
        return portable::horizontal(axis, input, rows, output);
    }
    let groups = GroupedHalves::new(axis);
    // SAFETY: `available` was true before this function could be reached through the table.
    unsafe { horizontal_avx2(axis, &groups, input, rows, output) }
}

pub(super) fn vertical(axis: &Axis, input: Rows<'_>, bytes: usize, output: RowsMut<'_>) {
    debug_assert!(available());
    if !axis.has_small_weights() {
        return portable::vertical(axis, input, bytes, output);
    }
    // SAFETY: `available` was true before this function could be reached through the table.
    unsafe { vertical_avx2(axis, input, bytes, output) }
}

const fn halves(weight: i32) -> [i16; 2] {
    [(weight >> LOW_BITS) as i16, (weight & ((1 << LOW_BITS) - 1)) as i16]
}

/// For four taps each, the four high and the four low halves.
struct GroupedHalves {
    groups: Vec<[i16; 8]>,
    per_position: usize,
}

impl GroupedHalves {
    fn new(axis: &Axis) -> Self {
        let mut groups = Vec::new();
        for position in 0..axis.len() {
            for taps in axis.taps(position).1.as_chunks::<4>().0 {
                let [a, b, c, d] = taps.map(halves);
                groups.push([a[0], b[0], c[0], d[0], a[1], b[1], c[1], d[1]]);
            }
        }
        let per_position = groups.len() / axis.len().max(1);
        Self { groups, per_position }
    }

    fn of(&self, position: usize) -> &[[i16; 8]] {
        &self.groups[position * self.per_position..][..self.per_position]
    }
}

#[target_feature(enable = "avx2")]
unsafe fn horizontal_avx2(
    axis: &Axis,
    groups: &GroupedHalves,
    input: Rows<'_>,
    rows: usize,
    output: RowsMut<'_>,
) {
    let out_bytes = axis.len() * 3;
    let mut input = FourRows::new(axis, input, rows);
    for y in (0..rows).step_by(ROWS) {
        let (count, sources) = input.from(y);
        let base = y * output.stride;
        let targets = &mut output.data[base..];
        // SAFETY: `FourRows` gives sources that hold every load, and AVX2 is there by this function's own
        // condition.
        unsafe { four_rows(axis, groups, sources, count, targets, output.stride, out_bytes) };
    }
}

/// Resamples four rows; writes `count` of them. Every source must be one that `FourRows` gave for this axis.
#[target_feature(enable = "avx2")]
unsafe fn four_rows(
    axis: &Axis,
    groups: &GroupedHalves,
    sources: [&[u8]; ROWS],
    count: usize,
    targets: &mut [u8],
    target_stride: usize,
    out_bytes: usize,
) {
    // Bytes R0 G0 B0 R1 G1 B1 of two pixels to the pairs (R0, R1), (G0, G1), (B0, B1) of 16 bits; the
    // lower half takes taps 0 and 1 of the group, the upper half 2 and 3.
    let pairs = _mm256_setr_epi8(
        0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1, //
        6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1,
    );
    let high_of = _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1);
    let low_of = _mm256_setr_epi32(2, 2, 2, 2, 3, 3, 3, 3);
    let half = _mm_set1_epi32(1 << (PRECISION_BITS - 1));
    for x in 0..axis.len() {
        let (start, _) = axis.taps(x);
        let mut high = [_mm256_setzero_si256(); ROWS];
        let mut low = [_mm256_setzero_si256(); ROWS];
        let mut offset = start * 3;
        for group in groups.of(x) {
            // SAFETY: a group is 16 bytes.
            let weights = unsafe { _mm_loadu_si128(group.as_ptr().cast()) };
            let weights = _mm256_castsi128_si256(weights);
            let high_weights = _mm256_permutevar8x32_epi32(weights, high_of);
            let low_weights = _mm256_permutevar8x32_epi32(weights, low_of);
            for row in 0..ROWS {
                debug_assert!(offset + 16 <= sources[row].len());
                // SAFETY: the caller's sources reach 16 bytes beyond the start of every group.
                let bytes = unsafe { _mm_loadu_si128(sources[row].as_ptr().add(offset).cast()) };
                let values = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(bytes), pairs);
                high[row] = _mm256_add_epi32(high[row], _mm256_madd_epi16(values, high_weights));
                low[row] = _mm256_add_epi32(low[row], _mm256_madd_epi16(values, low_weights));
            }
            offset += 12;
        }
        let sums: [__m128i; ROWS] = std::array::from_fn(|row| {
            let sum = _mm256_add_epi32(_mm256_slli_epi32::<LOW_BITS>(high[row]), low[row]);
            let sum = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256::<1>(sum));
            _mm_srai_epi32::<{ PRECISION_BITS as i32 }>(_mm_add_epi32(sum, half))
        });
        let pixels = _mm_packus_epi16(_mm_packs_epi32(sums[0], sums[1]), _mm_packs_epi32(sums[2], sums[3]));
        let mut bytes = [0_u8; 16];
        // SAFETY: the array has 16 bytes.
        unsafe { _mm_storeu_si128(bytes.as_mut_ptr().cast(), pixels) };
        for row in 0..count {
            let at = row * target_stride + x * 3;
            targets[at..at + 3].copy_from_slice(&bytes[row * 4..row * 4 + 3]);
        }
    }
    debug_assert!(targets.len() >= (count - 1) * target_stride + out_bytes);
}

#[target_feature(enable = "avx2")]
unsafe fn vertical_avx2(axis: &Axis, input: Rows<'_>, bytes: usize, output: RowsMut<'_>) {
    const BLOCK: usize = 32;
    let last_row = axis.input_len() - 1;
    let mut weights = Vec::new();
    for y in 0..axis.len() {
        let (start, taps) = axis.taps(y);
        let target = &mut output.data[y * output.stride..][..bytes];
        if bytes < BLOCK {
            portable::vertical_row(axis, y, input, 0, target);
            continue;
        }
        weights.clear();
        weights.extend(taps.as_chunks::<2>().0.iter().map(|&[first, second]| {
            let (first, second) = (halves(first), halves(second));
            [pack(first[0], second[0]), pack(first[1], second[1])]
        }));
        let mut column = 0;
        loop {
            // The last block overlaps the one before it.
            column = column.min(bytes - BLOCK);
            let mut high = [_mm256_setzero_si256(); 4];
            let mut low = [_mm256_setzero_si256(); 4];
            for (pair, &[high_weights, low_weights]) in weights.iter().enumerate() {
                let row_at = |offset: usize| {
                    // Rows beyond the last have zero coefficients.
                    let row = (start + pair * 2 + offset).min(last_row);
                    &input.data[row * input.stride + column..][..BLOCK]
                };
                let [first, second] = [row_at(0), row_at(1)];
                // SAFETY: both slices have 32 bytes.
                let first = unsafe { _mm256_loadu_si256(first.as_ptr().cast()) };
                // SAFETY: both slices have 32 bytes.
                let second = unsafe { _mm256_loadu_si256(second.as_ptr().cast()) };
                let zero = _mm256_setzero_si256();
                let lower = _mm256_unpacklo_epi8(first, second);
                let upper = _mm256_unpackhi_epi8(first, second);
                let values = [
                    _mm256_unpacklo_epi8(lower, zero),
                    _mm256_unpackhi_epi8(lower, zero),
                    _mm256_unpacklo_epi8(upper, zero),
                    _mm256_unpackhi_epi8(upper, zero),
                ];
                let high_weights = _mm256_set1_epi32(high_weights);
                let low_weights = _mm256_set1_epi32(low_weights);
                for part in 0..4 {
                    high[part] = _mm256_add_epi32(high[part], _mm256_madd_epi16(values[part], high_weights));
                    low[part] = _mm256_add_epi32(low[part], _mm256_madd_epi16(values[part], low_weights));
                }
            }
            let half = _mm256_set1_epi32(1 << (PRECISION_BITS - 1));
            let sums: [__m256i; 4] = std::array::from_fn(|part| {
                let sum = _mm256_add_epi32(_mm256_slli_epi32::<LOW_BITS>(high[part]), low[part]);
                _mm256_srai_epi32::<{ PRECISION_BITS as i32 }>(_mm256_add_epi32(sum, half))
            });
            let packed = _mm256_packus_epi16(
                _mm256_packs_epi32(sums[0], sums[1]),
                _mm256_packs_epi32(sums[2], sums[3]),
            );
            let block = &mut target[column..column + BLOCK];
            // SAFETY: the slice has 32 bytes.
            unsafe { _mm256_storeu_si256(block.as_mut_ptr().cast(), packed) };
            column += BLOCK;
            if column >= bytes {
                break;
            }
        }
    }
}

/// Two 16-bit numbers side by side, the first one in the lower half.
const fn pack(first: i16, second: i16) -> i32 {
    (first as u16 as u32 | (second as u16 as u32) << 16) as i32
}

//! The two passes in plain Rust.

use super::{Axis, Rows, RowsMut};
use crate::reference::resize::PRECISION_BITS;

const HALF: i32 = 1 << (PRECISION_BITS - 1);

pub(super) fn horizontal(axis: &Axis, input: Rows<'_>, rows: usize, output: RowsMut<'_>) {
    let row_bytes = axis.input_len() * 3;
    for y in 0..rows {
        let row = &input.data[y * input.stride..][..row_bytes];
        horizontal_row(axis, row, &mut output.data[y * output.stride..][..axis.len() * 3]);
    }
}

pub(super) fn horizontal_row(axis: &Axis, row: &[u8], output: &mut [u8]) {
    for (x, pixel) in output.as_chunks_mut::<3>().0.iter_mut().enumerate() {
        let (start, weights) = axis.taps(x);
        let mut sums = [HALF; 3];
        for (&weight, source) in weights.iter().zip(row[start * 3..].as_chunks::<3>().0) {
            for (sum, &value) in sums.iter_mut().zip(source) {
                *sum = sum.wrapping_add(weight.wrapping_mul(i32::from(value)));
            }
        }
        *pixel = sums.map(clip);
    }
}

pub(super) fn vertical(axis: &Axis, input: Rows<'_>, bytes: usize, output: RowsMut<'_>) {
    for y in 0..axis.len() {
        vertical_row(axis, y, input, 0, &mut output.data[y * output.stride..][..bytes]);
    }
}

/// One row of the output, beginning at byte `first` of the rows.
pub(super) fn vertical_row(axis: &Axis, y: usize, input: Rows<'_>, first: usize, output: &mut [u8]) {
    const BLOCK: usize = 64;
    let (start, weights) = axis.taps(y);
    for (block, target) in output.chunks_mut(BLOCK).enumerate() {
        let mut sums = [HALF; BLOCK];
        let column = first + block * BLOCK;
        for (offset, &weight) in weights.iter().enumerate().take(axis.input_len() - start) {
            let row = &input.data[(start + offset) * input.stride + column..][..target.len()];
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum = sum.wrapping_add(weight.wrapping_mul(i32::from(value)));
            }
        }
        for (byte, sum) in target.iter_mut().zip(sums) {
            *byte = clip(sum);
        }
    }
}

fn clip(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

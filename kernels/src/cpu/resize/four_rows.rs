//! Rows of the input as the vector passes read them: four side by side, each long enough for the last load.

use super::plan::TAP_GROUP;
use super::{Axis, Rows};

/// Rows that a vector pass resamples side by side.
pub(super) const ROWS: usize = 4;
/// Bytes that a load of a group of taps reads from its first pixel on, also where all its taps are padding.
const LOAD_BYTES: usize = 16;

/// Gives out four rows at a time; copies one only where a load would reach beyond the input.
pub(super) struct FourRows<'a> {
    input: Rows<'a>,
    rows: usize,
    row_bytes: usize,
    reach: usize,
    padded: [Vec<u8>; ROWS],
}

impl<'a> FourRows<'a> {
    /// The `rows` rows of `input`, of which each position of `axis` takes its taps.
    pub(super) fn new(axis: &Axis, input: Rows<'a>, rows: usize) -> Self {
        let ends = (0..axis.len()).map(|x| axis.taps(x)).map(|(start, taps)| start + taps.len());
        let reach = ends.map(|end| (end - TAP_GROUP) * 3 + LOAD_BYTES).max().unwrap_or(0);
        Self { input, rows, row_bytes: axis.input_len() * 3, reach, padded: [const { Vec::new() }; ROWS] }
    }

    /// The rows from `y` on, and how many of them there are; those beyond the last repeat it. Each holds all
    /// bytes that a load of any group of taps reads.
    pub(super) fn from(&mut self, y: usize) -> (usize, [&[u8]; ROWS]) {
        let count = ROWS.min(self.rows - y);
        let mut sources: [&[u8]; ROWS] = [&[]; ROWS];
        for (index, (source, padded)) in sources.iter_mut().zip(&mut self.padded).enumerate() {
            let start = (y + index.min(count - 1)) * self.input.stride;
            *source = &self.input.data[start..];
            if source.len() < self.reach {
                padded.clear();
                padded.extend_from_slice(&source[..self.row_bytes]);
                padded.resize(self.reach, 0);
                *source = padded;
            }
        }
        (count, sources.map(|source| &source[..self.reach]))
    }
}

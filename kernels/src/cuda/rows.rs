//! Softmax and top-k of rows of scores in f32.

use super::arguments::RowArguments;
use super::launch::{Launch, launch, size};
use crate::geometry::GeometryError;

/// The launch that writes the softmax of each of `rows` rows.
pub fn softmax(rows: usize, columns: usize, [input, output]: [u64; 2]) -> Result<Launch, GeometryError> {
    let arguments = RowArguments { input, output, indices: 0, columns: size("columns", columns)?, count: 0 };
    launch("f32_softmax", size("rows", rows)?, &arguments)
}

/// The launch that writes the `count` best of each row, best first: their scores to `output`, their columns to
/// `indices`. Equal scores come in order of their columns, NaN after every number.
pub fn top_k(
    rows: usize,
    columns: usize,
    count: usize,
    input: u64,
    [output, indices]: [u64; 2],
) -> Result<Launch, GeometryError> {
    if count > columns {
        return Err(GeometryError::new(format!("the best {count} of {columns} columns do not exist")));
    }
    let [columns, count] = [size("columns", columns)?, size("columns", count)?];
    launch("f32_top_k", size("rows", rows)?, &RowArguments { input, output, indices, columns, count })
}

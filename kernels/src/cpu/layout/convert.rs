//! Between plain tensors and the blocked layout.

use super::BlockedShape;
use crate::parallel::{Parallel, Parts, Rows, for_each_range};

/// Rows that are worth a task.
const ROWS_PER_TASK: usize = 16;
/// Rows whose border is worth a task.
const BORDER_ROWS_PER_TASK: usize = 64;

/// Copies `batch` plain NCHW images into blocked ones. Writes the inside, and zeros to lanes beyond the
/// last channel; leaves the border alone. Panics if a slice has another length than its shape says.
pub fn from_nchw(
    parallel: &dyn Parallel,
    shape: &BlockedShape,
    batch: usize,
    source: &[f32],
    target: &mut [f32],
) {
    let plane = shape.height * shape.width;
    import(parallel, shape, batch, source, target, Strides { channel: plane, row: shape.width, pixel: 1 });
}

/// Copies `batch` plain NHWC images into blocked ones; otherwise as [`from_nchw`].
pub fn from_nhwc(
    parallel: &dyn Parallel,
    shape: &BlockedShape,
    batch: usize,
    source: &[f32],
    target: &mut [f32],
) {
    let (row, pixel) = (shape.width * shape.channels, shape.channels);
    import(parallel, shape, batch, source, target, Strides { channel: 1, row, pixel });
}

/// Where a plain tensor has its values.
#[derive(Clone, Copy)]
struct Strides {
    channel: usize,
    row: usize,
    pixel: usize,
}

fn import(
    parallel: &dyn Parallel,
    shape: &BlockedShape,
    batch: usize,
    source: &[f32],
    target: &mut [f32],
    strides: Strides,
) {
    let image = shape.channels * shape.height * shape.width;
    assert_eq!(source.len(), batch * image, "plain tensor");
    assert_eq!(target.len(), batch * shape.len(), "blocked tensor");
    let parts = Parts::new(target);
    let rows = Rows { images: batch, blocks: shape.blocks(), height: shape.height, per_task: ROWS_PER_TASK };
    rows.for_each(parallel, |n, block, y| {
        let start = n * shape.len() + block * shape.block_stride() + shape.pixel(y as isize, 0);
        // SAFETY: each row of each block is in one task.
        let line = unsafe { parts.part(start..start + shape.width * shape.lanes) };
        let first_channel = block * shape.lanes;
        let channels = shape.lanes.min(shape.channels - first_channel);
        if channels < shape.lanes {
            line.fill(0.0);
        }
        let from = &source[n * image + first_channel * strides.channel + y * strides.row..];
        if strides.channel == 1 && channels == shape.lanes && channels == strides.pixel {
            line.copy_from_slice(&from[..line.len()]);
            return;
        }
        for lane in 0..channels {
            let values = from[lane * strides.channel..].iter().step_by(strides.pixel);
            for (value, pixel) in values.zip(line.chunks_exact_mut(shape.lanes)) {
                pixel[lane] = *value;
            }
        }
    });
}

/// Copies `batch` blocked images into plain NCHW ones. Panics if a slice has another length than its shape
/// says.
pub fn to_nchw(
    parallel: &dyn Parallel,
    shape: &BlockedShape,
    batch: usize,
    source: &[f32],
    target: &mut [f32],
) {
    let image = shape.channels * shape.height * shape.width;
    assert_eq!(source.len(), batch * shape.len(), "blocked tensor");
    assert_eq!(target.len(), batch * image, "plain tensor");
    let parts = Parts::new(target);
    let rows_per_image = shape.channels * shape.height;
    for_each_range(parallel, batch * rows_per_image, ROWS_PER_TASK, |rows| {
        for row in rows {
            let (n, channel, y) =
                (row / rows_per_image, row % rows_per_image / shape.height, row % shape.height);
            // SAFETY: each row of each channel is in one task.
            let line = unsafe { parts.part(row * shape.width..(row + 1) * shape.width) };
            let from = &source[n * shape.len() + shape.element(channel, y, 0)..];
            for (value, pixel) in line.iter_mut().zip(from.iter().step_by(shape.lanes)) {
                *value = *pixel;
            }
        }
    });
}

/// Writes zeros to the border of `batch` images. Panics if the slice has another length than its shape says.
pub fn clear_border(parallel: &dyn Parallel, shape: &BlockedShape, batch: usize, tensor: &mut [f32]) {
    assert_eq!(tensor.len(), batch * shape.len(), "blocked tensor");
    let (row, border) = (shape.row_stride(), shape.border);
    let (left, right) = (border.left * shape.lanes, border.right * shape.lanes);
    let parts = Parts::new(tensor);
    let height = border.top + shape.height + border.bottom;
    let rows = Rows { images: batch, blocks: shape.blocks(), height, per_task: BORDER_ROWS_PER_TASK };
    rows.for_each(parallel, |image, block, y| {
        let start = ((image * shape.blocks() + block) * height + y) * row;
        // SAFETY: each row of each block is in one task.
        let line = unsafe { parts.part(start..start + row) };
        if y < border.top || y >= border.top + shape.height {
            line.fill(0.0);
        } else {
            line[..left].fill(0.0);
            line[row - right..].fill(0.0);
        }
    });
}

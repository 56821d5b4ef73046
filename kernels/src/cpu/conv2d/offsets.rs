//! Where a convolution finds its inputs: all that distinguishes 1x1, 3x3, strided and interleaved ones.

use crate::cpu::gemm::{KTable, PixelTable};
use crate::cpu::layout::BlockedShape;
use crate::geometry::{Conv2dGeometry, Padding};

/// The border that the windows reach into: that of the geometry, but for rows and columns that no window
/// gets to.
pub(super) fn border(g: &Conv2dGeometry) -> Padding {
    let window = &g.window;
    let after = |axis: usize, before: usize| {
        let extent = (window.size[axis] - 1) * window.dilation[axis] + 1;
        ((g.output[axis] - 1) * window.stride[axis] + extent).saturating_sub(before + g.input[axis])
    };
    let (top, left) = (window.padding.top, window.padding.left);
    Padding { top, left, bottom: after(0, top), right: after(1, left) }
}

/// Offset of the first tap of each output pixel's window.
pub(super) fn window_pixels(g: &Conv2dGeometry, input: &BlockedShape) -> PixelTable {
    let window = &g.window;
    let at = |i: usize, stride: usize, before: usize| (i * stride) as isize - before as isize;
    let mut offsets = Vec::with_capacity(g.output[0] * g.output[1]);
    for y in 0..g.output[0] {
        for x in 0..g.output[1] {
            let row = at(y, window.stride[0], window.padding.top);
            offsets.push(input.pixel(row, at(x, window.stride[1], window.padding.left)));
        }
    }
    PixelTable::new(offsets, input.len())
}

/// Offset of each pixel of a tensor.
pub(super) fn pixels(shape: &BlockedShape) -> PixelTable {
    let rows = 0..shape.height as isize;
    let offsets = rows.flat_map(|y| (0..shape.width as isize).map(move |x| shape.pixel(y, x)));
    PixelTable::new(offsets.collect(), shape.len())
}

/// Offset of each filter tap from the first one, in a tensor's channel block.
pub(super) fn taps(g: &Conv2dGeometry, input: &BlockedShape) -> Vec<usize> {
    let [height, width] = g.window.size;
    let [dy, dx] = g.window.dilation;
    let rows = 0..height;
    rows.flat_map(|y| (0..width).map(move |x| y * dy * input.row_stride() + x * dx * input.lanes)).collect()
}

/// The K dimension, for kernels of `lanes` lanes.
pub(super) fn k_table(g: &Conv2dGeometry, input: &BlockedShape, lanes: usize) -> KTable {
    if input.lanes != lanes {
        return interleaved(g, input);
    }
    let taps = taps(g, input);
    let mut table = KTable { tail_length: g.in_channels % lanes, ..KTable::default() };
    // Channel blocks outermost: a K block then needs few channels, but all taps of them, and its part of
    // the input stays in the second-level cache.
    for block in 0..input.blocks() {
        let channels = block * lanes..g.in_channels.min((block + 1) * lanes);
        let segments = if channels.len() == lanes { &mut table.segments } else { &mut table.tails };
        for (tap, offset) in taps.iter().enumerate() {
            segments.push(block * input.block_stride() + offset);
            table.order.extend(channels.clone().map(|channel| (channel, tap)));
        }
    }
    table
}

/// All channels of a pixel lie next to each other: one segment per filter row if the row has no gaps.
fn interleaved(g: &Conv2dGeometry, input: &BlockedShape) -> KTable {
    let [height, width] = g.window.size;
    let taps = taps(g, input);
    let is_row_dense = input.lanes == g.in_channels && g.window.dilation[1] == 1;
    let step = if is_row_dense { width } else { 1 };
    let order = (0..height * width).flat_map(|tap| (0..g.in_channels).map(move |c| (c, tap)));
    KTable {
        segments: Vec::new(),
        tails: taps.iter().step_by(step).copied().collect(),
        tail_length: step * g.in_channels,
        order: order.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Window;

    fn geometry(channels: usize, window: Window, size: usize) -> Conv2dGeometry {
        Conv2dGeometry::new(channels, 8, 1, window, [size, size]).expect("geometry")
    }

    #[test]
    fn border_stops_where_windows_stop() {
        let g = geometry(8, Window::square(3, 2, 1), 56);
        assert_eq!(border(&g), Padding { top: 1, left: 1, bottom: 0, right: 0 });
        let g = geometry(8, Window::square(3, 1, 1), 7);
        assert_eq!(border(&g), Padding::uniform(1));
    }

    #[test]
    fn stem_has_one_segment_per_filter_row() {
        let g = geometry(3, Window::square(7, 2, 3), 224);
        let input = BlockedShape::new(3, 224, 224, 3).with_border(border(&g));
        let table = k_table(&g, &input, 8);
        assert_eq!((table.tails.len(), table.tail_length, table.order.len()), (7, 21, 147));
        assert_eq!(table.tails[1], input.row_stride());
    }

    #[test]
    fn the_last_channels_make_short_segments() {
        let g = geometry(19, Window::square(1, 1, 0), 4);
        let table = k_table(&g, &BlockedShape::new(19, 4, 4, 8), 8);
        assert_eq!((table.segments.len(), table.tails.len(), table.tail_length), (2, 1, 3));
        assert_eq!(table.order.last(), Some(&(18, 0)));
    }
}

//! The layout of activations: channels in blocks of one vector, with the border in the buffer.

mod convert;

pub use convert::{clear_border, from_nchw, from_nhwc, to_nchw};

use crate::geometry::Padding;

/// One image as `[ceil(channels / lanes)][top + height + bottom][left + width + right][lanes]` floats.
/// The images of a batch lie back to back.
///
/// Kernels for an instruction set want `lanes` equal to its vector. One lane is plain NCHW; as many lanes
/// as channels is NHWC.
///
/// The border is zero whenever a convolution reads the tensor: producers write the inside only, so it is
/// cleared once. Lanes beyond `channels` hold finite values that no sum depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BlockedShape {
    /// Channels of the image.
    pub channels: usize,
    /// Rows, without the border.
    pub height: usize,
    /// Columns, without the border.
    pub width: usize,
    /// Channels that lie next to each other.
    pub lanes: usize,
    /// Rows and columns around the image.
    pub border: Padding,
}

impl BlockedShape {
    /// A shape without a border.
    pub const fn new(channels: usize, height: usize, width: usize, lanes: usize) -> Self {
        Self { channels, height, width, lanes, border: Padding { top: 0, left: 0, bottom: 0, right: 0 } }
    }

    /// Plain NCHW.
    pub const fn plain(channels: usize, height: usize, width: usize) -> Self {
        Self::new(channels, height, width, 1)
    }

    /// The same image with another border.
    pub const fn with_border(self, border: Padding) -> Self {
        Self { border, ..self }
    }

    /// Channel blocks, the last of which may be partly filled.
    pub const fn blocks(&self) -> usize {
        self.channels.div_ceil(self.lanes)
    }

    /// Floats from one row to the next.
    pub const fn row_stride(&self) -> usize {
        (self.border.left + self.width + self.border.right) * self.lanes
    }

    /// Floats from one channel block to the next.
    pub const fn block_stride(&self) -> usize {
        (self.border.top + self.height + self.border.bottom) * self.row_stride()
    }

    /// Floats of one image, border included.
    #[allow(clippy::len_without_is_empty, reason = "a size, not a container")]
    pub const fn len(&self) -> usize {
        self.blocks() * self.block_stride()
    }

    /// Offset of a pixel within its channel block. Coordinates may reach into the border, no farther.
    pub const fn pixel(&self, y: isize, x: isize) -> usize {
        let row = y + self.border.top as isize;
        let column = x + self.border.left as isize;
        row as usize * self.row_stride() + column as usize * self.lanes
    }

    /// Offset of one value.
    pub const fn element(&self, channel: usize, y: usize, x: usize) -> usize {
        channel / self.lanes * self.block_stride() + self.pixel(y as isize, x as isize) + channel % self.lanes
    }

    /// Whether rows, columns and channels are the same, whatever the layout.
    pub const fn same_size(&self, other: &Self) -> bool {
        self.channels == other.channels && self.height == other.height && self.width == other.width
    }
}

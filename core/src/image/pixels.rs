//! Decoded pictures and what callers may hand in.

use bytes::Bytes;
use std::path::PathBuf;

/// A decoded picture: interleaved RGB, 8 bits, rows without gaps.
#[derive(Clone, PartialEq, Eq)]
pub struct Pixels {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `height * width * 3` bytes.
    pub data: Bytes,
}

/// Channel order of raw pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PixelFormat {
    /// Red, green, blue.
    Rgb,
    /// Red, green, blue, alpha; alpha is dropped.
    Rgba,
}

impl PixelFormat {
    /// Bytes of one pixel.
    pub const fn channels(self) -> usize {
        match self {
            PixelFormat::Rgb => 3,
            PixelFormat::Rgba => 4,
        }
    }
}

/// Raw pixels in the caller's memory.
#[derive(Clone)]
pub struct RawPixels {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Channel order.
    pub format: PixelFormat,
    /// Bytes from one row to the next; at least `width * channels`.
    pub row_stride: usize,
    /// At least `(height - 1) * row_stride + width * channels` bytes.
    pub data: Bytes,
}

/// A picture as a caller hands it in.
#[derive(Clone)]
pub enum ImageSource {
    /// A file.
    Path(PathBuf),
    /// The bytes of a JPEG, PNG, WebP, GIF or BMP file.
    Encoded(Bytes),
    /// Raw pixels.
    Pixels(RawPixels),
}

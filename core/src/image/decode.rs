//! Header, limits, pixels, orientation: the order in which a file becomes a picture.

use super::format::{ImageFormat, read_header};
use super::limits::DecodeLimits;
use super::pixels::Pixels;
use super::{bmp, gif, jpeg, png, webp};
use crate::error::Result;

/// Decodes a file to RGB as Pillow's `Image.open(f).convert("RGB")` does: alpha is dropped, palettes
/// are expanded, grey is repeated, and of an animation the first frame is taken. The EXIF orientation
/// is applied only if asked for.
///
/// Limits are checked before any pixel is allocated; what is allocated after that stays within
/// [`ImageHeader::decode_bytes`](super::ImageHeader::decode_bytes), twice that where an orientation is
/// applied, plus small fixed tables. A file that ends too early is an error, never a half-grey picture.
/// Blocks for as long as the decoder computes; safe to call from many threads.
pub fn decode(bytes: &[u8], limits: &DecodeLimits, apply_orientation: bool) -> Result<Pixels> {
    let header = read_header(bytes, limits)?;
    let pixels = match header.format {
        ImageFormat::Jpeg => jpeg::decode(bytes, limits),
        ImageFormat::Png => png::decode(bytes, limits),
        ImageFormat::WebP => webp::decode(bytes, limits),
        ImageFormat::Gif => gif::decode(bytes, limits),
        ImageFormat::Bmp => bmp::decode(bytes, limits),
    }?;
    Ok(if apply_orientation { header.orientation.apply(pixels) } else { pixels })
}

//! What a request takes, read from the header of its image before any pixel is made.

use super::machine::Cost;
use crate::image::{DecodeLimits, ImageFormat, ImageHeader, RawPixels};
use crate::tensor::Tensor;

/// A file that only the decoders will open counts as the largest picture of plain pixels that is allowed.
pub(super) fn of_file(limits: &DecodeLimits, decode_budget: u64) -> Cost {
    let most = (limits.max_pixels as u64).saturating_mul(3).min(decode_budget);
    Cost { slots: 1, encoded_bytes: 0, decode_bytes: most, decode_work: 1 << 20 }
}

/// An encoded picture: memory by what its decoder takes, work by its pixels and its format.
pub(super) fn of_header(header: &ImageHeader, encoded_bytes: usize) -> Cost {
    let pixels = header.width as u64 * header.height as u64;
    // Relative to JPEG, roughly, as measured for the decoders in `image`.
    let quarters = match header.format {
        ImageFormat::Jpeg => 4,
        ImageFormat::Png | ImageFormat::Gif => 6,
        ImageFormat::WebP => 12,
        ImageFormat::Bmp => 1,
    };
    Cost {
        slots: 1,
        encoded_bytes: encoded_bytes as u64,
        // Turning it upright takes a second copy.
        decode_bytes: header.decode_bytes as u64 * 2,
        decode_work: (pixels * quarters / 4).max(1),
    }
}

/// Pixels, to be copied without what is between their rows.
pub(super) fn of_pixels(raw: &RawPixels) -> Cost {
    let pixels = raw.width as u64 * raw.height as u64;
    Cost {
        slots: 1,
        encoded_bytes: raw.data.len() as u64,
        decode_bytes: pixels * 3,
        decode_work: (pixels / 4).max(1),
    }
}

/// Tensors, already preprocessed.
pub(super) fn of_tensors(tensors: &[Tensor], images: usize) -> Cost {
    let elements: usize = tensors.iter().map(|tensor| tensor.shape().iter().product::<usize>()).sum();
    Cost { slots: images, encoded_bytes: elements as u64 * 4, decode_bytes: 0, decode_work: 0 }
}

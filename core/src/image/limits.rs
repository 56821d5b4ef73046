//! What a picture may cost. Checked from the header, before any pixel is allocated.

/// Largest pictures that are decoded; one over a limit is refused with `IMAGE_TOO_COSTLY`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Width times height.
    pub max_pixels: usize,
    /// Width, and height.
    pub max_side: usize,
    /// Bytes of the file.
    pub max_encoded_bytes: usize,
    /// Scans of a progressive JPEG.
    pub max_progressive_scans: usize,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self {
            max_pixels: 33_000_000,
            max_side: 16_384,
            max_encoded_bytes: 32 << 20,
            max_progressive_scans: 64,
        }
    }
}

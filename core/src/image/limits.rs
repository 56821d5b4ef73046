//! What a picture may cost. Checked from the header, before any pixel is allocated.

use crate::error::{Error, ErrorKind, Result};
use std::fmt::Display;

/// Largest pictures that are decoded; one over a limit is refused with `IMAGE_TOO_COSTLY`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Width times height.
    pub max_pixels: usize,
    /// Width, and height.
    pub max_side: usize,
    /// Bytes of the file.
    pub max_encoded_bytes: usize,
    /// Scans of a JPEG; only progressive ones have more than a few.
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

impl DecodeLimits {
    /// Checks the sides and their product. After it, 64 bytes per pixel can be counted in a `usize`.
    pub fn check_size(&self, width: usize, height: usize) -> Result<()> {
        for (side, name) in [(width, "width"), (height, "height")] {
            if side > self.max_side {
                let what = format!("picture of {width} x {height}, {name}");
                return Err(too_costly(what, side, "max_side", self.max_side));
            }
        }
        let pixels = width.saturating_mul(height);
        let max_pixels = self.max_pixels.min(isize::MAX as usize / 64);
        if pixels > max_pixels {
            let what = format!("picture of {width} x {height}, pixels");
            return Err(too_costly(what, pixels, "max_pixels", max_pixels));
        }
        Ok(())
    }

    /// Checks the size of the file.
    pub fn check_encoded(&self, bytes: u64) -> Result<()> {
        if bytes > self.max_encoded_bytes as u64 {
            return Err(too_costly(
                "encoded picture, bytes",
                bytes,
                "max_encoded_bytes",
                self.max_encoded_bytes,
            ));
        }
        Ok(())
    }

    /// Checks the number of scans of a JPEG; `scans` may have been counted only until it
    /// passed the limit.
    pub fn check_scans(&self, scans: usize) -> Result<()> {
        if scans > self.max_progressive_scans {
            let what = "JPEG image, scans";
            return Err(too_costly(what, scans, "max_progressive_scans", self.max_progressive_scans));
        }
        Ok(())
    }
}

fn too_costly(what: impl Display, found: impl Display, limit: &str, allowed: usize) -> Error {
    Error::new(
        ErrorKind::ImageTooCostly,
        format!("{what}: found {found}, the limit {limit} allows {allowed}"),
    )
}

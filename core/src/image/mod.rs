//! Bytes to pixels, with limits that are charged before memory is taken.

mod limits;
mod pixels;

pub use limits::DecodeLimits;
pub use pixels::{ImageSource, PixelFormat, Pixels, RawPixels};

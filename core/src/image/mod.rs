//! Bytes to pixels, with limits that are charged before memory is taken.
//!
//! | file | job |
//! | --- | --- |
//! | `format` | which format, and what the header says |
//! | `decode` | header, limits, pixels, orientation, in this order |
//! | `source` | files, bytes and raw pixels as callers hand them in |
//! | `jpeg`, `png`, `webp`, `gif`, `bmp` | one format each, equal to Pillow's `convert("RGB")` |

mod bmp;
mod decode;
mod failure;
mod format;
mod gif;
mod jpeg;
mod limits;
mod orientation;
mod pixels;
mod png;
mod source;
mod webp;

pub use decode::decode;
pub use format::{ImageFormat, ImageHeader, read_header};
pub use limits::DecodeLimits;
pub use orientation::Orientation;
pub use pixels::{ImageSource, PixelFormat, Pixels, RawPixels};
pub use source::{load, read_file};

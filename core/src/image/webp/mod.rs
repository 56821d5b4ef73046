//! WebP. `container` finds the one bitstream that makes up the picture and its true size, so that
//! neither metadata nor a size that contradicts the container reaches a decoder; alpha is never decoded.

mod container;
mod decode;
mod lossless;
mod lossy_header;

pub(super) use decode::{decode, read_header};

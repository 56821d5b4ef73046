//! JPEG. `segments` walks the file, so that limits, truncation and metadata are settled before the
//! decoder sees a byte; `decode` feeds the decoder and converts the four-component colour spaces.

mod decode;
mod segments;

pub(super) use decode::{decode, read_header};

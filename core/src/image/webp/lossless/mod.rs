//! Lossless WebP (RFC 9649, section 3), written here because the memory for prefix codes has to be
//! bounded: a small file can define sixty thousand groups of them.
//!
//! | file | job |
//! | --- | --- |
//! | `bits` | bits of the stream, the lowest first |
//! | `prefix_code` | canonical prefix codes: their definition in the stream, and reading a symbol |
//! | `entropy` | an entropy-coded image: literals, copies of earlier pixels, colour cache |
//! | `transforms` | the four transforms, undone |

mod bits;
mod entropy;
mod prefix_code;
mod transforms;

use super::container::Bitstream;
use crate::error::Result;
use bits::BitReader;

/// Bytes of the header that `container` has read.
const HEADER_BYTES: usize = 5;

/// Most bytes that decoding allocates: the pixels, once as ARGB and once as RGB or with packed indices,
/// images of the transforms and of the choice of codes, and the codes.
pub(super) fn decode_bytes(stream: &Bitstream<'_>) -> usize {
    let blocks = stream.width.div_ceil(4) * stream.height.div_ceil(4);
    stream.width * stream.height * 7 + blocks * 4 * size_of::<u32>() + prefix_code::budget(stream.data.len())
}

/// Decodes to RGB; alpha is dropped.
pub(super) fn decode(stream: &Bitstream<'_>) -> Result<Vec<u8>> {
    let mut reader = BitReader::new(stream.data, HEADER_BYTES, stream.offset);
    let (transforms, width) = transforms::read(&mut reader, stream.width, stream.height)?;
    let mut pixels = entropy::read_picture(&mut reader, width, stream.height)?;
    for transform in transforms.into_iter().rev() {
        pixels = transform.undo(pixels);
    }
    let mut rgb = vec![0; stream.width * stream.height * 3];
    for (target, argb) in rgb.as_chunks_mut::<3>().0.iter_mut().zip(pixels) {
        *target = [(argb >> 16) as u8, (argb >> 8) as u8, argb as u8];
    }
    Ok(rgb)
}

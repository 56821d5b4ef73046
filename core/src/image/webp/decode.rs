//! Decodes the picture's bitstream and places it on the canvas.

use super::super::failure::Place;
use super::super::format::{ImageFormat, ImageHeader};
use super::super::limits::DecodeLimits;
use super::super::pixels::Pixels;
use super::container::{Bitstream, Coding, open};
use crate::error::{Error, Result};
use image_webp::{DecodingError, WebPDecoder};
use std::io::{Cursor, ErrorKind};

/// Reads the container as far as the picture's bitstream.
pub(in super::super) fn read_header(bytes: &[u8], limits: &DecodeLimits) -> Result<ImageHeader> {
    let container = open(bytes)?;
    let [width, height] = container.canvas;
    limits.check_size(width, height)?;
    let stream = container.bitstream;
    let pixels = stream.width * stream.height;
    let decoding = match stream.coding {
        Coding::Lossy => pixels * 6 + stream.data.len(),
        Coding::Lossless => pixels * 11 + stream.data.len(),
    };
    let canvas = if [stream.width, stream.height] == container.canvas { 0 } else { width * height * 3 };
    Ok(ImageHeader {
        format: ImageFormat::WebP,
        width,
        height,
        decode_bytes: decoding + canvas,
        orientation: container.orientation,
    })
}

/// Decodes to RGB. The caller has checked what [`read_header`] says.
pub(in super::super) fn decode(bytes: &[u8], _limits: &DecodeLimits) -> Result<Pixels> {
    let container = open(bytes)?;
    let stream = container.bitstream;
    let picture = decode_bitstream(&stream)?;
    let [width, height] = container.canvas;
    if [stream.width, stream.height] == container.canvas {
        return Ok(Pixels { width, height, data: picture });
    }
    let [x, y] = container.position;
    let mut data = vec![0; width * height * 3];
    let rows = data.chunks_exact_mut(width * 3).skip(y);
    for (target, row) in rows.zip(picture.chunks_exact(stream.width * 3)) {
        target[x * 3..(x + stream.width) * 3].copy_from_slice(row);
    }
    Ok(Pixels { width, height, data })
}

fn decode_bitstream(stream: &Bitstream<'_>) -> Result<Vec<u8>> {
    let failed = |error| failed(error, stream);
    let mut decoder = WebPDecoder::new(Cursor::new(simple_file(stream))).map_err(failed)?;
    let channels = if decoder.has_alpha() { 4 } else { 3 };
    let mut data = vec![0; stream.width * stream.height * channels];
    decoder.read_image(&mut data).map_err(failed)?;
    if channels == 4 {
        for index in 0..data.len() / 4 {
            data.copy_within(index * 4..index * 4 + 3, index * 3);
        }
        data.truncate(data.len() / 4 * 3);
    }
    Ok(data)
}

/// A file in the simple layout that holds this bitstream and nothing else.
fn simple_file(stream: &Bitstream<'_>) -> Vec<u8> {
    let kind = match stream.coding {
        Coding::Lossy => b"VP8 ",
        Coding::Lossless => b"VP8L",
    };
    let length = stream.data.len() as u32;
    let mut file = Vec::with_capacity(stream.data.len() + 21);
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&(length.next_multiple_of(2) + 12).to_le_bytes());
    file.extend_from_slice(b"WEBP");
    file.extend_from_slice(kind);
    file.extend_from_slice(&length.to_le_bytes());
    file.extend_from_slice(stream.data);
    if length % 2 == 1 {
        file.push(0);
    }
    file
}

fn failed(error: DecodingError, stream: &Bitstream<'_>) -> Error {
    let place = Place::at(ImageFormat::WebP, "bitstream", stream.offset);
    match error {
        DecodingError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            place.corrupt("the data ends before every pixel is decoded")
        }
        DecodingError::UnsupportedFeature(feature) => place.unsupported(feature),
        other => place.corrupt(other),
    }
}

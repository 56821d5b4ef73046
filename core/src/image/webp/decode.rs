//! Decodes the picture's bitstream and places it on the canvas.

use super::container::{Bitstream, Coding, open};
use super::lossless;
use super::lossy_header::check_partitions;
use crate::error::{Error, Result};
use crate::image::failure::Place;
use crate::image::format::{ImageFormat, ImageHeader};
use crate::image::limits::DecodeLimits;
use crate::image::pixels::Pixels;
use image_webp::{DecodingError, WebPDecoder};
use std::io::{Cursor, ErrorKind};

/// Reads the container as far as the picture's bitstream.
pub(in crate::image) fn read_header(bytes: &[u8], limits: &DecodeLimits) -> Result<ImageHeader> {
    let container = open(bytes)?;
    let [width, height] = container.canvas;
    limits.check_size(width, height)?;
    let stream = container.bitstream;
    let decoding = match stream.coding {
        Coding::Lossy => lossy_bytes(&stream),
        Coding::Lossless => lossless::decode_bytes(&stream),
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
pub(in crate::image) fn decode(bytes: &[u8], _limits: &DecodeLimits) -> Result<Pixels> {
    let container = open(bytes)?;
    let stream = container.bitstream;
    let picture = match stream.coding {
        Coding::Lossy => decode_lossy(&stream),
        Coding::Lossless => lossless::decode(&stream),
    }?;
    let [width, height] = container.canvas;
    if [stream.width, stream.height] == container.canvas {
        return Ok(Pixels { width, height, data: picture.into() });
    }
    let [x, y] = container.position;
    let mut data = vec![0; width * height * 3];
    let rows = data.chunks_exact_mut(width * 3).skip(y);
    for (target, row) in rows.zip(picture.chunks_exact(stream.width * 3)) {
        target[x * 3..(x + stream.width) * 3].copy_from_slice(row);
    }
    Ok(Pixels { width, height, data: data.into() })
}

/// Most bytes that the decoder allocates: pixels, planes and state of macroblocks (16 x 16 pixels), and
/// copies of the data, which it makes while its buffers grow.
fn lossy_bytes(stream: &Bitstream<'_>) -> usize {
    const PLANES: usize = 16 * 16 * 3 / 2;
    const STATE: usize = 3 * 32;
    let macroblocks = stream.width.div_ceil(16) * stream.height.div_ceil(16);
    stream.width * stream.height * 3 + macroblocks * (PLANES + STATE) + 5 * stream.data.len()
}

fn decode_lossy(stream: &Bitstream<'_>) -> Result<Vec<u8>> {
    check_partitions(stream)?;
    let failed = |error| failed(error, stream);
    let mut decoder = WebPDecoder::new(Cursor::new(simple_file(stream.data))).map_err(failed)?;
    let mut data = vec![0; stream.width * stream.height * 3];
    decoder.read_image(&mut data).map_err(failed)?;
    Ok(data)
}

/// A file in the simple layout that holds this lossy bitstream and nothing else.
fn simple_file(bitstream: &[u8]) -> Vec<u8> {
    let length = bitstream.len() as u32;
    let padded = length.next_multiple_of(2);
    let mut file = Vec::with_capacity(bitstream.len() + 21);
    for part in [&b"RIFF"[..], &(padded + 12).to_le_bytes(), b"WEBPVP8 ", &length.to_le_bytes(), bitstream] {
        file.extend_from_slice(part);
    }
    file.resize(20 + padded as usize, 0);
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

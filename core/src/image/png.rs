//! PNG: every colour type, bit depth and interlacing. Only the chunks that make up the picture reach
//! the decoder, so that metadata can neither take memory nor make it fail.

use super::failure::Place;
use super::format::{ImageFormat, ImageHeader};
use super::limits::DecodeLimits;
use super::orientation::Orientation;
use super::pixels::Pixels;
use crate::error::{Error, Result};
use ::png::{BitDepth, ColorType, DecodingError, InterlaceInfo, Transformations};
use std::io::{self, BufRead, Read, Seek, SeekFrom};

const SIGNATURE_BYTES: usize = 8;
/// Length, type and checksum.
const CHUNK_EXTRA_BYTES: usize = 12;
const END_CHUNK: &[u8] = b"\0\0\0\0IEND\xaeB`\x82";
/// Zlib window, read buffers and tables of the decoder.
const FIXED_BYTES: usize = 512 << 10;

/// A chunk of the file.
struct Chunk<'a> {
    offset: usize,
    kind: [u8; 4],
    data: &'a [u8],
    /// Length, type, data and checksum.
    whole: &'a [u8],
}

/// Reads the image header and looks for EXIF data.
pub(super) fn read_header(bytes: &[u8], limits: &DecodeLimits) -> Result<ImageHeader> {
    let header = chunk_at(bytes, SIGNATURE_BYTES)?;
    let place = Place::at(ImageFormat::Png, "image header", header.offset);
    if header.kind != *b"IHDR" {
        return Err(place.corrupt(format_args!("expected chunk IHDR, found {}", name(header.kind))));
    }
    let &[w0, w1, w2, w3, h0, h1, h2, h3, depth, color, _, _, _] = header.data else {
        return Err(place.corrupt(format_args!("{} bytes, expected 13", header.data.len())));
    };
    let width = u32::from_be_bytes([w0, w1, w2, w3]) as usize;
    let height = u32::from_be_bytes([h0, h1, h2, h3]) as usize;
    if width == 0 || height == 0 {
        return Err(place.corrupt(format_args!("size {width} x {height}")));
    }
    limits.check_size(width, height)?;
    let channels = match color {
        0 | 3 => 1,
        2 => 3,
        4 => 2,
        6 => 4,
        _ => return Err(place.corrupt(format_args!("colour type {color}"))),
    };
    let row_bytes = (width * channels * usize::from(depth)).div_ceil(8) + 1;
    Ok(ImageHeader {
        format: ImageFormat::Png,
        width,
        height,
        // Pixels, a few stored rows, and rows expanded to four channels of 16 bits.
        decode_bytes: width * height * 3 + 8 * row_bytes + 3 * width * 8 + FIXED_BYTES,
        orientation: orientation(bytes),
    })
}

/// Decodes to RGB. The caller has checked what [`read_header`] says.
pub(super) fn decode(bytes: &[u8], limits: &DecodeLimits) -> Result<Pixels> {
    let header = read_header(bytes, limits)?;
    let (width, height) = (header.width, header.height);
    check_chunks(bytes)?;
    let limits = ::png::Limits { bytes: header.decode_bytes };
    let mut decoder = ::png::Decoder::new_with_limits(PictureChunks::new(bytes), limits);
    decoder.set_transformations(Transformations::EXPAND);
    let mut reader = decoder.read_info().map_err(failed)?;
    let format = RowFormat::of(&reader);
    let mut data = vec![0; width * height * 3];
    let mut rgb = vec![0; width * 3];
    let mut next_row = 0;
    while let Some(row) = reader.next_interlaced_row().map_err(failed)? {
        match row.interlace() {
            InterlaceInfo::Null(_) => {
                format.to_rgb(row.data(), &mut data[next_row * width * 3..][..width * 3]);
                next_row += 1;
            }
            InterlaceInfo::Adam7(pass) => {
                let rgb = &mut rgb[..row.data().len() / format.pixel_bytes() * 3];
                format.to_rgb(row.data(), rgb);
                ::png::expand_interlaced_row(&mut data, width * 3, rgb, pass, 24);
            }
        }
    }
    Ok(Pixels { width, height, data: data.into() })
}

/// How the decoder's rows are stored.
#[derive(Clone, Copy)]
struct RowFormat {
    /// Samples per pixel.
    samples: usize,
    /// Bytes per sample, most significant first.
    sample_bytes: usize,
    /// Samples are grey, with alpha or without.
    grey: bool,
    /// The file's own pixels are 16-bit grey without an alpha channel.
    wide_grey: bool,
}

impl RowFormat {
    fn of(reader: &::png::Reader<PictureChunks<'_>>) -> Self {
        let (color, depth) = reader.output_color_type();
        let wide = depth == BitDepth::Sixteen;
        Self {
            samples: color.samples(),
            sample_bytes: if wide { 2 } else { 1 },
            grey: matches!(color, ColorType::Grayscale | ColorType::GrayscaleAlpha),
            wide_grey: wide && reader.info().color_type == ColorType::Grayscale,
        }
    }

    const fn pixel_bytes(self) -> usize {
        self.samples * self.sample_bytes
    }

    /// Reduces a row to three channels of 8 bits as Pillow does: alpha is dropped, and 16-bit samples keep
    /// their high byte, except that grey ones of a file without an alpha channel are clipped at 255.
    fn to_rgb(self, row: &[u8], rgb: &mut [u8]) {
        let step = self.sample_bytes;
        let pixels = rgb.as_chunks_mut::<3>().0.iter_mut().zip(row.chunks_exact(self.pixel_bytes()));
        if self.wide_grey {
            pixels.for_each(|(pixel, source)| *pixel = [if source[0] > 0 { 255 } else { source[1] }; 3]);
        } else if self.grey {
            pixels.for_each(|(pixel, source)| *pixel = [source[0]; 3]);
        } else {
            pixels.for_each(|(pixel, source)| *pixel = [source[0], source[step], source[2 * step]]);
        }
    }
}

fn chunk_at(bytes: &[u8], offset: usize) -> Result<Chunk<'_>> {
    let place = Place::at(ImageFormat::Png, "chunk", offset);
    let rest = &bytes[offset..];
    let &[l0, l1, l2, l3, k0, k1, k2, k3, ..] = rest else {
        return Err(place.truncated("the file ends inside its header"));
    };
    let length = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
    let kind = [k0, k1, k2, k3];
    let size = length.saturating_add(CHUNK_EXTRA_BYTES);
    if size > rest.len() {
        let what = format!("{} takes {size} bytes, the file has {} more", name(kind), rest.len());
        return Err(place.truncated(what));
    }
    Ok(Chunk { offset, kind, data: &rest[8..8 + length], whole: &rest[..size] })
}

/// Checks that there is image data and that no chunk before it is cut off.
fn check_chunks(bytes: &[u8]) -> Result<()> {
    let mut position = SIGNATURE_BYTES;
    loop {
        let place = Place::at(ImageFormat::Png, "chunk", position);
        if position == bytes.len() {
            return Err(place.truncated("the file ends before the image data"));
        }
        if bytes.get(position + 4..position + 8) == Some(b"IDAT") {
            return Ok(());
        }
        let chunk = chunk_at(bytes, position)?;
        if chunk.kind == *b"IEND" {
            return Err(place.corrupt("IEND comes before any image data"));
        }
        if !chunk.kind.iter().all(u8::is_ascii_alphabetic) {
            return Err(place.corrupt(format_args!("chunk type {}", name(chunk.kind))));
        }
        position += chunk.whole.len();
    }
}

/// Orientation of the EXIF chunk, wherever it is.
fn orientation(bytes: &[u8]) -> Orientation {
    let mut position = SIGNATURE_BYTES;
    while let Ok(chunk) = chunk_at(bytes, position) {
        match &chunk.kind {
            b"eXIf" => return Orientation::from_exif(chunk.data),
            b"IEND" => break,
            _ => position += chunk.whole.len(),
        }
    }
    Orientation::Upright
}

fn name(kind: [u8; 4]) -> String {
    kind.escape_ascii().to_string()
}

fn failed(error: DecodingError) -> Error {
    let place = Place::stage(ImageFormat::Png, "image data");
    match error {
        DecodingError::IoError(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            place.truncated("the file ends before every row is decoded")
        }
        other => place.corrupt(other),
    }
}

/// The file as a stream of signature, header, palette, transparency and image data, with an end of its
/// own in case the file's end is missing.
struct PictureChunks<'a> {
    bytes: &'a [u8],
    position: usize,
    current: &'a [u8],
    ended: bool,
}

impl<'a> PictureChunks<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: SIGNATURE_BYTES, current: &bytes[..SIGNATURE_BYTES], ended: false }
    }

    fn advance(&mut self) {
        while self.current.is_empty() && !self.ended {
            let rest = &self.bytes[self.position..];
            match chunk_at(self.bytes, self.position) {
                Ok(chunk) if chunk.kind == *b"IEND" => self.end_with(END_CHUNK),
                Ok(chunk) => {
                    if matches!(&chunk.kind, b"IHDR" | b"PLTE" | b"tRNS" | b"IDAT") {
                        self.current = chunk.whole;
                    }
                    self.position += chunk.whole.len();
                }
                // Image data that is cut off: the decoder sees what there is and misses the rest.
                Err(_) if rest.get(4..8) == Some(b"IDAT") => self.end_with(rest),
                Err(_) => self.end_with(END_CHUNK),
            }
        }
    }

    fn end_with(&mut self, last: &'a [u8]) {
        self.current = last;
        self.ended = true;
    }
}

impl BufRead for PictureChunks<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.advance();
        Ok(self.current)
    }

    fn consume(&mut self, amount: usize) {
        self.current = &self.current[amount..];
    }
}

impl Read for PictureChunks<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let count = available.len().min(buffer.len());
        buffer[..count].copy_from_slice(&available[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl Seek for PictureChunks<'_> {
    fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

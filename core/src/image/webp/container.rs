//! Walks the RIFF chunks of a WebP file (RFC 9649, section 2).

use crate::error::Result;
use crate::image::failure::Place;
use crate::image::format::ImageFormat;
use crate::image::orientation::Orientation;

/// How a bitstream is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Lossy,
    Lossless,
}

/// The bitstream of the picture or of the first frame of an animation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bitstream<'a> {
    pub(super) coding: Coding,
    pub(super) data: &'a [u8],
    /// Place of `data` in the file.
    pub(super) offset: usize,
    pub(super) width: usize,
    pub(super) height: usize,
}

/// What the container says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Container<'a> {
    /// Width and height of the whole picture.
    pub(super) canvas: [usize; 2],
    /// Left and top edge of the bitstream on it.
    pub(super) position: [usize; 2],
    pub(super) bitstream: Bitstream<'a>,
    pub(super) orientation: Orientation,
}

struct Chunk<'a> {
    kind: [u8; 4],
    offset: usize,
    data: &'a [u8],
}

const fn place(stage: &'static str, offset: usize) -> Place {
    Place::at(ImageFormat::WebP, stage, offset)
}

/// Finds the bitstream. Chunks that do not belong to the picture are skipped.
pub(super) fn open(bytes: &[u8]) -> Result<Container<'_>> {
    const FIRST_CHUNK: usize = 12;
    let riff_end = u32_at(bytes, 4).map_or(0, |size| size as usize + 8);
    if riff_end > bytes.len() {
        let what = format!("the container says {riff_end} bytes, the file has {}", bytes.len());
        return Err(place("container", 4).truncated(what));
    }
    let bytes = &bytes[..riff_end.max(FIRST_CHUNK)];
    let first = chunk_at(bytes, FIRST_CHUNK)?;
    if first.kind != *b"VP8X" {
        let bitstream = bitstream_of(&first)?.ok_or_else(|| {
            place("chunk", FIRST_CHUNK).corrupt(format_args!("{} comes first", first.kind.escape_ascii()))
        })?;
        let canvas = [bitstream.width, bitstream.height];
        return Ok(Container { canvas, position: [0, 0], bitstream, orientation: Orientation::Upright });
    }
    let (Some(flags), Some(width), Some(height)) =
        (first.data.first(), u24_at(first.data, 4), u24_at(first.data, 7))
    else {
        return Err(place("extended header", first.offset).corrupt("it has fewer than 10 bytes"));
    };
    let canvas = [width + 1, height + 1];
    let animated = flags & 2 != 0;
    let (position, bitstream) = if animated {
        first_frame(bytes, &first)?
    } else {
        ([0, 0], find_bitstream(bytes, next_offset(&first))?)
    };
    let [x, y] = position;
    if x + bitstream.width > canvas[0] || y + bitstream.height > canvas[1] {
        let what = format!(
            "{} x {} at {x}, {y} does not fit on a canvas of {} x {}",
            bitstream.width, bitstream.height, canvas[0], canvas[1]
        );
        return Err(place("bitstream", bitstream.offset).corrupt(what));
    }
    if !animated && [bitstream.width, bitstream.height] != canvas {
        let what = format!("{} x {}, the canvas {canvas:?}", bitstream.width, bitstream.height);
        return Err(place("bitstream", bitstream.offset).corrupt(what));
    }
    Ok(Container { canvas, position, bitstream, orientation: orientation(bytes, next_offset(&first)) })
}

/// The first animation frame: its place on the canvas and its bitstream.
fn first_frame<'a>(bytes: &'a [u8], header: &Chunk<'a>) -> Result<([usize; 2], Bitstream<'a>)> {
    const FRAME_HEADER_BYTES: usize = 16;
    let mut offset = next_offset(header);
    loop {
        let chunk = chunk_at(bytes, offset)?;
        offset = next_offset(&chunk);
        if chunk.kind != *b"ANMF" {
            continue;
        }
        let place = place("animation frame", chunk.offset);
        let fields = [0, 3, 6, 9].map(|at| u24_at(chunk.data, at));
        let ([Some(x), Some(y), Some(width), Some(height)], true) =
            (fields, chunk.data.len() >= FRAME_HEADER_BYTES)
        else {
            return Err(place.corrupt(format_args!("{} bytes, expected at least 16", chunk.data.len())));
        };
        let data_end = chunk.offset + 8 + chunk.data.len();
        let bitstream = find_bitstream(&bytes[..data_end], chunk.offset + 8 + FRAME_HEADER_BYTES)?;
        if [bitstream.width, bitstream.height] != [width + 1, height + 1] {
            let what = format!(
                "frame of {} x {} holds a bitstream of {} x {}",
                width + 1,
                height + 1,
                bitstream.width,
                bitstream.height
            );
            return Err(place.corrupt(what));
        }
        return Ok(([2 * x, 2 * y], bitstream));
    }
}

/// The first bitstream at or after this offset.
fn find_bitstream(bytes: &[u8], mut offset: usize) -> Result<Bitstream<'_>> {
    loop {
        let chunk = chunk_at(bytes, offset)?;
        if let Some(bitstream) = bitstream_of(&chunk)? {
            return Ok(bitstream);
        }
        offset = next_offset(&chunk);
    }
}

fn orientation(bytes: &[u8], mut offset: usize) -> Orientation {
    while let Ok(chunk) = chunk_at(bytes, offset) {
        if chunk.kind == *b"EXIF" {
            return Orientation::from_exif(chunk.data);
        }
        offset = next_offset(&chunk);
    }
    Orientation::Upright
}

fn chunk_at(bytes: &[u8], offset: usize) -> Result<Chunk<'_>> {
    let place = place("chunk", offset);
    let header = bytes.get(offset..offset.saturating_add(8));
    let Some(&[k0, k1, k2, k3, l0, l1, l2, l3]) = header else {
        return Err(place.truncated("the file ends before the picture's bitstream"));
    };
    let kind = [k0, k1, k2, k3];
    let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    let rest = &bytes[offset + 8..];
    let data = rest.get(..length).ok_or_else(|| {
        let kind = kind.escape_ascii();
        place.truncated(format_args!("{kind} has {length} bytes, the file has {} more", rest.len()))
    })?;
    Ok(Chunk { kind, offset, data })
}

/// Chunks are padded to an even length.
fn next_offset(chunk: &Chunk<'_>) -> usize {
    chunk.offset + 8 + chunk.data.len().next_multiple_of(2)
}

/// The bitstream in this chunk with the size that its own header states.
fn bitstream_of<'a>(chunk: &Chunk<'a>) -> Result<Option<Bitstream<'a>>> {
    let place = place("bitstream", chunk.offset);
    let data = chunk.data;
    let (coding, width, height) = match &chunk.kind {
        b"VP8 " => {
            let &[tag, _, _, 0x9d, 0x01, 0x2a, w0, w1, h0, h1, ..] = data else {
                return Err(place.corrupt("no key frame header"));
            };
            if tag & 1 != 0 {
                return Err(place.corrupt("the first frame is no key frame"));
            }
            let side = |low, high| usize::from(u16::from_le_bytes([low, high]) & 0x3fff);
            (Coding::Lossy, side(w0, w1), side(h0, h1))
        }
        b"VP8L" => {
            let (Some(0x2f), Some(fields)) = (data.first(), u32_at(data, 1)) else {
                return Err(place.corrupt("no lossless signature"));
            };
            if fields >> 29 != 0 {
                return Err(place.unsupported(format_args!("lossless version {}", fields >> 29)));
            }
            let side = |bits: u32| (bits & 0x3fff) as usize + 1;
            (Coding::Lossless, side(fields), side(fields >> 14))
        }
        _ => return Ok(None),
    };
    if width == 0 || height == 0 {
        return Err(place.corrupt(format_args!("size {width} x {height}")));
    }
    Ok(Some(Bitstream { coding, data, offset: chunk.offset + 8, width, height }))
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(offset..offset + 4)?.try_into().ok()?))
}

fn u24_at(bytes: &[u8], offset: usize) -> Option<usize> {
    let &[low, middle, high] = bytes.get(offset..offset + 3)? else { return None };
    Some(u32::from_le_bytes([low, middle, high, 0]) as usize)
}

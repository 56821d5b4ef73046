//! GIF: the first frame on its screen (GIF89a specification), with Pillow's rules for what lies outside
//! the frame and for transparent pixels.

use super::failure::Place;
use super::format::{ImageFormat, ImageHeader};
use super::limits::DecodeLimits;
use super::orientation::Orientation;
use super::pixels::Pixels;
use crate::error::Result;
use weezl::{BitOrder, LzwStatus};

/// LZW tables.
const FIXED_BYTES: usize = 128 << 10;

/// Everything before the compressed pixels of the first frame.
struct FirstFrame<'a> {
    screen: [usize; 2],
    left: usize,
    top: usize,
    width: usize,
    height: usize,
    interlaced: bool,
    /// Red, green and blue per entry; empty if the file has no palette.
    palette: &'a [u8],
    transparent: Option<u8>,
    /// Place of the LZW code size.
    data: usize,
}

/// Reads the file as far as the first frame.
pub(super) fn read_header(bytes: &[u8], limits: &DecodeLimits) -> Result<ImageHeader> {
    let frame = first_frame(bytes)?;
    let [width, height] = frame.screen;
    limits.check_size(width, height)?;
    Ok(ImageHeader {
        format: ImageFormat::Gif,
        width,
        height,
        decode_bytes: width * height * 3 + frame.width * frame.height + FIXED_BYTES,
        orientation: Orientation::Upright,
    })
}

/// Decodes to RGB. The caller has checked what [`read_header`] says.
pub(super) fn decode(bytes: &[u8], _limits: &DecodeLimits) -> Result<Pixels> {
    let frame = first_frame(bytes)?;
    let indices = decompress(bytes, &frame)?;
    let colors = palette_colors(frame.palette);
    let [width, height] = frame.screen;
    let outside = colors[usize::from(frame.transparent.unwrap_or(0))];
    let mut data = outside.repeat(width * height);
    let rows = row_order(frame.height, frame.interlaced);
    for (row, y) in indices.chunks_exact(frame.width).zip(rows) {
        let start = ((frame.top + y) * width + frame.left) * 3;
        let (target, _) = data[start..start + frame.width * 3].as_chunks_mut::<3>();
        for (pixel, &index) in target.iter_mut().zip(row) {
            *pixel = colors[usize::from(index)];
        }
    }
    Ok(Pixels { width, height, data: data.into() })
}

fn first_frame(bytes: &[u8]) -> Result<FirstFrame<'_>> {
    const SCREEN: usize = 6;
    let place = |stage, offset| Place::at(ImageFormat::Gif, stage, offset);
    let Some(&[w0, w1, h0, h1, flags, _, _]) = bytes.get(SCREEN..SCREEN + 7) else {
        return Err(place("screen descriptor", SCREEN).truncated("the file ends inside it"));
    };
    let screen = [usize::from(u16::from_le_bytes([w0, w1])), usize::from(u16::from_le_bytes([h0, h1]))];
    let mut position = SCREEN + 7;
    let global_palette = palette_at(bytes, flags, &mut position)?;
    let mut transparent = None;
    loop {
        let start = position;
        match bytes.get(position) {
            Some(0x21) => {
                let label = bytes.get(position + 1);
                position += 2;
                let control = sub_block(bytes, position)?;
                if let (Some(0xf9), &[flags, _, _, index]) = (label, control) {
                    transparent = (flags & 1 != 0).then_some(index);
                }
                while !sub_block(bytes, position)?.is_empty() {
                    position += 1 + usize::from(bytes[position]);
                }
                position += 1;
            }
            Some(0x2c) => {
                let place = place("image descriptor", start);
                let Some(&[l0, l1, t0, t1, w0, w1, h0, h1, flags]) = bytes.get(start + 1..start + 10) else {
                    return Err(place.truncated("the file ends inside it"));
                };
                let [left, top, width, height] = [[l0, l1], [t0, t1], [w0, w1], [h0, h1]]
                    .map(|pair| usize::from(u16::from_le_bytes(pair)));
                if width == 0 || height == 0 {
                    return Err(place.corrupt(format_args!("frame of {width} x {height}")));
                }
                position += 10;
                let local_palette = palette_at(bytes, flags, &mut position)?;
                return Ok(FirstFrame {
                    // As in Pillow, a frame that does not fit makes the screen larger.
                    screen: [screen[0].max(left + width), screen[1].max(top + height)],
                    left,
                    top,
                    width,
                    height,
                    interlaced: flags & 0x40 != 0,
                    palette: local_palette.or(global_palette).unwrap_or_default(),
                    transparent,
                    data: position,
                });
            }
            Some(0x3b) => return Err(place("trailer", start).corrupt("it comes before any frame")),
            Some(other) => {
                let what = format!("expected an extension or an image, found {other:02x}");
                return Err(place("block", start).corrupt(what));
            }
            None => return Err(place("block", start).truncated("the file ends before the first frame")),
        }
    }
}

/// The palette that the flags announce, and the position after it.
fn palette_at<'a>(bytes: &'a [u8], flags: u8, position: &mut usize) -> Result<Option<&'a [u8]>> {
    if flags & 0x80 == 0 {
        return Ok(None);
    }
    let start = *position;
    *position += 3 << ((flags & 7) + 1);
    let palette = bytes.get(start..*position);
    palette
        .map(Some)
        .ok_or_else(|| Place::at(ImageFormat::Gif, "palette", start).truncated("the file ends inside it"))
}

/// Data of the sub-block at this position; empty for the terminator.
fn sub_block(bytes: &[u8], position: usize) -> Result<&[u8]> {
    let truncated =
        || Place::at(ImageFormat::Gif, "data block", position).truncated("the file ends inside it");
    let length = usize::from(*bytes.get(position).ok_or_else(truncated)?);
    bytes.get(position + 1..position + 1 + length).ok_or_else(truncated)
}

fn decompress(bytes: &[u8], frame: &FirstFrame<'_>) -> Result<Vec<u8>> {
    let place = |offset| Place::at(ImageFormat::Gif, "image data", offset);
    let code_size = match bytes.get(frame.data) {
        Some(&size @ 1..=8) => size,
        Some(size) => {
            return Err(place(frame.data).corrupt(format_args!("LZW code size {size}, expected 1 to 8")));
        }
        None => return Err(place(frame.data).truncated("the file ends before it")),
    };
    let mut decoder = weezl::decode::Decoder::new(BitOrder::Lsb, code_size);
    let pixels = frame.width * frame.height;
    let mut indices = vec![0; pixels];
    let mut filled = 0;
    let mut position = frame.data + 1;
    loop {
        let block = sub_block(bytes, position)?;
        let missing = |why: &str, filled: usize| {
            place(position).corrupt(format_args!("{why} after {filled} of {pixels} pixels"))
        };
        if block.is_empty() {
            return Err(missing("the data ends", filled));
        }
        let mut rest = block;
        while !rest.is_empty() {
            let step = decoder.decode_bytes(rest, &mut indices[filled..]);
            rest = &rest[step.consumed_in..];
            filled += step.consumed_out;
            if filled == pixels {
                return Ok(indices);
            }
            match step.status {
                Ok(LzwStatus::Ok) => {}
                Ok(LzwStatus::NoProgress) => break,
                Ok(LzwStatus::Done) => return Err(missing("the LZW stream ends", filled)),
                Err(_) => return Err(missing("an LZW code that means nothing", filled)),
            }
        }
        position += 1 + block.len();
    }
}

/// Colours of all indices; those without a palette entry are black, and without any palette the
/// indices are shades of grey.
fn palette_colors(palette: &[u8]) -> [[u8; 3]; 256] {
    let mut colors = [[0; 3]; 256];
    if palette.is_empty() {
        for (color, shade) in colors.iter_mut().zip(0..=u8::MAX) {
            *color = [shade; 3];
        }
    }
    for (color, entry) in colors.iter_mut().zip(palette.as_chunks::<3>().0) {
        *color = *entry;
    }
    colors
}

/// The rows of the picture in the order in which they are stored.
fn row_order(height: usize, interlaced: bool) -> Box<dyn Iterator<Item = usize>> {
    if !interlaced {
        return Box::new(0..height);
    }
    Box::new(
        [(0, 8), (4, 8), (2, 4), (1, 2)]
            .into_iter()
            .flat_map(move |(first, step)| (first..height).step_by(step)),
    )
}

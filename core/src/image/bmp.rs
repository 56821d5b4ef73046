//! BMP: 1 to 32 bits, with and without palette, bit masks and run-length coding, bottom-up and top-down.

use super::failure::Place;
use super::format::{ImageFormat, ImageHeader};
use super::limits::DecodeLimits;
use super::orientation::Orientation;
use super::pixels::Pixels;
use crate::error::Result;

const FILE_HEADER_BYTES: usize = 14;

/// How pixels are stored.
enum Storage<'a> {
    /// Indices of 1, 2, 4 or 8 bits into a palette.
    Indices(Palette<'a>),
    /// Runs of indices of 4 or 8 bits.
    Runs(Palette<'a>),
    /// Blue, green, red and perhaps a byte that is ignored.
    Bytes,
    /// Words of 16 or 32 bits with a mask for red, green and blue.
    Masks([Mask; 3]),
}

struct Palette<'a> {
    entries: &'a [u8],
    entry_bytes: usize,
}

#[derive(Clone, Copy)]
struct Mask {
    shift: u32,
    max: u32,
}

struct Header<'a> {
    width: usize,
    height: usize,
    top_down: bool,
    bits: usize,
    storage: Storage<'a>,
    /// Place of the pixels.
    data: usize,
}

const fn place(stage: &'static str, offset: usize) -> Place {
    Place::at(ImageFormat::Bmp, stage, offset)
}

/// Reads the headers and the palette.
pub(super) fn read_header(bytes: &[u8], limits: &DecodeLimits) -> Result<ImageHeader> {
    let Header { width, height, .. } = parse(bytes)?;
    limits.check_size(width, height)?;
    let decode_bytes = width * height * 3;
    Ok(ImageHeader {
        format: ImageFormat::Bmp,
        width,
        height,
        decode_bytes,
        orientation: Orientation::Upright,
    })
}

/// Decodes to RGB. The caller has checked what [`read_header`] says.
pub(super) fn decode(bytes: &[u8], _limits: &DecodeLimits) -> Result<Pixels> {
    let header = parse(bytes)?;
    let (width, height) = (header.width, header.height);
    let stored = bytes.get(header.data..).unwrap_or_default();
    let place = place("pixels", header.data);
    let mut data = vec![0; width * height * 3];
    if let Storage::Runs(palette) = &header.storage {
        let colors = palette.colors();
        return match expand_runs(stored, &header, &colors, &mut data) {
            Ok(()) => Ok(Pixels { width, height, data: data.into() }),
            Err(RunFault::FileEnds) => Err(place.truncated("the file ends inside the runs")),
            Err(RunFault::DataEnds { row }) => {
                Err(place.corrupt(format_args!("the runs end in row {row} of {height}")))
            }
            Err(RunFault::Outside { row }) => {
                Err(place.corrupt(format_args!("a run leaves the picture in row {row} of {height}")))
            }
        };
    }
    let row_bytes = (width * header.bits).div_ceil(32) * 4;
    // Padding of the last row may be missing.
    let needed = row_bytes * (height - 1) + (width * header.bits).div_ceil(8);
    if stored.len() < needed {
        return Err(place.truncated(format_args!("they take {needed} bytes, the file has {}", stored.len())));
    }
    for (index, row) in stored.chunks(row_bytes).take(height).enumerate() {
        let y = if header.top_down { index } else { height - 1 - index };
        let target = data[y * width * 3..(y + 1) * width * 3].as_chunks_mut::<3>().0;
        expand_row(row, &header, target);
    }
    Ok(Pixels { width, height, data: data.into() })
}

fn parse(bytes: &[u8]) -> Result<Header<'_>> {
    let place = place("header", FILE_HEADER_BYTES);
    let truncated = || place.truncated("the file ends inside it");
    let u16_at = |offset| u16_at(bytes, offset).ok_or_else(truncated);
    let u32_at = |offset| u32_at(bytes, offset).ok_or_else(truncated);
    let data = u32_at(10)? as usize;
    let header_bytes = u32_at(FILE_HEADER_BYTES)? as usize;
    let field = |offset: usize| FILE_HEADER_BYTES + offset;
    let core = header_bytes == 12;
    if !matches!(header_bytes, 12 | 40 | 52 | 56 | 64 | 108 | 124) {
        return Err(place.unsupported(format_args!("a header of {header_bytes} bytes")));
    }
    let (width, height, bits, compression, colors) = if core {
        (i32::from(u16_at(field(4))?), i32::from(u16_at(field(6))?), u16_at(field(10))?, 0, 0)
    } else {
        let (width, height) = (u32_at(field(4))? as i32, u32_at(field(8))? as i32);
        (width, height, u16_at(field(14))?, u32_at(field(16))?, u32_at(field(32))?)
    };
    if width <= 0 || height == 0 || height == i32::MIN {
        return Err(place.corrupt(format_args!("size {width} x {height}")));
    }
    let bits = usize::from(bits);
    let after_header = FILE_HEADER_BYTES + header_bytes;
    let palette = || -> Result<Palette<'_>> {
        let entry_bytes = if core { 3 } else { 4 };
        let count = if colors == 0 { 1 << bits } else { colors as usize };
        if count > 1 << 16 {
            return Err(place.corrupt(format_args!("a palette of {count} colours")));
        }
        let entries = bytes.get(after_header..after_header + count * entry_bytes).ok_or_else(truncated)?;
        Ok(Palette { entries, entry_bytes })
    };
    let storage = match (compression, bits) {
        (0, 1 | 2 | 4 | 8) => Storage::Indices(palette()?),
        (1, 8) | (2, 4) => Storage::Runs(palette()?),
        (0, 24 | 32) => Storage::Bytes,
        (0, 16) => Storage::Masks([0x7c00, 0x03e0, 0x001f].map(|mask| Mask::new(mask).expect("contiguous"))),
        (3, 16 | 32) if header_bytes != 64 => {
            let mut masks = [Mask { shift: 0, max: 0 }; 3];
            for (channel, mask) in masks.iter_mut().enumerate() {
                let bits = u32_at(field(40 + 4 * channel))?;
                *mask = Mask::new(bits)
                    .ok_or_else(|| place.unsupported(format_args!("colour mask {bits:#x}")))?;
            }
            Storage::Masks(masks)
        }
        _ => {
            return Err(
                place.unsupported(format_args!("compression {compression} with {bits} bits per pixel"))
            );
        }
    };
    let (width, height, top_down) = (width as usize, height.unsigned_abs() as usize, height < 0);
    Ok(Header { width, height, top_down, bits, storage, data })
}

impl Mask {
    /// A mask of neighbouring bits; `None` for others.
    fn new(bits: u32) -> Option<Self> {
        let shift = bits.trailing_zeros();
        let max = bits.checked_shr(shift)?;
        (max & max.wrapping_add(1) == 0).then_some(Self { shift, max })
    }

    /// The channel's value, scaled to 255 and rounded down.
    fn read(self, word: u32) -> u8 {
        let value = u64::from((word >> self.shift) & self.max);
        (value * 255 / u64::from(self.max)) as u8
    }
}

impl Palette<'_> {
    /// Colours of all indices; those without an entry are black.
    fn colors(&self) -> [[u8; 3]; 256] {
        let mut colors = [[0; 3]; 256];
        for (color, entry) in colors.iter_mut().zip(self.entries.chunks_exact(self.entry_bytes)) {
            *color = [entry[2], entry[1], entry[0]];
        }
        colors
    }
}

fn expand_row(row: &[u8], header: &Header<'_>, target: &mut [[u8; 3]]) {
    match &header.storage {
        Storage::Indices(palette) => {
            let colors = palette.colors();
            let per_byte = 8 / header.bits;
            let mask = (1_u16 << header.bits) - 1;
            for (pixels, &byte) in target.chunks_mut(per_byte).zip(row) {
                for (position, pixel) in pixels.iter_mut().enumerate() {
                    let shift = 8 - header.bits * (position + 1);
                    *pixel = colors[usize::from((u16::from(byte) >> shift) & mask)];
                }
            }
        }
        Storage::Bytes => {
            for (pixel, source) in target.iter_mut().zip(row.chunks_exact(header.bits / 8)) {
                *pixel = [source[2], source[1], source[0]];
            }
        }
        Storage::Masks(masks) => {
            for (pixel, source) in target.iter_mut().zip(row.chunks_exact(header.bits / 8)) {
                let word = source.iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte));
                *pixel = masks.map(|mask| mask.read(word));
            }
        }
        // Runs do not come in rows.
        Storage::Runs(_) => {}
    }
}

/// Why runs do not fill the picture.
enum RunFault {
    FileEnds,
    DataEnds { row: usize },
    Outside { row: usize },
}

/// Expands RLE4 and RLE8. Pixels that are skipped keep the colour of index 0.
fn expand_runs(
    stored: &[u8],
    header: &Header<'_>,
    colors: &[[u8; 3]; 256],
    data: &mut [u8],
) -> std::result::Result<(), RunFault> {
    let (width, height) = (header.width, header.height);
    let four_bits = header.bits == 4;
    let pixels = data.as_chunks_mut::<3>().0;
    pixels.fill(colors[0]);
    let (mut x, mut y) = (0, 0);
    let mut position = 0;
    while y < height {
        let &[count, value] = stored.get(position..position + 2).ok_or(RunFault::FileEnds)? else {
            return Err(RunFault::FileEnds);
        };
        position += 2;
        let index_at = |bytes: &[u8], n: usize| {
            let byte = if four_bits { bytes[n / 2] } else { bytes[n] };
            match (four_bits, n % 2) {
                (true, 0) => byte >> 4,
                (true, _) => byte & 15,
                (false, _) => byte,
            }
        };
        let row = if header.top_down { y } else { height - 1 - y };
        let target = &mut pixels[row * width..(row + 1) * width];
        match (count, value) {
            (0, 0) => (x, y) = (0, y + 1),
            (0, 1) if y + 1 == height && x == width => return Ok(()),
            (0, 1) => return Err(RunFault::DataEnds { row: y }),
            (0, 2) => {
                let &[right, up] = stored.get(position..position + 2).ok_or(RunFault::FileEnds)? else {
                    return Err(RunFault::FileEnds);
                };
                position += 2;
                x += usize::from(right);
                y += usize::from(up);
                if x > width || y >= height {
                    return Err(RunFault::Outside { row: y });
                }
            }
            (0, literal) => {
                let literal = usize::from(literal);
                let length = if four_bits { literal.div_ceil(2) } else { literal };
                let bytes = stored.get(position..position + length).ok_or(RunFault::FileEnds)?;
                position += length.next_multiple_of(2);
                let target = target.get_mut(x..x + literal).ok_or(RunFault::Outside { row: y })?;
                for (n, pixel) in target.iter_mut().enumerate() {
                    *pixel = colors[usize::from(index_at(bytes, n))];
                }
                x += literal;
            }
            (count, value) => {
                // As in Pillow, what a run has beyond the row is dropped.
                let end = (x + usize::from(count)).min(width);
                for (n, pixel) in target[x..end].iter_mut().enumerate() {
                    *pixel = colors[usize::from(index_at(&[value; 1], if four_bits { n % 2 } else { 0 }))];
                }
                x = end;
            }
        }
        if y + 1 == height && x == width {
            return Ok(());
        }
    }
    Ok(())
}

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(offset..offset + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(offset..offset + 4)?.try_into().ok()?))
}

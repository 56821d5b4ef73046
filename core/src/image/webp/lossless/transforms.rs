//! The four transforms of lossless WebP (RFC 9649, section 3.5): read from the stream, and undone.

use super::bits::BitReader;
use super::entropy::read_helper;
use crate::error::Result;

/// A transform with the size of the image that it gives.
pub(super) struct Transform {
    width: usize,
    height: usize,
    kind: Kind,
}

enum Kind {
    /// Each pixel was replaced by its difference from a prediction; the mode per block is in green.
    Predictor(BlockImage),
    /// Green, and red, were used to predict the other colours; the factors are per block.
    Color(BlockImage),
    /// Green was subtracted from red and blue.
    SubtractGreen,
    /// Pixels are indices into this table, several of them in one green value if it is small.
    ColorIndexing(Vec<u32>),
}

/// A value per block of the image.
struct BlockImage {
    values: Vec<u32>,
    /// Logarithm of a block's side.
    bits: u32,
    per_row: usize,
}

impl BlockImage {
    fn read(reader: &mut BitReader<'_>, width: usize, height: usize) -> Result<Self> {
        let bits = reader.read(3) + 2;
        let [per_row, rows] = [width, height].map(|side| side.div_ceil(1 << bits));
        Ok(Self { values: read_helper(reader, per_row, rows)?, bits, per_row })
    }

    fn row(&self, y: usize) -> &[u32] {
        &self.values[(y >> self.bits) * self.per_row..][..self.per_row]
    }
}

/// Reads all transforms, in the order in which the encoder applied them, and the width of the image that
/// is left after them.
pub(super) fn read(
    reader: &mut BitReader<'_>,
    mut width: usize,
    height: usize,
) -> Result<(Vec<Transform>, usize)> {
    let mut transforms = Vec::new();
    let mut seen = [false; 4];
    while reader.read(1) == 1 {
        let number = reader.read(2) as usize;
        if std::mem::replace(&mut seen[number], true) {
            return Err(reader.place().corrupt(format_args!("transform {number} comes twice")));
        }
        let whole_width = width;
        let kind = match number {
            0 => Kind::Predictor(BlockImage::read(reader, width, height)?),
            1 => Kind::Color(BlockImage::read(reader, width, height)?),
            2 => Kind::SubtractGreen,
            _ => {
                let size = reader.read(8) as usize + 1;
                let mut table = read_helper(reader, size, 1)?;
                for index in 1..size {
                    table[index] = add(table[index], table[index - 1]);
                }
                width = width.div_ceil(1 << packed_bits(size));
                Kind::ColorIndexing(table)
            }
        };
        transforms.push(Transform { width: whole_width, height, kind });
    }
    reader.check("the transforms")?;
    Ok((transforms, width))
}

/// Logarithm of the number of indices in one green value.
const fn packed_bits(table_size: usize) -> u32 {
    match table_size {
        0..=2 => 3,
        3..=4 => 2,
        5..=16 => 1,
        _ => 0,
    }
}

impl Transform {
    /// The image as it was before the transform.
    pub(super) fn undo(self, mut pixels: Vec<u32>) -> Vec<u32> {
        match self.kind {
            Kind::Predictor(modes) => undo_predictor(&mut pixels, self.width, &modes),
            Kind::Color(factors) => undo_color(&mut pixels, self.width, &factors),
            Kind::SubtractGreen => {
                for argb in &mut pixels {
                    let green = (*argb >> 8) & 0xff;
                    *argb = add(*argb, green << 16 | green);
                }
            }
            Kind::ColorIndexing(table) => {
                return undo_color_indexing(pixels, &table, self.width, self.height);
            }
        }
        pixels
    }
}

fn undo_color_indexing(mut pixels: Vec<u32>, table: &[u32], width: usize, height: usize) -> Vec<u32> {
    // Indices beyond the table are transparent black.
    let color = |index: u32| table.get(index as usize).copied().unwrap_or(0);
    let packed = packed_bits(table.len());
    if packed == 0 {
        for argb in &mut pixels {
            *argb = color((*argb >> 8) & 0xff);
        }
        return pixels;
    }
    let index_bits = 8 >> packed;
    let mask = (1 << index_bits) - 1;
    let mut colors = Vec::with_capacity(width * height);
    for row in pixels.chunks_exact(width.div_ceil(1 << packed)) {
        colors.extend((0..width).map(|x| {
            let place = (x & ((1 << packed) - 1)) as u32;
            color(row[x >> packed] >> (8 + place * index_bits) & mask)
        }));
    }
    colors
}

fn undo_color(pixels: &mut [u32], width: usize, factors: &BlockImage) {
    let scaled =
        |factor: u32, value: u32| (i32::from(factor as u8 as i8) * i32::from(value as u8 as i8)) >> 5;
    for (y, row) in pixels.chunks_exact_mut(width).enumerate() {
        for (block, &factor) in row.chunks_mut(1 << factors.bits).zip(factors.row(y)) {
            let (green_to_red, green_to_blue, red_to_blue) = (factor, factor >> 8, factor >> 16);
            for argb in block {
                let green = *argb >> 8;
                let red = (*argb >> 16).wrapping_add(scaled(green_to_red, green) as u32) & 0xff;
                let blue = argb.wrapping_add(scaled(green_to_blue, green) as u32).wrapping_add(scaled(
                    red_to_blue,
                    red,
                )
                    as u32);
                *argb = *argb & 0xff00_ff00 | red << 16 | blue & 0xff;
            }
        }
    }
}

const OPAQUE_BLACK: u32 = 0xff00_0000;

fn undo_predictor(pixels: &mut [u32], width: usize, modes: &BlockImage) {
    let mut left = OPAQUE_BLACK;
    for argb in &mut pixels[..width] {
        *argb = add(*argb, left);
        left = *argb;
    }
    for y in 1..pixels.len() / width {
        let start = y * width;
        pixels[start] = add(pixels[start], pixels[start - width]);
        for (block, &mode) in modes.row(y).iter().enumerate() {
            let first = (block << modes.bits).max(1);
            let end = ((block + 1) << modes.bits).min(width);
            // To the right of the last column lies the first pixel of the next row, as in memory.
            for at in start + first..start + end {
                let above = at - width;
                let near = Near {
                    left: pixels[at - 1],
                    top: pixels[above],
                    top_left: pixels[above - 1],
                    top_right: pixels[above + 1],
                };
                pixels[at] = add(pixels[at], near.predict((mode >> 8) & 15));
            }
        }
    }
}

/// Pixels that a prediction is made of.
#[derive(Clone, Copy)]
struct Near {
    left: u32,
    top: u32,
    top_left: u32,
    top_right: u32,
}

impl Near {
    #[inline]
    fn predict(self, mode: u32) -> u32 {
        let Self { left, top, top_left, top_right } = self;
        match mode {
            1 => left,
            2 => top,
            3 => top_right,
            4 => top_left,
            5 => average(average(left, top_right), top),
            6 => average(left, top_left),
            7 => average(left, top),
            8 => average(top_left, top),
            9 => average(top, top_right),
            10 => average(average(left, top_left), average(top, top_right)),
            11 => self.select(),
            12 => each_byte(|byte| byte(left) + byte(top) - byte(top_left)),
            13 => {
                let middle = average(left, top);
                each_byte(|byte| byte(middle) + (byte(middle) - byte(top_left)) / 2)
            }
            _ => OPAQUE_BLACK,
        }
    }

    /// Left or top, whichever is nearer to `left + top - top_left`.
    fn select(self) -> u32 {
        let distance = |a: u32, b: u32| -> u32 {
            a.to_le_bytes().iter().zip(b.to_le_bytes()).map(|(&a, b)| u32::from(a.abs_diff(b))).sum()
        };
        if distance(self.top, self.top_left) < distance(self.left, self.top_left) {
            self.left
        } else {
            self.top
        }
    }
}

/// Sums of the four bytes, each modulo 256.
#[inline]
fn add(a: u32, b: u32) -> u32 {
    let even = (a & 0x00ff_00ff).wrapping_add(b & 0x00ff_00ff) & 0x00ff_00ff;
    let odd = (a & 0xff00_ff00).wrapping_add(b & 0xff00_ff00) & 0xff00_ff00;
    even | odd
}

/// Means of the four bytes, rounded down.
#[inline]
fn average(a: u32, b: u32) -> u32 {
    (((a ^ b) & 0xfefe_fefe) >> 1) + (a & b)
}

/// A pixel of four bytes, each clamped to 0..=255; the argument takes its byte from a pixel.
#[inline]
fn each_byte(value: impl Fn(&dyn Fn(u32) -> i32) -> i32) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|place| {
        let byte = |argb: u32| i32::from(argb.to_le_bytes()[place]);
        value(&byte).clamp(0, 255) as u8
    }))
}

//! An entropy-coded image (RFC 9649, section 3.7): literals, copies of earlier pixels and references to
//! a cache of recent colours. Pixels are numbers with alpha, red, green and blue from the highest byte on.

use super::bits::BitReader;
use super::prefix_code::{CodeMemory, PrefixCode};
use crate::error::Result;

const LITERALS: usize = 256;
const LENGTH_PREFIXES: usize = 24;
const DISTANCE_PREFIXES: usize = 40;
const MAX_CACHE_BITS: u32 = 11;

/// Codes for green with copies and cache, red, blue, alpha, and distances.
type CodeGroup = [PrefixCode; 5];

/// Reads the picture itself, which may use other codes for each block.
pub(super) fn read_picture(reader: &mut BitReader<'_>, width: usize, height: usize) -> Result<Vec<u32>> {
    read(reader, width, height, true)
}

/// Reads an image that serves another: of a transform, or of the choice of codes.
pub(super) fn read_helper(reader: &mut BitReader<'_>, width: usize, height: usize) -> Result<Vec<u32>> {
    read(reader, width, height, false)
}

fn read(reader: &mut BitReader<'_>, width: usize, height: usize, is_picture: bool) -> Result<Vec<u32>> {
    let cache_bits = if reader.read(1) == 1 { reader.read(4) } else { 0 };
    if cache_bits > MAX_CACHE_BITS {
        return Err(reader.place().corrupt(format_args!("a colour cache of {cache_bits} bits")));
    }
    let cache_size = if cache_bits > 0 { 1 << cache_bits } else { 0 };
    let mut blocks = Blocks { choice: Vec::new(), bits: 0, per_row: 1 };
    let mut groups = 1;
    if is_picture && reader.read(1) == 1 {
        let bits = reader.read(3) + 2;
        let size = [width, height].map(|side| side.div_ceil(1 << bits));
        let helper = read_helper(reader, size[0], size[1])?;
        let choice = helper.iter().map(|argb| (argb >> 8) as u16).collect::<Vec<_>>();
        groups = 1 + choice.iter().max().map_or(0, |&last| usize::from(last));
        blocks = Blocks { choice, bits, per_row: size[0] };
    }
    let codes = read_groups(reader, groups, &mut blocks.choice, cache_size)?;
    read_pixels(reader, [width, height], &codes, &blocks, cache_bits)
}

/// Which group of codes each block of the picture uses.
struct Blocks {
    /// Empty if all use group 0.
    choice: Vec<u16>,
    /// Logarithm of a block's side.
    bits: u32,
    per_row: usize,
}

impl Blocks {
    fn group(&self, x: usize, y: usize) -> usize {
        if self.choice.is_empty() {
            return 0;
        }
        usize::from(self.choice[(y >> self.bits) * self.per_row + (x >> self.bits)])
    }

    /// Columns up to the end of the block.
    fn columns_left(&self, x: usize, width: usize) -> usize {
        if self.choice.is_empty() {
            return width - x;
        }
        (((x >> self.bits) + 1) << self.bits).min(width) - x
    }
}

/// Reads the definitions of all groups and keeps those that a block uses, renumbering the choice.
fn read_groups(
    reader: &mut BitReader<'_>,
    groups: usize,
    choice: &mut [u16],
    cache_size: usize,
) -> Result<Vec<CodeGroup>> {
    let mut memory = CodeMemory::new(reader.len());
    let mut number_of = vec![u16::MAX; groups];
    if choice.is_empty() {
        number_of[0] = 0;
    }
    for &group in choice.iter() {
        number_of[usize::from(group)] = 0;
    }
    let used = number_of.iter().filter(|&&number| number == 0).count();
    memory.take(used * size_of::<CodeGroup>(), reader)?;
    let mut codes = Vec::with_capacity(used);
    let alphabets =
        [LITERALS + LENGTH_PREFIXES + cache_size, LITERALS, LITERALS, LITERALS, DISTANCE_PREFIXES];
    let mut lengths = Vec::new();
    for number in &mut number_of {
        let mut read =
            |alphabet, memory: &mut CodeMemory| PrefixCode::read(reader, alphabet, &mut lengths, memory);
        if *number == u16::MAX {
            for alphabet in alphabets {
                // Its memory is given back at once.
                read(alphabet, &mut CodeMemory::new(0))?;
            }
            continue;
        }
        *number = codes.len() as u16;
        let [green, red, blue, alpha, distance] = alphabets;
        codes.push([
            read(green, &mut memory)?,
            read(red, &mut memory)?,
            read(blue, &mut memory)?,
            read(alpha, &mut memory)?,
            read(distance, &mut memory)?,
        ]);
    }
    for group in choice {
        *group = number_of[usize::from(*group)];
    }
    Ok(codes)
}

/// Recent colours by a hash of theirs.
struct ColorCache {
    colors: Vec<u32>,
    shift: u32,
}

impl ColorCache {
    fn new(bits: u32) -> Self {
        let size = if bits > 0 { 1 << bits } else { 0 };
        Self { colors: vec![0; size], shift: 32 - bits }
    }

    #[inline]
    fn insert(&mut self, argb: u32) {
        if !self.colors.is_empty() {
            self.colors[(argb.wrapping_mul(0x1e35_a7bd) >> self.shift) as usize] = argb;
        }
    }
}

fn read_pixels(
    reader: &mut BitReader<'_>,
    [width, height]: [usize; 2],
    codes: &[CodeGroup],
    blocks: &Blocks,
    cache_bits: u32,
) -> Result<Vec<u32>> {
    let total = width * height;
    let mut pixels = Vec::with_capacity(total);
    let mut cache = ColorCache::new(cache_bits);
    let (mut x, mut y) = (0, 0);
    while pixels.len() < total {
        if reader.is_exhausted() {
            let what = format!("the data ends after {} of {total} pixels", pixels.len());
            return Err(reader.place().corrupt(what));
        }
        let group = &codes[blocks.group(x, y)];
        // Within a block only literals and cached colours go on without looking at the block again.
        for _ in 0..blocks.columns_left(x, width) {
            reader.refill();
            let green = group[0].symbol(reader);
            let argb = if green < LITERALS {
                let red = group[1].symbol(reader) as u32;
                let blue = group[2].symbol(reader) as u32;
                reader.refill();
                let alpha = group[3].symbol(reader) as u32;
                alpha << 24 | red << 16 | (green as u32) << 8 | blue
            } else if green < LITERALS + LENGTH_PREFIXES {
                let length = prefix_value(reader, green - LITERALS);
                reader.refill();
                let prefix = group[4].symbol(reader);
                let distance = pixel_distance(prefix_value(reader, prefix), width);
                copy(&mut pixels, distance, length, total, &mut cache, reader)?;
                (x, y) = (pixels.len() % width, pixels.len() / width);
                break;
            } else {
                cache.colors[green - LITERALS - LENGTH_PREFIXES]
            };
            cache.insert(argb);
            pixels.push(argb);
            x += 1;
            if x == width {
                (x, y) = (0, y + 1);
            }
        }
    }
    reader.check("the last pixels")?;
    Ok(pixels)
}

/// A length or distance: its prefix says how many bits follow.
fn prefix_value(reader: &mut BitReader<'_>, prefix: usize) -> usize {
    if prefix < 4 {
        return prefix + 1;
    }
    let extra_bits = (prefix - 2) as u32 >> 1;
    let offset = (2 + (prefix & 1)) << extra_bits;
    offset + reader.read(extra_bits) as usize + 1
}

/// The first 120 distances name pixels near by.
fn pixel_distance(code: usize, width: usize) -> usize {
    if code > NEAR_PIXELS.len() {
        return code - NEAR_PIXELS.len();
    }
    let (left, up) = NEAR_PIXELS[code - 1];
    let distance = i64::from(left) + i64::from(up) * width as i64;
    distance.max(1) as usize
}

fn copy(
    pixels: &mut Vec<u32>,
    distance: usize,
    length: usize,
    total: usize,
    cache: &mut ColorCache,
    reader: &BitReader<'_>,
) -> Result<()> {
    let start = pixels.len();
    if distance > start || length > total - start {
        let what = format!("a copy of {length} pixels from {distance} back, at pixel {start} of {total}");
        return Err(reader.place().corrupt(what));
    }
    for index in start..start + length {
        let argb = pixels[index - distance];
        cache.insert(argb);
        pixels.push(argb);
    }
    Ok(())
}

/// Columns to the left and rows up.
#[rustfmt::skip]
const NEAR_PIXELS: [(i8, u8); 120] = [
    (0, 1), (1, 0), (1, 1), (-1, 1), (0, 2), (2, 0), (1, 2), (-1, 2), (2, 1), (-2, 1), (2, 2), (-2, 2),
    (0, 3), (3, 0), (1, 3), (-1, 3), (3, 1), (-3, 1), (2, 3), (-2, 3), (3, 2), (-3, 2), (0, 4), (4, 0),
    (1, 4), (-1, 4), (4, 1), (-4, 1), (3, 3), (-3, 3), (2, 4), (-2, 4), (4, 2), (-4, 2), (0, 5), (3, 4),
    (-3, 4), (4, 3), (-4, 3), (5, 0), (1, 5), (-1, 5), (5, 1), (-5, 1), (2, 5), (-2, 5), (5, 2), (-5, 2),
    (4, 4), (-4, 4), (3, 5), (-3, 5), (5, 3), (-5, 3), (0, 6), (6, 0), (1, 6), (-1, 6), (6, 1), (-6, 1),
    (2, 6), (-2, 6), (6, 2), (-6, 2), (4, 5), (-4, 5), (5, 4), (-5, 4), (3, 6), (-3, 6), (6, 3), (-6, 3),
    (0, 7), (7, 0), (1, 7), (-1, 7), (5, 5), (-5, 5), (7, 1), (-7, 1), (4, 6), (-4, 6), (6, 4), (-6, 4),
    (2, 7), (-2, 7), (7, 2), (-7, 2), (3, 7), (-3, 7), (7, 3), (-7, 3), (5, 6), (-5, 6), (6, 5), (-6, 5),
    (8, 0), (4, 7), (-4, 7), (7, 4), (-7, 4), (8, 1), (8, 2), (6, 6), (-6, 6), (8, 3), (5, 7), (-5, 7),
    (7, 5), (-7, 5), (8, 4), (6, 7), (-6, 7), (7, 6), (-7, 6), (8, 5), (7, 7), (-7, 7), (8, 6), (8, 7),
];

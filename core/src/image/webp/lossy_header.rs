//! The part of a lossy frame's header that says how its data is divided (RFC 6386, section 9), checked
//! because the decoder takes memory for whatever size a partition claims.

use super::container::Bitstream;
use crate::error::Result;
use crate::image::failure::Place;
use crate::image::format::ImageFormat;

/// Frame tag, start code and size.
const FRAME_HEADER_BYTES: usize = 10;

/// Checks that all partitions lie within the data.
pub(super) fn check_partitions(stream: &Bitstream<'_>) -> Result<()> {
    let data = stream.data;
    let place = |offset| Place::at(ImageFormat::WebP, "frame header", stream.offset + offset);
    let tag = u24(data).unwrap_or(0);
    let end_of_first = FRAME_HEADER_BYTES + (tag >> 5);
    let Some(first) = data.get(FRAME_HEADER_BYTES..end_of_first) else {
        let what = format!("its first part ends at {end_of_first}, the data has {} bytes", data.len());
        return Err(place(0).corrupt(what));
    };
    let partitions = number_of_partitions(first);
    let mut position = end_of_first + 3 * (partitions - 1);
    for partition in 0..partitions - 1 {
        let size = data.get(end_of_first + 3 * partition..).and_then(u24).unwrap_or(0);
        position += size;
        if position > data.len() {
            let what =
                format!("part {} ends at {position}, the data has {} bytes", partition + 2, data.len());
            return Err(place(end_of_first).corrupt(what));
        }
    }
    Ok(())
}

fn u24(data: &[u8]) -> Option<usize> {
    let &[low, middle, high, ..] = data else { return None };
    Some(u32::from_le_bytes([low, middle, high, 0]) as usize)
}

/// Reads the first part up to the number of those that follow.
fn number_of_partitions(first: &[u8]) -> usize {
    let mut header = BoolReader::new(first);
    // Colour space and clamping.
    header.literal(2);
    if header.flag() {
        let (updates_map, updates_data) = (header.flag(), header.flag());
        if updates_data {
            header.flag();
            for bits in [7, 7, 7, 7, 6, 6, 6, 6] {
                header.optional(bits + 1);
            }
        }
        if updates_map {
            for _ in 0..3 {
                header.optional(8);
            }
        }
    }
    // Type, level and sharpness of the loop filter.
    header.literal(1 + 6 + 3);
    if header.flag() && header.flag() {
        for _ in 0..8 {
            header.optional(6 + 1);
        }
    }
    1 << header.literal(2)
}

/// The boolean entropy decoder (RFC 6386, section 7), for bits that are as likely 0 as 1.
struct BoolReader<'a> {
    rest: &'a [u8],
    value: u32,
    range: u32,
    shifted: u32,
}

impl<'a> BoolReader<'a> {
    fn new(data: &'a [u8]) -> Self {
        let mut reader = Self { rest: data, value: 0, range: 255, shifted: 0 };
        reader.value = reader.byte() << 8;
        reader.value |= reader.byte();
        reader
    }

    /// Zeros beyond the end.
    fn byte(&mut self) -> u32 {
        self.rest.split_off_first().map_or(0, |&byte| u32::from(byte))
    }

    fn flag(&mut self) -> bool {
        let split = 1 + (((self.range - 1) * 128) >> 8);
        let set = self.value >= split << 8;
        if set {
            self.range -= split;
            self.value -= split << 8;
        } else {
            self.range = split;
        }
        while self.range < 128 {
            self.value <<= 1;
            self.range <<= 1;
            self.shifted += 1;
            if self.shifted == 8 {
                self.shifted = 0;
                self.value |= self.byte();
            }
        }
        set
    }

    fn literal(&mut self, bits: u32) -> usize {
        (0..bits).fold(0, |value, _| value << 1 | usize::from(self.flag()))
    }

    /// A flag and, if it is set, so many bits.
    fn optional(&mut self, bits: u32) {
        if self.flag() {
            self.literal(bits);
        }
    }
}

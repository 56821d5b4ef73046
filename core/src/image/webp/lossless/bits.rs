//! Bits of a lossless WebP stream, the lowest of each byte first.

use crate::error::Result;
use crate::image::failure::Place;
use crate::image::format::ImageFormat;

/// Reads bits. Beyond the end they are zeros, which [`BitReader::check`] reports.
pub(super) struct BitReader<'a> {
    data: &'a [u8],
    next_byte: usize,
    bits: u64,
    /// Bits in `bits` that have been read from the data or are zeros beyond its end.
    available: u32,
    /// Place of `data` in the file.
    offset: usize,
}

impl<'a> BitReader<'a> {
    /// Starts at byte `first` of the data, which lies at `offset` in the file.
    pub(super) fn new(data: &'a [u8], first: usize, offset: usize) -> Self {
        Self { data, next_byte: first, bits: 0, available: 0, offset }
    }

    /// Bytes of the stream.
    pub(super) fn len(&self) -> usize {
        self.data.len()
    }

    /// Makes 56 bits or more ready to be seen.
    #[inline]
    pub(super) fn refill(&mut self) {
        if let Some(bytes) = self.data.get(self.next_byte..self.next_byte + 8) {
            let word = u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
            self.bits |= word << self.available;
            let bytes = (63 - self.available) / 8;
            self.next_byte += bytes as usize;
            self.available += bytes * 8;
        } else {
            while self.available < 56 {
                let byte = self.data.get(self.next_byte).copied().unwrap_or(0);
                self.bits |= u64::from(byte) << self.available;
                self.next_byte += 1;
                self.available += 8;
            }
        }
    }

    /// The next bits without taking them; only what the last refill made ready is right.
    #[inline]
    pub(super) fn peek(&self) -> u64 {
        self.bits
    }

    /// Takes bits that were made ready.
    #[inline]
    pub(super) fn consume(&mut self, count: u32) {
        self.bits >>= count;
        self.available -= count;
    }

    /// The next bits as a number, at most 32.
    pub(super) fn read(&mut self, count: u32) -> u32 {
        self.refill();
        let value = (self.bits & ((1 << count) - 1)) as u32;
        self.consume(count);
        value
    }

    /// Whether more bits were taken than there are.
    #[inline]
    pub(super) fn is_exhausted(&self) -> bool {
        self.next_byte > self.data.len() + (self.available / 8) as usize
    }

    /// An error if more bits were taken than there are.
    pub(super) fn check(&self, what: &str) -> Result<()> {
        if self.is_exhausted() {
            return Err(self.place().corrupt(format_args!("the data ends within {what}")));
        }
        Ok(())
    }

    /// Where the reader stands, for errors.
    pub(super) fn place(&self) -> Place {
        let taken = self.next_byte - (self.available / 8) as usize;
        Place::at(ImageFormat::WebP, "bitstream", self.offset + taken.min(self.data.len()))
    }
}

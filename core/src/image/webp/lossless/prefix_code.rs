//! Canonical prefix codes (RFC 9649, section 3.7.2): their definition in the stream, and reading a
//! symbol. All memory that codes take is counted against a budget.

use super::bits::BitReader;
use crate::error::{Error, ErrorKind, Result};

/// Length of the longest code.
const MAX_LENGTH: usize = 15;
/// Codes up to this length are read from a table.
const TABLE_BITS: usize = 8;
/// Order in which the lengths of the codes for lengths are stored.
const LENGTH_ORDER: [usize; 19] = [17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

/// Bytes that the codes of a stream of so many bytes may take. What encoders write takes far less, as
/// each group of codes is there because it saves more bits than it costs.
pub(super) const fn budget(stream_bytes: usize) -> usize {
    const MOST: usize = 16 << 20;
    let bytes = (256 << 10) + stream_bytes * 4;
    if bytes < MOST { bytes } else { MOST }
}

/// What is left of the budget.
pub(super) struct CodeMemory {
    left: usize,
}

impl CodeMemory {
    pub(super) fn new(stream_bytes: usize) -> Self {
        Self { left: budget(stream_bytes) }
    }

    /// Counts bytes, before they are allocated.
    pub(super) fn take(&mut self, bytes: usize, reader: &BitReader<'_>) -> Result<()> {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                let what = "its prefix codes take more memory than the size of the file justifies";
                let error = reader.place().corrupt(what);
                Err(Error::new(ErrorKind::ImageTooCostly, error.message()))
            }
        }
    }
}

/// A code, ready to read symbols.
pub(super) struct PrefixCode {
    /// By the next bits: symbol and, in the lowest four bits, length; 0 for longer codes. One entry of
    /// length 0 stands for a code of one symbol, which takes no bits.
    table: Box<[u16]>,
    long: Option<Box<LongCodes>>,
}

/// Codes longer than the table's.
struct LongCodes {
    /// For each length from the table's on: the code after the last of this length.
    ends: [u16; MAX_LENGTH + 1],
    /// For each length: codes before it, in `symbols`, less its first code.
    starts: [i32; MAX_LENGTH + 1],
    symbols: Box<[u16]>,
}

impl PrefixCode {
    /// Reads the definition of a code for symbols below `alphabet`. `lengths` is scratch memory.
    pub(super) fn read(
        reader: &mut BitReader<'_>,
        alphabet: usize,
        lengths: &mut Vec<u8>,
        memory: &mut CodeMemory,
    ) -> Result<Self> {
        lengths.clear();
        lengths.resize(alphabet, 0);
        if reader.read(1) == 1 {
            let two = reader.read(1) == 1;
            let first_bits = if reader.read(1) == 1 { 8 } else { 1 };
            let first = reader.read(first_bits) as usize;
            let second = if two { reader.read(8) as usize } else { first };
            if first >= alphabet || second >= alphabet {
                return Err(reader.place().corrupt(format_args!("a code for symbol {}", first.max(second))));
            }
            lengths[first] = 1;
            lengths[second] = 1;
        } else {
            read_lengths(reader, lengths)?;
        }
        reader.check("a prefix code")?;
        Self::from_lengths(lengths, reader, memory)
    }

    fn from_lengths(lengths: &[u8], reader: &BitReader<'_>, memory: &mut CodeMemory) -> Result<Self> {
        let mut counts = [0_usize; MAX_LENGTH + 1];
        for &length in lengths {
            counts[usize::from(length)] += 1;
        }
        let symbols = lengths.len() - counts[0];
        if symbols == 1 {
            let symbol = lengths.iter().position(|&length| length > 0).unwrap_or(0);
            memory.take(size_of::<u16>(), reader)?;
            return Ok(Self { table: Box::new([(symbol as u16) << 4]), long: None });
        }
        let space: usize = (1..=MAX_LENGTH).map(|length| counts[length] << (MAX_LENGTH - length)).sum();
        if space != 1 << MAX_LENGTH {
            return Err(reader.place().corrupt("a prefix code that is not complete"));
        }
        let longest = counts.iter().rposition(|&count| count > 0).unwrap_or(1);
        let table_bits = longest.min(TABLE_BITS);
        let long_symbols: usize = counts[table_bits + 1..].iter().sum();
        let long_bytes = if long_symbols > 0 { size_of::<LongCodes>() + long_symbols * 2 } else { 0 };
        memory.take((2 << table_bits) + long_bytes, reader)?;
        let mut next_codes = first_codes(&counts);
        let mut table = vec![0; 1 << table_bits].into_boxed_slice();
        for (symbol, &length) in lengths.iter().enumerate() {
            let length = usize::from(length);
            if (1..=table_bits).contains(&length) {
                // Codes are stored with their highest bit first, numbers with their lowest.
                let reversed = usize::from(next_codes[length].reverse_bits() >> (16 - length));
                let entry = (symbol as u16) << 4 | length as u16;
                table[reversed..].iter_mut().step_by(1 << length).for_each(|place| *place = entry);
                next_codes[length] += 1;
            }
        }
        let long =
            (long_symbols > 0).then(|| Box::new(LongCodes::new(lengths, &counts, table_bits, long_symbols)));
        Ok(Self { table, long })
    }

    /// The next symbol. At least [`MAX_LENGTH`] bits must be ready.
    #[inline]
    pub(super) fn symbol(&self, reader: &mut BitReader<'_>) -> usize {
        let bits = reader.peek();
        let entry = self.table[bits as usize & (self.table.len() - 1)];
        match &self.long {
            Some(long) if entry == 0 => long.symbol(reader),
            _ => {
                reader.consume(u32::from(entry & 15));
                usize::from(entry >> 4)
            }
        }
    }
}

/// The first code of each length; 0 for length 0, which means that a symbol has no code.
fn first_codes(counts: &[usize; MAX_LENGTH + 1]) -> [u16; MAX_LENGTH + 1] {
    let mut codes = [0; MAX_LENGTH + 1];
    let mut code = 0;
    for length in 1..MAX_LENGTH {
        code = (code + counts[length]) << 1;
        codes[length + 1] = code as u16;
    }
    codes
}

impl LongCodes {
    fn new(lengths: &[u8], counts: &[usize; MAX_LENGTH + 1], table_bits: usize, long_symbols: usize) -> Self {
        let firsts = first_codes(counts);
        let mut long = Self {
            ends: [0; MAX_LENGTH + 1],
            starts: [0; MAX_LENGTH + 1],
            symbols: vec![0; long_symbols].into_boxed_slice(),
        };
        let mut filled = 0;
        for length in table_bits + 1..=MAX_LENGTH {
            long.starts[length] = filled as i32 - i32::from(firsts[length]);
            long.ends[length] = firsts[length] + counts[length] as u16;
            for (symbol, _) in lengths.iter().enumerate().filter(|&(_, &own)| usize::from(own) == length) {
                long.symbols[filled] = symbol as u16;
                filled += 1;
            }
        }
        long
    }

    #[cold]
    fn symbol(&self, reader: &mut BitReader<'_>) -> usize {
        let bits = reader.peek() as u16;
        for length in TABLE_BITS + 1..=MAX_LENGTH {
            let code = bits.reverse_bits() >> (16 - length);
            if code < self.ends[length] {
                reader.consume(length as u32);
                let index = i32::from(code) + self.starts[length];
                return usize::from(self.symbols[index as usize]);
            }
        }
        // A complete code has a symbol for all bits.
        unreachable!("bits {bits:#x} have no code")
    }
}

/// Reads the lengths of a code's symbols, which are themselves coded.
fn read_lengths(reader: &mut BitReader<'_>, lengths: &mut [u8]) -> Result<()> {
    let stored = 4 + reader.read(4) as usize;
    let mut length_lengths = [0; LENGTH_ORDER.len()];
    for &place in &LENGTH_ORDER[..stored] {
        length_lengths[place] = reader.read(3) as u8;
    }
    // Given back at once, so it counts for nothing.
    let code = PrefixCode::from_lengths(&length_lengths, reader, &mut CodeMemory::new(0))?;
    let mut coded = lengths.len();
    if reader.read(1) == 1 {
        let bits = 2 + 2 * reader.read(3);
        coded = 2 + reader.read(bits) as usize;
        if coded > lengths.len() {
            return Err(reader
                .place()
                .corrupt(format_args!("{coded} code lengths for {} symbols", lengths.len())));
        }
    }
    let mut previous = 8;
    let mut position = 0;
    for _ in 0..coded {
        if position == lengths.len() {
            break;
        }
        reader.refill();
        let (value, count) = match code.symbol(reader) {
            length @ 0..16 => (length as u8, 1),
            16 => (previous, 3 + reader.read(2) as usize),
            17 => (0, 3 + reader.read(3) as usize),
            _ => (0, 11 + reader.read(7) as usize),
        };
        if value > 0 {
            previous = value;
        }
        let run = lengths
            .get_mut(position..position + count)
            .ok_or_else(|| reader.place().corrupt("a run of code lengths beyond the last symbol"))?;
        run.fill(value);
        position += count;
    }
    Ok(())
}

//! Buffers as a device hands them out: aligned, and known by address.

/// Bytes of "device" memory.
#[derive(Clone, Debug)]
pub struct Memory {
    words: Vec<u128>,
    bytes: usize,
}

impl Memory {
    /// A copy of `bytes`.
    pub fn new(bytes: &[u8]) -> Self {
        let mut words: Vec<u128> = Vec::with_capacity(bytes.len().div_ceil(16));
        for chunk in bytes.chunks(16) {
            let mut word = [0xff; 16];
            word[..chunk.len()].copy_from_slice(chunk);
            words.push(u128::from_ne_bytes(word));
        }
        Self { words, bytes: bytes.len() }
    }

    /// Memory that nobody has written: every float in it is NaN.
    pub fn unwritten(bytes: usize) -> Self {
        Self { words: vec![u128::MAX; bytes.div_ceil(16)], bytes }
    }

    /// Its address, a multiple of 16; 0 without a byte.
    pub fn address(&self) -> u64 {
        if self.bytes == 0 { 0 } else { self.words.as_ptr() as u64 }
    }

    /// Its length.
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Whether it has no byte.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// A copy of what it holds.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> = self.words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        bytes.truncate(self.bytes);
        bytes
    }

    /// Puts `bytes`, as many as it holds, in place of what it holds.
    pub fn write(&mut self, bytes: &[u8]) {
        assert_eq!(bytes.len(), self.bytes, "bytes for other memory");
        for (word, chunk) in self.words.iter_mut().zip(bytes.chunks(16)) {
            let mut whole = word.to_ne_bytes();
            whole[..chunk.len()].copy_from_slice(chunk);
            *word = u128::from_ne_bytes(whole);
        }
    }
}

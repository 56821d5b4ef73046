//! Weights as they come: numbers, or the bytes of a file.

/// What packing reads.
pub trait Weight: Copy + Sync {
    /// The number.
    fn value(self) -> f32;
}

impl Weight for f32 {
    #[inline(always)]
    fn value(self) -> f32 {
        self
    }
}

/// The bytes of a float, little-endian. They may lie anywhere in a file: nothing has to be copied to be packed.
impl Weight for [u8; 4] {
    #[inline(always)]
    fn value(self) -> f32 {
        f32::from_le_bytes(self)
    }
}

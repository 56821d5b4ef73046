//! Element types of device tensors, and the rounding of numbers to them.

use half::{bf16, f16};

/// Type of the elements of activations and weights; sums and biases are always f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Element {
    /// IEEE half precision.
    F16,
    /// The upper half of an f32; devices from compute capability 8.0 on.
    Bf16,
    /// Single precision, for checking the others.
    F32,
}

impl Element {
    /// Every type.
    pub const ALL: [Element; 3] = [Element::F16, Element::Bf16, Element::F32];

    /// The prefix of the entry points' names.
    pub const fn name(self) -> &'static str {
        match self {
            Element::F16 => "f16",
            Element::Bf16 => "bf16",
            Element::F32 => "f32",
        }
    }

    /// Bytes of an element.
    pub const fn bytes(self) -> usize {
        match self {
            Element::F16 | Element::Bf16 => 2,
            Element::F32 => 4,
        }
    }

    /// Largest relative error of rounding to this type, within its range.
    pub const fn epsilon(self) -> f32 {
        match self {
            Element::F16 => 1.0 / 2048.0,
            Element::Bf16 => 1.0 / 256.0,
            Element::F32 => f32::EPSILON / 2.0,
        }
    }

    /// Appends a number, rounded to the nearest, halves to even.
    pub fn push(self, bytes: &mut Vec<u8>, value: f32) {
        match self {
            Element::F16 => bytes.extend_from_slice(&f16::from_f32(value).to_le_bytes()),
            Element::Bf16 => bytes.extend_from_slice(&bf16::from_f32(value).to_le_bytes()),
            Element::F32 => bytes.extend_from_slice(&value.to_le_bytes()),
        }
    }

    /// Writes a number over the bytes of one element, rounded as by [`Element::push`].
    ///
    /// Panics if there are more or fewer bytes.
    pub fn write(self, bytes: &mut [u8], value: f32) {
        match self {
            Element::F16 => bytes.copy_from_slice(&f16::from_f32(value).to_le_bytes()),
            Element::Bf16 => bytes.copy_from_slice(&bf16::from_f32(value).to_le_bytes()),
            Element::F32 => bytes.copy_from_slice(&value.to_le_bytes()),
        }
    }

    /// The number that the bytes of one element stand for.
    ///
    /// Panics if there are fewer.
    pub fn read(self, bytes: &[u8]) -> f32 {
        match self {
            Element::F16 => f16::from_le_bytes([bytes[0], bytes[1]]).to_f32(),
            Element::Bf16 => bf16::from_le_bytes([bytes[0], bytes[1]]).to_f32(),
            Element::F32 => f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]),
        }
    }

    /// The numbers that bytes in memory stand for. Bytes beyond the last whole element are left out.
    pub fn unpack(self, bytes: &[u8]) -> Vec<f32> {
        match self {
            Element::F16 => bytes.as_chunks().0.iter().map(|b| f16::from_le_bytes(*b).to_f32()).collect(),
            Element::Bf16 => bytes.as_chunks().0.iter().map(|b| bf16::from_le_bytes(*b).to_f32()).collect(),
            Element::F32 => bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
        }
    }
}

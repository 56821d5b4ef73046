//! What the cases of all families share: repeatable numbers, layouts, comparing.

use libvision_cuda_emulator::Memory;
use libvision_kernels::cuda::element::Element;

/// Repeatable disorder (splitmix64, Steele et al. 2014).
pub struct Random(pub u64);

impl Random {
    /// 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From `low` to `high`, both included.
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        low + (self.bits() % (high - low + 1) as u64) as usize
    }

    /// Multiples of `step` up to 63 of them either way: every element type holds them exactly, and f32 holds
    /// every sum of their products that is below 2^24 steps of both.
    pub fn grid(&mut self, count: usize, step: f32) -> Vec<f32> {
        (0..count).map(|_| (self.bits() % 127) as f32 * step - 63.0 * step).collect()
    }

    /// Numbers from -1 to 1 with all bits in use.
    pub fn real(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| (self.bits() >> 40) as f32 / (1 << 23) as f32 - 1.0).collect()
    }
}

/// `[images, channels, pixels]` in f32 to `[images, pixels, stored]` in memory; channels beyond the last hold
/// a number that would show in any result it reached.
pub fn to_device(element: Element, values: &[f32], channels: usize, stored: usize, pixels: usize) -> Memory {
    let mut bytes = Vec::with_capacity(values.len() / channels * stored * element.bytes());
    for image in values.chunks_exact(channels * pixels) {
        for pixel in 0..pixels {
            for channel in 0..stored {
                let value = if channel < channels { image[channel * pixels + pixel] } else { 777.0 };
                element.push(&mut bytes, value);
            }
        }
    }
    Memory::new(&bytes)
}

/// The way back.
pub fn from_device(
    element: Element,
    memory: &Memory,
    channels: usize,
    stored: usize,
    pixels: usize,
) -> Vec<f32> {
    let values = element.unpack(&memory.to_bytes());
    let mut planes = Vec::with_capacity(values.len() / stored * channels);
    for image in values.chunks_exact(stored * pixels) {
        for channel in 0..channels {
            planes.extend((0..pixels).map(|pixel| image[pixel * stored + channel]));
        }
    }
    planes
}

/// The nearest number that the element type has.
pub fn rounded(element: Element, value: f32) -> f32 {
    let mut bytes = Vec::new();
    element.push(&mut bytes, value);
    element.unpack(&bytes)[0]
}

/// The first place where `found` is not `expected` to within `tolerance(index)`, as an error.
pub fn compare(found: &[f32], expected: &[f64], tolerance: impl Fn(usize) -> f64) -> anyhow::Result<()> {
    anyhow::ensure!(found.len() == expected.len(), "{} values, expected {}", found.len(), expected.len());
    for (index, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        let difference = (f64::from(found) - expected).abs();
        // A NaN is not below any tolerance.
        anyhow::ensure!(
            difference <= tolerance(index),
            "value {index} is {found}, expected {expected} within {:e}",
            tolerance(index)
        );
    }
    Ok(())
}

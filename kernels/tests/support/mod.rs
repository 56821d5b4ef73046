//! What the tests of all families share: random values, threads, comparisons.
#![allow(dead_code, reason = "each test file uses a part")]

pub(crate) mod conv;

use libvision_kernels::cpu::layout::{self, BlockedShape};
use libvision_kernels::parallel::{Parallel, Serial, Task};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A small generator: the same values in every run.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn bits(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Uniform in [-scale, scale).
    pub(crate) fn values(&mut self, count: usize, scale: f32) -> Vec<f32> {
        let unit = |bits: u64| (bits >> 40) as f32 / (1u64 << 23) as f32 - 1.0;
        (0..count).map(|_| unit(self.bits()) * scale).collect()
    }
}

/// As many threads as it says, each taking the next task when it is free.
pub(crate) struct Threads(pub(crate) usize);

// SAFETY: a shared counter gives each index to one thread; each thread has its own number and runs its
// tasks one after the other; the scope ends after all of them.
unsafe impl Parallel for Threads {
    fn threads(&self) -> usize {
        self.0
    }

    fn for_each(&self, tasks: usize, f: &(dyn Fn(Task) + Sync)) {
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for thread in 0..self.0 {
                let next = &next;
                scope.spawn(move || {
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        if index >= tasks {
                            break;
                        }
                        f(Task { index, thread });
                    }
                });
            }
        });
    }
}

/// Plain images in the blocked layout: a zero border, and numbers in unused lanes that must not matter.
pub(crate) fn blocked(shape: &BlockedShape, images: &[&[f32]]) -> Vec<f32> {
    let mut tensor = vec![777.0; images.len() * shape.len()];
    layout::from_nchw(&Serial, shape, images.len(), &images.concat(), &mut tensor);
    layout::clear_border(&Serial, shape, images.len(), &mut tensor);
    for image in tensor.chunks_exact_mut(shape.len().max(1)) {
        for channel in shape.channels..shape.blocks() * shape.lanes {
            for y in 0..shape.height {
                for x in 0..shape.width {
                    image[shape.element(channel, y, x)] = 777.0;
                }
            }
        }
    }
    tensor
}

/// What the border of an output holds before and after a kernel has run.
pub(crate) const SENTINEL: f32 = -12345.0;

/// The images of a blocked tensor as plain ones. Fails if its border is not the sentinel any more.
pub(crate) fn plain(shape: &BlockedShape, batch: usize, tensor: &[f32]) -> Vec<Vec<f32>> {
    let inside = batch * shape.blocks() * shape.height * shape.width * shape.lanes;
    let untouched = tensor.iter().filter(|x| **x == SENTINEL).count();
    assert_eq!(untouched, tensor.len() - inside, "the border was written to, or the inside was not");
    let size = shape.channels * shape.height * shape.width;
    let mut images = vec![0.0; batch * size];
    layout::to_nchw(&Serial, shape, batch, tensor, &mut images);
    images.chunks_exact(size).map(<[f32]>::to_vec).collect()
}

/// Largest difference, relative to the largest expected value (and to one at least).
pub(crate) fn error(got: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(got.len(), expected.len());
    let scale = expected.iter().fold(1.0f64, |m, x| m.max(x.abs()));
    let differences = got.iter().zip(expected).map(|(g, e)| (f64::from(*g) - e).abs());
    // A value that is not a number must count as an error.
    differences.fold(0.0, |m: f64, d| if d <= m { m } else { d }) / scale
}

/// The bits, which tell -0 from 0 and compare what is not a number.
pub(crate) fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

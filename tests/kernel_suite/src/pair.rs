//! Sums and products of two tensors, run through the emulator.

use crate::numbers::{from_device, to_device};
use anyhow::{Result, ensure};
use libvision_cuda_emulator::{Access, Device, Memory};
use libvision_kernels::cuda::launch::stored_channels;
use libvision_kernels::cuda::window::Pair;

/// Combines images in NCHW.
pub fn run_pair(device: &dyn Device, pair: &Pair, [left, right]: [&[f32]; 2]) -> Result<Vec<f32>> {
    let Pair { channels, pixels, right_is_whole, element, .. } = *pair;
    let (images, stored) = (left.len() / (channels * pixels), stored_channels(channels));
    let left = to_device(element, left, channels, stored, pixels);
    let right = to_device(element, right, channels, stored, if right_is_whole { pixels } else { 1 });
    let mut output = Memory::unwritten(images * pixels * stored * element.bytes());
    let launch = pair.launch(images, [left.address(), right.address()], output.address())?;
    let mut buffers = [Access::Read(&left), Access::Read(&right), Access::Write(&mut output)];
    device.launch(&launch, &mut buffers, 5)?;
    let stored_values = element.unpack(&output.to_bytes());
    let filling = stored_values.chunks_exact(stored).flat_map(|pixel| &pixel[channels..]);
    ensure!(filling.into_iter().all(|value| *value == 0.0), "what fills up the channels is not zero");
    Ok(from_device(element, &output, channels, stored, pixels))
}

/// What they become.
pub fn expected(pair: &Pair, [left, right]: [&[f32]; 2], combine: fn(f32, f32) -> f32) -> Vec<f32> {
    let value = |(index, left): (usize, &f32)| {
        let right = right[if pair.right_is_whole { index } else { index / pair.pixels }];
        pair.activation.apply(combine(*left, right))
    };
    left.iter().enumerate().map(value).collect()
}

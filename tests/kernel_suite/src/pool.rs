//! Pooling, run through the emulator.

use crate::numbers::{from_device, to_device};
use anyhow::Result;
use libvision_cuda_emulator::{Access, Device, Memory};
use libvision_kernels::cuda::element::Element;
use libvision_kernels::cuda::launch::stored_channels;
use libvision_kernels::cuda::window::{Pooling, global_average_pool, pool};
use libvision_kernels::geometry::Pool2dGeometry;

/// Pools images in NCHW.
pub fn run_pool(
    device: &dyn Device,
    g: &Pool2dGeometry,
    pooling: Pooling,
    element: Element,
    x: &[f32],
) -> Result<Vec<f32>> {
    let [in_pixels, out_pixels] = [g.input, g.output].map(|[height, width]| height * width);
    let (images, stored) = (x.len() / (g.channels * in_pixels), stored_channels(g.channels));
    let x = to_device(element, x, g.channels, stored, in_pixels);
    let mut output = Memory::unwritten(images * out_pixels * stored * element.bytes());
    let launch = pool(g, element, pooling, images, [x.address(), output.address()])?;
    device.launch(&launch, &mut [Access::Read(&x), Access::Write(&mut output)], 1)?;
    Ok(from_device(element, &output, g.channels, stored, out_pixels))
}

/// The mean of each channel of images in NCHW.
pub fn run_global_pool(
    device: &dyn Device,
    channels: usize,
    pixels: usize,
    element: Element,
    x: &[f32],
) -> Result<Vec<f32>> {
    let (images, stored) = (x.len() / (channels * pixels), stored_channels(channels));
    let x = to_device(element, x, channels, stored, pixels);
    let mut output = Memory::unwritten(images * stored * element.bytes());
    let launch = global_average_pool(channels, pixels, element, images, [x.address(), output.address()])?;
    device.launch(&launch, &mut [Access::Read(&x), Access::Write(&mut output)], 1)?;
    Ok(from_device(element, &output, channels, stored, 1))
}

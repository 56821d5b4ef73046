//! Layers that treat each channel by itself, run through the emulator.

use super::conv::Layer;
use super::{from_device, to_device};
use anyhow::{Context, Result};
use libvision_cuda_emulator::{Access, Emulator, Memory};
use libvision_kernels::cuda::conv2d::Conv2dTensors;
use libvision_kernels::cuda::element::Element;
use libvision_kernels::cuda::launch::stored_channels;
use libvision_kernels::cuda::window::{Depthwise, Pooling, global_average_pool, pool};
use libvision_kernels::geometry::Pool2dGeometry;

impl Layer {
    /// A depthwise layer through its own kernel.
    pub(crate) fn run_depthwise(&self, emulator: &Emulator, element: Element, seed: u64) -> Result<Vec<f32>> {
        let g = &self.geometry;
        let layer = Depthwise::new(g, element, self.activation).context("not depthwise")?;
        let (channels, stored) = (g.in_channels, layer.stored_channels());
        let [in_pixels, out_pixels] = [g.input, g.output].map(|[height, width]| height * width);
        let x = to_device(element, &self.x, channels, stored, in_pixels);
        let weights = Memory::new(&layer.pack_weights(&self.weights));
        let bias = Memory::new(&layer.pack_bias(Some(&self.bias)));
        let residual =
            self.residual.as_deref().map(|values| to_device(element, values, channels, stored, out_pixels));
        let mut output = Memory::unwritten(self.images * out_pixels * stored * element.bytes());
        let tensors = Conv2dTensors {
            input: x.address(),
            weights: weights.address(),
            bias: bias.address(),
            residual: residual.as_ref().map_or(0, Memory::address),
            output: output.address(),
        };
        let launch = layer.launch(self.images, &tensors)?;
        let mut buffers =
            vec![Access::Read(&x), Access::Read(&weights), Access::Read(&bias), Access::Write(&mut output)];
        buffers.extend(residual.as_ref().map(Access::Read));
        emulator.launch(&launch, &mut buffers, seed)?;
        Ok(from_device(element, &output, channels, stored, out_pixels))
    }
}

/// Pools images in NCHW.
pub(crate) fn run_pool(
    emulator: &Emulator,
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
    emulator.launch(&launch, &mut [Access::Read(&x), Access::Write(&mut output)], 1)?;
    Ok(from_device(element, &output, g.channels, stored, out_pixels))
}

/// The mean of each channel of images in NCHW.
pub(crate) fn run_global_pool(
    emulator: &Emulator,
    channels: usize,
    pixels: usize,
    element: Element,
    x: &[f32],
) -> Result<Vec<f32>> {
    let (images, stored) = (x.len() / (channels * pixels), stored_channels(channels));
    let x = to_device(element, x, channels, stored, pixels);
    let mut output = Memory::unwritten(images * stored * element.bytes());
    let launch = global_average_pool(channels, pixels, element, images, [x.address(), output.address()])?;
    emulator.launch(&launch, &mut [Access::Read(&x), Access::Write(&mut output)], 1)?;
    Ok(from_device(element, &output, channels, stored, 1))
}

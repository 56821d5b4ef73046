//! Convolution layers to test, of any kind the device has.

use crate::numbers::{Random, from_device, rounded, to_device};
use anyhow::{Context, Result};
use libvision_cuda_emulator::{Access, Counts, Device, Memory};
use libvision_kernels::cuda::conv2d::{Conv2d, Conv2dTensors};
use libvision_kernels::cuda::element::Element;
use libvision_kernels::cuda::launch::Launch;
use libvision_kernels::cuda::window::Depthwise;
use libvision_kernels::epilogue::Activation;
use libvision_kernels::geometry::{Conv2dGeometry, GeometryError, Window};
use libvision_kernels::reference;

/// A layer with weights, images and residual, all in plain NCHW.
#[derive(Clone)]
pub struct Layer {
    /// Its sizes.
    pub geometry: Conv2dGeometry,
    /// What follows the sum.
    pub activation: Activation,
    /// Images in the batch.
    pub images: usize,
    /// The images.
    pub x: Vec<f32>,
    /// The filters, as `geometry` shapes them.
    pub weights: Vec<f32>,
    /// One per channel out.
    pub bias: Vec<f32>,
    /// What is added before the activation.
    pub residual: Option<Vec<f32>>,
}

/// Channels in and out, groups, window, height and width.
pub fn geometry(
    inputs: usize,
    outputs: usize,
    groups: usize,
    window: Window,
    size: [usize; 2],
) -> Conv2dGeometry {
    Conv2dGeometry::new(inputs, outputs, groups, window, size).unwrap_or_else(|error| panic!("{error}"))
}

impl Layer {
    /// Numbers on a grid, so that f32 holds every sum exactly in whatever order it is made.
    pub fn exact(geometry: Conv2dGeometry, images: usize, activation: Activation, residual: bool) -> Self {
        let mut random = Random(geometry.multiplications() as u64);
        Self::with(geometry, images, activation, residual, |count, step| random.grid(count, step))
    }

    /// Numbers with all their bits.
    pub fn real(geometry: Conv2dGeometry, images: usize, activation: Activation, residual: bool) -> Self {
        let mut random = Random(geometry.multiplications() as u64);
        Self::with(geometry, images, activation, residual, |count, _| random.real(count))
    }

    fn with(
        geometry: Conv2dGeometry,
        images: usize,
        activation: Activation,
        residual: bool,
        mut numbers: impl FnMut(usize, f32) -> Vec<f32>,
    ) -> Self {
        let [inputs, outputs] =
            [(geometry.in_channels, geometry.input), (geometry.out_channels, geometry.output)]
                .map(|(channels, [height, width])| images * channels * height * width);
        Self {
            geometry,
            activation,
            images,
            x: numbers(inputs, 1.0 / 64.0),
            weights: numbers(geometry.weight_shape().iter().product(), 1.0 / 128.0),
            bias: numbers(geometry.out_channels, 1.0 / 64.0),
            residual: residual.then(|| numbers(outputs, 1.0 / 64.0)),
        }
    }

    /// The same layer with tensors that this type holds exactly.
    pub fn rounded(&self, element: Element) -> Self {
        let round = |values: &[f32]| values.iter().map(|value| rounded(element, *value)).collect::<Vec<_>>();
        Self {
            x: round(&self.x),
            weights: round(&self.weights),
            residual: self.residual.as_deref().map(round),
            ..self.clone()
        }
    }

    /// The truth, in f64.
    pub fn expected(&self) -> Vec<f64> {
        let g = &self.geometry;
        let [input, output] =
            [g.in_channels * g.input[0] * g.input[1], g.out_channels * g.output[0] * g.output[1]];
        let convolve = |image: usize| {
            let x = &self.x[image * input..][..input];
            let residual = self.residual.as_deref().map(|residual| &residual[image * output..][..output]);
            reference::conv2d::conv2d(g, x, &self.weights, Some(&self.bias), residual, self.activation)
        };
        (0..self.images).flat_map(convolve).collect()
    }

    /// For each value the sum of the magnitudes, which bounds the error of summing.
    pub fn magnitudes(&self) -> Vec<f64> {
        let absolute = |values: &[f32]| values.iter().map(|value| value.abs()).collect::<Vec<_>>();
        let layer = Self {
            activation: Activation::Identity,
            x: absolute(&self.x),
            weights: absolute(&self.weights),
            bias: absolute(&self.bias),
            residual: self.residual.as_deref().map(absolute),
            ..self.clone()
        };
        layer.expected()
    }

    /// The same through an emulated kernel, back in NCHW.
    pub fn run(&self, device: &dyn Device, element: Element, seed: u64) -> Result<(Vec<f32>, Counts)> {
        let g = &self.geometry;
        let conv = Conv2d::new(g, element, self.activation, matches!(g.in_channels, 3..=4))?;
        let packed = Packed {
            element,
            stored: conv.stored_channels(),
            weights: Memory::new(&conv.pack_weights(&self.weights)),
            bias: Memory::new(&conv.pack_bias(Some(&self.bias))),
        };
        self.launch(device, &packed, seed, |tensors| conv.launch(self.images, tensors))
    }

    /// The same through the kernel for depthwise layers.
    pub fn run_depthwise(&self, device: &dyn Device, element: Element, seed: u64) -> Result<Vec<f32>> {
        let layer = Depthwise::new(&self.geometry, element, self.activation).context("not depthwise")?;
        let packed = Packed {
            element,
            stored: [layer.stored_channels(); 2],
            weights: Memory::new(&layer.pack_weights(&self.weights)),
            bias: Memory::new(&layer.pack_bias(Some(&self.bias))),
        };
        let made = self.launch(device, &packed, seed, |tensors| layer.launch(self.images, tensors))?;
        Ok(made.0)
    }

    fn launch(
        &self,
        device: &dyn Device,
        packed: &Packed,
        seed: u64,
        launch: impl FnOnce(&Conv2dTensors) -> std::result::Result<Launch, GeometryError>,
    ) -> Result<(Vec<f32>, Counts)> {
        let g = &self.geometry;
        let Packed { element, stored: [inputs, outputs], weights, bias } = packed;
        let [in_pixels, out_pixels] = [g.input, g.output].map(|[height, width]| height * width);
        let x = to_device(*element, &self.x, g.in_channels, *inputs, in_pixels);
        let store = |values: &[f32]| to_device(*element, values, g.out_channels, *outputs, out_pixels);
        let residual = self.residual.as_deref().map(store);
        let mut output = Memory::unwritten(self.images * out_pixels * outputs * element.bytes());
        let tensors = Conv2dTensors {
            input: x.address(),
            weights: weights.address(),
            bias: bias.address(),
            residual: residual.as_ref().map_or(0, Memory::address),
            output: output.address(),
        };
        let launch = launch(&tensors)?;
        let mut buffers =
            vec![Access::Read(&x), Access::Read(weights), Access::Read(bias), Access::Write(&mut output)];
        buffers.extend(residual.as_ref().map(Access::Read));
        let counts = device.launch(&launch, &mut buffers, seed)?;
        Ok((from_device(*element, &output, g.out_channels, *outputs, out_pixels), counts))
    }
}

/// What a layer makes of its weights, and how many channels it stores of input and output.
struct Packed {
    element: Element,
    stored: [usize; 2],
    weights: Memory,
    bias: Memory,
}

//! Layers that treat each channel by itself: depthwise convolution, pooling, sums and products of two tensors.

use super::arguments::{EpilogueArguments, GlobalPoolArguments, PairArguments, WindowArguments};
use super::conv2d::{Conv2dTensors, pack_bias};
use super::divisor::Divisor;
use super::element::Element;
use super::launch::{CHANNELS_AT_ONCE, Launch, launch_items, size, stored_channels};
use crate::epilogue::Activation;
use crate::geometry::{Conv2dGeometry, GeometryError, Pool2dGeometry, Window};

/// A convolution in which every channel sees itself alone.
#[derive(Clone, Debug)]
pub struct Depthwise {
    geometry: Conv2dGeometry,
    element: Element,
    activation: Activation,
}

impl Depthwise {
    /// `None` if the layer is not depthwise.
    pub fn new(geometry: &Conv2dGeometry, element: Element, activation: Activation) -> Option<Self> {
        let g = geometry;
        let depthwise = g.groups == g.in_channels && g.in_channels == g.out_channels && g.groups > 1;
        depthwise.then_some(Self { geometry: *g, element, activation })
    }

    /// Stored channels of input and output.
    pub fn stored_channels(&self) -> usize {
        stored_channels(self.geometry.in_channels)
    }

    /// Weights for the device, `[height, width, channels]`, from `[channels, 1, height, width]`.
    ///
    /// Panics if `weights` has another length.
    pub fn pack_weights(&self, weights: &[f32]) -> Vec<u8> {
        let [channels, _, height, width] = self.geometry.weight_shape();
        let taps = height * width;
        assert_eq!(weights.len(), channels * taps, "weights");
        let mut packed = Vec::with_capacity(self.stored_channels() * taps * self.element.bytes());
        for tap in 0..taps {
            for channel in 0..self.stored_channels() {
                let weight = if channel < channels { weights[channel * taps + tap] } else { 0.0 };
                self.element.push(&mut packed, weight);
            }
        }
        packed
    }

    /// The bias for the device, zeros without one.
    pub fn pack_bias(&self, bias: Option<&[f32]>) -> Vec<u8> {
        pack_bias(bias, self.geometry.out_channels, self.stored_channels())
    }

    /// The launch for `images` images.
    pub fn launch(&self, images: usize, tensors: &Conv2dTensors) -> Result<Launch, GeometryError> {
        let g = &self.geometry;
        let arguments = WindowArguments {
            weights: tensors.weights,
            bias: tensors.bias,
            epilogue: EpilogueArguments::new(self.activation, tensors.residual),
            ..window_arguments(
                images,
                g.in_channels,
                &g.window,
                [g.input, g.output],
                [tensors.input, tensors.output],
            )?
        };
        let name = match self.element {
            Element::F16 => "f16_depthwise",
            Element::Bf16 => "bf16_depthwise",
            Element::F32 => "f32_depthwise",
        };
        launch_items(name, arguments.items, &arguments)
    }
}

/// What a pooling window yields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// The largest value; the border never wins.
    Max,
    /// The mean.
    Average {
        /// Whether the border counts as zeros.
        count_border: bool,
    },
}

/// The launch that pools `images` images from `input` to `output`.
pub fn pool(
    geometry: &Pool2dGeometry,
    element: Element,
    pooling: Pooling,
    images: usize,
    [input, output]: [u64; 2],
) -> Result<Launch, GeometryError> {
    let g = geometry;
    let count_border = u32::from(pooling == Pooling::Average { count_border: true });
    let arguments = window_arguments(images, g.channels, &g.window, [g.input, g.output], [input, output])?;
    let arguments = WindowArguments { count_border, ..arguments };
    let name = match (element, pooling) {
        (Element::F16, Pooling::Max) => "f16_max_pool",
        (Element::Bf16, Pooling::Max) => "bf16_max_pool",
        (Element::F32, Pooling::Max) => "f32_max_pool",
        (Element::F16, Pooling::Average { .. }) => "f16_average_pool",
        (Element::Bf16, Pooling::Average { .. }) => "bf16_average_pool",
        (Element::F32, Pooling::Average { .. }) => "f32_average_pool",
    };
    launch_items(name, arguments.items, &arguments)
}

/// The launch that takes the mean of each channel of `images` images of `pixels` pixels.
pub fn global_average_pool(
    channels: usize,
    pixels: usize,
    element: Element,
    images: usize,
    [input, output]: [u64; 2],
) -> Result<Launch, GeometryError> {
    let chunks = channels.div_ceil(CHANNELS_AT_ONCE);
    let items = size("values", images.saturating_mul(chunks))?;
    let arguments = GlobalPoolArguments {
        input,
        output,
        items,
        pixels: size("pixels", pixels)?,
        channels: size("channels", stored_channels(channels))?,
        unused: 0,
        by_chunks: Divisor::new(size("channels", chunks)?),
    };
    let name = match element {
        Element::F16 => "f16_global_average_pool",
        Element::Bf16 => "bf16_global_average_pool",
        Element::F32 => "f32_global_average_pool",
    };
    launch_items(name, items, &arguments)
}

/// What two tensors become, value by value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Their sum.
    Add,
    /// Their product.
    Multiply,
}

/// A layer of two tensors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// What they become.
    pub operation: Operation,
    /// Channels of both.
    pub channels: usize,
    /// Pixels of an image of the left one.
    pub pixels: usize,
    /// Whether the right one has as many, or one for all of an image.
    pub right_is_whole: bool,
    /// Type of the numbers.
    pub element: Element,
    /// Follows.
    pub activation: Activation,
}

impl Pair {
    /// The launch for `images` images.
    pub fn launch(
        &self,
        images: usize,
        [left, right]: [u64; 2],
        output: u64,
    ) -> Result<Launch, GeometryError> {
        let chunks = self.channels.div_ceil(CHANNELS_AT_ONCE);
        let items = images.saturating_mul(self.pixels).saturating_mul(chunks);
        let repeats = if self.right_is_whole { 1 } else { self.pixels };
        let arguments = PairArguments {
            left,
            right,
            output,
            epilogue: EpilogueArguments::new(self.activation, 0),
            items: size("values", items)?,
            channels: size("channels", stored_channels(self.channels))?,
            meant_channels: size("channels", self.channels)?,
            unused: 0,
            by_chunks: Divisor::new(size("channels", chunks)?),
            by_repeats: Divisor::new(size("pixels", repeats)?),
        };
        let name = match (self.element, self.operation) {
            (Element::F16, Operation::Add) => "f16_add",
            (Element::Bf16, Operation::Add) => "bf16_add",
            (Element::F32, Operation::Add) => "f32_add",
            (Element::F16, Operation::Multiply) => "f16_multiply",
            (Element::Bf16, Operation::Multiply) => "bf16_multiply",
            (Element::F32, Operation::Multiply) => "f32_multiply",
        };
        launch_items(name, arguments.items, &arguments)
    }
}

fn window_arguments(
    images: usize,
    channels: usize,
    window: &Window,
    [input_size, output_size]: [[usize; 2]; 2],
    [input, output]: [u64; 2],
) -> Result<WindowArguments, GeometryError> {
    let chunks = channels.div_ceil(CHANNELS_AT_ONCE);
    let pixels = images.saturating_mul(output_size[0]).saturating_mul(output_size[1]);
    size("input pixels", images.saturating_mul(input_size[0]).saturating_mul(input_size[1]))?;
    let number = |value: usize| size("positions", value);
    Ok(WindowArguments {
        input,
        output,
        items: size("output values", pixels.saturating_mul(chunks))?,
        channels: number(stored_channels(channels))?,
        in_height: number(input_size[0])?,
        in_width: number(input_size[1])?,
        out_height: number(output_size[0])?,
        out_width: number(output_size[1])?,
        filter_height: number(window.size[0])?,
        filter_width: number(window.size[1])?,
        stride_rows: number(window.stride[0])?,
        stride_columns: number(window.stride[1])?,
        dilation_rows: number(window.dilation[0])?,
        dilation_columns: number(window.dilation[1])?,
        pad_top: number(window.padding.top)?,
        pad_left: number(window.padding.left)?,
        by_chunks: Divisor::new(number(chunks)?),
        by_out_width: Divisor::new(number(output_size[1])?),
        by_out_height: Divisor::new(number(output_size[0])?),
        ..WindowArguments::default()
    })
}

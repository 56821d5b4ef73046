//! Convolution on the device: which kernel and tile a layer gets, its packed weights, its launches.
//!
//! Everything that fixes the order of a sum is chosen here from the layer's geometry alone. The batch only
//! adds blocks.

use super::arguments::{Conv2dArguments, EpilogueArguments};
use super::divisor::Divisor;
use super::element::Element;
use super::launch::{CHANNELS_AT_ONCE, Launch, launch, size, stored_channels};
use super::modules::{CONV2D_KERNELS, Conv2dInput, Conv2dKernel, SLAB_BYTES};
use crate::epilogue::Activation;
use crate::geometry::{Conv2dGeometry, GeometryError};

/// Stored channels of a narrow input: pictures, padded from 3.
pub const NARROW_CHANNELS: usize = 4;
/// A bundle has as many groups as it takes to fill this many channels.
const BUNDLE_CHANNELS: usize = 32;

/// Device addresses of a convolution's tensors.
#[derive(Clone, Copy, Debug, Default)]
pub struct Conv2dTensors {
    /// NHWC.
    pub input: u64,
    /// [`Conv2d::pack_weights`].
    pub weights: u64,
    /// [`Conv2d::pack_bias`].
    pub bias: u64,
    /// A tensor like the output to add, or 0.
    pub residual: u64,
    /// NHWC.
    pub output: u64,
}

/// A convolution of one geometry.
#[derive(Clone, Debug)]
pub struct Conv2d {
    geometry: Conv2dGeometry,
    kernel: &'static Conv2dKernel,
    activation: Activation,
    /// Dense convolutions that the groups are gathered into.
    bundles: usize,
    in_channels: usize,
    out_channels: usize,
    slabs: usize,
}

impl Conv2d {
    /// Chooses a kernel. `narrow_input` says that the input has [`NARROW_CHANNELS`] stored channels, as pictures do,
    /// and not the usual multiple of 8. Depthwise layers are better served by [`super::window::Depthwise`].
    pub fn new(
        geometry: &Conv2dGeometry,
        element: Element,
        activation: Activation,
        narrow_input: bool,
    ) -> Result<Self, GeometryError> {
        let g = geometry;
        let bundles = bundles(g)?;
        if narrow_input && g.in_channels > NARROW_CHANNELS {
            return Err(GeometryError::new(format!(
                "a narrow input has at most {NARROW_CHANNELS} channels, this one has {}",
                g.in_channels
            )));
        }
        let in_channels = if narrow_input { NARROW_CHANNELS } else { stored_channels(g.in_channels) };
        let window = g.window;
        let pointwise = window.size == [1, 1] && window.padding == Default::default();
        let input = match element {
            Element::F32 => Conv2dInput::Window,
            _ if narrow_input => Conv2dInput::Narrow,
            _ if pointwise => Conv2dInput::Pointwise,
            _ => Conv2dInput::Window,
        };
        let out_channels = stored_channels(g.out_channels);
        let tile = |kernel: &&Conv2dKernel| {
            (kernel.element == element && kernel.input == input)
                .then(|| cost(kernel, g.output[0] * g.output[1], out_channels / bundles))
        };
        let candidates = CONV2D_KERNELS.iter().filter(|kernel| tile(kernel).is_some());
        let kernel = candidates.min_by_key(|kernel| tile(kernel)).expect("every element type has kernels");
        let depth = window.size[0] * window.size[1] * (in_channels / bundles);
        let slabs = (depth * element.bytes()).div_ceil(SLAB_BYTES);
        size("products per output value", depth)?;
        Ok(Self { geometry: *g, kernel, activation, bundles, in_channels, out_channels, slabs })
    }

    /// The kernel it uses.
    pub fn kernel(&self) -> &'static Conv2dKernel {
        self.kernel
    }

    /// Stored channels of input and output.
    pub fn stored_channels(&self) -> [usize; 2] {
        [self.in_channels, self.out_channels]
    }

    /// Input and output channels of one bundle as stored.
    fn bundle(&self) -> [usize; 2] {
        [self.in_channels / self.bundles, self.out_channels / self.bundles]
    }

    /// Weights for the device from `[out_channels, in_channels / groups, height, width]`: a row per stored
    /// output channel, its depth in the kernel's order, zero where a bundle's groups do not see each other.
    ///
    /// Panics if `weights` has another length.
    pub fn pack_weights(&self, weights: &[f32]) -> Vec<u8> {
        let g = &self.geometry;
        let [outputs, group_inputs, height, width] = g.weight_shape();
        assert_eq!(weights.len(), outputs * group_inputs * height * width, "weights");
        let element = self.kernel.element;
        let [bundle_inputs, _] = self.bundle();
        let (group_outputs, row_elements) = (outputs / g.groups, self.slabs * SLAB_BYTES / element.bytes());
        let mut packed = Vec::with_capacity(self.out_channels * self.slabs * SLAB_BYTES);
        let mut row = vec![0.0_f32; row_elements];
        for output in 0..self.out_channels {
            row.fill(0.0);
            if output < outputs {
                let first_input = output / group_outputs * group_inputs % bundle_inputs;
                for input in 0..group_inputs {
                    for tap in 0..height * width {
                        row[tap * bundle_inputs + first_input + input] =
                            weights[(output * group_inputs + input) * height * width + tap];
                    }
                }
            }
            for value in &row {
                element.push(&mut packed, *value);
            }
        }
        packed
    }

    /// The bias for the device, zeros without one.
    ///
    /// Panics if there is one of another length.
    pub fn pack_bias(&self, bias: Option<&[f32]>) -> Vec<u8> {
        pack_bias(bias, self.geometry.out_channels, self.out_channels)
    }

    /// The launch for `images` images.
    pub fn launch(&self, images: usize, tensors: &Conv2dTensors) -> Result<Launch, GeometryError> {
        let g = &self.geometry;
        let tile = self.kernel.tile;
        let [group_inputs, group_outputs] = self.bundle();
        let pixels = size("output pixels", images.saturating_mul(g.output[0]).saturating_mul(g.output[1]))?;
        let group_tiles = group_outputs.div_ceil(tile.columns);
        let column_tiles = group_tiles * self.bundles;
        let row_tiles = (pixels as usize).div_ceil(tile.rows);
        let blocks = size("blocks", row_tiles.saturating_mul(column_tiles))?;
        size("input rows", images.saturating_mul(g.input[0]))?;
        let window = &g.window;
        let number = |value: usize| size("", value);
        let arguments = Conv2dArguments {
            input: tensors.input,
            weights: tensors.weights,
            bias: tensors.bias,
            output: tensors.output,
            epilogue: EpilogueArguments::new(self.activation, tensors.residual),
            pixels,
            in_height: number(g.input[0])?,
            in_width: number(g.input[1])?,
            in_channels: number(self.in_channels)?,
            out_height: number(g.output[0])?,
            out_width: number(g.output[1])?,
            out_channels: number(self.out_channels)?,
            filter_width: number(window.size[1])?,
            stride_rows: number(window.stride[0])?,
            stride_columns: number(window.stride[1])?,
            dilation_rows: number(window.dilation[0])?,
            dilation_columns: number(window.dilation[1])?,
            pad_top: number(window.padding.top)?,
            pad_left: number(window.padding.left)?,
            group_inputs: number(group_inputs)?,
            group_outputs: number(group_outputs)?,
            depth: number(window.size[0] * window.size[1] * group_inputs)?,
            slabs: number(self.slabs)?,
            column_tiles: number(column_tiles)?,
            group_tiles: number(group_tiles)?,
            by_out_width: Divisor::new(number(g.output[1])?),
            by_out_height: Divisor::new(number(g.output[0])?),
            by_group_inputs: Divisor::new(number(group_inputs)?),
            by_filter_width: Divisor::new(number(window.size[1])?),
            by_column_tiles: Divisor::new(number(column_tiles)?),
            by_group_tiles: Divisor::new(number(group_tiles)?),
        };
        launch(self.kernel.name, blocks, &arguments)
    }
}

/// `bias` padded to `stored` values, zeros without one.
pub(super) fn pack_bias(bias: Option<&[f32]>, channels: usize, stored: usize) -> Vec<u8> {
    let mut values = bias.map_or_else(|| vec![0.0; channels], <[f32]>::to_vec);
    assert_eq!(values.len(), channels, "bias");
    values.resize(stored, 0.0);
    bytemuck::cast_slice(&values).to_vec()
}

/// How many dense convolutions the groups become: neighbouring groups are gathered until a bundle has enough
/// channels for a tile and whole chunks of them.
fn bundles(g: &Conv2dGeometry) -> Result<usize, GeometryError> {
    let [inputs, outputs] = [g.in_channels / g.groups, g.out_channels / g.groups];
    if g.groups == 1 {
        return Ok(1);
    }
    let whole = |groups: usize| {
        let chunks = |channels: usize| (groups * channels).is_multiple_of(CHANNELS_AT_ONCE);
        g.groups.is_multiple_of(groups) && chunks(inputs) && chunks(outputs)
    };
    let large = |groups: &usize| groups * inputs.min(outputs) >= BUNDLE_CHANNELS;
    let candidates = || (1..=g.groups).filter(|groups| whole(*groups));
    let groups = candidates().find(large).or_else(|| candidates().next_back());
    match groups {
        Some(groups) => Ok(g.groups / groups),
        // All groups as one dense convolution: padding then comes after the last channel only.
        None => Ok(1),
    }
}

/// What a layer costs with this tile, in arbitrary units: whole tiles of multiplications, plus the traffic of
/// both sides through shared memory. An image's pixels stand for any batch.
fn cost(kernel: &Conv2dKernel, pixels: usize, channels: usize) -> usize {
    let tile = kernel.tile;
    let tiles = pixels.div_ceil(tile.rows) * channels.div_ceil(tile.columns);
    tiles * (tile.rows * tile.columns + 16 * (tile.rows + tile.columns))
}

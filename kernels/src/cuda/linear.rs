//! Fully connected layers.

use super::arguments::{EpilogueArguments, LinearArguments};
use super::divisor::Divisor;
use super::element::Element;
use super::launch::{Launch, launch, size, stored_channels};
use crate::epilogue::Activation;
use crate::geometry::GeometryError;

/// Outputs of one block, one per warp; `linear.cu` has the same number.
const OUTPUTS: usize = 4;
/// Rows that a warp takes at once; `linear.cu` has the same number.
const ROWS: usize = 4;

/// `activation(weights * x + bias)`, from elements to f32.
#[derive(Clone, Copy, Debug)]
pub struct Linear {
    /// Inputs of a row.
    pub inputs: usize,
    /// Outputs of a row.
    pub outputs: usize,
    /// Type of inputs and weights; results are f32.
    pub element: Element,
    /// Applied last.
    pub activation: Activation,
}

/// Device addresses of the layer's tensors.
#[derive(Clone, Copy, Debug, Default)]
pub struct LinearTensors {
    /// `[rows, stored inputs]`
    pub input: u64,
    /// [`Linear::pack_weights`]
    pub weights: u64,
    /// `[outputs]` in f32
    pub bias: u64,
    /// `[rows, outputs]` in f32
    pub output: u64,
}

impl Linear {
    /// Weights for the device: rows padded with zeros to the stored inputs.
    ///
    /// Panics if `weights` is not `[outputs, inputs]`.
    pub fn pack_weights(&self, weights: &[f32]) -> Vec<u8> {
        assert_eq!(weights.len(), self.outputs * self.inputs, "weights");
        let mut packed = Vec::new();
        for row in weights.chunks_exact(self.inputs) {
            let padding = stored_channels(self.inputs) - self.inputs;
            for value in row.iter().copied().chain(std::iter::repeat_n(0.0, padding)) {
                self.element.push(&mut packed, value);
            }
        }
        packed
    }

    /// The launch for `rows` rows.
    pub fn launch(&self, rows: usize, tensors: &LinearTensors) -> Result<Launch, GeometryError> {
        let output_blocks = self.outputs.div_ceil(OUTPUTS);
        let blocks = size("blocks", rows.div_ceil(ROWS).saturating_mul(output_blocks))?;
        let arguments = LinearArguments {
            input: tensors.input,
            weights: tensors.weights,
            bias: tensors.bias,
            output: tensors.output,
            epilogue: EpilogueArguments::new(self.activation, 0),
            rows: size("rows", rows)?,
            inputs: size("inputs", stored_channels(self.inputs))?,
            outputs: size("outputs", self.outputs)?,
            output_blocks: size("blocks", output_blocks)?,
            by_output_blocks: Divisor::new(size("blocks", output_blocks)?),
        };
        let name = match self.element {
            Element::F16 => "f16_linear",
            Element::Bf16 => "bf16_linear",
            Element::F32 => "f32_linear",
        };
        launch(name, blocks, &arguments)
    }
}

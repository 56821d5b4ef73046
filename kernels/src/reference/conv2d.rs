//! Two-dimensional convolution.

use super::elementwise::activation;
use crate::epilogue::Activation;
use crate::geometry::Conv2dGeometry;

/// Convolves one image. `x` is `[in_channels, height, width]`, `weights` `[out_channels, in_channels / groups,
/// kernel height, kernel width]`; `bias` has one value per output channel and `residual` the size of the
/// result. Panics if a slice is too short.
pub fn conv2d(
    g: &Conv2dGeometry,
    x: &[f32],
    weights: &[f32],
    bias: Option<&[f32]>,
    residual: Option<&[f32]>,
    applied_last: Activation,
) -> Vec<f64> {
    let [out_channels, group_inputs, kernel_height, kernel_width] = g.weight_shape();
    let group_outputs = out_channels / g.groups;
    let [height, width] = g.input;
    let mut result = Vec::with_capacity(out_channels * g.output[0] * g.output[1]);
    for o in 0..out_channels {
        for y in 0..g.output[0] {
            for x_out in 0..g.output[1] {
                let mut sum = bias.map_or(0.0, |bias| f64::from(bias[o]));
                for c in 0..group_inputs {
                    let channel = o / group_outputs * group_inputs + c;
                    for ky in 0..kernel_height {
                        for kx in 0..kernel_width {
                            let row = tap(g, 0, y, ky).filter(|row| *row < height);
                            let column = tap(g, 1, x_out, kx).filter(|column| *column < width);
                            if let (Some(row), Some(column)) = (row, column) {
                                let value = x[(channel * height + row) * width + column];
                                let weight = weights
                                    [((o * group_inputs + c) * kernel_height + ky) * kernel_width + kx];
                                sum += f64::from(value) * f64::from(weight);
                            }
                        }
                    }
                }
                sum += residual.map_or(0.0, |residual| f64::from(residual[result.len()]));
                result.push(activation(applied_last, sum));
            }
        }
    }
    result
}

/// Where tap `k` of output `i` falls along an axis, if not before the image.
fn tap(g: &Conv2dGeometry, axis: usize, i: usize, k: usize) -> Option<usize> {
    let before = [g.window.padding.top, g.window.padding.left][axis];
    (i * g.window.stride[axis] + k * g.window.dilation[axis]).checked_sub(before)
}

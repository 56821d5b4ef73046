//! The operators a graph is made of.
//!
//! Importers translate to these and nothing else; each backend's `lower.rs` matches them without a
//! wildcard, so a new operator does not compile until every backend has decided about it.

use libvision_kernels::epilogue::Activation;
use libvision_kernels::geometry::Window;

/// What a node computes. The comment on each variant lists its inputs; each has one output.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Op {
    /// `x [N,C,H,W], weights [O,C/groups,kh,kw], bias [O] (if has_bias), residual [N,O,OH,OW] (if
    /// has_residual)`: convolution, then bias, residual and activation.
    Conv2d {
        /// The filter's window.
        window: Window,
        /// Channel groups.
        groups: usize,
        /// Whether a bias is among the inputs.
        has_bias: bool,
        /// Whether a tensor to add is the last input.
        has_residual: bool,
        /// Applied last.
        activation: Activation,
    },
    /// `x [N,C,H,W], scale [C], bias [C], mean [C], variance [C]`: inference-time batch norm.
    BatchNorm {
        /// Added to the variance.
        epsilon: f32,
    },
    /// `x`: an element-wise function.
    Activate(Activation),
    /// `a, b`: element-wise sum, then an activation; shapes broadcast as in ONNX.
    Add {
        /// Applied last.
        activation: Activation,
    },
    /// `a, b`: element-wise product; shapes broadcast as in ONNX.
    Mul,
    /// `x [N,C,H,W]`: the largest value under the window; the border never wins.
    MaxPool {
        /// The window.
        window: Window,
    },
    /// `x [N,C,H,W]`: the mean under the window.
    AveragePool {
        /// The window.
        window: Window,
        /// Whether the border counts as zeros in the mean.
        count_include_pad: bool,
    },
    /// `x [N,C,H,W]` to `[N,C,1,1]`, or `[N,C]` without `keep_dims`: the mean of each channel.
    GlobalAveragePool {
        /// Whether the two spatial axes stay, with size 1.
        keep_dims: bool,
    },
    /// `x`: the same elements as `[N, product of the rest]`.
    Flatten,
    /// `x [N,K], weights [M,K], bias [M] (if has_bias)`: fully connected.
    Linear {
        /// Whether a bias is among the inputs.
        has_bias: bool,
        /// Applied last.
        activation: Activation,
    },
    /// `x [N,K]`: softmax over the last axis.
    Softmax,
}

impl Op {
    /// The name that messages and dumps use.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Conv2d { .. } => "Conv2d",
            Op::BatchNorm { .. } => "BatchNorm",
            Op::Activate(_) => "Activate",
            Op::Add { .. } => "Add",
            Op::Mul => "Mul",
            Op::MaxPool { .. } => "MaxPool",
            Op::AveragePool { .. } => "AveragePool",
            Op::GlobalAveragePool { .. } => "GlobalAveragePool",
            Op::Flatten => "Flatten",
            Op::Linear { .. } => "Linear",
            Op::Softmax => "Softmax",
        }
    }
}

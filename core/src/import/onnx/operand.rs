//! What a name in the file stands for while nodes are being translated.

use super::symbolic::Symbolic;
use crate::graph::{Dim, ValueId};
use crate::tensor::Tensor;
use libvision_kernels::geometry::Padding;

/// What a name stands for.
#[derive(Clone, Debug)]
pub(super) enum Operand {
    /// Known only when the model runs.
    Runtime(View),
    /// Weights.
    Float(FloatConstant),
    /// Whole numbers that shapes are computed with.
    Integers(Symbolic),
    /// The result of a node that is not supported, which has been noted already.
    Unknown,
}

/// A value of the graph, seen with other axes or with a border that no node has added yet. Exporters write
/// chains of Reshape, Squeeze and Unsqueeze that come to one Flatten or to nothing, and a Pad that belongs
/// to the next convolution.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) value: ValueId,
    /// Without the border.
    pub(super) shape: Vec<Dim>,
    /// Zeros around the two spatial axes.
    pub(super) border: Padding,
}

/// Weights with the name that messages use.
#[derive(Clone, Debug)]
pub(super) struct FloatConstant {
    pub(super) name: String,
    pub(super) tensor: Tensor,
}

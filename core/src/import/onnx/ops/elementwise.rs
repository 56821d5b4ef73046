//! Activations, arithmetic on two tensors, and nodes that do nothing when the model is not trained.

use crate::error::Result;
use crate::graph::Op;
use crate::import::onnx::node::{NodeReader, invalid, unsupported};
use crate::import::onnx::operand::{FloatConstant, Operand};
use crate::tensor::Tensor;
use libvision_kernels::epilogue::Activation;

pub(super) fn relu(node: &mut NodeReader<'_, '_>) -> Result<Operand> {
    activate(node, Activation::Relu)
}

pub(super) fn sigmoid(node: &mut NodeReader<'_, '_>) -> Result<Operand> {
    activate(node, Activation::Sigmoid)
}

pub(super) fn hard_swish(node: &mut NodeReader<'_, '_>) -> Result<Operand> {
    activate(node, Activation::HardSwish)
}

pub(super) fn hard_sigmoid(node: &mut NodeReader<'_, '_>) -> Result<Operand> {
    let alpha = node.attributes.float("alpha", 0.2)?;
    let beta = node.attributes.float("beta", 0.5)?;
    activate(node, Activation::HardSigmoid { alpha, beta })
}

pub(super) fn swish(node: &mut NodeReader<'_, '_>) -> Result<Operand> {
    match node.attributes.float("alpha", 1.0)? {
        1.0 => activate(node, Activation::Silu),
        alpha => Err(unsupported(format!("alpha {alpha}: only 1 is supported"))),
    }
}

/// Clip with constant bounds, as attributes (until operator set 10) or as inputs.
pub(super) fn clip(node: &mut NodeReader<'_, '_>) -> Result<Operand> {
    let low = node.float_scalar(1)?.map_or_else(|| node.attributes.float("min", f32::NEG_INFINITY), Ok)?;
    let high = node.float_scalar(2)?.map_or_else(|| node.attributes.float("max", f32::INFINITY), Ok)?;
    match (low, high) {
        (low, high) if low > high => Err(invalid(format!("its bounds are {low} and {high}"))),
        (0.0, f32::INFINITY) => activate(node, Activation::Relu),
        (f32::NEG_INFINITY, f32::INFINITY) => identity(node),
        (low, high) => activate(node, Activation::Clip { low, high }),
    }
}

fn activate(node: &mut NodeReader<'_, '_>, activation: Activation) -> Result<Operand> {
    let input = node.value(0)?;
    node.emit(Op::Activate(activation), vec![input])
}

pub(super) fn identity(node: &mut NodeReader<'_, '_>) -> Result<Operand> {
    node.input(0)
}

/// Dropout of a model that is not being trained.
pub(super) fn dropout(node: &mut NodeReader<'_, '_>) -> Result<Operand> {
    if node.has_input(2) && node.integers(2)?.known()? != [0] {
        return Err(unsupported("training_mode is true: export the model in evaluation mode"));
    }
    node.input(0)
}

pub(super) fn add(node: &mut NodeReader<'_, '_>) -> Result<Operand> {
    arithmetic(node, Op::Add { activation: Activation::Identity }, |x| x)
}

pub(super) fn mul(node: &mut NodeReader<'_, '_>) -> Result<Operand> {
    arithmetic(node, Op::Mul, |x| x)
}

/// Sub of a constant: the sum with its opposite.
pub(super) fn sub(node: &mut NodeReader<'_, '_>) -> Result<Operand> {
    arithmetic(node, Op::Add { activation: Activation::Identity }, |x| -x)
}

/// Div by a constant: the product with its reciprocal.
pub(super) fn div(node: &mut NodeReader<'_, '_>) -> Result<Operand> {
    arithmetic(node, Op::Mul, |x| 1.0 / x)
}

/// Two operands, of which a constant second one goes through `change`; whole numbers are folded.
fn arithmetic(node: &mut NodeReader<'_, '_>, op: Op, change: fn(f32) -> f32) -> Result<Operand> {
    let (first, second) = (node.input(0)?, node.input(1)?);
    if let (Operand::Integers(a), Operand::Integers(b)) = (&first, &second) {
        return Ok(Operand::Integers(a.combine(b, node.proto.op_type())?));
    }
    if matches!(first, Operand::Unknown) || matches!(second, Operand::Unknown) {
        return Ok(Operand::Unknown);
    }
    let is_symmetric = matches!(node.proto.op_type(), "Add" | "Mul");
    let b = match second {
        _ if is_symmetric => node.value_or_constant(1)?,
        Operand::Float(FloatConstant { tensor, .. }) => {
            let changed = tensor.to_f32()?.iter().map(|&x| change(x)).collect();
            let changed = node.constant(Tensor::new(tensor.shape(), changed)?);
            node.importer.add_constant(changed)
        }
        Operand::Runtime(_) | Operand::Integers(_) | Operand::Unknown => {
            return Err(unsupported("the second operand must be a constant of floats"));
        }
    };
    let a = node.value_or_constant(0)?;
    node.emit(op, vec![a, b])
}

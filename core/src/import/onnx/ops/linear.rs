//! Gemm and MatMul with constant weights, Transpose of such weights, Softmax.

use crate::error::Result;
use crate::graph::{Op, show_shape};
use crate::import::onnx::node::{NodeReader, invalid, resolve_axis, unsupported};
use crate::import::onnx::operand::{FloatConstant, Operand};
use crate::tensor::Tensor;
use libvision_kernels::epilogue::Activation;

/// Gemm: `alpha * x * weights + beta * bias`, both factors multiplied into the constants.
pub(super) fn gemm(node: &mut NodeReader<'_, '_>) -> Result<Operand> {
    if node.attributes.flag("transA", false)? {
        return Err(unsupported("transA 1 is not supported"));
    }
    let alpha = node.attributes.float("alpha", 1.0)?;
    let beta = node.attributes.float("beta", 1.0)?;
    let mut weights = node.float_constant(1)?;
    let is_plain = alpha == 1.0 && node.attributes.flag("transB", false)?;
    if !node.attributes.flag("transB", false)? {
        weights.tensor = transposed(&weights)?;
    }
    if alpha != 1.0 {
        weights.tensor = scaled(&weights.tensor, alpha)?;
    }
    let &[outputs, _] = weights.tensor.shape() else {
        return Err(invalid(format!("weights of shape {:?}, expected two axes", weights.tensor.shape())));
    };
    let input = node.value(0)?;
    let weights = match is_plain {
        true => node.importer.constant_value(&weights),
        false => node.importer.add_constant(weights),
    };
    let mut inputs = vec![input, weights];
    let has_bias = node.has_input(2);
    if has_bias {
        let bias = node.float_constant(2)?;
        let elements = bias.tensor.to_f32()?;
        let row: Vec<f32> = match (bias.tensor.shape(), &elements[..]) {
            ([] | [1] | [1, 1], &[one]) => vec![one * beta; outputs],
            ([_] | [1, _], row) if row.len() == outputs => row.iter().map(|x| x * beta).collect(),
            (shape, _) => {
                return Err(unsupported(format!("a bias of shape {shape:?}, expected [{outputs}]")));
            }
        };
        let unchanged = beta == 1.0 && bias.tensor.shape() == [outputs];
        let tensor = if unchanged { bias.tensor.clone() } else { Tensor::new(&[outputs], row)? };
        inputs.push(node.importer.add_constant(FloatConstant { name: bias.name.clone(), tensor }));
    }
    node.emit(Op::Linear { has_bias, activation: Activation::Identity }, inputs)
}

/// MatMul of the picture's features with constant weights; a bias comes as an Add of its own.
pub(super) fn mat_mul(node: &mut NodeReader<'_, '_>) -> Result<Operand> {
    let mut weights = node.float_constant(1)?;
    let input = node.value(0)?;
    weights.tensor = transposed(&weights)?;
    let weights = node.importer.add_constant(weights);
    node.emit(Op::Linear { has_bias: false, activation: Activation::Identity }, vec![input, weights])
}

/// Transpose of constant weights.
pub(super) fn transpose(node: &mut NodeReader<'_, '_>) -> Result<Operand> {
    let weights = node.float_constant(0)?;
    match node.attributes.ints("perm")?.unwrap_or(&[1, 0]) {
        [1, 0] => Ok(Operand::Float(node.constant(transposed(&weights)?))),
        perm => Err(unsupported(format!("perm {perm:?}: only matrices are transposed"))),
    }
}

/// Softmax over the last axis of `[N,K]`. Before operator set 13 it joined all axes from `axis` on, which
/// is the same there.
pub(super) fn softmax(node: &mut NodeReader<'_, '_>) -> Result<Operand> {
    let view = node.view(0)?;
    let default = if node.opset() < 13 { 1 } else { -1 };
    let axis = resolve_axis(node.attributes.int("axis", default)?, view.shape.len())?;
    if view.shape.len() != 2 || axis != 1 {
        return Err(unsupported(format!(
            "axis {axis} of {}: only the last axis of [N,K] is supported",
            show_shape(&view.shape)
        )));
    }
    let input = node.value(0)?;
    node.emit(Op::Softmax, vec![input])
}

fn transposed(weights: &FloatConstant) -> Result<Tensor> {
    let &[rows, columns] = weights.tensor.shape() else {
        return Err(unsupported(format!(
            "weights {:?} of shape {:?}, expected two axes",
            weights.name,
            weights.tensor.shape()
        )));
    };
    let elements = weights.tensor.to_f32()?;
    let mut turned = Vec::with_capacity(elements.len());
    for column in 0..columns {
        turned.extend((0..rows).map(|row| elements[row * columns + column]));
    }
    Tensor::new(&[columns, rows], turned)
}

fn scaled(tensor: &Tensor, factor: f32) -> Result<Tensor> {
    Tensor::new(tensor.shape(), tensor.to_f32()?.iter().map(|x| x * factor).collect())
}

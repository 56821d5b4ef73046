//! Conv and BatchNormalization.

use super::pool::{SpatialWindow, sized_window};
use crate::error::Result;
use crate::graph::Op;
use crate::import::onnx::node::{NodeReader, invalid, unsupported};
use crate::import::onnx::operand::Operand;
use libvision_kernels::epilogue::Activation;
use libvision_kernels::geometry::Padding;

/// Conv over two spatial axes with constant weights. A Pad before it becomes part of its border.
pub(super) fn conv(node: &mut NodeReader<'_, '_>) -> Result<Operand> {
    let [_, height, width] = node.image_sizes(0)?;
    let mut view = node.view(0)?;
    let border = std::mem::take(&mut view.border);
    let input = node.importer.value_of(&view)?;
    let weights = node.float_constant(1)?;
    let &[out_channels, _, rows, columns] = weights.tensor.shape() else {
        return Err(unsupported(format!(
            "weights {:?} have shape {:?}, expected [O,C,kh,kw] (only two spatial axes are supported)",
            weights.name,
            weights.tensor.shape()
        )));
    };
    if let Some(kernel) = node.attributes.ints("kernel_shape")?
        && !kernel.iter().map(|&size| usize::try_from(size).ok()).eq([Some(rows), Some(columns)])
    {
        return Err(invalid(format!(
            "kernel_shape {kernel:?} differs from that of the weights, {rows}x{columns}"
        )));
    }
    let padded = [height + border.top + border.bottom, width + border.left + border.right];
    let SpatialWindow { mut window, .. } = sized_window(&node.attributes, [rows, columns], padded)?;
    let own = window.padding;
    window.padding = Padding {
        top: own.top + border.top,
        left: own.left + border.left,
        bottom: own.bottom + border.bottom,
        right: own.right + border.right,
    };
    let groups = node.attributes.int("group", 1)?;
    let groups = usize::try_from(groups).map_err(|_| invalid(format!("group is {groups}")))?;
    let has_bias = node.has_input(2);
    let mut inputs = vec![input, node.importer.constant_value(&weights)];
    if has_bias {
        let bias = node.float_constant(2)?;
        if bias.tensor.shape() != [out_channels] {
            let found = bias.tensor.shape();
            return Err(invalid(format!(
                "bias {:?}: expected shape [{out_channels}], found {found:?}",
                bias.name
            )));
        }
        inputs.push(node.importer.constant_value(&bias));
    }
    let op = Op::Conv2d { window, groups, has_bias, has_residual: false, activation: Activation::Identity };
    node.emit(op, inputs)
}

/// BatchNormalization with the statistics of training.
pub(super) fn batch_normalization(node: &mut NodeReader<'_, '_>) -> Result<Operand> {
    if node.attributes.flag("training_mode", false)? {
        return Err(unsupported("training_mode is 1: export the model in evaluation mode"));
    }
    if !node.attributes.flag("spatial", true)? {
        return Err(unsupported("spatial 0 (statistics per pixel) is not supported"));
    }
    let epsilon = node.attributes.float("epsilon", 1e-5)?;
    if !(epsilon >= 0.0 && epsilon.is_finite()) {
        return Err(invalid(format!("epsilon is {epsilon}")));
    }
    let mut inputs = vec![node.value(0)?];
    for parameter in 1..5 {
        let constant = node.float_constant(parameter)?;
        inputs.push(node.importer.constant_value(&constant));
    }
    node.emit(Op::BatchNorm { epsilon }, inputs)
}

//! Constants of a graph in the form that kernels take.

use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Graph, Node, ValueKind, describe_node};
use crate::memory::AlignedFloats;
use crate::tensor::Tensor;
use libvision_kernels::cpu::layout::BlockedShape;
use std::borrow::Cow;

/// The constant that is input number `input` of a node. Fails with `OPERATOR_UNSUPPORTED` if it is computed.
pub(super) fn constant<'g>(graph: &'g Graph, node: &Node, input: usize, what: &str) -> Result<&'g Tensor> {
    let value = graph.value(node.inputs[input]);
    match &value.kind {
        ValueKind::Constant(tensor) => Ok(tensor),
        ValueKind::Input | ValueKind::Produced => Err(Error::new(
            ErrorKind::OperatorUnsupported,
            format!(
                "{}: expected constant {what}, found {:?}, which is known only at run time",
                describe_node(node),
                value.name
            ),
        )),
    }
}

/// The same as floats.
pub(super) fn floats<'g>(graph: &'g Graph, node: &Node, input: usize, what: &str) -> Result<Cow<'g, [f32]>> {
    constant(graph, node, input, what)?
        .to_f32()
        .map_err(|error| error.context(format_args!("{}: {what}", describe_node(node))))
}

/// The factor and the summand that a `BatchNorm` node comes to, per channel.
pub(super) fn scale_and_shift(graph: &Graph, node: &Node, epsilon: f32) -> Result<(Vec<f32>, Vec<f32>)> {
    let [scale, bias, mean, variance] = [
        floats(graph, node, 1, "scale")?,
        floats(graph, node, 2, "bias")?,
        floats(graph, node, 3, "mean")?,
        floats(graph, node, 4, "variance")?,
    ];
    let factors = scale.iter().zip(variance.iter());
    let factors: Vec<f64> =
        factors.map(|(s, v)| f64::from(*s) / (f64::from(*v) + f64::from(epsilon)).sqrt()).collect();
    let summands = factors.iter().zip(bias.iter().zip(mean.iter()));
    let shift = summands.map(|(factor, (b, m))| (f64::from(*b) - f64::from(*m) * factor) as f32).collect();
    Ok((factors.into_iter().map(|factor| factor as f32).collect(), shift))
}

/// Floats that start at a page.
pub(super) fn aligned(values: &[f32]) -> Result<AlignedFloats> {
    let mut floats = AlignedFloats::zeroed(values.len())?;
    floats.copy_from_slice(values);
    Ok(floats)
}

/// A constant in the layout in which it is combined with each image of `image`: one value per channel if
/// it is the same for all pixels of a channel, otherwise one per pixel. `None` if its shape does not
/// broadcast to one image.
pub(super) fn broadcast(
    tensor: &Tensor,
    image: &BlockedShape,
) -> Result<Option<(BlockedShape, AlignedFloats)>> {
    let values = tensor.to_f32()?;
    // Rows are images of one pixel here; their only axis beside the batch is the channel.
    let axes = if image.lanes == 1 && (image.height, image.width) == (1, 1) && tensor.shape().len() <= 2 {
        1
    } else {
        3
    };
    let Some(strides) = strides(tensor.shape(), &[image.channels, image.height, image.width][..axes]) else {
        return Ok(None);
    };
    let is_per_channel = strides[1..].iter().all(|stride| *stride == 0);
    let (height, width) = if is_per_channel { (1, 1) } else { (image.height, image.width) };
    let layout = BlockedShape::new(image.channels, height, width, image.lanes);
    let mut packed = AlignedFloats::zeroed(layout.len())?;
    for channel in 0..image.channels {
        for y in 0..height {
            for x in 0..width {
                let at = channel * strides[0] + y * strides[1] + x * strides[2];
                packed[layout.element(channel, y, x)] = values[at];
            }
        }
    }
    Ok(Some((layout, packed)))
}

/// How far apart neighbours along channel, row and column are in a tensor of `shape` that is broadcast to
/// `[batch, sizes...]`; 0 where all are the same. `None` if it does not fit.
fn strides(shape: &[usize], sizes: &[usize]) -> Option<[usize; 3]> {
    let surplus = shape.len().saturating_sub(sizes.len());
    if shape[..surplus].iter().any(|size| *size != 1) || surplus > 1 {
        return None;
    }
    let shape = &shape[surplus..];
    let mut strides = [0; 3];
    let mut stride = 1;
    for (from_end, size) in shape.iter().rev().enumerate() {
        let axis = sizes.len() - 1 - from_end;
        if *size != 1 {
            if *size != sizes[axis] {
                return None;
            }
            strides[axis] = stride;
        }
        stride *= size;
    }
    Some(strides)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_broadcast_as_in_numpy() {
        let cases: [(&[usize], Option<[usize; 3]>); 11] = [
            (&[], Some([0, 0, 0])),
            (&[1], Some([0, 0, 0])),
            (&[3, 1, 1], Some([1, 0, 0])),
            (&[1, 3, 1, 1], Some([1, 0, 0])),
            (&[1, 3, 4, 5], Some([20, 5, 1])),
            (&[4, 5], Some([0, 5, 1])),
            (&[4, 1], Some([0, 1, 0])),
            (&[5], Some([0, 0, 1])),
            (&[3], None),
            (&[2, 3, 1, 1], None),
            (&[1, 1, 3, 1, 1], None),
        ];
        for (shape, expected) in cases {
            assert_eq!(strides(shape, &[3, 4, 5]), expected, "{shape:?}");
        }
    }
}

//! Constants of a graph in the form that kernels take.

use crate::backend::constants::{constant, floats};
use crate::error::Result;
use crate::graph::{Graph, Node};
use crate::memory::AlignedFloats;
use crate::tensor::{DType, Tensor};
use libvision_kernels::cpu::layout::BlockedShape;
use std::borrow::Cow;

/// Floats that start at a page.
pub(super) fn aligned(values: &[f32]) -> Result<AlignedFloats> {
    let mut floats = AlignedFloats::zeroed(values.len())?;
    floats.copy_from_slice(values);
    Ok(floats)
}

/// The weights of a node as kernels pack them.
pub(super) enum Weights<'g> {
    /// Float32 where they lie in the file, whatever their alignment.
    Bytes(&'g [[u8; 4]]),
    /// Made of a narrower type.
    Widened(Cow<'g, [f32]>),
}

/// Input 1 of a node. Fails if it is no constant of a float type.
pub(super) fn weights<'g>(graph: &'g Graph, node: &Node) -> Result<Weights<'g>> {
    let tensor = constant(graph, node, 1, "weights")?;
    Ok(match tensor.dtype() {
        DType::F32 => Weights::Bytes(tensor.bytes().as_chunks().0),
        _ => Weights::Widened(floats(graph, node, 1, "weights")?),
    })
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

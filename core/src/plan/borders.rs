//! Which steps must clear the border of what they write.

use super::place::{Span, granules, same_grid};
use libvision_kernels::cpu::layout::BlockedShape;
use libvision_kernels::geometry::Padding;

/// For each tensor, given as layout, offset and floats: whether its border may have been written over when
/// its turn comes.
///
/// Steps write the inside of a tensor only. So the border of one stays zero for ever if every tensor that
/// shares memory with it, whenever it lives, has the same grid at the same offset: then their insides are
/// the same floats. Any other neighbour writes into it between one run and the next.
pub(super) fn written_over(tensors: &[(BlockedShape, usize, usize)]) -> Vec<bool> {
    let span = |&(_, start, floats): &(BlockedShape, usize, usize)| Span { start, len: granules(floats) };
    let is_dirty = |tensor: &(BlockedShape, usize, usize)| {
        let is_stranger = |other: &(BlockedShape, usize, usize)| {
            span(tensor).overlaps(&span(other)) && !(tensor.1 == other.1 && same_grid(&tensor.0, &other.0))
        };
        tensor.0.border != Padding::default() && tensors.iter().any(is_stranger)
    };
    tensors.iter().map(is_dirty).collect()
}

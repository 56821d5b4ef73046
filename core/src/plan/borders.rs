//! Which steps must clear the border of what they write.

use super::place::{Span, same_grid};
use libvision_kernels::cpu::layout::BlockedShape;
use libvision_kernels::geometry::Padding;

/// A tensor with its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    pub(super) layout: BlockedShape,
    pub(super) span: Span,
    /// The step that writes it.
    pub(super) first: usize,
}

impl Placed {
    /// Whether the insides of both are the same floats, and so are the borders.
    fn is_alike(&self, other: &Self) -> bool {
        self.span.start == other.span.start && same_grid(&self.layout, &other.layout)
    }
}

/// For each tensor, whether the floats of its border may hold something else than zero when its turn comes.
///
/// Steps write the inside of a tensor only. Of all tensors that share memory with this one, the last to be
/// written before it in the same run decides: if it is alike, its border is zero and that of this one with
/// it. If none was written before, something of an earlier run may lie there: then all that ever share
/// memory with it must be alike, and the border is zero from the start. (It is not enough that the last
/// one of the earlier run is alike: that run may have cleared the borders of fewer images.)
pub(super) fn to_clear(tensors: &[Placed]) -> Vec<bool> {
    let must_clear = |tensor: &Placed| {
        let neighbours = || tensors.iter().filter(|other| other.span.overlaps(&tensor.span));
        let earlier = neighbours().filter(|other| other.first < tensor.first).max_by_key(|other| other.first);
        match earlier {
            Some(earlier) => !tensor.is_alike(earlier),
            None => !neighbours().all(|other| tensor.is_alike(other)),
        }
    };
    tensors.iter().map(|tensor| tensor.layout.border != Padding::default() && must_clear(tensor)).collect()
}

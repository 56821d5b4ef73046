//! The transform of the weights, `G g G^T`, once, a vector of filters at a time.

use super::scheme::{MAX_TAPS, Scheme};
use crate::cpu::gemm::{AlignedFloats, Panel};
use crate::cpu::simd::{Kernel, MAX_LANES, Vector};
use crate::cpu::variants::KernelSet;
use crate::cpu::weight::Weight;

/// Most points along one axis.
const MAX_POINTS: usize = 7;

/// Filters of one input channel for a vector of output channels, and where their points go. Offsets are in floats.
///
/// # Safety
/// `taps` must hold the taps, `targets` an offset per pair of points, and `target` a vector at each.
pub(crate) struct FilterPatch {
    /// `[tap][MAX_LANES]`, with `side` rows and columns of taps.
    taps: *const f32,
    side: usize,
    down: &'static [[f64; MAX_TAPS]],
    across: &'static [[f64; MAX_TAPS]],
    target: *mut f32,
    targets: *const usize,
}

pub(crate) type FilterFn = unsafe fn(&FilterPatch);

/// The transform of filters.
pub(crate) struct FilterTransform;

impl Kernel for FilterTransform {
    type Arguments = FilterPatch;

    #[inline(always)]
    unsafe fn run<V: Vector>(patch: &FilterPatch) {
        // SAFETY: passed on to the caller.
        unsafe {
            let mut columns = [[V::splat(0.0); MAX_TAPS]; MAX_POINTS];
            for (point, factors) in columns.iter_mut().zip(patch.down) {
                for (x, value) in point.iter_mut().enumerate().take(patch.side) {
                    for (y, factor) in factors.iter().enumerate().take(patch.side) {
                        let tap = V::load(patch.taps.add((y * patch.side + x) * MAX_LANES));
                        *value = tap.mul_add(V::splat(*factor as f32), *value);
                    }
                }
            }
            let mut targets = patch.targets;
            for column in &columns[..patch.down.len()] {
                for factors in patch.across {
                    let mut sum = V::splat(0.0);
                    for (value, factor) in column.iter().zip(factors) {
                        sum = value.mul_add(V::splat(*factor as f32), sum);
                    }
                    sum.store(patch.target.add(*targets));
                    targets = targets.add(1);
                }
            }
        }
    }
}

/// Where the products of one input channel have their weights.
pub(super) struct Weights<'a, W> {
    /// Plain `[out_channels, in_channels, taps, taps]`.
    pub(super) plain: &'a [W],
    pub(super) in_channels: usize,
    pub(super) out_channels: usize,
}

/// Packs `[panel][point][input][channel of the panel]`. `row` gives, for (point, phase, input channel), the
/// number of the input among all inputs of the panel's points.
pub(super) fn pack<W: Weight>(
    set: &KernelSet,
    scheme: &'static Scheme,
    panels: &[Panel],
    weights: &Weights<W>,
    row: impl Fn(usize, usize, usize) -> usize,
) -> AlignedFloats {
    let lanes = set.lanes;
    let per_channel = scheme.products() * weights.in_channels;
    let blocks: usize = panels.iter().map(|panel| panel.vectors).sum();
    let mut packed = AlignedFloats::zeroed(blocks * lanes * per_channel);
    for panel in panels {
        let (first, width) = (panel.first_block * lanes, panel.vectors * lanes);
        let target = &mut packed[first * per_channel..(first + width) * per_channel];
        for channel in 0..weights.in_channels {
            for vector in 0..panel.vectors {
                let outputs = first + vector * lanes..weights.out_channels.min(first + (vector + 1) * lanes);
                let mut taps = [[0.0; MAX_LANES]; MAX_TAPS * MAX_TAPS];
                let size = scheme.taps * scheme.taps;
                for (lane, output) in outputs.enumerate() {
                    let filter = &weights.plain[(output * weights.in_channels + channel) * size..][..size];
                    taps.iter_mut().zip(filter).for_each(|(tap, weight)| tap[lane] = weight.value());
                }
                let lines = scheme.lines.iter().flat_map(|down| scheme.lines.iter().map(move |x| (down, x)));
                for (phase, (down, across)) in lines.enumerate() {
                    let mut targets = [0; MAX_POINTS * MAX_POINTS];
                    let points =
                        (0..down.filter.len()).flat_map(|y| (0..across.filter.len()).map(move |x| (y, x)));
                    for (to, (y, x)) in targets.iter_mut().zip(points) {
                        *to = row(y * scheme.points() + x, phase, channel) * width + vector * lanes;
                    }
                    let targets = &targets[..down.filter.len() * across.filter.len()];
                    assert!(targets.iter().all(|to| to + lanes <= target.len()), "a point beyond the panel");
                    let patch = FilterPatch {
                        taps: taps.as_flattened().as_ptr(),
                        side: scheme.taps,
                        down: down.filter,
                        across: across.filter,
                        target: target.as_mut_ptr(),
                        targets: targets.as_ptr(),
                    };
                    // SAFETY: all targets are in the panel; a kernel set exists only where the CPU has its
                    // instructions.
                    unsafe { (set.winograd.filter)(&patch) };
                }
            }
        }
    }
    packed
}

//! The transform of the weights, `G g G^T`, once and in f64.

use super::scheme::{MAX_TAPS, Scheme};
use crate::cpu::gemm::{AlignedFloats, MAX_VECTORS, Panel};
use crate::cpu::simd::MAX_LANES;

/// Output channels transformed side by side.
const WIDTH: usize = MAX_VECTORS * MAX_LANES;

/// Where the products of one input channel have their weights.
pub(super) struct Weights<'a> {
    /// Plain `[out_channels, in_channels, taps, taps]`.
    pub(super) plain: &'a [f32],
    pub(super) in_channels: usize,
    pub(super) out_channels: usize,
}

/// Packs `[panel][point][input][channel of the panel]`. `row` gives, for (point, phase, input channel), the
/// number of the input among all inputs of the panel's points.
pub(super) fn pack(
    scheme: &Scheme,
    panels: &[Panel],
    lanes: usize,
    weights: &Weights,
    row: impl Fn(usize, usize, usize) -> usize,
) -> AlignedFloats {
    let per_channel = scheme.products() * weights.in_channels;
    let blocks: usize = panels.iter().map(|panel| panel.vectors).sum();
    let mut packed = AlignedFloats::zeroed(blocks * lanes * per_channel);
    for panel in panels {
        let (first, width) = (panel.first_block * lanes, panel.vectors * lanes);
        let channels = first..weights.out_channels.min(first + width);
        let target = &mut packed[first * per_channel..(first + width) * per_channel];
        for channel in 0..weights.in_channels {
            // Taps of all filters of the panel, `[tap][filter]`.
            let mut taps = [[0.0f64; WIDTH]; MAX_TAPS * MAX_TAPS];
            for (lane, output) in channels.clone().enumerate() {
                let size = scheme.taps * scheme.taps;
                let filter = &weights.plain[(output * weights.in_channels + channel) * size..][..size];
                for (tap, weight) in filter.iter().enumerate() {
                    taps[tap / scheme.taps * MAX_TAPS + tap % scheme.taps][lane] = f64::from(*weight);
                }
            }
            let mut phase = 0;
            for down in scheme.lines {
                for across in scheme.lines {
                    for (y, vertical) in down.filter.iter().enumerate() {
                        for (x, horizontal) in across.filter.iter().enumerate() {
                            let start = row(y * scheme.points() + x, phase, channel) * width;
                            let values = point(&taps, vertical, horizontal);
                            let target = &mut target[start..start + channels.len()];
                            target.iter_mut().zip(values).for_each(|(to, value)| *to = value as f32);
                        }
                    }
                    phase += 1;
                }
            }
        }
    }
    packed
}

/// One point of all filters.
fn point(
    taps: &[[f64; WIDTH]; MAX_TAPS * MAX_TAPS],
    vertical: &[f64; MAX_TAPS],
    horizontal: &[f64; MAX_TAPS],
) -> [f64; WIDTH] {
    let mut sums = [0.0; WIDTH];
    for (y, v) in vertical.iter().enumerate() {
        for (x, h) in horizontal.iter().enumerate() {
            let factor = v * h;
            if factor != 0.0 {
                for (sum, tap) in sums.iter_mut().zip(&taps[y * MAX_TAPS + x]) {
                    *sum += factor * tap;
                }
            }
        }
    }
    sums
}

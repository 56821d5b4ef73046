//! Convolution of an interleaved picture with a large window and stride 2, such as the stem of a ResNet.
//!
//! Each square of 2 x 2 pixels is folded to one pixel of four times the channels. There the window has half the
//! size and stride 1, so that Winograd's filtering applies: it needs a fraction of the multiplications.

use super::Conv2dSpec;
use super::winograd::{F4_TAPS_4, Winograd, direct_cost};
use crate::cpu::layout::BlockedShape;
use crate::cpu::variants::KernelSet;
use crate::cpu::weight::Weight;
use crate::geometry::{Conv2dGeometry, Padding, Window};
use crate::parallel::{Parallel, Parts, Rows};

/// Taps along each axis of the folded window.
const TAPS: usize = 4;
/// Folded channels that are worth a pass of their own: with few of them others than Winograd's are slower yet.
const MAX_CHANNELS: usize = 16;
/// Rows that are worth a task.
const ROWS_PER_TASK: usize = 8;
/// Floats that the workspaces behind the folded picture start at a multiple of.
const GRANULE: usize = 16;

pub(super) struct Folded {
    input: BlockedShape,
    residual: Option<BlockedShape>,
    output: BlockedShape,
    folded: BlockedShape,
    inner: Winograd,
}

impl Folded {
    /// None if folding does not fit the geometry or does not pay. The sizes have been checked.
    pub(super) fn new<W: Weight>(
        set: &'static KernelSet,
        spec: &Conv2dSpec,
        weights: &[W],
        bias: Option<&[f32]>,
    ) -> Option<Self> {
        let g = &spec.geometry;
        let is_interleaved = spec.input.lanes == g.in_channels && g.in_channels != set.lanes;
        if spec.options.precise || !is_interleaved {
            return None;
        }
        let inner = folded_geometry(g)?;
        if F4_TAPS_4.cost(&inner) >= direct_cost(g) {
            return None;
        }
        let [height, width] = inner.input;
        let folded = BlockedShape::new(inner.in_channels, height, width, set.lanes)
            .with_border(F4_TAPS_4.border(&inner));
        let inner_spec = Conv2dSpec { geometry: inner, input: folded, ..*spec };
        let weights = fold_weights(g, weights);
        Some(Self {
            input: spec.input,
            residual: spec.residual,
            output: spec.output,
            folded,
            inner: Winograd::new(set, &F4_TAPS_4, &inner_spec, &weights, bias),
        })
    }

    pub(super) fn name(&self) -> &'static str {
        self.inner.name()
    }

    pub(super) fn bytes(&self) -> usize {
        self.inner.bytes()
    }

    /// The folded picture, then what the convolution of it needs.
    pub(super) fn workspace_len(&self, threads: usize) -> usize {
        self.folded_floats() + self.inner.workspace_len(threads)
    }

    fn folded_floats(&self) -> usize {
        self.folded.len().next_multiple_of(GRANULE)
    }

    /// The lengths have been checked.
    pub(super) fn run(
        &self,
        parallel: &dyn Parallel,
        batch: usize,
        input: &[f32],
        residual: Option<&[f32]>,
        output: &mut [f32],
        workspace: &mut [f32],
    ) {
        let (folded, workspace) = workspace.split_at_mut(self.folded_floats());
        let folded = &mut folded[..self.folded.len()];
        for image in 0..batch {
            let of = |shape: &BlockedShape| image * shape.len()..(image + 1) * shape.len();
            self.fold(parallel, &input[of(&self.input)], folded);
            let residual = residual.zip(self.residual).map(|(data, shape)| &data[of(&shape)]);
            let output = Parts::new(&mut output[of(&self.output)]);
            self.inner.run(parallel, 1, folded, residual, &output, workspace);
        }
    }

    /// Writes all of the folded picture, its border included.
    fn fold(&self, parallel: &dyn Parallel, picture: &[f32], folded: &mut [f32]) {
        let (shape, stride) = (&self.folded, self.folded.row_stride());
        let rows_per_block = folded.len() / stride / shape.blocks();
        let folded = Parts::new(folded);
        let rows =
            Rows { images: 1, blocks: shape.blocks(), height: rows_per_block, per_task: ROWS_PER_TASK };
        rows.for_each(parallel, |_, block, row| {
            let start = (block * rows_per_block + row) * stride;
            // SAFETY: each row is in one task.
            let target = unsafe { folded.part(start..start + stride) };
            let y = row.checked_sub(shape.border.top).filter(|y| *y < shape.height);
            self.fold_row(picture, y, block, target);
        });
    }

    /// One row of a channel block; `y` counts folded rows of the picture, none in the border.
    fn fold_row(&self, picture: &[f32], y: Option<usize>, block: usize, target: &mut [f32]) {
        target.fill(0.0);
        let Some(y) = y else { return };
        let (shape, input) = (&self.folded, &self.input);
        let run = 2 * input.channels;
        let inside = &mut target[shape.border.left * shape.lanes..][..shape.width * shape.lanes];
        for (parity, row) in (2 * y..input.height.min(2 * y + 2)).enumerate() {
            // Of the run of this row's channels, the part that lies in this block.
            let first = (parity * run).max(block * shape.lanes);
            let last = ((parity + 1) * run).min((block + 1) * shape.lanes);
            if first >= last {
                continue;
            }
            let source = &picture[input.pixel(row as isize, 0)..][..input.width * input.channels];
            let (skip, to) = (first - parity * run, first - block * shape.lanes);
            for (from, pixel) in source.chunks(run).zip(inside.chunks_exact_mut(shape.lanes)) {
                let from = from.get(skip..).unwrap_or_default();
                let count = from.len().min(last - first);
                copy(&from[..count], &mut pixel[to..to + count]);
            }
        }
    }
}

/// Copies a few floats; the lengths of pictures with three channels without a call.
#[inline(always)]
fn copy(from: &[f32], to: &mut [f32]) {
    match (<&[f32; 6]>::try_from(from), <&mut [f32; 6]>::try_from(&mut *to)) {
        (Ok(from), Ok(to)) => *to = *from,
        _ => to.iter_mut().zip(from).for_each(|(to, from)| *to = *from),
    }
}

/// Leading taps of weight 0 along an axis, for a border of `padding` pixels: folded pixels start at even ones.
fn skipped(padding: usize) -> usize {
    padding % 2
}

/// The same convolution of the folded picture.
fn folded_geometry(g: &Conv2dGeometry) -> Option<Conv2dGeometry> {
    let window = &g.window;
    let before = [window.padding.top, window.padding.left];
    let is_foldable = (0..2).all(|axis| {
        window.stride[axis] == 2
            && window.dilation[axis] == 1
            && (window.size[axis] + skipped(before[axis])).div_ceil(2) == TAPS
    });
    let channels = 4 * g.in_channels;
    if !is_foldable || g.groups != 1 || channels > MAX_CHANNELS {
        return None;
    }
    let input = g.input.map(|size| size.div_ceil(2));
    let before = before.map(|padding| padding.div_ceil(2));
    // The border behind the picture that makes as many outputs.
    let behind = |axis: usize| (g.output[axis] + TAPS - 1).checked_sub(input[axis] + before[axis]);
    let padding = Padding { top: before[0], left: before[1], bottom: behind(0)?, right: behind(1)? };
    let window = Window { padding, ..Window::square(TAPS, 1, 0) };
    let folded = Conv2dGeometry::new(channels, g.out_channels, 1, window, input).ok()?;
    (folded.output == g.output).then_some(folded)
}

/// `[out_channels, in_channels, height, width]` to `[out_channels, 4 * in_channels, TAPS, TAPS]`, where channel
/// `(row parity * 2 + column parity) * in_channels + channel` has the taps of that parity.
fn fold_weights<W: Weight>(g: &Conv2dGeometry, weights: &[W]) -> Vec<f32> {
    let [outputs, inputs, height, width] = g.weight_shape();
    let skip = [g.window.padding.top, g.window.padding.left].map(skipped);
    let mut folded = vec![0.0; outputs * 4 * inputs * TAPS * TAPS];
    for (filter, weights) in weights.chunks_exact(height * width).enumerate() {
        let (output, channel) = (filter / inputs, filter % inputs);
        for (tap, weight) in weights.iter().enumerate() {
            let [y, x] = [tap / width + skip[0], tap % width + skip[1]];
            let parity = y % 2 * 2 + x % 2;
            let filter = (output * 4 + parity) * inputs + channel;
            folded[(filter * TAPS + y / 2) * TAPS + x / 2] = weight.value();
        }
    }
    folded
}

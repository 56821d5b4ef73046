//! Convolution in small groups of channels, a vector of channels at a time; in groups of one it is depthwise.
//!
//! A vector holds whole groups. For each channel of a group, its values are spread over the group's lanes and
//! multiplied by that channel's weights for each output of the group.

use super::{Conv2dSpec, offsets};
use crate::cpu::gemm::{AlignedFloats, Finish};
use crate::cpu::layout::BlockedShape;
use crate::cpu::simd::{Kernel, Vector, activate, unroll};
use crate::cpu::variants::KernelSet;
use crate::cpu::weight::Weight;
use crate::geometry::Conv2dGeometry;
use crate::parallel::{Parallel, Parts, Rows};

/// Output rows that are worth a task.
const ROWS_PER_TASK: usize = 8;

/// A row of output pixels of one channel block. Offsets are in floats.
///
/// # Safety
/// All pointers must be valid for the row's pixels and taps.
pub(crate) struct GroupedRow {
    /// First tap of the first pixel's window.
    pub(crate) input: *const f32,
    /// Distance between the windows of neighbouring pixels.
    pub(crate) pixel_step: usize,
    pub(crate) taps: *const usize,
    pub(crate) tap_count: usize,
    /// `[tap][channel of the group][lane]`
    pub(crate) weights: *const f32,
    /// `[channel of the group][lane]`: the lane that holds this channel of the lane's group.
    pub(crate) spread: *const u32,
    pub(crate) bias: *const f32,
    /// Tensor to add, or null; pixels lie next to each other, as those of the output.
    pub(crate) residual: *const f32,
    pub(crate) output: *mut f32,
    pub(crate) pixels: usize,
    pub(crate) finish: Finish,
}

pub(crate) type GroupedFn = unsafe fn(&GroupedRow);

/// The kernel for groups of `G` channels.
pub(crate) struct Grouped<const G: usize>;

/// The sizes of groups that there are kernels for.
pub(crate) const GROUP_SIZES: [usize; 4] = [1, 2, 4, 8];

impl<const G: usize> Kernel for Grouped<G> {
    type Arguments = GroupedRow;

    #[inline(always)]
    unsafe fn run<V: Vector>(row: &GroupedRow) {
        // SAFETY: passed on to the caller.
        unsafe {
            match row.pixels {
                0..4 => runs::<V, G, 1>(row),
                4..8 => runs::<V, G, 4>(row),
                _ => runs::<V, G, 8>(row),
            }
        }
    }
}

/// `N` pixels at a time. The last run is moved back so that it ends with the row: some pixels are then
/// computed twice, to the same bits.
#[inline(always)]
unsafe fn runs<V: Vector, const G: usize, const N: usize>(row: &GroupedRow) {
    let mut done = 0;
    while done < row.pixels {
        // SAFETY: `N` pixels from here on are in the row.
        unsafe { run::<V, G, N>(row, done.min(row.pixels - N)) };
        done += N;
    }
}

#[inline(always)]
unsafe fn run<V: Vector, const G: usize, const N: usize>(row: &GroupedRow, first: usize) {
    // SAFETY: passed on to the caller.
    unsafe {
        let mut acc = [V::splat(0.0); N];
        let input = row.input.add(first * row.pixel_step);
        for tap in 0..row.tap_count {
            let weights = row.weights.add(tap * G * V::LANES);
            let from = input.add(*row.taps.add(tap));
            let mut x = [V::splat(0.0); N];
            unroll!(i < N, { x[i] = V::load(from.add(i * row.pixel_step)) });
            unroll!(channel < G, {
                let weights = V::load(weights.add(channel * V::LANES));
                let spread = row.spread.add(channel * V::LANES);
                unroll!(i < N, {
                    let x = if G == 1 { x[i] } else { x[i].permute(spread) };
                    acc[i] = x.mul_add(weights, acc[i]);
                });
            });
        }
        let bias = V::load(row.bias);
        let (low, high) = (V::splat(row.finish.low), V::splat(row.finish.high));
        unroll!(i < N, {
            let at = (first + i) * V::LANES;
            let mut y = acc[i].add(bias);
            if !row.residual.is_null() {
                y = y.add(V::load(row.residual.add(at)));
            }
            high.min(low.max(y)).store(row.output.add(at));
        });
        if let Some(curve) = row.finish.curve {
            for i in 0..N {
                let target = row.output.add((first + i) * V::LANES);
                activate(curve, V::load(target)).store(target);
            }
        }
    }
}

pub(super) struct GroupedConv {
    set: &'static KernelSet,
    kernel: GroupedFn,
    /// Channels of a group.
    group: usize,
    spread: Vec<u32>,
    geometry: Conv2dGeometry,
    input: BlockedShape,
    output: BlockedShape,
    residual: Option<BlockedShape>,
    taps: Vec<usize>,
    /// `[block][tap][channel of the group][lane]`
    weights: AlignedFloats,
    bias: AlignedFloats,
    finish: Finish,
}

impl GroupedConv {
    /// None if there is no kernel for the groups. The sizes have been checked.
    pub(super) fn new<W: Weight>(
        set: &'static KernelSet,
        spec: &Conv2dSpec,
        weights: &[W],
        bias: Option<&[f32]>,
    ) -> Option<Self> {
        let g = &spec.geometry;
        let (lanes, blocks, group) = (set.lanes, spec.output.blocks(), g.in_channels / g.groups);
        let kernel = GROUP_SIZES.iter().position(|size| *size == group)?;
        if g.groups == 1 || g.in_channels != g.out_channels || group >= lanes || spec.input.lanes != lanes {
            return None;
        }
        let taps = offsets::taps(g, &spec.input);
        let mut packed = AlignedFloats::zeroed(blocks * taps.len() * group * lanes);
        for (index, filter) in weights.chunks_exact(taps.len()).enumerate() {
            let (output, channel) = (index / group, index % group);
            for (tap, weight) in filter.iter().enumerate() {
                let row = (output / lanes * taps.len() + tap) * group + channel;
                packed[row * lanes + output % lanes] = weight.value();
            }
        }
        let spread =
            (0..group).flat_map(|channel| (0..lanes).map(move |lane| lane / group * group + channel));
        Some(Self {
            set,
            kernel: set.grouped[kernel],
            group,
            spread: spread.map(|lane| lane as u32).collect(),
            geometry: spec.geometry,
            input: spec.input,
            output: spec.output,
            residual: spec.residual,
            taps,
            weights: packed,
            bias: AlignedFloats::padded(bias, blocks * lanes),
            finish: Finish::new(spec.epilogue.activation),
        })
    }

    pub(super) fn name(&self) -> &'static str {
        if self.group == 1 { "depthwise" } else { "direct, grouped" }
    }

    /// The lengths have been checked.
    pub(super) fn run(
        &self,
        parallel: &dyn Parallel,
        batch: usize,
        input: &[f32],
        residual: Option<&[f32]>,
        output: &Parts,
    ) {
        let (blocks, height) = (self.output.blocks(), self.output.height);
        Rows { images: batch, blocks, height, per_task: ROWS_PER_TASK }
            .for_each(parallel, |image, block, y| self.row(image, block, y, input, residual, output));
    }

    fn row(
        &self,
        image: usize,
        block: usize,
        y: usize,
        input: &[f32],
        residual: Option<&[f32]>,
        output: &Parts,
    ) {
        let window = &self.geometry.window;
        let top = (y * window.stride[0]) as isize - window.padding.top as isize;
        let start = |shape: &BlockedShape, y: isize, x: isize| {
            image * shape.len() + block * shape.block_stride() + shape.pixel(y, x)
        };
        let first_output = start(&self.output, y as isize, 0);
        let residual = self.residual.as_ref().zip(residual);
        let row = GroupedRow {
            input: input[start(&self.input, top, -(window.padding.left as isize))..].as_ptr(),
            pixel_step: window.stride[1] * self.input.lanes,
            taps: self.taps.as_ptr(),
            tap_count: self.taps.len(),
            weights: self.weights[block * self.taps.len() * self.group * self.set.lanes..].as_ptr(),
            spread: self.spread.as_ptr(),
            bias: self.bias[block * self.set.lanes..].as_ptr(),
            residual: residual
                .map_or(std::ptr::null(), |(shape, data)| data[start(shape, y as isize, 0)..].as_ptr()),
            output: output.start().wrapping_add(first_output),
            pixels: self.output.width,
            finish: self.finish,
        };
        // SAFETY: the shapes were checked to hold all windows of the row; each row is in one task; a
        // kernel set exists only where the CPU has its instructions.
        unsafe { (self.kernel)(&row) }
    }

    pub(super) fn bytes(&self) -> usize {
        self.weights.bytes() + self.bias.bytes() + size_of_val(self.taps.as_slice())
    }
}

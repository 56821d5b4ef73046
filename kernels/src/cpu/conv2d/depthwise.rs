//! Depthwise convolution: each channel by itself, a vector of channels at a time.

use super::{Conv2dSpec, offsets};
use crate::cpu::gemm::{AlignedFloats, Finish};
use crate::cpu::layout::BlockedShape;
use crate::cpu::simd::{Kernel, Vector, activate, unroll};
use crate::cpu::variants::KernelSet;
use crate::geometry::Conv2dGeometry;
use crate::parallel::{Parallel, Parts, for_each_range};

/// Output rows that are worth a task.
const ROWS_PER_TASK: usize = 8;

/// A row of output pixels of one channel block. Offsets are in floats.
///
/// # Safety
/// All pointers must be valid for the row's pixels and taps.
pub(crate) struct DepthwiseRow {
    /// First tap of the first pixel's window.
    pub(crate) input: *const f32,
    /// Distance between the windows of neighbouring pixels.
    pub(crate) pixel_step: usize,
    pub(crate) taps: *const usize,
    pub(crate) tap_count: usize,
    /// `[tap][lane]`
    pub(crate) weights: *const f32,
    pub(crate) bias: *const f32,
    /// Tensor to add, or null; pixels lie next to each other, as those of the output.
    pub(crate) residual: *const f32,
    pub(crate) output: *mut f32,
    pub(crate) pixels: usize,
    pub(crate) finish: Finish,
}

pub(crate) type DepthwiseFn = unsafe fn(&DepthwiseRow);

impl Kernel for DepthwiseRow {
    type Arguments = DepthwiseRow;

    #[inline(always)]
    unsafe fn run<V: Vector>(row: &DepthwiseRow) {
        // SAFETY: passed on to the caller.
        unsafe {
            match row.pixels {
                0..4 => groups::<V, 1>(row),
                4..8 => groups::<V, 4>(row),
                _ => groups::<V, 8>(row),
            }
        }
    }
}

/// `N` pixels at a time. The last group is moved back so that it ends with the row: some pixels are then
/// computed twice, to the same bits.
#[inline(always)]
unsafe fn groups<V: Vector, const N: usize>(row: &DepthwiseRow) {
    let mut done = 0;
    while done < row.pixels {
        // SAFETY: `N` pixels from here on are in the row.
        unsafe { group::<V, N>(row, done.min(row.pixels - N)) };
        done += N;
    }
}

#[inline(always)]
unsafe fn group<V: Vector, const N: usize>(row: &DepthwiseRow, first: usize) {
    // SAFETY: passed on to the caller.
    unsafe {
        let mut acc = [V::splat(0.0); N];
        let input = row.input.add(first * row.pixel_step);
        for tap in 0..row.tap_count {
            let weights = V::load(row.weights.add(tap * V::LANES));
            let from = input.add(*row.taps.add(tap));
            unroll!(i < N, { acc[i] = V::load(from.add(i * row.pixel_step)).mul_add(weights, acc[i]) });
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

pub(super) struct Depthwise {
    set: &'static KernelSet,
    geometry: Conv2dGeometry,
    input: BlockedShape,
    output: BlockedShape,
    residual: Option<BlockedShape>,
    taps: Vec<usize>,
    /// `[block][tap][lane]`
    weights: AlignedFloats,
    bias: AlignedFloats,
    finish: Finish,
}

impl Depthwise {
    /// The sizes have been checked.
    pub(super) fn new(
        set: &'static KernelSet,
        spec: &Conv2dSpec,
        weights: &[f32],
        bias: Option<&[f32]>,
    ) -> Self {
        let taps = offsets::taps(&spec.geometry, &spec.input);
        let (lanes, blocks) = (set.lanes, spec.output.blocks());
        let mut packed = AlignedFloats::zeroed(blocks * taps.len() * lanes);
        for (channel, filter) in weights.chunks_exact(taps.len()).enumerate() {
            for (tap, weight) in filter.iter().enumerate() {
                packed[(channel / lanes * taps.len() + tap) * lanes + channel % lanes] = *weight;
            }
        }
        let mut padded_bias = AlignedFloats::zeroed(blocks * lanes);
        if let Some(bias) = bias {
            padded_bias[..bias.len()].copy_from_slice(bias);
        }
        Self {
            set,
            geometry: spec.geometry,
            input: spec.input,
            output: spec.output,
            residual: spec.residual,
            taps,
            weights: packed,
            bias: padded_bias,
            finish: Finish::new(spec.epilogue.activation),
        }
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
        let rows_per_image = self.output.blocks() * self.output.height;
        for_each_range(parallel, batch * rows_per_image, ROWS_PER_TASK, |rows| {
            for row in rows {
                let (image, row) = (row / rows_per_image, row % rows_per_image);
                let (block, y) = (row / self.output.height, row % self.output.height);
                self.row(image, block, y, input, residual, output);
            }
        });
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
        let row = DepthwiseRow {
            input: input[start(&self.input, top, -(window.padding.left as isize))..].as_ptr(),
            pixel_step: window.stride[1] * self.input.lanes,
            taps: self.taps.as_ptr(),
            tap_count: self.taps.len(),
            weights: self.weights[block * self.taps.len() * self.set.lanes..].as_ptr(),
            bias: self.bias[block * self.set.lanes..].as_ptr(),
            residual: residual
                .map_or(std::ptr::null(), |(shape, data)| data[start(shape, y as isize, 0)..].as_ptr()),
            output: output.start().wrapping_add(first_output),
            pixels: self.output.width,
            finish: self.finish,
        };
        // SAFETY: the shapes were checked to hold all windows of the row; each row is in one task; a
        // kernel set exists only where the CPU has its instructions.
        unsafe { (self.set.depthwise)(&row) }
    }

    pub(super) fn bytes(&self) -> usize {
        self.weights.bytes() + self.bias.bytes() + size_of_val(self.taps.as_slice())
    }
}

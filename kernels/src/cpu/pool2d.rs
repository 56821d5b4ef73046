//! Pooling in the blocked layout, a vector of channels at a time. The border is never read.

use super::layout::BlockedShape;
use super::simd::{Kernel, Vector, unroll};
use super::variants::KernelSet;
use crate::geometry::{GeometryError, Pool2dGeometry, Window};
use crate::parallel::{Parallel, Parts, Rows, part};

/// Output rows that are worth a task.
const ROWS_PER_TASK: usize = 8;
/// Parts from top to bottom that a global average sums by themselves, if there are as many rows.
const BANDS: usize = 8;
/// Channel blocks of a band that are worth a task.
const BLOCKS_PER_TASK: usize = 8;

/// A pooling layer, for any batch. Shared by threads.
///
/// An image's result has the same bits in any batch, at any place of it and with any number of threads.
#[derive(Clone, Copy)]
pub struct Pool2d {
    set: &'static KernelSet,
    kind: Kind,
    input: BlockedShape,
    output: BlockedShape,
}

#[derive(Clone, Copy)]
enum Kind {
    Max(Window),
    Average { window: Window, count_include_pad: bool },
    GlobalAverage,
}

impl Pool2d {
    /// The largest value under the window; the border never wins. Both tensors have the kernel set's lanes
    /// and any border.
    pub fn max_pool(
        set: &'static KernelSet,
        geometry: &Pool2dGeometry,
        input: BlockedShape,
        output: BlockedShape,
    ) -> Result<Self, GeometryError> {
        check_window(set, geometry, &input, &output)?;
        Ok(Self { set, kind: Kind::Max(geometry.window), input, output })
    }

    /// The mean under the window, of the image's pixels or (`count_include_pad`) of the border's zeros too.
    /// Both tensors have the kernel set's lanes and any border.
    pub fn average_pool(
        set: &'static KernelSet,
        geometry: &Pool2dGeometry,
        count_include_pad: bool,
        input: BlockedShape,
        output: BlockedShape,
    ) -> Result<Self, GeometryError> {
        check_window(set, geometry, &input, &output)?;
        let kind = Kind::Average { window: geometry.window, count_include_pad };
        Ok(Self { set, kind, input, output })
    }

    /// The mean of each channel. The input has the kernel set's lanes; the output has one pixel and any
    /// lanes: one lane gives plain `[N, C]`.
    pub fn global_average_pool(
        set: &'static KernelSet,
        input: BlockedShape,
        output: BlockedShape,
    ) -> Result<Self, GeometryError> {
        check_lanes(set, &input)?;
        if output.channels != input.channels || (output.height, output.width) != (1, 1) {
            return Err(GeometryError::new(format!(
                "output of a global average: expected {} channels of 1 x 1, found {output:?}",
                input.channels
            )));
        }
        if input.height * input.width == 0 {
            return Err(GeometryError::new(format!("a global average of no pixels: {input:?}")));
        }
        Ok(Self { set, kind: Kind::GlobalAverage, input, output })
    }

    /// Floats of workspace that a run needs.
    pub fn workspace_len(&self) -> usize {
        match self.kind {
            Kind::GlobalAverage => self.bands() * self.input.blocks() * self.input.lanes,
            Kind::Max(_) | Kind::Average { .. } => 0,
        }
    }

    /// Pools `batch` images. Writes the inside of `output` only. `workspace` holds at least
    /// [`workspace_len`](Self::workspace_len) floats, of any content. Panics if a slice has another length than
    /// its shape says.
    pub fn run(
        &self,
        parallel: &dyn Parallel,
        batch: usize,
        input: &[f32],
        output: &mut [f32],
        workspace: &mut [f32],
    ) {
        assert_eq!(input.len(), batch * self.input.len(), "input of a pooling");
        assert_eq!(output.len(), batch * self.output.len(), "output of a pooling");
        assert!(workspace.len() >= self.workspace_len(), "workspace of a pooling");
        match self.kind {
            Kind::Max(window) => {
                let output = Parts::new(output);
                self.windows(parallel, batch, input, &output, &window, None, self.set.max_pool);
            }
            Kind::Average { window, count_include_pad } => {
                let all = window.size[0] * window.size[1];
                let divisor = count_include_pad.then_some(all as f32);
                let output = Parts::new(output);
                self.windows(parallel, batch, input, &output, &window, divisor, self.set.average_pool);
            }
            Kind::GlobalAverage => self.global(parallel, batch, input, output, workspace),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the two poolings differ in the last three")]
    fn windows(
        &self,
        parallel: &dyn Parallel,
        batch: usize,
        input: &[f32],
        output: &Parts,
        window: &Window,
        divisor: Option<f32>,
        kernel: PoolFn,
    ) {
        let (from, to) = (&self.input, &self.output);
        let rows = Rows { images: batch, blocks: to.blocks(), height: to.height, per_task: ROWS_PER_TASK };
        rows.for_each(parallel, |image, block, y| {
            let taps = inside(window, 0, y, from.height);
            let line = PoolRow {
                input: input[image * from.len() + block * from.block_stride() + from.pixel(0, 0)..].as_ptr(),
                row_stride: from.row_stride(),
                width: from.width,
                first_row: taps.first,
                row_taps: taps.count,
                window: *window,
                divisor,
                output: output
                    .start()
                    .wrapping_add(image * to.len() + block * to.block_stride() + to.pixel(y as isize, 0)),
                pixels: to.width,
            };
            // SAFETY: taps are limited to the image; each row is in one task; a kernel set exists only
            // where the CPU has its instructions.
            unsafe { kernel(&line) };
        });
    }

    fn bands(&self) -> usize {
        self.input.height.min(BANDS)
    }

    /// Sums bands of rows, which are where the step before has left them, and then the few sums.
    fn global(
        &self,
        parallel: &dyn Parallel,
        batch: usize,
        input: &[f32],
        output: &mut [f32],
        workspace: &mut [f32],
    ) {
        let (from, to, bands) = (&self.input, &self.output, self.bands());
        let width = from.blocks() * from.lanes;
        let sums = &mut workspace[..bands * width];
        let count = (from.height * from.width) as f32;
        for image in 0..batch {
            let parts = Parts::new(sums);
            let rows = Rows { images: 1, blocks: from.blocks(), height: bands, per_task: BLOCKS_PER_TASK };
            rows.for_each(parallel, |_, block, band| {
                let rows = part(from.height, bands, band);
                let first = image * from.len() + block * from.block_stride();
                let at = band * width + block * from.lanes;
                // SAFETY: each block of each band is in one task.
                let sums = unsafe { parts.part(at..at + from.lanes) };
                let sum = SumBlock {
                    input: input[first + from.pixel(rows.start as isize, 0)..].as_ptr(),
                    row_stride: from.row_stride(),
                    height: rows.len(),
                    width: from.width,
                    sums: sums.as_mut_ptr(),
                };
                // SAFETY: the rows lie within the input; `sums` holds a vector; a kernel set exists only
                // where the CPU has its instructions.
                unsafe { (self.set.sum_block)(&sum) };
            });
            let (total, others) = sums.split_at_mut(width);
            for others in others.chunks_exact(width.max(1)) {
                total.iter_mut().zip(others).for_each(|(total, sum)| *total += sum);
            }
            for (channel, total) in total[..from.channels].iter().enumerate() {
                output[image * to.len() + to.element(channel, 0, 0)] = total / count;
            }
        }
    }
}

fn check_lanes(set: &KernelSet, shape: &BlockedShape) -> Result<(), GeometryError> {
    if shape.lanes == set.lanes {
        return Ok(());
    }
    Err(GeometryError::new(format!("a pooling: expected {} lanes, found {shape:?}", set.lanes)))
}

fn check_window(
    set: &KernelSet,
    g: &Pool2dGeometry,
    input: &BlockedShape,
    output: &BlockedShape,
) -> Result<(), GeometryError> {
    for (what, shape, [height, width]) in [("input", input, g.input), ("output", output, g.output)] {
        if (shape.channels, shape.height, shape.width) != (g.channels, height, width) {
            return Err(GeometryError::new(format!(
                "{what} of a pooling: expected {} channels of {height} x {width}, found {shape:?}",
                g.channels
            )));
        }
        check_lanes(set, shape)?;
    }
    for axis in 0..2 {
        if (0..g.output[axis]).any(|i| inside(&g.window, axis, i, g.input[axis]).count == 0) {
            return Err(GeometryError::new(format!(
                "a pooling window of {:?} with a border of {:?} lies wholly outside the image",
                g.window.size, g.window.padding
            )));
        }
    }
    Ok(())
}

/// Taps of a window, along one axis, that fall on the image.
struct Taps {
    /// Where the first of them is.
    first: usize,
    count: usize,
}

/// The taps of output number `index` along `axis`, for an image of `size`.
#[inline(always)]
fn inside(window: &Window, axis: usize, index: usize, size: usize) -> Taps {
    let before = [window.padding.top, window.padding.left][axis];
    let (taps, dilation) = (window.size[axis], window.dilation[axis]);
    let start = index * window.stride[axis];
    if start >= before && start - before + (taps - 1) * dilation < size {
        return Taps { first: start - before, count: taps };
    }
    let skipped = before.saturating_sub(start).div_ceil(dilation);
    let first = start + skipped * dilation - before;
    let fitting = size.saturating_sub(first).div_ceil(dilation);
    Taps { first, count: taps.saturating_sub(skipped).min(fitting) }
}

pub(crate) type PoolFn = unsafe fn(&PoolRow);

/// A row of output pixels of one channel block. Distances are in floats.
pub(crate) struct PoolRow {
    /// The block's first pixel.
    pub(crate) input: *const f32,
    pub(crate) row_stride: usize,
    pub(crate) width: usize,
    /// Input rows under the windows: the first, and how many.
    pub(crate) first_row: usize,
    pub(crate) row_taps: usize,
    pub(crate) window: Window,
    /// What sums are divided by, if it is not the number of pixels.
    pub(crate) divisor: Option<f32>,
    pub(crate) output: *mut f32,
    pub(crate) pixels: usize,
}

/// The largest value under each window.
///
/// # Safety
/// The input must hold the rows and columns named, the output the pixels.
pub(crate) struct MaxPool;

/// The mean under each window.
///
/// # Safety
/// As for [`MaxPool`].
pub(crate) struct AveragePool;

impl Kernel for MaxPool {
    type Arguments = PoolRow;

    #[inline(always)]
    unsafe fn run<V: Vector>(row: &PoolRow) {
        // SAFETY: passed on to the caller.
        unsafe {
            for x in 0..row.pixels {
                let start = V::splat(f32::NEG_INFINITY);
                let (largest, _) = reduce::<V>(row, x, start, |m, v| m.max(v));
                largest.store(row.output.add(x * V::LANES));
            }
        }
    }
}

impl Kernel for AveragePool {
    type Arguments = PoolRow;

    #[inline(always)]
    unsafe fn run<V: Vector>(row: &PoolRow) {
        // SAFETY: passed on to the caller.
        unsafe {
            for x in 0..row.pixels {
                let (sum, count) = reduce::<V>(row, x, V::splat(0.0), |s, v| s.add(v));
                let divisor = V::splat(row.divisor.unwrap_or(count as f32));
                sum.div(divisor).store(row.output.add(x * V::LANES));
            }
        }
    }
}

/// Combines the pixels under window `x` and counts them.
#[inline(always)]
unsafe fn reduce<V: Vector>(row: &PoolRow, x: usize, start: V, combine: impl Fn(V, V) -> V) -> (V, usize) {
    let columns = inside(&row.window, 1, x, row.width);
    let [row_step, column_step] =
        [row.window.dilation[0] * row.row_stride, row.window.dilation[1] * V::LANES];
    let mut result = start;
    for y in 0..row.row_taps {
        let at = row.first_row * row.row_stride + y * row_step + columns.first * V::LANES;
        let mut take = |c: usize| {
            // SAFETY: `inside` keeps to the image.
            result = combine(result, unsafe { V::load(row.input.add(at + c * column_step)) });
        };
        // Most windows have three columns: a loop would take longer than what is in it.
        if columns.count == 3 {
            unroll!(c < 3, { take(c) });
        } else {
            (0..columns.count).for_each(take);
        }
    }
    (result, row.row_taps * columns.count)
}

pub(crate) type SumBlockFn = unsafe fn(&SumBlock);

/// The sum of all pixels of some rows of one channel block.
///
/// # Safety
/// `input` must hold the rows and columns named, `sums` one vector.
pub(crate) struct SumBlock {
    pub(crate) input: *const f32,
    pub(crate) row_stride: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) sums: *mut f32,
}

impl Kernel for SumBlock {
    type Arguments = SumBlock;

    #[inline(always)]
    unsafe fn run<V: Vector>(block: &SumBlock) {
        // SAFETY: passed on to the caller.
        unsafe {
            // One sum per column modulo four: additions need not wait for each other.
            let mut sums = [V::splat(0.0); 4];
            for y in 0..block.height {
                for x in 0..block.width {
                    let pixel = V::load(block.input.add(y * block.row_stride + x * V::LANES));
                    sums[x % 4] = sums[x % 4].add(pixel);
                }
            }
            sums[0].add(sums[1]).add(sums[2].add(sums[3])).store(block.sums);
        }
    }
}

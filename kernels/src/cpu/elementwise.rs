//! Element-wise functions, sums and products in any blocked layout, plain tensors among them.

use super::layout::BlockedShape;
use super::simd::{Kernel, MAX_LANES, Vector, activate};
use super::variants::KernelSet;
use crate::epilogue::Activation;
use crate::geometry::GeometryError;
use crate::parallel::{Parallel, Parts, Rows};

/// Floats that are worth a task.
const FLOATS_PER_TASK: usize = 4096;

/// An element-wise layer, for any batch. Shared by threads. All its tensors have the same number of lanes
/// (1: plain) and any border; borders are not read and not written.
#[derive(Clone, Copy)]
pub struct Elementwise {
    set: &'static KernelSet,
    op: Op,
    activation: Activation,
    a: BlockedShape,
    b: Option<BlockedShape>,
    output: BlockedShape,
}

#[derive(Clone, Copy)]
enum Op {
    Activate,
    Add,
    Mul,
}

impl Elementwise {
    /// `output = activation(a)`
    pub fn activate(
        set: &'static KernelSet,
        activation: Activation,
        a: BlockedShape,
        output: BlockedShape,
    ) -> Result<Self, GeometryError> {
        Self { set, op: Op::Activate, activation, a, b: None, output }.checked()
    }

    /// `output = activation(a + b)`, where `b` has the size of `a`, or one value per channel that is added
    /// to all of its pixels.
    pub fn add(
        set: &'static KernelSet,
        activation: Activation,
        a: BlockedShape,
        b: BlockedShape,
        output: BlockedShape,
    ) -> Result<Self, GeometryError> {
        Self { set, op: Op::Add, activation, a, b: Some(b), output }.checked()
    }

    /// `output = a * b`, where `b` has the size of `a`, or one value per channel that all of its pixels are
    /// multiplied by.
    pub fn mul(
        set: &'static KernelSet,
        a: BlockedShape,
        b: BlockedShape,
        output: BlockedShape,
    ) -> Result<Self, GeometryError> {
        Self { set, op: Op::Mul, activation: Activation::Identity, a, b: Some(b), output }.checked()
    }

    fn checked(self) -> Result<Self, GeometryError> {
        let a = &self.a;
        let fits = |shape: &BlockedShape| shape.lanes == a.lanes && shape.same_size(a);
        if !fits(&self.output) {
            return Err(GeometryError::new(format!(
                "output of an element-wise function: expected the size and lanes of {a:?}, found {:?}",
                self.output
            )));
        }
        match &self.b {
            Some(b) if !(fits(b) || (b.lanes == a.lanes && is_per_channel(b, a))) => {
                Err(GeometryError::new(format!(
                    "second operand: expected the size and lanes of {a:?} or one pixel per channel, found {b:?}"
                )))
            }
            Some(b) if !fits(b) && b.lanes != 1 && b.lanes != self.set.lanes => {
                Err(GeometryError::new(format!(
                    "second operand with one pixel per channel: expected 1 or {} lanes, found {b:?}",
                    self.set.lanes
                )))
            }
            _ => Ok(self),
        }
    }

    /// Computes `batch` images. `b` is given exactly if the function has a second operand. Writes the inside
    /// of `output` and its lanes beyond the last channel. Panics if a slice has another length than its
    /// shape says.
    pub fn run(
        &self,
        parallel: &dyn Parallel,
        batch: usize,
        a: &[f32],
        b: Option<&[f32]>,
        output: &mut [f32],
    ) {
        assert_eq!(a.len(), batch * self.a.len(), "first operand");
        assert_eq!(b.map(<[f32]>::len), self.b.map(|shape| batch * shape.len()), "second operand");
        assert_eq!(output.len(), batch * self.output.len(), "output of an element-wise function");
        let output = Parts::new(output);
        let second = self.b.as_ref().zip(b);
        let floats = self.a.width * self.a.lanes;
        let per_task = FLOATS_PER_TASK.div_ceil(floats.max(1));
        Rows { images: batch, blocks: self.a.blocks(), height: self.a.height, per_task }
            .for_each(parallel, |image, block, y| self.row([image, block, y], a, second, &output));
    }

    fn row(
        &self,
        [image, block, y]: [usize; 3],
        a: &[f32],
        second: Option<(&BlockedShape, &[f32])>,
        output: &Parts,
    ) {
        let start = |shape: &BlockedShape, y: usize| {
            image * shape.len() + block * shape.block_stride() + shape.pixel(y as isize, 0)
        };
        let mut repeated = [0.0; MAX_LANES];
        let (b, b_step) = match second {
            None => (repeated.as_ptr(), 0),
            Some((shape, b)) if shape.same_size(&self.a) => (b[start(shape, y)..].as_ptr(), 1),
            Some((shape, b)) => {
                let values = &b[start(shape, 0)..][..shape.lanes];
                repeated.iter_mut().zip(values.iter().cycle()).for_each(|(to, from)| *to = *from);
                (repeated.as_ptr(), 0)
            }
        };
        let run = Run {
            op: self.op,
            activation: self.activation,
            a: a[start(&self.a, y)..].as_ptr(),
            b,
            b_step,
            output: output.start().wrapping_add(start(&self.output, y)),
            floats: self.a.width * self.a.lanes,
        };
        // SAFETY: the row lies within each tensor; it is in one task; a kernel set exists only where the
        // CPU has its instructions.
        unsafe { (self.set.elementwise)(&run) };
    }
}

fn is_per_channel(b: &BlockedShape, a: &BlockedShape) -> bool {
    b.channels == a.channels && (b.height, b.width) == (1, 1)
}

pub(crate) type ElementwiseFn = unsafe fn(&Run);

/// A run of neighbouring floats.
///
/// # Safety
/// `a` and `output` must hold `floats` floats, and `b` as many if `b_step` is 1, or else one vector.
pub(crate) struct Run {
    op: Op,
    activation: Activation,
    a: *const f32,
    b: *const f32,
    /// 1: `b` runs along; 0: its first vector serves all.
    b_step: usize,
    output: *mut f32,
    floats: usize,
}

impl Kernel for Run {
    type Arguments = Run;

    #[inline(always)]
    unsafe fn run<V: Vector>(run: &Run) {
        // SAFETY: passed on to the caller; what does not fill a vector goes through buffers that hold one.
        unsafe {
            let whole = run.floats / V::LANES * V::LANES;
            let mut at = 0;
            while at < whole {
                let b = V::load(run.b.add(at * run.b_step));
                compute(run, V::load(run.a.add(at)), b).store(run.output.add(at));
                at += V::LANES;
            }
            let rest = run.floats - whole;
            if rest > 0 {
                let (mut a, mut b) = ([0.0; MAX_LANES], [0.0; MAX_LANES]);
                std::ptr::copy_nonoverlapping(run.a.add(whole), a.as_mut_ptr(), rest);
                std::ptr::copy_nonoverlapping(run.b.add(whole * run.b_step), b.as_mut_ptr(), rest);
                let y = compute(run, V::load(a.as_ptr()), V::load(b.as_ptr()));
                y.store(a.as_mut_ptr());
                std::ptr::copy_nonoverlapping(a.as_ptr(), run.output.add(whole), rest);
            }
        }
    }
}

#[inline(always)]
unsafe fn compute<V: Vector>(run: &Run, a: V, b: V) -> V {
    // SAFETY: passed on to the caller.
    unsafe {
        let y = match run.op {
            Op::Activate => a,
            Op::Add => a.add(b),
            Op::Mul => a.mul(b),
        };
        activate(run.activation, y)
    }
}

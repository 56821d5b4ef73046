//! What one step of a plan runs on the CPU.

use crate::memory::AlignedFloats;
use libvision_kernels::cpu::conv2d::Conv2d;
use libvision_kernels::cpu::elementwise::Elementwise;
use libvision_kernels::cpu::layout::{BlockedShape, from_nchw, to_nchw};
use libvision_kernels::cpu::linear::Linear;
use libvision_kernels::cpu::pool2d::Pool2d;
use libvision_kernels::cpu::softmax::softmax;
use libvision_kernels::cpu::variants::KernelSet;
use libvision_kernels::geometry::Conv2dGeometry;
use libvision_kernels::parallel::Parallel;

/// A kernel with its packed weights and constants.
pub(super) enum Kernel {
    /// Plain NCHW to this layout.
    Pack(BlockedShape),
    /// This layout to plain NCHW.
    Unpack(BlockedShape),
    /// Convolution; the second operand is the residual. Batch norm of images is a depthwise one.
    Conv2d(Box<Conv2d>),
    /// Pooling.
    Pool2d {
        /// The kernel.
        pool: Pool2d,
        /// Whether lanes beyond the last channel are left alone by it and must be set to zero.
        leaves_lanes: bool,
    },
    /// An activation, or a sum or product of two tensors.
    Elementwise(Elementwise),
    /// A sum or product with a constant, the same for all images.
    WithConstant(Elementwise, AlignedFloats),
    /// `x * scale + shift` on plain rows.
    ScaleShift(Box<ScaleShift>),
    /// Fully connected layer.
    Linear(Linear),
    /// Softmax of rows.
    Softmax(&'static KernelSet),
}

/// A product and a sum with one constant per column, by way of the workspace.
pub(super) struct ScaleShift {
    pub(super) multiply: Elementwise,
    pub(super) add: Elementwise,
    pub(super) scale: AlignedFloats,
    pub(super) shift: AlignedFloats,
}

/// The memory that a kernel works on, each part `batch` images long.
pub(super) struct Operands<'a> {
    pub(super) first: &'a [f32],
    pub(super) second: Option<&'a [f32]>,
    pub(super) output: &'a mut [f32],
    pub(super) workspace: &'a mut [f32],
}

impl Kernel {
    /// Computes `batch` images.
    pub(super) fn run(&self, team: &dyn Parallel, batch: usize, operands: Operands) {
        let Operands { first, second, output, workspace } = operands;
        match self {
            Kernel::Pack(layout) => from_nchw(team, layout, batch, first, output),
            Kernel::Unpack(layout) => to_nchw(team, layout, batch, first, output),
            Kernel::Conv2d(conv) => conv.run(team, batch, first, second, output, workspace),
            Kernel::Pool2d { pool, leaves_lanes } => {
                if *leaves_lanes {
                    output.fill(0.0);
                }
                pool.run(team, batch, first, output, workspace);
            }
            Kernel::Elementwise(elementwise) => elementwise.run(team, batch, first, second, output),
            Kernel::WithConstant(elementwise, constant) => {
                for (x, y) in images(batch, first, output) {
                    elementwise.run(team, 1, x, Some(constant), y);
                }
            }
            Kernel::ScaleShift(scale_shift) => {
                let ScaleShift { multiply, add, scale, shift } = &**scale_shift;
                let product = &mut workspace[..scale.len()];
                for (x, y) in images(batch, first, output) {
                    multiply.run(team, 1, x, Some(scale), product);
                    add.run(team, 1, product, Some(shift), y);
                }
            }
            Kernel::Linear(linear) => linear.run(team, batch, first, output),
            Kernel::Softmax(set) => {
                output.copy_from_slice(first);
                softmax(set, batch, output);
            }
        }
    }

    /// Floats of workspace that a run needs for each of its threads.
    pub(super) fn workspace_len(&self) -> usize {
        match self {
            Kernel::Conv2d(conv) => conv.workspace_len(1),
            Kernel::Pool2d { pool, .. } => pool.workspace_len(),
            Kernel::ScaleShift(scale_shift) => scale_shift.scale.len(),
            _ => 0,
        }
    }

    /// Bytes of packed weights and constants.
    pub(super) fn packed_bytes(&self) -> usize {
        match self {
            Kernel::Conv2d(conv) => conv.packed_bytes(),
            Kernel::Linear(linear) => linear.packed_bytes(),
            Kernel::WithConstant(_, constant) => constant.bytes(),
            Kernel::ScaleShift(scale_shift) => scale_shift.scale.bytes() + scale_shift.shift.bytes(),
            _ => 0,
        }
    }

    /// Multiplications per image that direct convolution, or the matrix product, comes to.
    pub(super) fn multiplications(&self) -> usize {
        match self {
            Kernel::Conv2d(conv) => conv.multiplications(),
            Kernel::Linear(linear) => linear.multiplications(),
            _ => 0,
        }
    }

    /// The sizes of a convolution.
    pub(super) fn convolution(&self) -> Option<&Conv2dGeometry> {
        match self {
            Kernel::Conv2d(conv) => Some(conv.geometry()),
            _ => None,
        }
    }

    /// The name of the algorithm, where there is a choice of one.
    pub(super) fn algorithm(&self) -> &'static str {
        match self {
            Kernel::Conv2d(conv) => conv.algorithm(),
            _ => "",
        }
    }
}

/// Input and output of each image.
fn images<'a>(
    batch: usize,
    input: &'a [f32],
    output: &'a mut [f32],
) -> impl Iterator<Item = (&'a [f32], &'a mut [f32])> {
    let (from, to) = (input.len() / batch, output.len() / batch);
    input.chunks_exact(from).zip(output.chunks_exact_mut(to))
}

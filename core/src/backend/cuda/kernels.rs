//! What one step of a plan runs on the device.

use super::packed_weights::Parameters;
use crate::plan::TensorId;
use libvision_kernels::cuda::conv2d::{Conv2d, Conv2dTensors};
use libvision_kernels::cuda::element::Element;
use libvision_kernels::cuda::launch::Launch;
use libvision_kernels::cuda::linear::{Linear, LinearTensors};
use libvision_kernels::cuda::rows::softmax;
use libvision_kernels::cuda::window::{Depthwise, Pair, Pooling, global_average_pool, pool};
use libvision_kernels::geometry::{Conv2dGeometry, GeometryError, Pool2dGeometry};

/// The kernel of a step, or the copy that it is. Sizes are those of one image.
pub(super) enum Work {
    /// The caller's input, to the device.
    Upload {
        input: usize,
    },
    /// To the caller's output.
    Download {
        output: usize,
    },
    /// The same bytes in another place.
    Copy {
        bytes: usize,
    },
    Conv2d(Box<Conv2d>, Conv2dGeometry),
    Depthwise(Box<Depthwise>, Conv2dGeometry),
    Pool {
        geometry: Pool2dGeometry,
        pooling: Pooling,
        element: Element,
    },
    GlobalAveragePool {
        channels: usize,
        pixels: usize,
        element: Element,
    },
    Pair(Pair),
    Linear(Linear),
    Softmax {
        columns: usize,
    },
}

/// A step with the tensors it reads, in the kernel's order, and its weights.
pub(super) struct Lowered {
    pub(super) work: Work,
    pub(super) first: Option<TensorId>,
    pub(super) second: Option<TensorId>,
    pub(super) parameters: Option<Parameters>,
}

/// Device addresses that a step works on; 0 for what it does not have.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Addresses {
    pub(super) first: u64,
    pub(super) second: u64,
    pub(super) output: u64,
    pub(super) weights: u64,
    pub(super) bias: u64,
}

impl Lowered {
    /// Of the step's inputs those that are tensors.
    pub(super) fn new(work: Work, inputs: &[Option<TensorId>], parameters: Option<Parameters>) -> Self {
        let mut tensors = inputs.iter().flatten().copied();
        Self { work, first: tensors.next(), second: tensors.next(), parameters }
    }

    /// The launch for `images` images; `None` for a copy.
    pub(super) fn launch(&self, images: usize, at: Addresses) -> Option<Result<Launch, GeometryError>> {
        let convolution = Conv2dTensors {
            input: at.first,
            weights: at.weights,
            bias: at.bias,
            residual: at.second,
            output: at.output,
        };
        Some(match &self.work {
            Work::Upload { .. } | Work::Download { .. } | Work::Copy { .. } => return None,
            Work::Conv2d(layer, _) => layer.launch(images, &convolution),
            Work::Depthwise(layer, _) => layer.launch(images, &convolution),
            Work::Pool { geometry, pooling, element } => {
                pool(geometry, *element, *pooling, images, [at.first, at.output])
            }
            Work::GlobalAveragePool { channels, pixels, element } => {
                global_average_pool(*channels, *pixels, *element, images, [at.first, at.output])
            }
            Work::Pair(pair) => pair.launch(images, [at.first, at.second], at.output),
            Work::Linear(layer) => {
                let Addresses { first: input, weights, bias, output, .. } = at;
                layer.launch(images, &LinearTensors { input, weights, bias, output })
            }
            Work::Softmax { columns } => softmax(images, *columns, [at.first, at.output]),
        })
    }

    /// The kernel's name, for people.
    pub(super) fn algorithm(&self) -> &'static str {
        let launch = self.launch(1, Addresses::default());
        launch.and_then(Result::ok).map_or("", |launch| launch.entry_point)
    }

    /// Multiplications per image.
    pub(super) fn multiplications(&self) -> usize {
        match &self.work {
            Work::Conv2d(_, geometry) | Work::Depthwise(_, geometry) => geometry.multiplications(),
            Work::Linear(layer) => layer.inputs * layer.outputs,
            _ => 0,
        }
    }

    /// The sizes of a convolution.
    pub(super) fn convolution(&self) -> Option<Conv2dGeometry> {
        match &self.work {
            Work::Conv2d(_, geometry) | Work::Depthwise(_, geometry) => Some(*geometry),
            _ => None,
        }
    }
}

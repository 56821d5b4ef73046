//! The whole contract between the engine and a kind of device.

use super::cpu::Tuning;
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Dim, Graph};
use crate::image::Pixels;
use crate::preprocess::PreprocessSpec;
use crate::tensor::DType;
use libvision_kernels::geometry::Conv2dGeometry;
use std::sync::Arc;
use std::time::Duration;

/// Whether a backend can run here.
#[derive(Debug)]
pub enum Availability {
    /// It can; a sentence says on what.
    Available(String),
    /// It cannot; the error says what is missing.
    Unavailable(Error),
}

/// Element type that a network is computed in. Inputs and outputs are f32 in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// What suits the device: f32 on the CPU, f16 on CUDA.
    #[default]
    Auto,
    /// Single precision.
    F32,
    /// Half precision; sums are f32.
    F16,
    /// The upper half of f32; sums are f32.
    Bf16,
}

impl Precision {
    /// Its word in options and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Precision::Auto => "auto",
            Precision::F32 => "f32",
            Precision::F16 => "f16",
            Precision::Bf16 => "bf16",
        }
    }
}

/// Limits and choices for one executable.
#[derive(Clone, Debug, PartialEq)]
pub struct CompileOptions {
    /// Largest batch that a context must take.
    pub max_batch_size: usize,
    /// Threads that one run may use; 0 takes what the machine offers.
    pub threads: usize,
    /// Sizes that batches will be run at, for backends that prepare for each; empty leaves them to the backend,
    /// which says by [`Executable::batch_buckets`] what it took.
    pub batch_buckets: Vec<usize>,
    /// Multiply inputs and weights as they are, always: no algorithm that saves multiplications at the
    /// price of rounding. Slower, with less memory for weights.
    pub precise: bool,
    /// Algorithms that were measured, in place of the backend's own choice. Not together with `precise`.
    pub tuning: Option<Arc<Tuning>>,
    /// Element type to compute in. Fails with `INVALID_ARGUMENT` where the device has no kernels for it.
    pub precision: Precision,
    /// Most bytes of a device's own memory that the executable and its contexts may take; the CPU has none.
    pub device_memory_limit: Option<u64>,
    /// What the device is to make of pictures before the network, if it can.
    pub preprocessing: Option<DevicePreprocessing>,
}

/// Preprocessing that a device is asked to do by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct DevicePreprocessing {
    /// From pixels to the network's only input.
    pub spec: PreprocessSpec,
    /// Bytes for one picture with what its resize needs; larger ones are left to the host.
    pub slot_bytes: usize,
}

impl Default for CompileOptions {
    fn default() -> Self {
        Self {
            max_batch_size: 1,
            threads: 0,
            batch_buckets: Vec::new(),
            precise: false,
            tuning: None,
            precision: Precision::Auto,
            device_memory_limit: None,
            preprocessing: None,
        }
    }
}

/// A tensor at the edge of an executable. The first axis is the batch.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorSpec {
    /// Name in the graph.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// Sizes of the axes.
    pub shape: Vec<Dim>,
}

impl TensorSpec {
    /// Elements of one image's part.
    pub fn elements_per_image(&self) -> usize {
        self.shape
            .iter()
            .map(|dim| match dim {
                Dim::Fixed(size) => *size,
                Dim::Batch => 1,
            })
            .product()
    }

    /// Sizes of the axes for `batch` images.
    pub fn shape_for(&self, batch: usize) -> Vec<usize> {
        self.sizes(batch).collect()
    }

    /// The same one after the other.
    pub(crate) fn sizes(&self, batch: usize) -> impl Iterator<Item = usize> {
        self.shape.iter().map(move |dim| match dim {
            Dim::Fixed(size) => *size,
            Dim::Batch => batch,
        })
    }
}

/// Bytes that an executable and its contexts take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryNeed {
    /// Packed weights, once per executable.
    pub weights: usize,
    /// Activations and workspace, once per context.
    pub arena: usize,
}

/// One image of a batch, in memory of the host.
#[derive(Clone, Copy, Debug)]
pub enum Image<'a> {
    /// As many elements as one image's part of the only input has.
    Tensor(&'a [f32]),
    /// What a [`PictureLoader`] wrote.
    Picture(&'a [u8]),
}

/// Writes pictures to where a device takes them from. Shared by any number of threads.
pub trait PictureLoader: Send + Sync {
    /// Most bytes that one picture takes.
    fn slot_bytes(&self) -> usize;

    /// Writes a picture to the start of `slot` and says how many bytes it took; `None` if it is too large, or is
    /// none: preprocessing on the host is for it.
    fn load(&self, pixels: &Pixels, slot: &mut [u8]) -> Result<Option<usize>>;
}

/// What an executable will be, said before it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forecast {
    /// At least what [`Executable::memory_need`] will say.
    pub memory: MemoryNeed,
    /// See [`Executable::max_batch_size`].
    pub max_batch_size: usize,
    /// See [`Executable::useful_contexts`].
    pub useful_contexts: usize,
}

impl Forecast {
    /// What it is by now.
    pub fn of(executable: &dyn Executable) -> Self {
        Self {
            memory: executable.memory_need(),
            max_batch_size: executable.max_batch_size(),
            useful_contexts: executable.useful_contexts(),
        }
    }
}

/// What one step of a run does, for profiles.
#[derive(Clone, Debug, PartialEq)]
pub struct StepDescription {
    /// Name of the node, or of the graph's input or output.
    pub name: String,
    /// The operator with its window and what is fused into it.
    pub operation: String,
    /// Sizes of the axes of what it makes.
    pub shape: Vec<Dim>,
    /// How it is computed, where there is a choice; otherwise empty.
    pub algorithm: &'static str,
    /// Multiplications per image that direct convolution, or the matrix product, comes to.
    pub multiplications: usize,
    /// Its sizes, if it is a convolution.
    pub convolution: Option<Conv2dGeometry>,
    /// Whether it copies between this machine's memory and the device's own.
    pub is_transfer: bool,
}

/// One kind of device.
pub trait Backend: Send + Sync {
    /// `cpu`, `cuda`.
    fn name(&self) -> &'static str;

    /// Whether it can run here; without side effects.
    fn probe(&self) -> Availability;

    /// Plans, lowers and packs a graph that has passed `compile::pipeline`. Fails with
    /// `OPERATOR_UNSUPPORTED`, naming the node, for what this backend cannot run.
    fn compile(&self, graph: &Graph, options: &CompileOptions) -> Result<Arc<dyn Executable>>;

    /// What compiling would give. A backend that can say so without taking the memory for it does; others
    /// compile and let go. Fails as `compile` does.
    fn forecast(&self, graph: &Graph, options: &CompileOptions) -> Result<Forecast> {
        Ok(Forecast::of(&*self.compile(graph, options)?))
    }

    /// Whether weights and arenas lie in memory of the device's own. What batches are built in is pinned then.
    fn has_own_memory(&self) -> bool {
        false
    }
}

/// A graph made ready for a device: immutable, shared by all contexts.
pub trait Executable: Send + Sync {
    /// What a run takes, in the graph's order.
    fn inputs(&self) -> &[TensorSpec];

    /// What a run gives, in the graph's order.
    fn outputs(&self) -> &[TensorSpec];

    /// Largest batch of one run.
    fn max_batch_size(&self) -> usize;

    /// Sizes that a batch is run at, ascending: a smaller one is filled up to the next of them, as each is
    /// prepared for once. Empty if any size is as good.
    fn batch_buckets(&self) -> &[usize] {
        &[]
    }

    /// Whether nothing is made for a size of batches, and images share nothing in a batch that could change the bits of
    /// one: then one image that is right proves the others, at any size.
    fn one_image_proves_all(&self) -> bool {
        false
    }

    /// Contexts that keep the device busy; more would only wait for each other. One, unless copies of one
    /// batch can overlap the computing of another.
    fn useful_contexts(&self) -> usize {
        1
    }

    /// Bytes taken, by the executable and by each context.
    fn memory_need(&self) -> MemoryNeed;

    /// The plan for people: steps, fusions, memory.
    fn describe(&self) -> String;

    /// The steps of a run, as [`ExecutionContext::run_timed`] times them; none if it does not.
    fn steps(&self) -> Vec<StepDescription> {
        Vec::new()
    }

    /// Element type that it computes in, never [`Precision::Auto`].
    fn precision(&self) -> Precision {
        Precision::F32
    }

    /// Threads of this machine that one run computes on.
    fn threads(&self) -> usize {
        1
    }

    /// Floating-point operations per second, two for a multiply-add, that nothing can exceed on what a run
    /// computes on: measured now, in about a millisecond. `None` where that is not known.
    fn measure_peak(&self) -> Option<f64> {
        None
    }

    /// Loads pictures for [`ExecutionContext::run_images`]; `None` if the device was not asked to preprocess them
    /// or cannot.
    fn picture_loader(&self) -> Option<Arc<dyn PictureLoader>> {
        None
    }

    /// Memory and state for one run at a time. All memory is taken here, none by `run`.
    fn new_context(self: Arc<Self>) -> Result<Box<dyn ExecutionContext>>;
}

/// State of one worker. Runs one batch at a time.
pub trait ExecutionContext: Send {
    /// Runs `batch` images (1 to `max_batch_size`).
    ///
    /// `inputs[i]` holds `batch * elements_per_image` elements of the i-th input; `outputs[i]` takes as
    /// many of the i-th output, or is empty if the caller does not want that output. Blocks until the
    /// results are there. Each image's result has the same bits in any batch and at any place of it.
    fn run(&mut self, batch: usize, inputs: &[&[f32]], outputs: &mut [&mut [f32]]) -> Result<()>;

    /// As [`run`](Self::run) for images of which some are pictures, which the device preprocesses first: the bits are
    /// those of preprocessing on the host. There may be fewer images than `batch`; nobody reads what the rest
    /// gives. Fails where [`Executable::picture_loader`] gives none.
    fn run_images(
        &mut self,
        batch: usize,
        images: &mut dyn Iterator<Item = Image<'_>>,
        outputs: &mut [&mut [f32]],
    ) -> Result<()> {
        let _ = (batch, images, outputs);
        Err(Error::new(ErrorKind::Internal, "pictures came to a device that preprocesses none"))
    }

    /// As [`run`](Self::run), and gives how long the device was at it, copies included, by its own clock; `None`
    /// where it has none.
    fn run_clocked(
        &mut self,
        batch: usize,
        inputs: &[&[f32]],
        outputs: &mut [&mut [f32]],
    ) -> Result<Option<Duration>> {
        self.run(batch, inputs, outputs).map(|()| None)
    }

    /// How often a run so far took memory, compiled, tuned or captured something because it was the first of its
    /// kind. Once each batch size has run it stands still.
    fn cold_paths(&self) -> u64 {
        0
    }

    /// As [`run`](Self::run), and adds to `times[i]` how long the i-th of [`Executable::steps`] took: its share of
    /// the run, where threads were at different steps. Leaves `times` alone where there are none.
    fn run_timed(
        &mut self,
        batch: usize,
        inputs: &[&[f32]],
        outputs: &mut [&mut [f32]],
        times: &mut [Duration],
    ) -> Result<()> {
        let _ = times;
        self.run(batch, inputs, outputs)
    }
}

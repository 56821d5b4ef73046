//! The state of one run at a time: a stream, memory on both sides, and a recorded graph for each batch size.

use super::device_pool::Arena;
use super::event::Event;
use super::executable::CudaExecutable;
use super::graph_capture::Graph;
use super::kernels::{Addresses, Lowered, Work};
use super::launch::Kernel;
use super::pictures::Pictures;
use super::pinned_pool::{Direction, PinnedPool};
use super::resident::{Resident, Shared};
use super::stream::Stream;
use crate::backend::check_run::{check_results, check_run};
use crate::backend::{ExecutionContext, Image};
use crate::error::{Error, ErrorKind, Result};
use crate::plan::Step;
use libvision_kernels::cuda::launch::Launch;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// Runs on one stream; the batches of several contexts overlap.
pub(super) struct CudaContext {
    executable: Arc<CudaExecutable>,
    workplace: Shared,
}

impl CudaContext {
    /// Takes all memory that runs need, and records a graph for each size of batches.
    pub(super) fn new(executable: Arc<CudaExecutable>) -> Result<Self> {
        let workplace = Workplace::new(&executable, executable.resident()?)?;
        let workplace = executable.residents().register(workplace);
        Ok(Self { executable, workplace })
    }

    fn with<T>(&mut self, work: impl FnOnce(&CudaExecutable, &mut Workplace) -> Result<T>) -> Result<T> {
        match self.workplace.lock().as_mut() {
            Some(workplace) => {
                // Runs may come from any thread; from here to their end they stay on this one.
                workplace.stream.device().bind()?;
                work(&self.executable, workplace)
            }
            None => Err(Error::new(
                ErrorKind::DeviceLost,
                "the device was lost in another context, and with it what this one had there",
            )),
        }
    }
}

impl ExecutionContext for CudaContext {
    fn run(&mut self, batch: usize, inputs: &[&[f32]], outputs: &mut [&mut [f32]]) -> Result<()> {
        check_run(&*self.executable, batch, inputs, outputs)?;
        self.with(|executable, workplace| workplace.run(executable, batch, inputs, outputs, false))
    }

    fn run_images(
        &mut self,
        batch: usize,
        images: &mut dyn Iterator<Item = Image<'_>>,
        outputs: &mut [&mut [f32]],
    ) -> Result<()> {
        check_results(&*self.executable, batch, outputs)?;
        self.with(|executable, workplace| workplace.run_images(executable, batch, images, outputs))
    }

    fn run_clocked(
        &mut self,
        batch: usize,
        inputs: &[&[f32]],
        outputs: &mut [&mut [f32]],
    ) -> Result<Option<Duration>> {
        check_run(&*self.executable, batch, inputs, outputs)?;
        self.with(|executable, workplace| {
            workplace.run(executable, batch, inputs, outputs, true)?;
            workplace.clock[1].since(&workplace.clock[0]).map(Some)
        })
    }

    fn run_timed(
        &mut self,
        batch: usize,
        inputs: &[&[f32]],
        outputs: &mut [&mut [f32]],
        times: &mut [Duration],
    ) -> Result<()> {
        check_run(&*self.executable, batch, inputs, outputs)?;
        self.with(|executable, workplace| workplace.run_timed(executable, batch, inputs, outputs, times))
    }
}

/// What a context has on the device and for it. Fields are dropped in order: graphs before the stream, which waits
/// for what is queued, and that before the memory.
pub(super) struct Workplace {
    graphs: Vec<Graph>,
    stream: Stream,
    uploads: PinnedPool,
    downloads: PinnedPool,
    /// Graphs begin after the input has come, be it from these or as a tensor.
    pictures: Option<Pictures>,
    arena: Arena,
    /// Start and end of a run that is clocked.
    clock: [Event; 2],
    /// Work may be queued that nobody has waited for, because waiting failed.
    is_unsettled: bool,
    resident: Arc<Resident>,
}

impl Workplace {
    fn new(executable: &CudaExecutable, resident: Arc<Resident>) -> Result<Self> {
        let device = &resident.device;
        let images = *executable.buckets.last().unwrap_or(&1);
        let inputs = 0..crate::backend::Executable::inputs(executable).len();
        let outputs = 0..crate::backend::Executable::outputs(executable).len();
        let uploads: Vec<usize> = inputs
            .map(|input| executable.loaded(input).map_or(0, |(_, form)| form.bytes() * images))
            .collect();
        let downloads = outputs.map(|output| Ok(executable.stored(output)?.1.bytes() * images));
        let downloads: Vec<usize> = downloads.collect::<Result<_>>()?;
        let what = format!("the arena of an execution context for {images} images");
        let arena = Arena::new(device, &executable.places, executable.separate_tensors, &what)?;
        let pictures = executable.preprocessing.as_ref().map(|preprocessing| {
            let input = executable.loaded(0).map_or(0, |(tensor, _)| arena.address(tensor));
            Pictures::new(preprocessing, &executable.buckets, &resident, input)
        });
        let mut workplace = Self {
            graphs: Vec::with_capacity(executable.buckets.len()),
            stream: Stream::new(device)?,
            uploads: PinnedPool::new(device, Direction::Upload, &uploads)?,
            downloads: PinnedPool::new(device, Direction::Download, &downloads)?,
            pictures: pictures.transpose()?,
            arena,
            clock: [Event::new(device)?, Event::new(device)?],
            is_unsettled: false,
            resident,
        };
        for &size in &executable.buckets {
            let work = workplace.prepare(executable, size)?;
            let recorded = &work[usize::from(workplace.pictures.is_some())..];
            // SAFETY: the graph names the arena, the pinned pools, the weights and the modules, all of which this
            // workplace keeps where they are until after it has dropped the graph.
            let graph = unsafe {
                Graph::record(&workplace.stream, || {
                    recorded.iter().try_for_each(|queued| workplace.queue(executable, size, queued))
                })
            }?;
            workplace.graphs.push(graph);
        }
        Ok(workplace)
    }

    /// What each step queues for `images` images. Loads nothing and takes nothing on the device.
    fn prepare<'e>(&self, executable: &'e CudaExecutable, images: usize) -> Result<Vec<Queued<'e>>> {
        let steps = executable.plan.steps().iter().zip(&executable.network.steps);
        let queued = steps.map(|(step, lowered)| {
            let at = self.addresses(step, lowered);
            let launch = match lowered.launch(images, at).transpose()? {
                Some(launch) => Some((self.resident.modules.kernel(launch.entry_point)?, launch)),
                None => None,
            };
            Ok(Queued { lowered, at, launch })
        });
        queued.collect()
    }

    fn addresses(&self, step: &Step, lowered: &Lowered) -> Addresses {
        let tensor = |id: Option<usize>| id.map_or(0, |id| self.arena.address(id));
        let weights = self.resident.weights.address();
        Addresses {
            first: tensor(lowered.first),
            second: tensor(lowered.second),
            output: tensor(step.output),
            weights: lowered.parameters.map_or(0, |at| weights + at.weights),
            bias: lowered.parameters.map_or(0, |at| weights + at.bias),
        }
    }

    fn queue(&self, executable: &CudaExecutable, images: usize, queued: &Queued) -> Result<()> {
        let Queued { lowered, at, launch } = queued;
        // SAFETY: all addresses are places of this workplace's arena and of the weights, made for as many images and
        // more; the pinned pools are touched only after `run` has waited for the stream.
        unsafe {
            match (launch, &lowered.work) {
                (Some((kernel, launch)), _) => self.stream.launch(kernel, launch),
                (None, Work::Upload { input }) => {
                    let bytes = executable.loaded(*input).map_or(0, |(_, form)| form.bytes() * images);
                    self.stream.upload(at.output, (&self.uploads, *input), 0..bytes)
                }
                (None, Work::Download { output }) => {
                    let bytes = executable.stored(*output)?.1.bytes() * images;
                    self.stream.download(at.first, (&self.downloads, *output), bytes)
                }
                (None, Work::Copy { bytes }) => self.stream.copy(at.first, at.output, bytes * images),
                (None, _) => Err(Error::new(ErrorKind::Internal, "a kernel of the plan has no launch")),
            }
        }
    }

    /// Runs a batch by its graph, filled up to the next size that there is one for. `is_clocked` marks start and end.
    fn run(
        &mut self,
        executable: &CudaExecutable,
        batch: usize,
        inputs: &[&[f32]],
        outputs: &mut [&mut [f32]],
        is_clocked: bool,
    ) -> Result<()> {
        let (number, size) = executable.bucket(batch);
        self.fill(executable, inputs)?;
        self.is_unsettled = true;
        let graph = &self.graphs[number];
        let queue = || {
            if is_clocked {
                self.clock[0].record(&self.stream)?;
            }
            if self.pictures.is_some() {
                self.upload_images(executable, 0..size)?;
            }
            // SAFETY: as for the recording; the last launch of the graph has been waited for.
            unsafe { graph.launch(&self.stream) }?;
            if is_clocked {
                self.clock[1].record(&self.stream)?;
            }
            Ok(())
        };
        let queued = queue();
        self.settle(queued)?;
        self.collect(executable, outputs)
    }

    /// Runs a batch of which some images are pictures.
    fn run_images(
        &mut self,
        executable: &CudaExecutable,
        batch: usize,
        images: &mut dyn Iterator<Item = Image<'_>>,
        outputs: &mut [&mut [f32]],
    ) -> Result<()> {
        self.await_queued()?;
        let (number, size) = executable.bucket(batch);
        let form = executable.loaded(0).map(|(_, form)| form);
        let (Some(pictures), Some(form)) = (&mut self.pictures, form) else {
            return Err(Error::new(ErrorKind::Internal, "pictures came to a device that preprocesses none"));
        };
        let uploads = &mut self.uploads;
        let pack = |image: usize, values: &[f32]| {
            if values.len() != form.values() {
                let message =
                    format!("image {image}: expected {} elements, found {}", form.values(), values.len());
                return Err(Error::new(ErrorKind::ShapeMismatch, message));
            }
            // SAFETY: nothing is queued.
            form.pack(values, &mut unsafe { uploads.write(0) }[image * form.bytes()..][..form.bytes()]);
            Ok(())
        };
        // SAFETY: nothing is queued.
        unsafe { pictures.fill(size, images, pack) }?;
        self.is_unsettled = true;
        let queued = self.queue_images(executable, number);
        self.settle(queued)?;
        self.collect(executable, outputs)
    }

    /// Queues what was filled in for size number `bucket`, and the network.
    fn queue_images(&self, executable: &CudaExecutable, bucket: usize) -> Result<()> {
        let Some(pictures) = &self.pictures else { return Ok(()) };
        // SAFETY: the arena has room for the largest batch, and `settle` waits.
        unsafe { pictures.queue(&self.stream, bucket) }?;
        let upload = |&image: &usize| self.upload_images(executable, image..image + 1);
        pictures.tensors().iter().try_for_each(upload)?;
        // SAFETY: as for the recording; the last launch of the graph has been waited for.
        unsafe { self.graphs[bucket].launch(&self.stream) }
    }

    /// Queues the copy of these images of the only input.
    fn upload_images(&self, executable: &CudaExecutable, images: Range<usize>) -> Result<()> {
        let Some((tensor, form)) = executable.loaded(0) else { return Ok(()) };
        let part = images.start * form.bytes()..images.end * form.bytes();
        let target = self.arena.address(tensor) + part.start as u64;
        // SAFETY: the arena has room for the largest batch; the pool is touched only after the stream has been
        // waited for.
        unsafe { self.stream.upload(target, (&self.uploads, 0), part) }
    }

    /// Runs a batch step by step, and adds what each took to `times`.
    fn run_timed(
        &mut self,
        executable: &CudaExecutable,
        batch: usize,
        inputs: &[&[f32]],
        outputs: &mut [&mut [f32]],
        times: &mut [Duration],
    ) -> Result<()> {
        let (_, size) = executable.bucket(batch);
        let work = self.prepare(executable, size)?;
        if times.len() != work.len() {
            let message =
                format!("times: expected one for each of {} steps, found {}", work.len(), times.len());
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        let marks = (0..=work.len()).map(|_| Event::new(self.stream.device()));
        let marks: Vec<Event> = marks.collect::<Result<_>>()?;
        self.fill(executable, inputs)?;
        self.is_unsettled = true;
        let queue = || {
            marks[0].record(&self.stream)?;
            work.iter().zip(&marks[1..]).try_for_each(|(queued, mark)| {
                self.queue(executable, size, queued)?;
                mark.record(&self.stream)
            })
        };
        let queued = queue();
        self.settle(queued)?;
        for (time, mark) in times.iter_mut().zip(marks.windows(2)) {
            *time += mark[1].since(&mark[0])?;
        }
        self.collect(executable, outputs)
    }

    /// Writes the inputs where the device reads them, once nothing that is queued does any more.
    fn fill(&mut self, executable: &CudaExecutable, inputs: &[&[f32]]) -> Result<()> {
        self.await_queued()?;
        for (index, input) in inputs.iter().enumerate() {
            if let Some((_, form)) = executable.loaded(index) {
                // SAFETY: nothing is queued.
                form.pack(input, unsafe { self.uploads.write(index) });
            }
        }
        Ok(())
    }

    fn collect(&self, executable: &CudaExecutable, outputs: &mut [&mut [f32]]) -> Result<()> {
        for (index, output) in outputs.iter_mut().enumerate() {
            let (_, form) = executable.stored(index)?;
            // SAFETY: `settle` has waited for the copies.
            form.unpack(unsafe { self.downloads.read(index) }, output);
        }
        Ok(())
    }

    /// Waits for what is queued, if waiting for it has failed before.
    fn await_queued(&mut self) -> Result<()> {
        if self.is_unsettled { self.settle(Ok(())) } else { Ok(()) }
    }

    /// Waits for the stream whether `queued` went well or not, and gives the first error.
    fn settle(&mut self, queued: Result<()>) -> Result<()> {
        let waited = self.stream.synchronize();
        self.is_unsettled = waited.is_err();
        queued.and(waited)
    }
}

/// What one step puts into the stream.
struct Queued<'e> {
    lowered: &'e Lowered,
    at: Addresses,
    /// Missing for a copy.
    launch: Option<(Kernel, Launch)>,
}

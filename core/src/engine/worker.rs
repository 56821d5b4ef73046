//! Workers: threads that own an execution context, run batches, and turn outputs into answers.

use super::clock::Time;
use super::hand_over::{Batch, StagedRequest, WorkerCommand};
use super::machine::{Place, RunOutcome};
use super::panic::contained;
use super::request::{Response, Task, Timing};
use super::scheduler::Scheduler;
use super::spans;
use super::staging::PictureSlots;
use super::workshop::{Bench, Workshop};
use crate::backend::{Image, TensorSpec};
use crate::error::{Error, ErrorKind, Result};
use crate::memory::SlotLease;
use crate::postprocess::{Ranked, top_k};
use crossbeam::channel::{Receiver, TryRecvError};
use smallvec::SmallVec;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// One worker.
pub(super) struct Worker {
    pub(super) scheduler: Arc<Scheduler>,
    pub(super) commands: Receiver<WorkerCommand>,
    pub(super) workshop: Arc<Workshop>,
    pub(super) bench: Bench,
    /// The context's own count, as far as it was added up.
    pub(super) cold_paths: u64,
    /// The classes of one answer.
    pub(super) ranked: Vec<Ranked>,
}

/// For how long a worker looks out for the next batch before it sleeps: waking it takes about as long.
const LOOK_OUT: Duration = Duration::from_micros(50);

/// When a batch was taken and computed, and how many images it has.
#[derive(Clone, Copy)]
struct Run {
    started: Time,
    computed: Time,
    batch_size: usize,
}

impl Worker {
    /// Runs batches until the engine has closed, or until its state cannot be trusted: then another worker
    /// takes its place.
    pub(super) fn run(mut self) {
        while let Some(command) = self.next_command() {
            let is_test = matches!(command, WorkerCommand::Test(_));
            let (batch, outcome) = match command {
                WorkerCommand::LookOut => continue,
                WorkerCommand::Run(batch) => self.run_whole(batch),
                WorkerCommand::Test(run) => (Batch { run, ..Batch::default() }, self.test()),
            };
            self.count_cold_paths();
            // What gives a wrong answer is as lost as what gives none.
            if outcome == RunOutcome::Lost || is_test && outcome != RunOutcome::Succeeded {
                let Self { scheduler, bench, .. } = self;
                // Its memory may be needed for the next one.
                drop(bench);
                return scheduler.run_done(batch, outcome);
            }
            self.scheduler.run_done(batch, outcome);
        }
    }

    fn next_command(&self) -> Option<WorkerCommand> {
        let began = std::time::Instant::now();
        while began.elapsed() < LOOK_OUT {
            match self.commands.try_recv() {
                Ok(command) => return Some(command),
                Err(TryRecvError::Disconnected) => return None,
                // Who was answered, and asks again, may be on this very core.
                Err(TryRecvError::Empty) => std::thread::yield_now(),
            }
        }
        self.commands.recv().ok()
    }

    /// The batch with an answer for each of its members.
    fn run_whole(&mut self, mut batch: Batch) -> (Batch, RunOutcome) {
        let span = spans::run(batch.run, images_of(&batch), batch.size);
        let result = span.in_scope(|| contained("running a batch", || self.run_batch(&mut batch)));
        spans::run_ended(span, result.as_ref().err());
        let outcome = match result {
            Ok(()) => RunOutcome::Succeeded,
            Err(error) => {
                self.scheduler.failed(&error);
                answer_all(&mut batch, &error);
                outcome_of(error.kind())
            }
        };
        (batch, outcome)
    }

    fn test(&mut self) -> RunOutcome {
        let Self { workshop, bench, .. } = self;
        let test = || workshop.self_test.check(&mut *bench.context, &mut bench.outputs);
        match contained("running a known image", test) {
            Ok(()) => RunOutcome::Succeeded,
            Err(error) => {
                self.scheduler.failed(&error);
                outcome_of(error.kind())
            }
        }
    }

    fn count_cold_paths(&mut self) {
        let so_far = self.bench.context.cold_paths();
        self.workshop.add_cold_paths(so_far.saturating_sub(self.cold_paths));
        self.cold_paths = so_far;
    }

    fn run_batch(&mut self, batch: &mut Batch) -> Result<()> {
        let started = self.scheduler.now();
        let end = batch.members.last().map_or(0, |(_, place)| place.first_slot + place.slots);
        // What fills the bucket up is computed and read by nobody.
        let batch_size = batch.size;
        let mut leases = self.workshop.stagings[batch.staging].lease(0..end.max(batch_size))?;
        let pictures = match batch.members.iter().any(|(request, _)| request.picture.is_some()) {
            true => self.workshop.stagings[batch.staging].lease_pictures(0..end)?,
            false => None,
        };
        let executable = Arc::clone(&self.bench.executable);
        if pictures.is_none() {
            close_gaps(batch, &mut leases, executable.inputs());
        }
        let (specs, embedding) = (executable.outputs(), self.workshop.embedding);
        let mut outputs: SmallVec<[&mut [f32]; 4]> = self
            .bench
            .outputs
            .iter_mut()
            .zip(specs)
            .enumerate()
            .map(|(output, (buffer, spec))| {
                let wanted = batch.members.iter().any(|(r, _)| wants(r.options.task, output, embedding));
                &mut buffer[..if wanted { batch_size * spec.elements_per_image() } else { 0 }]
            })
            .collect();
        let specs = executable.inputs();
        match &pictures {
            Some(pictures) => {
                let mut images = images(batch, &leases[0], specs[0].elements_per_image(), pictures);
                self.bench.context.run_images(batch_size, &mut images, &mut outputs)?;
            }
            None => {
                let inputs = leases.iter().zip(specs);
                let inputs: SmallVec<[&[f32]; 2]> =
                    inputs.map(|(lease, spec)| &lease[..batch_size * spec.elements_per_image()]).collect();
                self.bench.context.run(batch_size, &inputs, &mut outputs)?;
            }
        }
        drop(outputs);
        drop((leases, pictures));
        let run = Run { started, computed: self.scheduler.now(), batch_size: images_of(batch) };
        self.answer(batch, run);
        Ok(())
    }

    fn answer(&mut self, batch: &mut Batch, run: Run) {
        let mut first = 0;
        let Batch { members, answers, .. } = batch;
        for (request, place) in &*members {
            let slots = first..first + place.slots;
            first = slots.end;
            answers.push((request.id, self.respond(request, slots, run.batch_size)));
        }
        let done = self.scheduler.now();
        for ((request, _), (_, answer)) in members.iter().zip(answers) {
            if let Ok(response) = answer {
                response.timing = timing(request, run, done);
            }
        }
    }

    /// The answer but for its timing. Logits become scores where they lie; nobody else reads those of this
    /// request.
    fn respond(
        &mut self,
        request: &StagedRequest,
        slots: Range<usize>,
        batch_size: usize,
    ) -> Result<Response> {
        let Self { workshop, bench: Bench { executable, outputs, .. }, ranked, .. } = self;
        let mut response = workshop.responses.take();
        response.batch_size = batch_size;
        response.trace_context = request.options.trace_context;
        match request.options.task {
            Task::Classify { top_k: k, min_score } => {
                let classes = executable.outputs()[0].elements_per_image();
                let scores = &mut outputs[0][slots.start * classes..slots.end * classes];
                workshop.model.head().apply(scores);
                top_k(scores, k, min_score, ranked);
                response.set_predictions(ranked, workshop.model.labels());
            }
            task => {
                let all = executable.outputs().iter().zip(&*outputs).enumerate();
                let wanted = all.filter(|(output, _)| wants(task, *output, workshop.embedding));
                let elements = wanted.map(|(_, (spec, buffer))| {
                    let size = spec.elements_per_image();
                    (spec, &buffer[slots.start * size..slots.end * size])
                });
                response.set_outputs(elements, slots.len())?;
            }
        }
        Ok(response)
    }
}

/// Whether a task needs the output of this index.
fn wants(task: Task, output: usize, embedding: Option<usize>) -> bool {
    match task {
        Task::Classify { .. } => output == 0,
        Task::Embed => Some(output) == embedding,
        Task::Run => true,
    }
}

/// What the failure of a run says about the worker.
fn outcome_of(kind: ErrorKind) -> RunOutcome {
    match kind {
        ErrorKind::OutOfMemory => RunOutcome::OutOfMemory,
        ErrorKind::Internal | ErrorKind::DeviceLost => RunOutcome::Lost,
        _ => RunOutcome::Failed,
    }
}

fn images_of(batch: &Batch) -> usize {
    batch.members.iter().map(|(_, place)| place.slots).sum()
}

fn answer_all(batch: &mut Batch, error: &Error) {
    let copy = || Error::new(error.kind(), error.message());
    batch.answers.clear();
    batch.answers.extend(batch.members.iter().map(|(request, _)| (request.id, Err(copy()))));
}

/// The images of a batch with pictures in it, whose elements lie in `tensors` where they are none.
fn images<'a>(
    batch: &'a Batch,
    tensors: &'a [f32],
    elements: usize,
    pictures: &'a PictureSlots,
) -> impl Iterator<Item = Image<'a>> {
    batch.members.iter().flat_map(move |(request, Place { first_slot, slots, .. })| {
        (*first_slot..first_slot + slots).map(move |slot| match request.picture {
            Some(bytes) => Image::Picture(&pictures.slot(slot)[..bytes]),
            None => Image::Tensor(&tensors[slot * elements..][..elements]),
        })
    })
}

/// Moves the members' slots together where some between them are nobody's any more.
fn close_gaps(batch: &Batch, leases: &mut [SlotLease], inputs: &[TensorSpec]) {
    let mut next = 0;
    for (_, Place { first_slot, slots, .. }) in &batch.members {
        if *first_slot != next {
            for (lease, spec) in leases.iter_mut().zip(inputs) {
                let size = spec.elements_per_image();
                lease.copy_within(first_slot * size..(first_slot + slots) * size, next * size);
            }
        }
        next += slots;
    }
}

/// Differences of consecutive moments, so that the parts add up to the total.
fn timing(request: &StagedRequest, run: Run, done: Time) -> Timing {
    let stamps = &request.stamps;
    Timing {
        queue: stamps.taken.since(stamps.accepted),
        decode: stamps.decoded.since(stamps.taken),
        preprocess: stamps.filled.since(stamps.placed),
        batch_wait: stamps.placed.since(stamps.decoded) + run.started.since(stamps.filled),
        compute: run.computed.since(run.started),
        postprocess: done.since(run.computed),
        total: done.since(stamps.accepted),
    }
}

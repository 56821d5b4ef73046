//! Workers: each owns an execution context, runs batches and turns outputs into answers.

use super::batcher::RequestId;
use super::clock::Time;
use super::request::{Prediction, Response, Task, Timing};
use super::shared::{BatchJob, Member, Shared};
use super::staging::Staging;
use crate::backend::{Executable, ExecutionContext, TensorSpec};
use crate::error::{Error, ErrorKind, Result};
use crate::memory::SlotLease;
use crate::model::Model;
use crate::postprocess::top_k;
use crate::tensor::Tensor;
use crossbeam::channel::Receiver;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// What a worker works with.
pub(super) struct Worker {
    pub(super) index: usize,
    pub(super) shared: Arc<Shared>,
    pub(super) jobs: Receiver<BatchJob>,
    pub(super) stagings: Arc<[Staging]>,
    pub(super) model: Arc<Model>,
    pub(super) executable: Arc<dyn Executable>,
    pub(super) context: Box<dyn ExecutionContext>,
    /// One per output of the executable, for the largest batch.
    pub(super) outputs: Vec<Vec<f32>>,
    pub(super) embedding: Option<usize>,
}

impl Worker {
    /// Runs batches until the engine has closed.
    pub(super) fn run(mut self) {
        while let Ok(job) = self.jobs.recv() {
            let outcome = catch_unwind(AssertUnwindSafe(|| self.run_batch(&job)));
            let answers = outcome.unwrap_or_else(|_| {
                self.replace_context();
                Err(Error::new(ErrorKind::Internal, "a worker panicked while it ran this batch"))
            });
            let answers = answers.unwrap_or_else(|error| {
                let same = |member: &Member| {
                    let copy = Error::new(error.kind(), error.message());
                    (member.place.id, Err(copy))
                };
                job.members.iter().map(same).collect()
            });
            self.shared.batch_done(self.index, job.staging, answers);
        }
    }

    /// After a panic the context's state is unknown. If no new one can be made, the old one goes on.
    fn replace_context(&mut self) {
        if let Ok(context) = Arc::clone(&self.executable).new_context() {
            self.context = context;
        }
    }

    fn run_batch(&mut self, job: &BatchJob) -> Result<Vec<(RequestId, Result<Response>)>> {
        let end = job.members.iter().map(|m| m.place.first_slot + m.place.slots).max().unwrap_or(0);
        let leases = self.stagings[job.staging].lease(0..end);
        let mut leases =
            leases.ok_or_else(|| Error::new(ErrorKind::Internal, "a slot is still being written"))?;
        let batch = close_gaps(&job.members, &mut leases, end);

        let wanted = self.wanted_outputs(&job.members);
        let specs = self.executable.outputs();
        let inputs: Vec<&[f32]> =
            leases.iter().map(|lease| &lease[..lease.len() / end.max(1) * batch]).collect();
        let mut outputs: Vec<&mut [f32]> = self
            .outputs
            .iter_mut()
            .zip(specs)
            .zip(&wanted)
            .map(|((buffer, spec), &is_wanted)| {
                &mut buffer[..if is_wanted { batch * spec.elements_per_image() } else { 0 }]
            })
            .collect();
        let started = self.shared.now();
        self.context.run(batch, &inputs, &mut outputs)?;
        let computed = self.shared.now();
        drop(leases);

        let mut first = 0;
        let mut answers = Vec::with_capacity(job.members.len());
        for member in &job.members {
            let slots = first..first + member.place.slots;
            first = slots.end;
            let answer = self.respond(member, slots, batch, started, computed);
            answers.push((member.place.id, answer));
        }
        Ok(answers)
    }

    /// Which outputs somebody in the batch asked for.
    fn wanted_outputs(&self, members: &[Member]) -> Vec<bool> {
        let is_wanted = |output: usize| {
            members.iter().any(|member| match member.options.task {
                Task::Classify { .. } => output == 0,
                Task::Embed => Some(output) == self.embedding,
                Task::Run => true,
            })
        };
        (0..self.outputs.len()).map(is_wanted).collect()
    }

    fn respond(
        &mut self,
        member: &Member,
        slots: std::ops::Range<usize>,
        batch: usize,
        started: Time,
        computed: Time,
    ) -> Result<Response> {
        let specs = self.executable.outputs();
        let tensor = |index: usize, spec: &TensorSpec| -> Result<(String, Tensor)> {
            let size = spec.elements_per_image();
            let elements = self.outputs[index][slots.start * size..slots.end * size].to_vec();
            Ok((spec.name.clone(), Tensor::new(&spec.shape_for(slots.len()), elements)?))
        };
        let outputs = match (member.options.task, self.embedding) {
            (Task::Run, _) => {
                specs.iter().enumerate().map(|(index, spec)| tensor(index, spec)).collect::<Result<_>>()?
            }
            (Task::Embed, Some(index)) => vec![tensor(index, &specs[index])?],
            _ => Vec::new(),
        };
        let predictions = match member.options.task {
            Task::Classify { top_k, min_score } => {
                let classes = specs[0].elements_per_image();
                let logits = &mut self.outputs[0][slots.start * classes..slots.end * classes];
                self.model.head().apply(logits);
                predictions(logits, self.model.labels(), top_k, min_score)
            }
            _ => Vec::new(),
        };
        let timing = timing(member, started, computed, self.shared.now());
        Ok(Response { predictions, outputs, batch_size: batch, timing })
    }
}

/// Moves the members' slots together, in place of those whose requests are gone; returns how many there
/// are.
fn close_gaps(members: &[Member], leases: &mut [SlotLease], end: usize) -> usize {
    let mut next = 0;
    for Member { place, .. } in members {
        if place.first_slot != next {
            for lease in leases.iter_mut() {
                let size = lease.len() / end.max(1);
                let from = place.first_slot * size..(place.first_slot + place.slots) * size;
                lease.copy_within(from, next * size);
            }
        }
        next += place.slots;
    }
    next
}

fn predictions(scores: &[f32], labels: &[String], k: usize, min_score: f32) -> Vec<Prediction> {
    let named = |ranked: crate::postprocess::Ranked| Prediction {
        class_index: ranked.class_index,
        label: labels.get(ranked.class_index).cloned().unwrap_or_else(|| ranked.class_index.to_string()),
        score: ranked.score,
    };
    top_k(scores, k, min_score).into_iter().map(named).collect()
}

/// Consecutive moments, so that the parts add up to the total.
fn timing(member: &Member, started: Time, computed: Time, done: Time) -> Timing {
    let stamps = &member.stamps;
    Timing {
        queue: stamps.started.since(stamps.accepted),
        decode: stamps.decoded.since(stamps.started),
        preprocess: stamps.prepared.since(stamps.decoded),
        batch_wait: started.since(stamps.prepared),
        compute: computed.since(started),
        postprocess: done.since(computed),
        total: done.since(stamps.accepted),
    }
}

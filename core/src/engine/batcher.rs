//! The batcher: who is decoded next, who runs with whom, and when. A pure state machine without thread,
//! clock or picture: the engine's threads feed it events and carry out its actions, a simulation does the
//! same. Equal events give equal actions.
//!
//! A request waits for a decoder, is decoded, takes its place in the batch that is forming, and is written
//! into its slots there. A batch that is full goes to the next idle worker. One that is not goes when its
//! first request has had its place for `max_queue_delay` and a worker is idle; while all workers are busy it
//! stays open and fills. Places are given in order of acceptance among those that are decoded, so one
//! picture that takes long to decode holds up nobody.

mod forming;
mod language;

use super::clock::Time;
use forming::FormingBatch;
pub use language::{Action, Event, Place, Refusal, RequestId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// What the batcher has to work with; every number is at least 1.
#[derive(Clone, Copy, Debug)]
pub struct BatcherConfig {
    /// Slots of one batch.
    pub max_batch_size: usize,
    /// How long the first request of a batch keeps its place waiting for others.
    pub max_queue_delay: Duration,
    /// Requests accepted and not yet given to a worker.
    pub queue_capacity: usize,
    /// Threads that decode and fill slots.
    pub decoders: usize,
    /// Threads that run batches.
    pub workers: usize,
    /// Buffers that batches are built in; more than `workers`, or nothing is built while all are busy.
    pub stagings: usize,
}

#[derive(Debug)]
struct Entry {
    slots: usize,
    deadline: Option<Time>,
    stage: Stage,
}

/// How far a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Waiting,
    Decoding,
    /// Decoded, in the hands of a decoder, without a place.
    Held {
        decoder: usize,
    },
    Placed {
        staging: usize,
    },
    Running,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decoder {
    Idle,
    Decoding(RequestId),
    Holding(RequestId),
    Filling { id: RequestId, staging: usize },
}

#[derive(Debug)]
struct Running {
    staging: usize,
    ids: Vec<RequestId>,
}

/// The state. See the module for the rules.
#[derive(Debug)]
pub struct Batcher {
    config: BatcherConfig,
    requests: BTreeMap<RequestId, Entry>,
    deadlines: BTreeSet<(Time, RequestId)>,
    /// Without a decoder.
    waiting: BTreeSet<RequestId>,
    /// Decoded and without a place.
    held: BTreeSet<RequestId>,
    decoders: Vec<Decoder>,
    /// Oldest first; all but the last are sealed.
    forming: VecDeque<FormingBatch>,
    free_stagings: BTreeSet<usize>,
    /// By worker.
    running: Vec<Option<Running>>,
    /// Requests at a worker whose answer is still wanted.
    running_requests: usize,
    is_closing: bool,
}

impl Batcher {
    /// Everything idle and empty.
    pub fn new(config: BatcherConfig) -> Self {
        Self {
            config,
            requests: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            waiting: BTreeSet::new(),
            held: BTreeSet::new(),
            decoders: vec![Decoder::Idle; config.decoders],
            forming: VecDeque::new(),
            free_stagings: (0..config.stagings).collect(),
            running: (0..config.workers).map(|_| None).collect(),
            running_requests: 0,
            is_closing: false,
        }
    }

    /// Requests accepted and not yet given to a worker.
    pub fn queued(&self) -> usize {
        self.requests.len() - self.running_requests
    }

    /// Why a request that came now would be refused.
    pub fn refusal(&self) -> Option<Refusal> {
        if self.is_closing {
            Some(Refusal::Closed)
        } else if self.queued() >= self.config.queue_capacity {
            Some(Refusal::QueueFull)
        } else {
            None
        }
    }

    /// Whether nothing is accepted any more, every request is answered, and nobody works for one.
    pub fn is_drained(&self) -> bool {
        self.is_closing
            && self.requests.is_empty()
            && self.decoders.iter().all(|decoder| *decoder == Decoder::Idle)
            && self.running.iter().all(Option::is_none)
    }

    /// When [`Event::Tick`] is due if nothing else happens before; always after the last event.
    pub fn next_wakeup(&self) -> Option<Time> {
        let deadline = self.deadlines.first().map(|&(deadline, _)| deadline);
        let due = self.unclaimed().map(|batch| batch.opened.after(self.config.max_queue_delay));
        deadline.into_iter().chain(due).min()
    }

    /// Takes in what happened at `now`, which is never before an earlier one, and says what is to be done.
    pub fn step(&mut self, now: Time, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        self.expire(now, &mut actions);
        match event {
            Event::Arrived { id, slots, deadline } => self.arrived(now, id, slots, deadline, &mut actions),
            Event::Decoded { decoder, succeeded } => self.decoded(decoder, succeeded, &mut actions),
            Event::Filled { decoder, succeeded } => self.filled(decoder, succeeded, &mut actions),
            Event::BatchDone { worker } => self.batch_done(worker, &mut actions),
            Event::Cancelled { id } => self.refuse(id, Refusal::Cancelled, &mut actions),
            Event::Tick => {}
            Event::Close => self.is_closing = true,
        }
        self.drop_empty_batches();
        self.give_places(now, &mut actions);
        self.run_batches(now, &mut actions);
        self.decode_waiting(&mut actions);
        actions
    }

    fn expire(&mut self, now: Time, actions: &mut Vec<Action>) {
        while let Some(&(deadline, id)) = self.deadlines.first()
            && deadline <= now
        {
            self.refuse(id, Refusal::DeadlineExceeded, actions);
        }
    }

    fn arrived(
        &mut self,
        now: Time,
        id: RequestId,
        slots: usize,
        deadline: Option<Time>,
        actions: &mut Vec<Action>,
    ) {
        debug_assert!((1..=self.config.max_batch_size).contains(&slots), "{slots} slots fit no batch");
        let late = deadline.filter(|deadline| *deadline <= now).map(|_| Refusal::DeadlineExceeded);
        if let Some(refusal) = self.refusal().or(late) {
            actions.push(Action::Refuse { id, refusal });
            return;
        }
        self.requests.insert(id, Entry { slots, deadline, stage: Stage::Waiting });
        self.deadlines.extend(deadline.map(|deadline| (deadline, id)));
        self.waiting.insert(id);
    }

    fn decoded(&mut self, decoder: usize, succeeded: bool, actions: &mut Vec<Action>) {
        let Decoder::Decoding(id) = self.decoders[decoder] else { return };
        self.decoders[decoder] = Decoder::Idle;
        match self.requests.get_mut(&id) {
            Some(entry) if succeeded => {
                entry.stage = Stage::Held { decoder };
                self.decoders[decoder] = Decoder::Holding(id);
                self.held.insert(id);
            }
            Some(_) => self.deliver(id, actions),
            None if succeeded => actions.push(Action::Discard { decoder }),
            None => {}
        }
    }

    fn filled(&mut self, decoder: usize, succeeded: bool, actions: &mut Vec<Action>) {
        let Decoder::Filling { id, staging } = self.decoders[decoder] else { return };
        self.decoders[decoder] = Decoder::Idle;
        if let Some(batch) = self.forming.iter_mut().find(|batch| batch.staging == staging) {
            batch.filled(id, succeeded);
        }
        if !succeeded {
            self.deliver(id, actions);
        }
    }

    fn batch_done(&mut self, worker: usize, actions: &mut Vec<Action>) {
        let Some(Running { staging, ids }) = self.running[worker].take() else { return };
        self.free_stagings.insert(staging);
        for id in ids {
            self.deliver(id, actions);
        }
    }

    fn deliver(&mut self, id: RequestId, actions: &mut Vec<Action>) {
        if self.remove(id, actions) {
            actions.push(Action::Deliver { id });
        }
    }

    fn refuse(&mut self, id: RequestId, refusal: Refusal, actions: &mut Vec<Action>) {
        if self.remove(id, actions) {
            actions.push(Action::Refuse { id, refusal });
        }
    }

    /// Takes a request out wherever it is and frees what it holds. False if it is not there.
    fn remove(&mut self, id: RequestId, actions: &mut Vec<Action>) -> bool {
        let Some(entry) = self.requests.remove(&id) else { return false };
        if let Some(deadline) = entry.deadline {
            self.deadlines.remove(&(deadline, id));
        }
        match entry.stage {
            Stage::Waiting => drop(self.waiting.remove(&id)),
            // Its decoder learns of it when it is done.
            Stage::Decoding => {}
            Stage::Held { decoder } => {
                self.held.remove(&id);
                self.decoders[decoder] = Decoder::Idle;
                actions.push(Action::Discard { decoder });
            }
            Stage::Placed { staging } => {
                if let Some(batch) = self.forming.iter_mut().find(|batch| batch.staging == staging) {
                    batch.leave(id);
                }
            }
            Stage::Running => self.running_requests -= 1,
        }
        true
    }

    fn drop_empty_batches(&mut self) {
        let is_empty = |batch: &&FormingBatch| batch.is_empty();
        self.free_stagings.extend(self.forming.iter().filter(is_empty).map(|batch| batch.staging));
        self.forming.retain(|batch| !batch.is_empty());
    }

    /// Gives places to those that are decoded, the earliest accepted first. Stops at the first that finds
    /// none, so that none is overtaken for ever.
    fn give_places(&mut self, now: Time, actions: &mut Vec<Action>) {
        while let Some(&id) = self.held.first() {
            let Some(entry) = self.requests.get_mut(&id) else { return };
            let Stage::Held { decoder } = entry.stage else { return };
            let slots = entry.slots;
            let open = self.forming.back_mut().filter(|batch| !batch.is_sealed);
            let mut place = open.and_then(|batch| batch.take(id, slots));
            if place.is_none()
                && let Some(staging) = self.free_stagings.pop_first()
            {
                let mut batch = FormingBatch::new(staging, self.config.max_batch_size, now);
                place = batch.take(id, slots);
                if let Some(last) = self.forming.back_mut() {
                    last.is_sealed = true;
                }
                self.forming.push_back(batch);
            }
            let (Some(place), Some(batch)) = (place, self.forming.back()) else { return };
            let staging = batch.staging;
            entry.stage = Stage::Placed { staging };
            self.held.remove(&id);
            self.decoders[decoder] = Decoder::Filling { id, staging };
            actions.push(Action::Fill { decoder, staging, place });
        }
    }

    /// The batch that takes others in, if a worker is idle that no batch before it will take.
    fn unclaimed(&self) -> Option<&FormingBatch> {
        let idle_workers = self.running.iter().filter(|running| running.is_none()).count();
        self.forming.back().filter(|batch| !batch.is_sealed && idle_workers >= self.forming.len())
    }

    /// Gives batches that are complete and written to idle workers, the oldest first.
    fn run_batches(&mut self, now: Time, actions: &mut Vec<Action>) {
        let delay = self.config.max_queue_delay;
        let is_due = self.unclaimed().is_some_and(|batch| now >= batch.opened.after(delay));
        let seals = is_due || (self.is_closing && self.nobody_comes());
        if let Some(last) = self.forming.back_mut() {
            last.is_sealed |= seals;
        }
        while let Some(worker) = self.running.iter().position(Option::is_none) {
            let is_complete = |batch: &FormingBatch| {
                batch.is_filled() && (batch.is_sealed || batch.is_full() || !self.held.is_empty())
            };
            let Some(batch) =
                self.forming.iter().position(is_complete).and_then(|at| self.forming.remove(at))
            else {
                return;
            };
            let staging = batch.staging;
            let places = batch.into_places();
            for place in &places {
                if let Some(entry) = self.requests.get_mut(&place.id) {
                    entry.stage = Stage::Running;
                }
            }
            self.running_requests += places.len();
            let ids = places.iter().map(|place| place.id).collect();
            self.running[worker] = Some(Running { staging, ids });
            actions.push(Action::Run { worker, staging, places });
        }
    }

    /// Whether no request is on its way to a place.
    fn nobody_comes(&self) -> bool {
        let on_its_way = |decoder: &Decoder| matches!(decoder, Decoder::Decoding(_) | Decoder::Holding(_));
        self.waiting.is_empty() && !self.decoders.iter().any(on_its_way)
    }

    fn decode_waiting(&mut self, actions: &mut Vec<Action>) {
        while let Some(decoder) = self.decoders.iter().position(|decoder| *decoder == Decoder::Idle)
            && let Some(id) = self.waiting.pop_first()
        {
            self.decoders[decoder] = Decoder::Decoding(id);
            if let Some(entry) = self.requests.get_mut(&id) {
                entry.stage = Stage::Decoding;
            }
            actions.push(Action::Decode { decoder, id });
        }
    }
}

//! The batcher: which request is prepared where, which batch runs when. A pure state machine: no thread,
//! no clock, no memory of pictures. The engine's threads feed it events and carry out its actions.
//!
//! A request waits for a decode thread and for room in the open batch, is prepared into its slots, and
//! runs when its batch does. A batch is sealed, so that nothing more joins, when it is full, or when a
//! worker is idle and the batch's oldest request has waited for `max_queue_delay`; it is dispatched as
//! soon as everything in it is prepared. While all workers are busy it stays open and fills.

use super::clock::Time;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// Names a request for as long as it is in the engine.
pub type RequestId = u64;

/// What the batcher has to work with.
#[derive(Clone, Copy, Debug)]
pub struct BatcherConfig {
    /// Slots of one batch.
    pub max_batch_size: usize,
    /// How long the oldest request of a batch waits for others.
    pub max_queue_delay: Duration,
    /// Threads that prepare requests.
    pub decode_threads: usize,
    /// Threads that run batches.
    pub workers: usize,
    /// Buffers that batches are built in.
    pub stagings: usize,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A request was accepted.
    Accepted {
        /// Its name, never used before.
        id: RequestId,
        /// Slots it takes, 1 to `max_batch_size`.
        slots: usize,
        /// When its answer stops being of use.
        deadline: Option<Time>,
    },
    /// A decode thread is done with a request.
    Prepared {
        /// Which.
        id: RequestId,
        /// Whether its slots are filled.
        succeeded: bool,
    },
    /// A worker is done with a batch; its results are at hand.
    BatchDone {
        /// Which worker.
        worker: usize,
        /// The buffer that the batch was in.
        staging: usize,
        /// The requests that ran.
        ids: Vec<RequestId>,
    },
    /// The caller does not want the answer any more.
    Cancelled {
        /// Of which request; it may be answered already.
        id: RequestId,
    },
    /// Time has passed.
    Tick,
    /// Nothing more will be accepted; what was is to run without delay.
    Close,
}

/// A request's place in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which request.
    pub id: RequestId,
    /// Its first slot.
    pub first_slot: usize,
    /// How many it has.
    pub slots: usize,
}

/// Why a request is answered without a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The caller cancelled.
    Cancelled,
    /// Its deadline passed.
    DeadlineExceeded,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A decode thread prepares the request into its slots.
    Prepare {
        /// The buffer.
        staging: usize,
        /// The request and its slots.
        place: Place,
    },
    /// A worker runs the batch.
    Dispatch {
        /// Which worker.
        worker: usize,
        /// The buffer.
        staging: usize,
        /// What is in it; slots of none of these hold nothing of use.
        places: Vec<Place>,
    },
    /// The result that came with the event is the request's answer.
    Deliver {
        /// Which request.
        id: RequestId,
    },
    /// The request is answered without a result.
    Refuse {
        /// Which request.
        id: RequestId,
        /// Why.
        refusal: Refusal,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Waiting,
    Preparing,
    Ready,
    Running,
}

#[derive(Debug)]
struct Entry {
    slots: usize,
    accepted: Time,
    deadline: Option<Time>,
    stage: Stage,
}

#[derive(Debug)]
struct OpenBatch {
    staging: usize,
    /// Slots given out; those of requests that are gone stay given out until the batch has run.
    used_slots: usize,
    /// When its first request was accepted.
    oldest: Time,
    sealed: bool,
    /// Those being prepared, whether their request is still in the engine or not.
    preparing: usize,
    places: Vec<Place>,
}

/// The state. See the module for the rules.
#[derive(Debug)]
pub struct Batcher {
    config: BatcherConfig,
    requests: BTreeMap<RequestId, Entry>,
    deadlines: BTreeSet<(Time, RequestId)>,
    waiting: VecDeque<RequestId>,
    /// Where each request that is being prepared will be; kept when the request itself is gone.
    preparing: BTreeMap<RequestId, usize>,
    /// Oldest first; only the last may be unsealed.
    batches: VecDeque<OpenBatch>,
    idle_decode_threads: usize,
    idle_workers: BTreeSet<usize>,
    free_stagings: BTreeSet<usize>,
    running: usize,
    closing: bool,
}

impl Batcher {
    /// Everything idle and empty.
    pub fn new(config: BatcherConfig) -> Self {
        Self {
            config,
            requests: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            waiting: VecDeque::new(),
            preparing: BTreeMap::new(),
            batches: VecDeque::new(),
            idle_decode_threads: config.decode_threads,
            idle_workers: (0..config.workers).collect(),
            free_stagings: (0..config.stagings).collect(),
            running: 0,
            closing: false,
        }
    }

    /// Requests accepted, not yet answered and not yet dispatched.
    pub fn queued(&self) -> usize {
        self.requests.len() - self.running
    }

    /// Whether no request is in the engine and no thread works for one.
    pub fn is_idle(&self) -> bool {
        self.requests.is_empty()
            && self.preparing.is_empty()
            && self.idle_workers.len() == self.config.workers
    }

    /// Takes in what happened at `now` and says what is to be done, in order.
    pub fn step(&mut self, now: Time, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Accepted { id, slots, deadline } => {
                self.requests.insert(id, Entry { slots, accepted: now, deadline, stage: Stage::Waiting });
                self.deadlines.extend(deadline.map(|deadline| (deadline, id)));
                self.waiting.push_back(id);
            }
            Event::Prepared { id, succeeded } => self.prepared(id, succeeded, &mut actions),
            Event::BatchDone { worker, staging, ids } => {
                self.idle_workers.insert(worker);
                self.free_stagings.insert(staging);
                for id in ids {
                    if self.remove(id).is_some() {
                        actions.push(Action::Deliver { id });
                    }
                }
            }
            Event::Cancelled { id } => self.refuse(id, Refusal::Cancelled, &mut actions),
            Event::Tick => {}
            Event::Close => self.closing = true,
        }
        while let Some(&(deadline, id)) = self.deadlines.first() {
            if deadline > now {
                break;
            }
            self.refuse(id, Refusal::DeadlineExceeded, &mut actions);
        }
        // A batch that goes makes room for a new one, which may be due already.
        while self.assign(&mut actions) | self.dispatch(now, &mut actions) {}
        actions
    }

    /// When [`Event::Tick`] is due if nothing else happens before.
    pub fn next_wakeup(&self) -> Option<Time> {
        let deadline = self.deadlines.first().map(|&(deadline, _)| deadline);
        let delay = match self.batches.front() {
            Some(batch) if !batch.sealed && !self.idle_workers.is_empty() => {
                Some(batch.oldest.after(self.config.max_queue_delay))
            }
            _ => None,
        };
        deadline.into_iter().chain(delay).min()
    }

    fn prepared(&mut self, id: RequestId, succeeded: bool, actions: &mut Vec<Action>) {
        self.idle_decode_threads += 1;
        let Some(staging) = self.preparing.remove(&id) else { return };
        if let Some(batch) = self.batches.iter_mut().find(|batch| batch.staging == staging) {
            batch.preparing -= 1;
        }
        match self.requests.get_mut(&id) {
            Some(entry) if succeeded => entry.stage = Stage::Ready,
            Some(_) => {
                self.remove(id);
                actions.push(Action::Deliver { id });
            }
            None => {}
        }
    }

    fn refuse(&mut self, id: RequestId, refusal: Refusal, actions: &mut Vec<Action>) {
        if self.remove(id).is_some() {
            actions.push(Action::Refuse { id, refusal });
        }
    }

    /// Takes a request out of the engine, whatever it was doing. Its slots stay as they are.
    fn remove(&mut self, id: RequestId) -> Option<Entry> {
        let entry = self.requests.remove(&id)?;
        if let Some(deadline) = entry.deadline {
            self.deadlines.remove(&(deadline, id));
        }
        match entry.stage {
            Stage::Waiting => self.waiting.retain(|&waiting| waiting != id),
            Stage::Preparing | Stage::Ready => {
                for batch in &mut self.batches {
                    batch.places.retain(|place| place.id != id);
                }
            }
            Stage::Running => self.running -= 1,
        }
        Some(entry)
    }

    /// Gives waiting requests to idle decode threads while there is room in a batch. Whether there were any.
    fn assign(&mut self, actions: &mut Vec<Action>) -> bool {
        let before = actions.len();
        while self.idle_decode_threads > 0 {
            let Some(&id) = self.waiting.front() else { break };
            let Some(entry) = self.requests.get_mut(&id) else { break };
            let (slots, accepted) = (entry.slots, entry.accepted);
            if let Some(last) = self.batches.back_mut() {
                last.sealed |= last.used_slots + slots > self.config.max_batch_size;
            }
            if self.batches.back().is_none_or(|last| last.sealed) {
                let Some(staging) = self.free_stagings.pop_first() else { break };
                self.batches.push_back(OpenBatch {
                    staging,
                    used_slots: 0,
                    oldest: accepted,
                    sealed: false,
                    preparing: 0,
                    places: Vec::new(),
                });
            }
            let Some(batch) = self.batches.back_mut() else { break };
            let place = Place { id, first_slot: batch.used_slots, slots };
            batch.used_slots += slots;
            batch.sealed = batch.used_slots == self.config.max_batch_size;
            batch.preparing += 1;
            batch.places.push(place);
            entry.stage = Stage::Preparing;
            self.preparing.insert(id, batch.staging);
            self.waiting.pop_front();
            self.idle_decode_threads -= 1;
            actions.push(Action::Prepare { staging: batch.staging, place });
        }
        actions.len() > before
    }

    /// Gives batches that are due and prepared to idle workers, oldest first. Whether one went.
    fn dispatch(&mut self, now: Time, actions: &mut Vec<Action>) -> bool {
        let before = self.batches.len();
        while let Some(batch) = self.batches.front_mut() {
            if batch.preparing == 0 && batch.places.is_empty() {
                // Everything in it failed or was cancelled.
                self.free_stagings.insert(batch.staging);
                self.batches.pop_front();
                continue;
            }
            let Some(&worker) = self.idle_workers.first() else { break };
            let is_due = now >= batch.oldest.after(self.config.max_queue_delay)
                || (self.closing && self.waiting.is_empty());
            batch.sealed |= is_due;
            if !batch.sealed || batch.preparing > 0 {
                break;
            }
            let Some(batch) = self.batches.pop_front() else { break };
            self.idle_workers.remove(&worker);
            self.running += batch.places.len();
            for place in &batch.places {
                if let Some(entry) = self.requests.get_mut(&place.id) {
                    entry.stage = Stage::Running;
                }
            }
            actions.push(Action::Dispatch { worker, staging: batch.staging, places: batch.places });
        }
        self.batches.len() < before
    }
}

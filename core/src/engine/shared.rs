//! What the engine's threads share: the batcher under one lock, the requests it names, and the way from
//! its actions to threads and callers.

use super::batcher::{Action, Batcher, BatcherConfig, Event, Place, Refusal, RequestId};
use super::clock::{Clock, Time};
use super::completion::Completion;
use super::request::{RequestOptions, Response};
use crate::error::{Error, ErrorKind, Result};
use crate::image::ImageSource;
use crate::tensor::Tensor;
use crossbeam::channel::Sender;
use parking_lot::{Condvar, Mutex};
use std::collections::HashMap;
use std::sync::Arc;

/// What a request brings.
pub(super) enum Payload {
    /// A picture to decode and preprocess.
    Image(ImageSource),
    /// Input tensors in the graph's order.
    Tensors(Vec<Tensor>),
}

/// Moments in the life of a request.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stamps {
    pub(super) accepted: Time,
    pub(super) started: Time,
    pub(super) decoded: Time,
    pub(super) prepared: Time,
}

/// A request for a decode thread.
pub(super) struct PrepareJob {
    pub(super) staging: usize,
    pub(super) place: Place,
    pub(super) payload: Payload,
}

/// A batch for a worker.
pub(super) struct BatchJob {
    pub(super) staging: usize,
    pub(super) members: Vec<Member>,
}

/// A request in a batch.
pub(super) struct Member {
    pub(super) place: Place,
    pub(super) options: RequestOptions,
    pub(super) stamps: Stamps,
}

/// A request in the engine.
struct Record {
    payload: Option<Payload>,
    options: RequestOptions,
    stamps: Stamps,
    completion: Arc<Completion>,
}

/// An answer on its way to its caller.
type Answer = (Arc<Completion>, Result<Response>);

struct State {
    batcher: Batcher,
    records: HashMap<RequestId, Record>,
    next_id: RequestId,
    closing: bool,
    /// Answers that callers' threads brought about; the batcher's thread gives them.
    deferred: Vec<Answer>,
    /// Whether the batcher's thread is giving answers just now.
    is_answering: bool,
    /// Until when the batcher's thread sleeps; `None` for ever.
    asleep_until: Option<Time>,
    /// Gone when the engine has closed, which ends the threads that receive.
    prepare: Option<Sender<PrepareJob>>,
    workers: Vec<Sender<BatchJob>>,
}

/// Shared by all threads of one engine.
pub(crate) struct Shared {
    state: Mutex<State>,
    /// Tells the batcher's thread that there is something to do sooner than it thought.
    wake: Condvar,
    /// Tells those who close the engine that it may be idle.
    idle: Condvar,
    clock: Arc<dyn Clock>,
    queue_capacity: usize,
    process: u32,
}

/// On whose thread the batcher is stepped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Thread {
    /// A caller's: callbacks of others must not run here.
    Caller,
    /// One of the engine's.
    Engine,
}

impl Shared {
    pub(super) fn new(
        config: BatcherConfig,
        queue_capacity: usize,
        clock: Arc<dyn Clock>,
        prepare: Sender<PrepareJob>,
        workers: Vec<Sender<BatchJob>>,
    ) -> Self {
        let state = State {
            batcher: Batcher::new(config),
            records: HashMap::new(),
            next_id: 0,
            closing: false,
            deferred: Vec::new(),
            is_answering: false,
            asleep_until: None,
            prepare: Some(prepare),
            workers,
        };
        Self {
            state: Mutex::new(state),
            wake: Condvar::new(),
            idle: Condvar::new(),
            clock,
            queue_capacity,
            process: std::process::id(),
        }
    }

    pub(super) fn now(&self) -> Time {
        self.clock.now()
    }

    /// Accepts a request or refuses it at once.
    pub(super) fn accept(
        &self,
        payload: Payload,
        slots: usize,
        options: RequestOptions,
    ) -> Result<(RequestId, Arc<Completion>)> {
        if std::process::id() != self.process {
            let message = "the engine belongs to the parent process; create a new one after fork";
            return Err(Error::new(ErrorKind::EngineClosed, message));
        }
        let completion = Arc::new(Completion::new());
        let mut state = self.state.lock();
        if state.closing {
            return Err(Error::new(ErrorKind::EngineClosed, "the engine is closed"));
        }
        if state.batcher.queued() >= self.queue_capacity {
            let message =
                format!("{} requests are queued, as many as queue_capacity allows", self.queue_capacity);
            return Err(Error::new(ErrorKind::QueueFull, message));
        }
        let id = state.next_id;
        state.next_id += 1;
        let now = self.now();
        let stamps = Stamps { accepted: now, ..Stamps::default() };
        let record = Record { payload: Some(payload), options, stamps, completion: Arc::clone(&completion) };
        state.records.insert(id, record);
        let deadline = options.deadline.map(|deadline| now.after(deadline));
        let answers = self.step(&mut state, now, Event::Accepted { id, slots, deadline }, HashMap::new());
        self.answer(state, answers, Thread::Caller);
        Ok((id, completion))
    }

    pub(super) fn cancel(&self, id: RequestId) {
        self.feed(Event::Cancelled { id }, HashMap::new(), Thread::Caller);
    }

    /// A decode thread is done: with the moments it noted, or with the error that is the answer.
    pub(super) fn prepared(&self, id: RequestId, outcome: Result<Stamps>) {
        let mut answers = HashMap::new();
        let succeeded = outcome.is_ok();
        let mut state = self.state.lock();
        match outcome {
            Ok(stamps) => {
                if let Some(record) = state.records.get_mut(&id) {
                    record.stamps = Stamps { accepted: record.stamps.accepted, ..stamps };
                }
            }
            Err(error) => {
                answers.insert(id, Err(error));
            }
        }
        let answers = self.step(&mut state, self.now(), Event::Prepared { id, succeeded }, answers);
        self.answer(state, answers, Thread::Engine);
    }

    /// A worker is done with a batch.
    pub(super) fn batch_done(
        &self,
        worker: usize,
        staging: usize,
        answers: Vec<(RequestId, Result<Response>)>,
    ) {
        let ids = answers.iter().map(|(id, _)| *id).collect();
        self.feed(Event::BatchDone { worker, staging, ids }, answers.into_iter().collect(), Thread::Engine);
    }

    fn feed(&self, event: Event, answers: HashMap<RequestId, Result<Response>>, thread: Thread) {
        let mut state = self.state.lock();
        let answers = self.step(&mut state, self.now(), event, answers);
        self.answer(state, answers, thread);
    }

    /// Steps the batcher and carries out what it says, but for the answers, which are returned.
    fn step(
        &self,
        state: &mut State,
        now: Time,
        event: Event,
        mut at_hand: HashMap<RequestId, Result<Response>>,
    ) -> Vec<Answer> {
        let mut answers = Vec::new();
        for action in state.batcher.step(now, event) {
            match action {
                Action::Prepare { staging, place } => {
                    let payload = state.records.get_mut(&place.id).and_then(|record| record.payload.take());
                    if let (Some(payload), Some(prepare)) = (payload, &state.prepare) {
                        // The receiving threads live until the sender is gone.
                        let _ = prepare.send(PrepareJob { staging, place, payload });
                    }
                }
                Action::Dispatch { worker, staging, places } => {
                    let member = |place: Place| {
                        let record = state.records.get(&place.id)?;
                        Some(Member { place, options: record.options, stamps: record.stamps })
                    };
                    let members = places.into_iter().filter_map(member).collect();
                    if let Some(sender) = state.workers.get(worker) {
                        let _ = sender.send(BatchJob { staging, members });
                    }
                }
                Action::Deliver { id } => {
                    if let Some(record) = state.records.remove(&id) {
                        let lost =
                            || Err(Error::new(ErrorKind::Internal, "the result of a request was lost"));
                        answers.push((record.completion, at_hand.remove(&id).unwrap_or_else(lost)));
                    }
                }
                Action::Refuse { id, refusal } => {
                    if let Some(record) = state.records.remove(&id) {
                        answers.push((record.completion, Err(refused(refusal, record.options))));
                    }
                }
            }
        }
        let sooner = match (state.batcher.next_wakeup(), state.asleep_until) {
            (Some(wakeup), Some(asleep_until)) => wakeup < asleep_until,
            (Some(_), None) => true,
            (None, _) => false,
        };
        if sooner {
            self.wake.notify_one();
        }
        answers
    }

    /// Gives the answers, outside the lock and on a thread of the engine.
    fn answer(&self, mut state: parking_lot::MutexGuard<'_, State>, answers: Vec<Answer>, thread: Thread) {
        if thread == Thread::Caller && !answers.is_empty() {
            state.deferred.extend(answers);
            self.wake.notify_one();
            return;
        }
        let is_idle = state.batcher.is_idle();
        drop(state);
        for (completion, answer) in answers {
            completion.complete(answer);
        }
        if is_idle {
            self.idle.notify_all();
        }
    }

    /// What the batcher's thread does until the engine has closed: it lets time pass, and gives the
    /// answers that callers brought about.
    pub(super) fn run_timer(&self) {
        let mut state = self.state.lock();
        loop {
            let deferred = std::mem::take(&mut state.deferred);
            if !deferred.is_empty() {
                state.is_answering = true;
                parking_lot::MutexGuard::unlocked(&mut state, || {
                    for (completion, answer) in deferred {
                        completion.complete(answer);
                    }
                });
                state.is_answering = false;
                self.idle.notify_all();
                continue;
            }
            if state.prepare.is_none() {
                return;
            }
            let wakeup = state.batcher.next_wakeup();
            let now = self.now();
            match wakeup {
                Some(wakeup) if wakeup <= now => {
                    let answers = self.step(&mut state, now, Event::Tick, HashMap::new());
                    state.deferred.extend(answers);
                }
                Some(wakeup) => {
                    state.asleep_until = Some(wakeup);
                    self.wake.wait_for(&mut state, wakeup.since(now));
                }
                None => {
                    state.asleep_until = None;
                    self.wake.wait(&mut state);
                }
            }
        }
    }

    /// Accepts nothing more from now on; what was accepted runs without delay.
    pub(super) fn start_closing(&self) {
        self.state.lock().closing = true;
        self.feed(Event::Close, HashMap::new(), Thread::Caller);
    }

    /// Waits until everything is answered, then lets the threads end.
    pub(super) fn finish_closing(&self) {
        let mut state = self.state.lock();
        while !(state.batcher.is_idle() && state.deferred.is_empty() && !state.is_answering) {
            self.idle.wait(&mut state);
        }
        state.prepare = None;
        state.workers.clear();
        self.wake.notify_all();
    }
}

fn refused(refusal: Refusal, options: RequestOptions) -> Error {
    match refusal {
        Refusal::Cancelled => Error::new(ErrorKind::Cancelled, "the request was cancelled"),
        Refusal::DeadlineExceeded => {
            let allowed = options.deadline.unwrap_or_default();
            Error::new(
                ErrorKind::DeadlineExceeded,
                format!("no answer within the {allowed:?} that were allowed"),
            )
        }
    }
}

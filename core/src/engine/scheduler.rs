//! The batcher under one lock, with the values it speaks of by name: takes events from all threads, and
//! carries its actions to decoders, workers and callers.

use super::batcher::{Action, Batcher, BatcherConfig, Event, Refusal, RequestId};
use super::clock::{Bell, Clock, Time};
use super::completion::{Answer, Completer, Delivery};
use super::hand_over::{Answers, Batch, DecoderCommand, Input, Request, StagedRequest};
use super::request::{RequestOptions, Response};
use crate::error::{Error, ErrorKind, Result};
use crossbeam::channel::Sender;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// Shared by all threads of one engine and by those who call it.
pub(crate) struct Scheduler {
    state: Mutex<State>,
    clock: Arc<dyn Clock>,
    /// Wakes the thread that lets time pass.
    bell: Arc<Bell>,
    queue_capacity: usize,
    process: u32,
}

struct State {
    batcher: Batcher,
    next_id: RequestId,
    /// Accepted, without a decoder.
    waiting: HashMap<RequestId, Request>,
    /// In their slots, without a worker.
    staged: HashMap<RequestId, StagedRequest>,
    /// Accepted, without an answer.
    open: HashMap<RequestId, OpenRequest>,
    /// Until when the thread that lets time pass sleeps; `None` is for ever.
    asleep_until: Option<Time>,
    /// Gone once the engine has closed, which ends the threads that receive.
    channels: Option<Channels>,
}

struct OpenRequest {
    completer: Completer,
    options: RequestOptions,
}

/// The ways to the engine's threads. No send ever blocks: the batcher gives a thread nothing before it is
/// done with what it has.
pub(super) struct Channels {
    pub(super) decoders: Vec<Sender<DecoderCommand>>,
    pub(super) workers: Vec<Sender<Batch>>,
    pub(super) callbacks: Sender<Delivery>,
}

/// What remains to be done without the lock: answers to give, and requests whose memory may be the
/// caller's own to free.
#[derive(Default)]
struct Aftermath {
    answers: Vec<(Completer, Result<Response>)>,
    dropped: Vec<Request>,
}

impl Aftermath {
    fn settle(self) {
        for (completer, answer) in self.answers {
            completer.complete(answer);
        }
        drop(self.dropped);
    }
}

impl Scheduler {
    pub(super) fn new(config: BatcherConfig, clock: Arc<dyn Clock>, channels: Channels) -> Self {
        let state = State {
            batcher: Batcher::new(config),
            next_id: 0,
            waiting: HashMap::new(),
            staged: HashMap::new(),
            open: HashMap::new(),
            asleep_until: None,
            channels: Some(channels),
        };
        Self {
            state: Mutex::new(state),
            clock,
            bell: Arc::default(),
            queue_capacity: config.queue_capacity,
            process: std::process::id(),
        }
    }

    pub(super) fn now(&self) -> Time {
        self.clock.now()
    }

    /// The process that the engine's threads live in.
    pub(super) fn process(&self) -> u32 {
        self.process
    }

    /// Why a request that came now would be refused whatever it brings, to spare the look at it.
    pub(super) fn check_open(&self) -> Result<()> {
        if let Some(error) = forked(self.process) {
            return Err(error);
        }
        self.refusal(&self.state.lock()).map_or(Ok(()), Err)
    }

    fn refusal(&self, state: &State) -> Option<Error> {
        let waiting = state.channels.as_ref().map_or(0, |channels| channels.callbacks.len());
        match state.batcher.refusal() {
            None if waiting < self.queue_capacity => None,
            None => {
                let message = format!("{waiting} answers wait for callbacks to return, no more are taken on");
                Some(Error::new(ErrorKind::QueueFull, message))
            }
            Some(refusal) => Some(self.refused(refusal, &RequestOptions::default())),
        }
    }

    /// Accepts a request or refuses it at once.
    pub(super) fn accept(
        &self,
        input: Input,
        slots: usize,
        options: RequestOptions,
    ) -> Result<(RequestId, Arc<Answer>)> {
        let answer = Arc::<Answer>::default();
        let mut aftermath = Aftermath::default();
        let accepted = {
            let mut state = self.state.lock();
            match self.refusal(&state) {
                Some(error) => Err(error),
                None => Ok(self.admit(&mut state, input, slots, options, &answer, &mut aftermath)),
            }
        };
        aftermath.settle();
        accepted.map(|id| (id, answer))
    }

    fn admit(
        &self,
        state: &mut State,
        input: Input,
        slots: usize,
        options: RequestOptions,
        answer: &Arc<Answer>,
        aftermath: &mut Aftermath,
    ) -> RequestId {
        let id = state.next_id;
        state.next_id += 1;
        let now = self.now();
        let deadline = options.deadline.map(|deadline| now.after(deadline));
        if let Some(channels) = &state.channels {
            let completer = Completer::new(Arc::clone(answer), channels.callbacks.clone());
            state.open.insert(id, OpenRequest { completer, options });
            state.waiting.insert(id, Request { id, input, options, accepted: now });
        }
        self.step(state, now, Event::Arrived { id, slots, deadline }, Vec::new(), aftermath);
        id
    }

    pub(super) fn cancel(&self, id: RequestId) {
        self.feed(Event::Cancelled { id }, Vec::new());
    }

    /// A decoder is done with decoding; a failure is the request's answer.
    pub(super) fn decoded(&self, decoder: usize, id: RequestId, outcome: Result<()>) {
        let succeeded = outcome.is_ok();
        self.feed(Event::Decoded { decoder, succeeded }, failure(id, outcome.err()));
    }

    /// A decoder is done with filling slots; a failure is the request's answer.
    pub(super) fn filled(&self, decoder: usize, id: RequestId, outcome: Result<StagedRequest>) {
        let mut aftermath = Aftermath::default();
        {
            let state = &mut *self.state.lock();
            let succeeded = outcome.is_ok();
            let error = match outcome {
                Ok(staged) => {
                    if state.open.contains_key(&id) {
                        state.staged.insert(id, staged);
                    }
                    None
                }
                Err(error) => Some(error),
            };
            let event = Event::Filled { decoder, succeeded };
            self.step(state, self.now(), event, failure(id, error), &mut aftermath);
        }
        aftermath.settle();
    }

    pub(super) fn batch_done(&self, worker: usize, answers: Answers) {
        self.feed(Event::BatchDone { worker }, answers);
    }

    /// Accepts nothing more from now on; what was accepted runs without delay, then the threads end.
    pub(super) fn close(&self) {
        self.feed(Event::Close, Vec::new());
    }

    /// Lets time pass until the engine has closed: the life of one thread.
    pub(super) fn run_timer(&self) {
        loop {
            let mut aftermath = Aftermath::default();
            let until = {
                let state = &mut *self.state.lock();
                self.step(state, self.now(), Event::Tick, Vec::new(), &mut aftermath);
                if state.channels.is_none() {
                    return;
                }
                state.asleep_until = state.batcher.next_wakeup();
                state.asleep_until
            };
            aftermath.settle();
            self.clock.sleep(&self.bell, until);
        }
    }

    fn feed(&self, event: Event, answers: Answers) {
        let mut aftermath = Aftermath::default();
        self.step(&mut self.state.lock(), self.now(), event, answers, &mut aftermath);
        aftermath.settle();
    }

    /// Steps the batcher and carries out what it says, but for the aftermath.
    fn step(&self, state: &mut State, now: Time, event: Event, answers: Answers, aftermath: &mut Aftermath) {
        let mut answers: HashMap<RequestId, Result<Response>> = answers.into_iter().collect();
        for action in state.batcher.step(now, event) {
            match action {
                Action::Decode { decoder, id } => {
                    if let Some(request) = state.waiting.remove(&id) {
                        state.tell_decoder(decoder, DecoderCommand::Decode(request));
                    }
                }
                Action::Fill { decoder, staging, place } => {
                    state.tell_decoder(decoder, DecoderCommand::Fill { staging, place });
                }
                Action::Discard { decoder } => state.tell_decoder(decoder, DecoderCommand::Discard),
                Action::Run { worker, staging, places } => {
                    let staged = &mut state.staged;
                    let members =
                        places.into_iter().filter_map(|p| Some((staged.remove(&p.id)?, p))).collect();
                    if let Some(channels) = &state.channels {
                        let _ = channels.workers[worker].send(Batch { staging, members });
                    }
                }
                Action::Deliver { id } => {
                    let lost = || Err(Error::new(ErrorKind::Internal, "the answer of a request was lost"));
                    let answer = answers.remove(&id).unwrap_or_else(lost);
                    aftermath.answers.extend(state.open.remove(&id).map(|open| (open.completer, answer)));
                }
                Action::Refuse { id, refusal } => {
                    aftermath.dropped.extend(state.waiting.remove(&id));
                    state.staged.remove(&id);
                    if let Some(OpenRequest { completer, options }) = state.open.remove(&id) {
                        aftermath.answers.push((completer, Err(self.refused(refusal, &options))));
                    }
                }
            }
        }
        if state.batcher.is_drained() && state.channels.take().is_some() {
            self.bell.ring();
        }
        let wakeup = state.batcher.next_wakeup();
        if wakeup.is_some_and(|wakeup| state.asleep_until.is_none_or(|until| wakeup < until)) {
            state.asleep_until = wakeup;
            self.bell.ring();
        }
    }

    fn refused(&self, refusal: Refusal, options: &RequestOptions) -> Error {
        match refusal {
            Refusal::QueueFull => {
                let message =
                    format!("{} requests wait, as many as queue_capacity allows", self.queue_capacity);
                Error::new(ErrorKind::QueueFull, message)
            }
            Refusal::Closed => Error::new(ErrorKind::EngineClosed, "the engine is closed"),
            Refusal::Cancelled => Error::new(ErrorKind::Cancelled, "the caller cancelled the request"),
            Refusal::DeadlineExceeded => {
                let allowed = options.deadline.unwrap_or_default();
                let message = format!("no answer within the {allowed:?} that the request allows");
                Error::new(ErrorKind::DeadlineExceeded, message)
            }
        }
    }
}

impl State {
    fn tell_decoder(&self, decoder: usize, command: DecoderCommand) {
        if let Some(channels) = &self.channels {
            let _ = channels.decoders[decoder].send(command);
        }
    }
}

fn failure(id: RequestId, error: Option<Error>) -> Answers {
    error.map(|error| (id, Err(error))).into_iter().collect()
}

/// An error if this is not the process that made the engine: threads do not follow into a forked child.
pub(super) fn forked(process: u32) -> Option<Error> {
    let here = std::process::id();
    (here != process).then(|| {
        let message = format!(
            "the engine belongs to process {process} and its threads are not in this one, {here}; make a new \
             engine after fork"
        );
        Error::new(ErrorKind::EngineClosed, message)
    })
}

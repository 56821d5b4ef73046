//! The machine under one lock, with the values it speaks of by name: takes events from all threads, and
//! carries its actions to decoders, workers and callers.

use super::cache::{Cache, CacheCounters, Key};
use super::clock::{Bell, Clock, Time};
use super::completion::{Answer, Completer, Delivery, UsedAnswers};
use super::hand_over::{
    Batch, Decoded, DecodedRequest, DecoderCommand, Fill, Input, Request, StagedRequest, Stamps,
    WorkerCommand,
};
use super::machine::{Action, Cost, Event, Machine, Place, RequestId, RunId, RunOutcome, Unready};
use super::metrics::{Histograms, Metrics};
use super::pool::Pool;
use super::readiness::Readiness;
use super::refusal::error_of;
use super::request::{RequestOptions, Response, Timing};
use super::spans::RequestSpan;
use super::trace::Recorder;
use crate::error::{Error, ErrorKind, Result};
use crossbeam::channel::Sender;
use parking_lot::{Condvar, Mutex};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// For as many threads as settle at one time.
const AFTERMATHS: usize = 64;

/// Of answers and the like that were settled at one time: memory for more is given back.
const KEPT: usize = 1024;

/// Shared by all threads of one engine and by those who call it.
pub(crate) struct Scheduler {
    state: Mutex<State>,
    /// Rung once everybody is answered after closing.
    drained: Condvar,
    clock: Arc<dyn Clock>,
    /// Wakes the thread that lets time pass.
    bell: Arc<Bell>,
    used_answers: UsedAnswers,
    aftermaths: Pool<Aftermath>,
    process: u32,
}

struct State {
    machine: Machine,
    /// What it said last.
    actions: Vec<Action>,
    /// Batches that have run, for their memory.
    spare_batches: Vec<Batch>,
    next_id: RequestId,
    /// Accepted, without a decoder.
    waiting: HashMap<RequestId, Request>,
    /// By decoder: what waits for a place.
    held: Vec<Option<DecodedRequest>>,
    /// Decoders that were given what needs no decoding.
    undecoded: Vec<usize>,
    /// In their slots, until they are answered.
    staged: HashMap<RequestId, StagedRequest>,
    /// Made by a thread, and not yet given.
    answers: HashMap<RequestId, Result<Response>>,
    /// Accepted, without an answer.
    open: HashMap<RequestId, OpenRequest>,
    /// Answers that a worker has no time to give, as it has another batch to run; who waits is woken by the thread
    /// that lets time pass.
    left: Vec<(OpenRequest, Result<Response>)>,
    /// Workers to be made anew.
    lost_workers: Vec<usize>,
    /// Until when the thread that lets time pass sleeps; `None` is for ever.
    asleep_until: Option<Time>,
    histograms: Histograms,
    cache: Option<Cache>,
    /// Of a run, a test, or the making of a worker.
    last_failure: Option<String>,
    recorder: Option<Recorder>,
    /// Gone once the engine has closed, which ends the threads that receive.
    channels: Option<Channels>,
}

struct OpenRequest {
    id: RequestId,
    completer: Completer,
    options: RequestOptions,
    span: RequestSpan,
    /// What its answer is kept by.
    key: Option<Key>,
    /// The run that it is or was in, for its span.
    run: Option<RunId>,
}

/// A request at the door.
struct Arrival {
    input: Input,
    cost: Cost,
    options: RequestOptions,
    key: Option<Key>,
    span: RequestSpan,
}

/// The ways to the engine's threads. No send ever blocks: the machine gives a thread nothing before it is
/// done with what it has.
pub(super) struct Channels {
    pub(super) decoders: Vec<Sender<DecoderCommand>>,
    pub(super) workers: Vec<Sender<WorkerCommand>>,
    pub(super) callbacks: Sender<Delivery>,
}

/// An accepted request.
pub(super) struct Accepted {
    pub(super) id: RequestId,
    pub(super) answer: Arc<Answer>,
    /// It has a place already, and the caller is the one to write it there.
    pub(super) fill: Option<Fill>,
}

/// What remains to be done without the lock: answers to give, and values whose memory may be the caller's own
/// to free.
#[derive(Default)]
struct Aftermath {
    /// The request that this thread writes into its slots itself, rather than wake another.
    own: Option<RequestId>,
    fill: Option<Fill>,
    /// A batch was given to a worker.
    is_running: bool,
    answers: Vec<(OpenRequest, Result<Response>)>,
    requests: Vec<Request>,
    discarded: Vec<DecodedRequest>,
    unwanted: Vec<Result<Response>>,
}

impl Aftermath {
    /// Nothing is left of it but what this thread is to write.
    fn settle(&mut self) -> Option<Fill> {
        for (OpenRequest { id, completer, span, run, .. }, answer) in self.answers.drain(..) {
            span.end(Some(id), run, answer.as_ref());
            completer.complete(answer);
        }
        self.requests.clear();
        self.discarded.clear();
        self.unwanted.clear();
        self.answers.shrink_to(KEPT);
        self.requests.shrink_to(KEPT);
        (self.own, self.is_running) = (None, false);
        self.fill.take()
    }
}

impl Scheduler {
    pub(super) fn new(
        machine: Machine,
        recorder: Option<Recorder>,
        cache: Option<Cache>,
        clock: Arc<dyn Clock>,
        channels: Channels,
    ) -> Self {
        let most = machine.policy().queue_capacity.saturating_add(machine.shape().max_batch_size);
        let state = State {
            machine,
            actions: Vec::new(),
            spare_batches: Vec::new(),
            next_id: 0,
            waiting: HashMap::new(),
            held: channels.decoders.iter().map(|_| None).collect(),
            undecoded: Vec::new(),
            staged: HashMap::new(),
            answers: HashMap::new(),
            open: HashMap::new(),
            left: Vec::new(),
            lost_workers: Vec::new(),
            asleep_until: None,
            histograms: Histograms::default(),
            cache,
            last_failure: None,
            recorder,
            channels: Some(channels),
        };
        Self {
            state: Mutex::new(state),
            drained: Condvar::new(),
            clock,
            bell: Arc::default(),
            used_answers: UsedAnswers::new(most),
            aftermaths: Pool::new(AFTERMATHS),
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

    /// Everything counted and measured; what the machine does not know is for the caller to fill in.
    pub(super) fn metrics(&self) -> Metrics {
        let state = self.state.lock();
        let machine = &state.machine;
        let cached = state.cache.as_ref().map(Cache::counters);
        Metrics {
            counters: *machine.counters(),
            queued: machine.queued(),
            waiting: machine.waiting(),
            in_flight: machine.in_flight(),
            encoded_bytes: machine.encoded_bytes(),
            decode_bytes: machine.decode_bytes(),
            histograms: state.histograms.clone(),
            cache: CacheCounters { joined: machine.counters().joined, ..cached.unwrap_or_default() },
            ..Metrics::default()
        }
    }

    /// Whether requests are accepted and every worker can run them.
    pub(super) fn readiness(&self, is_proven: bool) -> Readiness {
        let state = self.state.lock();
        Readiness::of(state.machine.unready(), is_proven, state.last_failure.as_deref())
    }

    /// A run, or a test, has failed for this reason; how it ended is told apart from that.
    pub(super) fn failed(&self, error: &Error) {
        self.state.lock().last_failure = Some(error.message().to_owned());
    }

    /// Why a request that came now would be refused whatever it brings, to spare the look at it.
    pub(super) fn check_open(&self) -> Result<()> {
        if let Some(error) = forked(self.process) {
            return Err(error);
        }
        match self.state.lock().channels {
            Some(_) => Ok(()),
            None => Err(closed()),
        }
    }

    /// The same for tensors. Wakes the worker that will run them if one sleeps: to check and to copy them takes about as
    /// long as waking.
    pub(super) fn expect_tensors(&self) -> Result<()> {
        if let Some(error) = forked(self.process) {
            return Err(error);
        }
        let state = self.state.lock();
        let channels = state.channels.as_ref().ok_or_else(closed)?;
        if let Some(worker) = state.machine.idle_worker()
            && channels.workers[worker].is_empty()
        {
            let _ = channels.workers[worker].send(WorkerCommand::LookOut);
        }
        Ok(())
    }

    /// Accepts a request or refuses it at once.
    pub(super) fn accept(
        &self,
        input: Input,
        cost: Cost,
        options: RequestOptions,
        key: Option<Key>,
    ) -> Result<Accepted> {
        let answer = self.used_answers.take();
        let mut aftermath = self.aftermaths.take();
        let arrival = Arrival { input, cost, options, key, span: RequestSpan::new(cost, &options) };
        let admitted = self.admit(&mut self.state.lock(), arrival, &answer, &mut aftermath);
        let fill = self.settle(aftermath);
        match admitted {
            Ok(id) => Ok(Accepted { id, answer, fill }),
            Err((span, error)) => {
                span.end(None, None, Err(&error));
                Err(error)
            }
        }
    }

    fn admit(
        &self,
        state: &mut State,
        arrival: Arrival,
        answer: &Arc<Answer>,
        aftermath: &mut Aftermath,
    ) -> std::result::Result<RequestId, (RequestSpan, Error)> {
        let Arrival { input, cost, options, key, span } = arrival;
        let Some(channels) = &state.channels else {
            return Err((span, closed()));
        };
        let unread = channels.callbacks.len();
        if unread >= state.machine.policy().queue_capacity {
            let message = format!("{unread} answers wait for callbacks to return, no more are taken on");
            let error = Error::new(ErrorKind::QueueFull, message).with_retry_after(Duration::from_millis(1));
            return Err((span, error));
        }
        let completer = Completer::new(Arc::clone(answer), channels.callbacks.clone());
        let id = state.next_id;
        state.next_id += 1;
        aftermath.own = Some(id);
        let now = self.now();
        let key = key.filter(|_| state.machine.unready() != Some(Unready::Closed));
        let cache = state.cache.as_mut();
        let mut twin = None;
        if let (Some(cache), Some(key)) = (cache, key) {
            if let Some(kept) = cache.get(&key) {
                let open = OpenRequest { id, completer, options, span, key: None, run: None };
                let response = Response { trace_context: options.trace_context, ..kept };
                aftermath.answers.push((open, Ok(response)));
                return Ok(id);
            }
            twin = Some(cache.enter(key));
        }
        state.waiting.insert(id, Request { id, input, options, accepted: now });
        let RequestOptions { deadline, priority, tenant, .. } = options;
        let deadline = deadline.map(|deadline| now.after(deadline));
        let weight = tenant.weight;
        let event = Event::Arrived { id, tenant: tenant.id, weight, priority, cost, deadline, twin };
        state.open.insert(id, OpenRequest { id, completer, options, span, key, run: None });
        let before = aftermath.answers.len();
        self.step(state, now, event, aftermath);
        // Refused at the door: the caller learns of it here and not by the answer.
        match aftermath.answers[before..].iter().position(|(open, _)| open.id == id) {
            Some(at) => match aftermath.answers.remove(before + at) {
                (open, Err(error)) => Err((open.span, error)),
                (_, Ok(_)) => unreachable!("nothing is answered before it is decoded"),
            },
            None => Ok(id),
        }
    }

    pub(super) fn cancel(&self, id: RequestId) {
        self.feed(Event::Cancelled { id });
    }

    /// A decoder is done with decoding; a failure is the request's answer. If it has a place at once, this thread
    /// is to write it there.
    pub(super) fn decoded(
        &self,
        decoder: usize,
        id: RequestId,
        outcome: Result<DecodedRequest>,
    ) -> Option<Fill> {
        let mut aftermath = Aftermath { own: Some(id), ..self.aftermaths.take() };
        {
            let state = &mut *self.state.lock();
            let succeeded = outcome.is_ok();
            match outcome {
                Ok(request) => state.held[decoder] = Some(request),
                Err(error) => state.keep(id, Err(error), &mut aftermath),
            }
            self.step(state, self.now(), Event::Decoded { decoder, succeeded }, &mut aftermath);
        }
        self.settle(aftermath)
    }

    /// A decoder is done with filling slots; a failure is the request's answer. If it runs now and no other request
    /// is there, says when its answer is expected.
    pub(super) fn filled(
        &self,
        decoder: usize,
        id: RequestId,
        outcome: Result<StagedRequest>,
    ) -> Option<Time> {
        let succeeded = outcome.is_ok();
        let mut aftermath = self.aftermaths.take();
        let expected = {
            let state = &mut *self.state.lock();
            match outcome {
                Ok(staged) if state.open.contains_key(&id) => drop(state.staged.insert(id, staged)),
                Ok(_) => {}
                Err(error) => state.keep(id, Err(error), &mut aftermath),
            }
            self.step(state, self.now(), Event::Filled { decoder, succeeded }, &mut aftermath);
            state.machine.lone_end()
        };
        self.settle(aftermath);
        expected
    }

    /// A run is done, with the answers of its requests unless the batch is to be split.
    pub(super) fn run_done(&self, mut batch: Batch, outcome: RunOutcome) {
        let mut aftermath = self.aftermaths.take();
        let is_left = {
            let state = &mut *self.state.lock();
            for (id, answer) in batch.answers.drain(..) {
                state.keep(id, answer, &mut aftermath);
            }
            let run = batch.run;
            // A test has no members and came from nowhere.
            if !batch.members.is_empty() {
                state.spare_batches.push(batch);
            }
            self.step(state, self.now(), Event::RunDone { run, outcome }, &mut aftermath);
            // What is called back, or is to be given in order, is given here, where the order is known.
            let is_left = aftermath.is_running
                && state.channels.is_some()
                && !state.machine.policy().preserve_order
                && !aftermath.answers.iter().any(|(open, _)| open.completer.has_callback());
            if is_left {
                state.left.append(&mut aftermath.answers);
            }
            is_left
        };
        if is_left {
            self.bell.ring();
        }
        self.settle(aftermath);
    }

    /// A worker was made anew, or could not be and why; `commands` leads to the new one.
    pub(super) fn rebuilt(&self, worker: usize, commands: std::result::Result<Sender<WorkerCommand>, &str>) {
        let mut aftermath = self.aftermaths.take();
        {
            let state = &mut *self.state.lock();
            let succeeded = commands.is_ok();
            match (&mut state.channels, commands) {
                (Some(channels), Ok(commands)) => channels.workers[worker] = commands,
                (_, Err(problem)) => state.last_failure = Some(problem.to_owned()),
                (None, Ok(_)) => {}
            }
            self.step(state, self.now(), Event::Rebuilt { worker, succeeded }, &mut aftermath);
        }
        self.settle(aftermath);
    }

    /// Accepts nothing more from now on; what was accepted runs without delay, then the threads end.
    pub(super) fn close(&self, timeout: Duration) {
        let until = self.now().after(timeout);
        self.feed(Event::Close { until });
    }

    /// Blocks until everybody is answered after [`Scheduler::close`].
    pub(super) fn wait_drained(&self) {
        let mut state = self.state.lock();
        while state.channels.is_some() {
            self.drained.wait(&mut state);
        }
    }

    /// Lets time pass until the engine has closed, gives the answers that were left, and has lost workers replaced:
    /// the life of one thread.
    pub(super) fn run_timer(&self, replace: impl Fn(usize)) {
        let mut aftermath = Aftermath::default();
        loop {
            let (until, lost) = {
                let state = &mut *self.state.lock();
                aftermath.answers.append(&mut state.left);
                self.step(state, self.now(), Event::Tick, &mut aftermath);
                if state.channels.is_none() {
                    break;
                }
                state.asleep_until = state.machine.next_wakeup();
                (state.asleep_until, std::mem::take(&mut state.lost_workers))
            };
            aftermath.settle();
            match lost.is_empty() {
                true => self.clock.sleep(&self.bell, until),
                false => lost.into_iter().for_each(&replace),
            }
        }
        aftermath.settle();
    }

    fn feed(&self, event: Event) {
        let mut aftermath = self.aftermaths.take();
        self.step(&mut self.state.lock(), self.now(), event, &mut aftermath);
        self.settle(aftermath);
    }

    /// Does what remains without the lock, but for what this thread is to write.
    fn settle(&self, mut aftermath: Aftermath) -> Option<Fill> {
        let fill = aftermath.settle();
        self.aftermaths.put(aftermath);
        fill
    }

    /// Steps the machine and carries out what it says, but for the aftermath.
    fn step(&self, state: &mut State, now: Time, event: Event, aftermath: &mut Aftermath) {
        self.step_once(state, now, event, aftermath);
        while let Some(decoder) = state.undecoded.pop() {
            self.step_once(state, now, Event::Decoded { decoder, succeeded: true }, aftermath);
        }
    }

    fn step_once(&self, state: &mut State, now: Time, event: Event, aftermath: &mut Aftermath) {
        let failed_before = state.machine.counters().self_tests_failed;
        let mut actions = std::mem::take(&mut state.actions);
        state.machine.step(now, event, &mut actions);
        if state.machine.counters().self_tests_failed > failed_before
            && let Some(cache) = &mut state.cache
        {
            cache.clear();
        }
        if let Some(recorder) = &mut state.recorder {
            recorder.told(now, &event, &actions);
        }
        for action in &actions {
            match *action {
                Action::Decode { decoder, id } => match state.waiting.remove(&id) {
                    Some(Request { input: Input::Tensors(tensors), options, accepted, .. }) => {
                        let stamps = Stamps { accepted, taken: now, decoded: now, placed: now, filled: now };
                        let content = Decoded::Tensors(tensors);
                        state.held[decoder] = Some(DecodedRequest { id, content, options, stamps });
                        state.undecoded.push(decoder);
                    }
                    Some(request) => state.tell_decoder(decoder, DecoderCommand::Decode(request)),
                    None => {}
                },
                Action::Fill { decoder, staging, place } => {
                    if let Some(request) = state.held[decoder].take() {
                        let fill = Fill { decoder, request, staging, place };
                        match aftermath.own == Some(place.id) {
                            true => aftermath.fill = Some(fill),
                            false => state.tell_decoder(decoder, DecoderCommand::Fill(fill)),
                        }
                    }
                }
                Action::Discard { decoder } => aftermath.discarded.extend(state.held[decoder].take()),
                Action::Run { worker, run, staging, size, ref places } => {
                    let spare = state.spare_batches.pop().unwrap_or_default();
                    let mut batch = Batch { run, staging, size, ..spare };
                    let staged = |place: &Place| Some((*state.staged.get(&place.id)?, *place));
                    batch.members.clear();
                    batch.members.extend(places.iter().filter_map(staged));
                    for (request, _) in &batch.members {
                        // An error from a run that was split is no answer any more.
                        aftermath.unwanted.extend(state.answers.remove(&request.id));
                        if let Some(open) = state.open.get_mut(&request.id) {
                            open.run = Some(run);
                        }
                    }
                    aftermath.is_running = true;
                    state.tell_worker(worker, WorkerCommand::Run(batch));
                }
                Action::Test { worker, run } => state.tell_worker(worker, WorkerCommand::Test(run)),
                Action::Rebuild { worker } => {
                    state.lost_workers.push(worker);
                    self.bell.ring();
                }
                Action::Copy { from, to } => state.copy_answer(now, from, to, aftermath),
                Action::Deliver { id } => {
                    let lost = || Err(Error::new(ErrorKind::Internal, "the answer of a request was lost"));
                    let answer = state.answers.remove(&id).unwrap_or_else(lost);
                    state.staged.remove(&id);
                    if let Ok(Response { timing, batch_size, .. }) = &answer {
                        state.histograms.add(timing, *batch_size);
                    }
                    aftermath.answers.extend(state.close(id, &answer).map(|open| (open, answer)));
                }
                Action::Refuse { id, refusal, retry_after } => {
                    aftermath.requests.extend(state.waiting.remove(&id));
                    aftermath.unwanted.extend(state.answers.remove(&id));
                    state.staged.remove(&id);
                    if let Some(open) = state.open.get(&id) {
                        let answer =
                            Err(error_of(refusal, retry_after, &open.options, state.machine.policy()));
                        aftermath.answers.extend(state.close(id, &answer).map(|open| (open, answer)));
                    }
                }
            }
        }
        state.actions = actions;
        if state.machine.is_drained() && state.channels.take().is_some() {
            // Writes what is left.
            state.recorder = None;
            self.drained.notify_all();
            self.bell.ring();
        }
        let wakeup = state.machine.next_wakeup();
        if wakeup.is_some_and(|wakeup| state.asleep_until.is_none_or(|until| wakeup < until)) {
            state.asleep_until = wakeup;
            self.bell.ring();
        }
    }
}

impl State {
    fn tell_decoder(&self, decoder: usize, command: DecoderCommand) {
        if let Some(channels) = &self.channels {
            let _ = channels.decoders[decoder].send(command);
        }
    }

    /// The answer of one request is that of another as well, which only waited for it.
    fn copy_answer(&mut self, now: Time, from: RequestId, to: RequestId, aftermath: &mut Aftermath) {
        let (Some(answer), Some(request)) = (self.answers.get(&from), self.waiting.remove(&to)) else {
            return;
        };
        let waited = now.since(request.accepted);
        let copy = match answer {
            Ok(response) => Ok(Response {
                timing: Timing { queue: waited, total: waited, ..Timing::default() },
                trace_context: request.options.trace_context,
                ..response.clone()
            }),
            Err(error) => Err(Error::new(error.kind(), error.message())),
        };
        aftermath.requests.push(request);
        self.answers.insert(to, copy);
    }

    /// Takes out a request with its answer, which is kept for others if it is a result.
    fn close(&mut self, id: RequestId, answer: &Result<Response>) -> Option<OpenRequest> {
        let open = self.open.remove(&id)?;
        if let (Some(cache), Some(key)) = (&mut self.cache, open.key) {
            cache.leave(key, answer.as_ref().ok());
        }
        Some(open)
    }

    fn tell_worker(&self, worker: usize, command: WorkerCommand) {
        if let Some(channels) = &self.channels {
            let _ = channels.workers[worker].send(command);
        }
    }

    /// Keeps an answer if it is still wanted.
    fn keep(&mut self, id: RequestId, answer: Result<Response>, aftermath: &mut Aftermath) {
        match self.open.contains_key(&id) {
            true => drop(self.answers.insert(id, answer)),
            false => aftermath.unwanted.push(answer),
        }
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::EngineClosed, "the engine is closed")
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

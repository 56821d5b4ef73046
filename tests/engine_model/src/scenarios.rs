//! What is played through with every order of events: requests, callbacks and the end at once. Each ends its engine, so
//! that a thread which is never woken is a deadlock that loom reports.

use super::clock::{Bell, Clock, Time};
use super::completion::{Answer, run_callbacks};
use super::hand_over::*;
use super::machine::{Cost, Machine, Policy, RunOutcome, Shape, Window};
use super::request::{RequestOptions, Response, Timing};
use super::scheduler::{Channels, Scheduler};
use crate::error::{ErrorKind, Result};
use crate::sync::channel::{Receiver, bounded, unbounded};
use loom::model::Builder;
use loom::thread::{JoinHandle, spawn};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

/// Times that a thread may be interrupted where it need not wait, unless `LOOM_MAX_PREEMPTIONS` says.
const PREEMPTIONS: usize = 1;

pub const SCENARIOS: crate::Scenarios = &[
    ("an answer and who waits for it", an_answer),
    ("an answer and its callback", a_callback),
    ("one request and the end", one_request),
    ("a request and the end at once", a_request_at_the_end),
    ("a cancelled request", a_cancelled_request),
    ("two callers", two_callers),
];

fn check(scenario: impl Fn() + Sync + Send + 'static) {
    let mut model = Builder::new();
    model.preemption_bound.get_or_insert(PREEMPTIONS);
    model.max_branches = 100_000;
    model.check(scenario);
}

/// Stands still; who sleeps beside a bell sleeps until it is rung.
struct Still;

impl Clock for Still {
    fn now(&self) -> Time {
        Time(0)
    }

    fn sleep(&self, bell: &Arc<Bell>, _: Option<Time>) {
        bell.wait(None);
    }
}

/// The scheduler with a worker, a decoder and the thread that lets time pass.
struct Engine {
    scheduler: Arc<Scheduler>,
    threads: Vec<JoinHandle<()>>,
}

impl Engine {
    /// One image in a batch.
    fn new(has_decoder: bool) -> Self {
        let shape = Shape { max_batch_size: 1, buckets: Vec::new(), decoders: 1, workers: 1, stagings: 3 };
        let policy = Policy { window: Window::Latency, stuck_after: Duration::MAX, ..Policy::default() };
        let (decoder, commands) = bounded(2);
        let (worker, batches) = bounded(2);
        let (callbacks, _) = unbounded();
        let channels = Channels { decoders: vec![decoder], workers: vec![worker], callbacks };
        let machine = Machine::new(shape, policy);
        let scheduler = Arc::new(Scheduler::new(machine, None, None, Arc::new(Still), channels));
        let [works, decodes, times] = [0; 3].map(|_| Arc::clone(&scheduler));
        let mut threads = vec![spawn(move || work(&works, &batches)), spawn(move || times.run_timer(|_| ()))];
        if has_decoder {
            threads.push(spawn(move || decode(&decodes, &commands)));
        }
        Self { scheduler, threads }
    }

    fn end(self) {
        self.scheduler.close(Duration::MAX);
        self.scheduler.wait_drained();
        for thread in self.threads {
            thread.join().expect("a thread that does not panic");
        }
    }
}

/// What a worker does, but for computing.
fn work(scheduler: &Scheduler, commands: &Receiver<WorkerCommand>) {
    while let Some(command) = commands.recv() {
        let mut batch = match command {
            WorkerCommand::LookOut => continue,
            WorkerCommand::Run(batch) => batch,
            WorkerCommand::Test(_) => panic!("nobody asked for a test"),
        };
        batch.answers.extend(batch.members.iter().map(|(request, _)| (request.id, Ok(response()))));
        scheduler.run_done(batch, RunOutcome::Succeeded);
    }
}

/// What a decoder does with tensors.
fn decode(scheduler: &Scheduler, commands: &Receiver<DecoderCommand>) {
    for command in commands {
        match command {
            DecoderCommand::Fill(fill) => write(scheduler, fill),
            DecoderCommand::Decode(_) => panic!("tensors need no decoding"),
        }
    }
}

/// What whoever has a place does, but for writing.
fn write(scheduler: &Scheduler, fill: Fill) {
    let Fill { decoder, request: DecodedRequest { id, options, stamps, .. }, .. } = fill;
    scheduler.filled(decoder, id, Ok(StagedRequest { id, options, stamps, picture: None }));
}

/// What a caller does. An answer, or the refusal.
fn submit(scheduler: &Scheduler) -> Result<(u64, Arc<Answer>)> {
    let cost = Cost { slots: 1, ..Cost::default() };
    let accepted = scheduler.accept(Input::Tensors(Tensors::new()), cost, RequestOptions::default(), None)?;
    if let Some(fill) = accepted.fill {
        write(scheduler, fill);
    }
    Ok((accepted.id, accepted.answer))
}

fn wait(answer: &Answer) -> Result<Response> {
    answer.wait(None, None).expect("a wait without end ends with the answer")
}

fn is_answered(answer: &Answer) {
    let answer = wait(answer);
    assert!(answer.is_ok(), "expected an answer, found {:?}", answer.err());
}

fn response() -> Response {
    Response {
        predictions: Vec::new(),
        outputs: Vec::new(),
        batch_size: 1,
        timing: Timing::default(),
        trace_context: None,
    }
}

/// One is given, one is dropped without.
fn an_answer() {
    use super::completion::Completer;
    check(|| {
        let (callbacks, deliveries) = unbounded();
        let (given, dropped) = (Arc::<Answer>::default(), Arc::<Answer>::default());
        let completers = [&given, &dropped].map(|a| Completer::new(Arc::clone(a), callbacks.clone()));
        let completes = spawn(move || {
            let [first, second] = completers;
            first.complete(Ok(response()));
            drop(second);
        });
        is_answered(&given);
        assert_eq!(wait(&dropped).err().map(|error| error.kind()), Some(ErrorKind::Internal));
        completes.join().expect("no panic");
        drop((callbacks, deliveries));
    });
}

/// The callback comes before or after the answer, and is called once.
fn a_callback() {
    use super::completion::Completer;
    check(|| {
        let (callbacks, deliveries) = unbounded();
        let answer = Arc::<Answer>::default();
        let completer = Completer::new(Arc::clone(&answer), callbacks);
        let called = Arc::new(AtomicUsize::new(0));
        let completes = spawn(move || completer.complete(Ok(response())));
        let calls = spawn(move || run_callbacks(&deliveries));
        let counts = Arc::clone(&called);
        answer.on_complete(Box::new(move |answer| {
            assert!(answer.is_ok());
            counts.fetch_add(1, SeqCst);
        }));
        completes.join().expect("no panic");
        calls.join().expect("no panic");
        assert_eq!(called.load(SeqCst), 1, "a callback is called once");
    });
}

fn one_request() {
    check(|| {
        let engine = Engine::new(false);
        let (_, answer) = submit(&engine.scheduler).expect("room");
        is_answered(&answer);
        engine.end();
    });
}

fn a_request_at_the_end() {
    check(|| {
        let engine = Engine::new(false);
        let scheduler = Arc::clone(&engine.scheduler);
        let caller = spawn(move || match submit(&scheduler) {
            Ok((_, answer)) => is_answered(&answer),
            Err(error) => assert_eq!(error.kind(), ErrorKind::EngineClosed),
        });
        engine.end();
        caller.join().expect("no panic");
    });
}

fn a_cancelled_request() {
    check(|| {
        let engine = Engine::new(false);
        let (id, answer) = submit(&engine.scheduler).expect("room");
        engine.scheduler.cancel(id);
        if let Err(error) = wait(&answer) {
            assert_eq!(error.kind(), ErrorKind::Cancelled);
        }
        engine.end();
    });
}

/// More than one batch: what one caller leaves is written by the decoder, and answers are left by the worker.
fn two_callers() {
    check(|| {
        let engine = Engine::new(true);
        let scheduler = Arc::clone(&engine.scheduler);
        let other = spawn(move || {
            let (_, answer) = submit(&scheduler).expect("room");
            is_answered(&answer);
        });
        let (_, answer) = submit(&engine.scheduler).expect("room");
        is_answered(&answer);
        other.join().expect("no panic");
        engine.end();
    });
}

//! The place where an answer meets its caller, and the thread that calls callbacks.

use super::panic::contained;
use super::request::Response;
use crate::error::{Error, ErrorKind, Result};
use crossbeam::channel::{Receiver, Sender};
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Takes the answer once it is there.
pub(super) type Callback = Box<dyn FnOnce(Result<Response>) + Send>;

/// A callback with its answer, for the thread that calls it.
pub(super) type Delivery = (Callback, Result<Response>);

/// Holds the answer to one request, or what is to be called with it.
#[derive(Default)]
pub(super) struct Answer {
    state: Mutex<State>,
    ready: Condvar,
}

#[derive(Default)]
enum State {
    #[default]
    Open,
    Callback(Callback),
    Ready(Result<Response>),
    Taken,
    /// Nobody will ask for it.
    GivenUp,
}

/// The engine's side of an [`Answer`]. Gives it exactly once: if it is dropped without, the answer is
/// `INTERNAL`.
pub(super) struct Completer {
    answer: Arc<Answer>,
    /// As long as one of these is there, the thread that receives goes on.
    callbacks: Sender<Delivery>,
}

impl Completer {
    pub(super) fn new(answer: Arc<Answer>, callbacks: Sender<Delivery>) -> Self {
        Self { answer, callbacks }
    }

    /// Whether it is for the thread that calls callbacks.
    pub(super) fn has_callback(&self) -> bool {
        matches!(*self.answer.state.lock(), State::Callback(_))
    }

    /// Gives the answer: wakes who waits for it, or hands it to the thread that calls callbacks. Runs no
    /// code of the caller's.
    pub(super) fn complete(self, answer: Result<Response>) {
        self.give(answer);
    }

    fn give(&self, answer: Result<Response>) {
        let mut state = self.answer.state.lock();
        match std::mem::replace(&mut *state, State::Taken) {
            State::Open => {
                *state = State::Ready(answer);
                self.answer.ready.notify_all();
            }
            // The receiver outlives every sender.
            State::Callback(callback) => drop(self.callbacks.send((callback, answer))),
            over @ (State::Ready(_) | State::Taken | State::GivenUp) => *state = over,
        }
    }
}

impl Drop for Completer {
    fn drop(&mut self) {
        if matches!(*self.answer.state.lock(), State::Open | State::Callback(_)) {
            self.give(Err(Error::new(
                ErrorKind::Internal,
                "the engine dropped the request without an answer",
            )));
        }
    }
}

impl Answer {
    /// Has `callback` called with the answer; at once and here if the answer is there already.
    pub(super) fn on_complete(&self, callback: Callback) {
        let mut state = self.state.lock();
        match std::mem::replace(&mut *state, State::Taken) {
            State::Ready(answer) => {
                drop(state);
                callback(answer);
            }
            _ => *state = State::Callback(callback),
        }
    }

    /// Nobody asks for it any more; who has left a callback is still called.
    pub(super) fn give_up(&self) {
        let mut state = self.state.lock();
        if matches!(*state, State::Open | State::Ready(_)) {
            *state = State::GivenUp;
        }
    }

    /// Blocks until the answer is there, or until `timeout` has passed if there is one.
    pub(super) fn wait(&self, timeout: Option<Duration>) -> Option<Result<Response>> {
        let end = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut state = self.state.lock();
        loop {
            match std::mem::replace(&mut *state, State::Taken) {
                State::Ready(answer) => return Some(answer),
                other => *state = other,
            }
            match end {
                None => self.ready.wait(&mut state),
                Some(end) => {
                    if self.ready.wait_until(&mut state, end).timed_out() && matches!(*state, State::Open) {
                        return None;
                    }
                }
            }
        }
    }
}

/// Answers that were given out, the one that was longest ago first, to be used again once nobody else holds them.
pub(super) struct UsedAnswers {
    used: Mutex<VecDeque<Arc<Answer>>>,
    most: usize,
}

impl UsedAnswers {
    /// Remembers at most so many.
    pub(super) fn new(most: usize) -> Self {
        Self { used: Mutex::default(), most }
    }

    /// An open one.
    pub(super) fn take(&self) -> Arc<Answer> {
        let mut used = self.used.lock();
        let mut answer = used.pop_front().unwrap_or_default();
        if Arc::get_mut(&mut answer).is_none() {
            used.push_back(std::mem::take(&mut answer));
        }
        *answer.state.lock() = State::Open;
        if used.len() < self.most {
            used.push_back(Arc::clone(&answer));
        }
        answer
    }
}

/// Calls callbacks, one after the other, until no more can come. One that panics harms no other.
pub(super) fn run_callbacks(deliveries: &Receiver<Delivery>) {
    for (callback, answer) in deliveries {
        // The panic hook has reported it; there is nobody to hand it to.
        let _ = contained("a callback", || {
            callback(answer);
            Ok(())
        });
    }
}

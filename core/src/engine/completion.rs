//! The place where an answer meets the caller that waits for it.

use super::request::Response;
use crate::error::Result;
use parking_lot::{Condvar, Mutex};
use std::time::{Duration, Instant};

/// Takes the answer once it is there.
pub(super) type Callback = Box<dyn FnOnce(Result<Response>) + Send>;

enum State {
    Empty,
    Callback(Callback),
    Answered(Result<Response>),
    Taken,
}

/// Holds the answer to one request, or what is to be called with it.
pub(super) struct Completion {
    state: Mutex<State>,
    answered: Condvar,
}

impl Completion {
    pub(super) fn new() -> Self {
        Self { state: Mutex::new(State::Empty), answered: Condvar::new() }
    }

    /// Gives the answer. The engine does so exactly once.
    pub(super) fn complete(&self, answer: Result<Response>) {
        let mut state = self.state.lock();
        match std::mem::replace(&mut *state, State::Taken) {
            State::Empty => {
                *state = State::Answered(answer);
                self.answered.notify_all();
            }
            State::Callback(callback) => {
                drop(state);
                callback(answer);
            }
            first @ (State::Answered(_) | State::Taken) => {
                debug_assert!(false, "a request was answered twice");
                *state = first;
            }
        }
    }

    pub(super) fn on_complete(&self, callback: Callback) {
        let mut state = self.state.lock();
        match std::mem::replace(&mut *state, State::Taken) {
            State::Answered(answer) => {
                drop(state);
                callback(answer);
            }
            _ => *state = State::Callback(callback),
        }
    }

    pub(super) fn wait(&self) -> Result<Response> {
        let mut state = self.state.lock();
        loop {
            match std::mem::replace(&mut *state, State::Empty) {
                State::Answered(answer) => {
                    *state = State::Taken;
                    return answer;
                }
                other => *state = other,
            }
            self.answered.wait(&mut state);
        }
    }

    /// `None` if the answer is not there in time.
    pub(super) fn wait_timeout(&self, timeout: Duration) -> Option<Result<Response>> {
        let end = Instant::now().checked_add(timeout);
        let mut state = self.state.lock();
        loop {
            match std::mem::replace(&mut *state, State::Empty) {
                State::Answered(answer) => {
                    *state = State::Taken;
                    return Some(answer);
                }
                other => *state = other,
            }
            match end {
                Some(end) if self.answered.wait_until(&mut state, end).timed_out() => {
                    if !matches!(*state, State::Answered(_)) {
                        return None;
                    }
                }
                Some(_) => {}
                None => self.answered.wait(&mut state),
            }
        }
    }
}

//! The place where an answer meets its caller, and the thread that calls callbacks.

use super::panic::contained;
use super::request::Response;
use crate::error::{Error, ErrorKind, Result};
use crossbeam::channel::{Receiver, Sender};
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Takes the answer once it is there.
pub(super) type Callback = Box<dyn FnOnce(Result<Response>) + Send>;

/// A callback with its answer, for the thread that calls it.
pub(super) type Delivery = (Callback, Result<Response>);

/// A caller who looks out for an answer wakes so long before it is expected, as waking takes about as long.
const AHEAD: Duration = Duration::from_micros(150);

/// And sleeps again if it is not there so long after.
const BEHIND: Duration = Duration::from_micros(50);

/// Holds the answer to one request, or what is to be called with it.
#[derive(Default)]
pub(super) struct Answer {
    state: Mutex<State>,
    ready: Condvar,
    /// For who looks out for it without the lock.
    is_given: AtomicBool,
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
        drop(state);
        self.answer.is_given.store(true, Ordering::Release);
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

    /// Blocks until the answer is there, or until `timeout` has passed if there is one. Around the moment when it is
    /// `expected` the thread stays awake, to be spared being woken.
    pub(super) fn wait(
        &self,
        timeout: Option<Duration>,
        expected: Option<Instant>,
    ) -> Option<Result<Response>> {
        let end = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let end_of_look_out = expected.map(|expected| expected + BEHIND);
        let mut look_out = expected.map(|expected| expected.checked_sub(AHEAD).unwrap_or(expected));
        let mut state = self.state.lock();
        loop {
            match std::mem::replace(&mut *state, State::Taken) {
                State::Ready(answer) => return Some(answer),
                other => *state = other,
            }
            let wakeup = [end, look_out].into_iter().flatten().min();
            let has_come = match wakeup {
                None => {
                    self.ready.wait(&mut state);
                    false
                }
                Some(wakeup) => self.ready.wait_until(&mut state, wakeup).timed_out(),
            };
            if has_come && matches!(*state, State::Open) {
                if wakeup == end {
                    return None;
                }
                look_out = None;
                let until = [end, end_of_look_out].into_iter().flatten().min();
                MutexGuard::unlocked(&mut state, || self.look_out(until));
            }
        }
    }

    /// Keeps awake until the answer is given or the moment is there.
    fn look_out(&self, until: Option<Instant>) {
        while !self.is_given.load(Ordering::Acquire) && until.is_some_and(|until| Instant::now() < until) {
            // It may be on this very core that the answer is made.
            std::thread::yield_now();
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
        answer.is_given.store(false, Ordering::Relaxed);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn in_ms(ms: u64) -> Option<Instant> {
        Some(Instant::now() + Duration::from_millis(ms))
    }

    fn size_of_batch(answer: Option<Result<Response>>) -> usize {
        answer.expect("in time").expect("no error").batch_size
    }

    /// An answer that is given so many milliseconds from now by another thread.
    fn given_after(ms: u64) -> Arc<Answer> {
        let answer = Arc::new(Answer::default());
        let (callbacks, _) = crossbeam::channel::unbounded();
        let completer = Completer::new(Arc::clone(&answer), callbacks);
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(ms));
            completer.complete(Ok(Response { batch_size: 7, ..Response::default() }));
        });
        answer
    }

    #[test]
    fn an_answer_comes_before_and_while_and_after_it_is_looked_out_for() {
        for expected in [0, 5, 10, 10_000] {
            assert_eq!(size_of_batch(given_after(10).wait(None, in_ms(expected))), 7);
        }
        let answer = given_after(0);
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(size_of_batch(answer.wait(None, in_ms(10_000))), 7);
    }

    #[test]
    fn a_timeout_ends_the_wait_whatever_is_expected() {
        for expected in [None, in_ms(0), in_ms(5), in_ms(20), in_ms(10_000)] {
            let (timeout, before) = (Duration::from_millis(20), Instant::now());
            assert!(Answer::default().wait(Some(timeout), expected).is_none());
            let waited = before.elapsed();
            assert!((timeout..100 * timeout).contains(&waited), "{waited:?}");
        }
    }

    #[test]
    fn an_answer_that_is_used_again_is_not_given_yet() {
        let used = UsedAnswers::new(1);
        let answer = used.take();
        let (callbacks, _) = crossbeam::channel::unbounded();
        Completer::new(Arc::clone(&answer), callbacks).complete(Ok(Response::default()));
        assert!(answer.wait(None, None).is_some());
        let first = Arc::as_ptr(&answer);
        drop(answer);
        let again = used.take();
        assert_eq!(Arc::as_ptr(&again), first);
        assert!(!again.is_given.load(Ordering::Relaxed));
        assert!(again.wait(Some(Duration::ZERO), in_ms(0)).is_none());
    }
}

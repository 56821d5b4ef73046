//! The thread that calls C back: one per engine, named, started with the first callback. Callers never
//! find their own code called from within a call they make, and slow callbacks hold up no batch.

use libvision::{Error, ErrorKind, Response, Result};
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::{self, JoinHandle, ThreadId};

/// An answer on its way to the caller's function.
type Call = Box<dyn FnOnce(Result<Response>) + Send>;

/// Delivers each answer exactly once, in the order in which they come, and none after [`close`].
///
/// [`close`]: Callbacks::close
pub(crate) struct Callbacks {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    ready: VecDeque<(Call, Result<Response>)>,
    /// Promised and not yet in `ready`.
    awaited: usize,
    closed: bool,
    thread: Option<ThreadId>,
}

/// The promise to call back once; an answer that never comes is delivered as `INTERNAL`.
pub(crate) struct Promise {
    shared: Arc<Shared>,
    call: Option<Call>,
}

impl Callbacks {
    pub(crate) fn new() -> Self {
        Self { shared: Arc::default(), thread: Mutex::new(None) }
    }

    /// Promises to pass an answer to `call`. Refused once closed.
    pub(crate) fn promise(&self, call: Call) -> Result<Promise> {
        let mut state = self.shared.state.lock();
        if state.closed {
            return Err(Error::new(ErrorKind::EngineClosed, "the engine is closed and calls nothing back"));
        }
        if state.thread.is_none() {
            let shared = Arc::clone(&self.shared);
            let started = thread::Builder::new()
                .name("vision-callback".into())
                .spawn(move || shared.deliver())
                .map_err(|error| {
                    Error::new(ErrorKind::OutOfMemory, format!("cannot start the callback thread: {error}"))
                })?;
            state.thread = Some(started.thread().id());
            *self.thread.lock() = Some(started);
        }
        state.awaited += 1;
        Ok(Promise { shared: Arc::clone(&self.shared), call: Some(call) })
    }

    /// Whether the calling thread is the one that calls back.
    pub(crate) fn is_current_thread(&self) -> bool {
        self.shared.state.lock().thread == Some(thread::current().id())
    }

    /// Makes no more promises, waits until all were kept, and ends the thread. Must not run on it.
    pub(crate) fn close(&self) {
        self.shared.state.lock().closed = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.lock().take() {
            // A callback that unwinds ends the process at the language border: there is no panic here.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn deliver(&self) {
        loop {
            let mut state = self.state.lock();
            while state.ready.is_empty() && !(state.closed && state.awaited == 0) {
                self.changed.wait(&mut state);
            }
            let Some((call, answer)) = state.ready.pop_front() else { return };
            drop(state);
            call(answer);
        }
    }
}

impl Promise {
    /// Hands the answer to the thread.
    pub(crate) fn keep(mut self, answer: Result<Response>) {
        self.deliver(answer);
    }

    fn deliver(&mut self, answer: Result<Response>) {
        if let Some(call) = self.call.take() {
            let mut state = self.shared.state.lock();
            state.ready.push_back((call, answer));
            state.awaited -= 1;
            self.shared.changed.notify_one();
        }
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.deliver(Err(Error::new(
            ErrorKind::Internal,
            "the engine dropped the request without an answer",
        )));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    fn cancelled() -> Result<Response> {
        Err(Error::new(ErrorKind::Cancelled, "cancelled"))
    }

    #[test]
    fn answers_come_once_each_from_the_named_thread() {
        let callbacks = Callbacks::new();
        let (sender, receiver) = mpsc::channel();
        for i in 0..3 {
            let sender = sender.clone();
            let call = move |answer: Result<Response>| {
                let thread = thread::current().name().map(str::to_owned);
                sender.send((i, thread, answer.unwrap_err().kind())).unwrap();
            };
            let promise = callbacks.promise(Box::new(call)).unwrap();
            if i == 1 { drop(promise) } else { promise.keep(cancelled()) }
        }
        callbacks.close();
        drop(sender);
        let name = Some("vision-callback".to_owned());
        let (cancelled, lost) = (ErrorKind::Cancelled, ErrorKind::Internal);
        let expected = [(0, name.clone(), cancelled), (1, name.clone(), lost), (2, name, cancelled)];
        assert_eq!(receiver.iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn closing_waits_for_what_was_promised_and_promises_nothing_more() {
        let callbacks = Callbacks::new();
        let (sender, receiver) = mpsc::channel();
        let promise = callbacks.promise(Box::new(move |_| sender.send(()).unwrap())).unwrap();
        thread::scope(|scope| {
            let closing = scope.spawn(|| callbacks.close());
            while !callbacks.shared.state.lock().closed {
                thread::yield_now();
            }
            // Gives a thread that ends too early the time to do so; the test passes without it.
            thread::sleep(Duration::from_millis(50));
            assert!(receiver.try_recv().is_err());
            let refused = callbacks.promise(Box::new(|_| ())).err().unwrap();
            assert_eq!(refused.kind(), ErrorKind::EngineClosed);
            promise.keep(cancelled());
            closing.join().unwrap();
            assert!(receiver.try_recv().is_ok());
        });
        callbacks.close();
    }

    #[test]
    fn closing_without_any_callback_starts_no_thread() {
        let callbacks = Callbacks::new();
        callbacks.close();
        assert!(callbacks.thread.lock().is_none());
    }
}

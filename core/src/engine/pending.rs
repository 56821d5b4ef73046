//! A request accepted and not yet answered, as its caller holds it.

use super::completion::Answer;
use super::machine::RequestId;
use super::request::Response;
use super::scheduler::{Scheduler, forked};
use crate::error::Result;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// The caller's side of an accepted request. It is answered exactly once; dropping this gives the
/// answer up and cancels nothing.
pub struct Pending {
    answer: Arc<Answer>,
    /// When the answer should be there, where that is worth looking out for.
    expected: Option<Instant>,
    canceller: Canceller,
}

impl Pending {
    pub(super) fn new(
        answer: Arc<Answer>,
        id: RequestId,
        expected: Option<Instant>,
        scheduler: &Arc<Scheduler>,
    ) -> Self {
        let process = scheduler.process();
        Self { answer, expected, canceller: Canceller { scheduler: Arc::downgrade(scheduler), id, process } }
    }

    /// Blocks until the answer is there.
    pub fn wait(self) -> Result<Response> {
        match self.wait_for(None) {
            Some(answer) => answer,
            None => unreachable!("a wait without end ends with the answer"),
        }
    }

    /// Blocks for at most `timeout`; gives the request back if the answer is not there by then.
    pub fn wait_timeout(self, timeout: Duration) -> std::result::Result<Result<Response>, Pending> {
        self.wait_for(Some(timeout)).ok_or(self)
    }

    fn wait_for(&self, timeout: Option<Duration>) -> Option<Result<Response>> {
        match forked(self.canceller.process) {
            Some(error) => Some(Err(error)),
            None => self.answer.wait(timeout, self.expected),
        }
    }

    /// Calls `callback` with the answer, once: from the engine's thread `libvision-complete`, which calls
    /// one after the other, or at once and from here if the answer is there already.
    ///
    /// A callback that is slow holds up other callbacks, not batches; while `queue_capacity` of them wait
    /// their turn, new requests are refused with `QUEUE_FULL`. One that panics is reported by the panic hook
    /// and harms nothing else. It may submit, cancel, and close or drop the engine.
    pub fn on_complete(self, callback: impl FnOnce(Result<Response>) + Send + 'static) {
        match forked(self.canceller.process) {
            Some(error) => callback(Err(error)),
            None => self.answer.on_complete(Box::new(callback)),
        }
    }

    /// Asks for the request to be dropped, and frees its place in the queue. Its answer is then
    /// `CANCELLED`, unless another was there before. A batch that runs already is not interrupted.
    pub fn cancel(&self) {
        self.canceller.cancel();
    }

    /// A handle that cancels this request from elsewhere, after `on_complete` took the `Pending`.
    pub fn canceller(&self) -> Canceller {
        self.canceller.clone()
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if forked(self.canceller.process).is_none() {
            self.answer.give_up();
        }
    }
}

/// Cancels one request; cloneable, usable from any thread, without effect once it is answered.
#[derive(Clone)]
pub struct Canceller {
    scheduler: Weak<Scheduler>,
    id: RequestId,
    process: u32,
}

impl Canceller {
    /// Same as [`Pending::cancel`].
    pub fn cancel(&self) {
        if forked(self.process).is_none()
            && let Some(scheduler) = self.scheduler.upgrade()
        {
            scheduler.cancel(self.id);
        }
    }
}

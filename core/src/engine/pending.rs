//! A request accepted and not yet answered, as its caller holds it.

use super::batcher::RequestId;
use super::completion::Completion;
use super::request::Response;
use super::shared::Shared;
use crate::error::Result;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// The caller's side of an accepted request. It is answered exactly once; dropping this gives the
/// answer up and cancels nothing.
pub struct Pending {
    pub(super) completion: Arc<Completion>,
    pub(super) canceller: Canceller,
}

impl Pending {
    /// Blocks until the answer is there.
    pub fn wait(self) -> Result<Response> {
        self.completion.wait()
    }

    /// Blocks for at most `timeout`; gives the request back if the answer is not there by then.
    pub fn wait_timeout(self, timeout: Duration) -> std::result::Result<Result<Response>, Pending> {
        match self.completion.wait_timeout(timeout) {
            Some(answer) => Ok(answer),
            None => Err(self),
        }
    }

    /// Calls `callback` with the answer, from one of the engine's threads, or at once if it is there
    /// already. The callback must be short and must not block: the engine waits for it.
    pub fn on_complete(self, callback: impl FnOnce(Result<Response>) + Send + 'static) {
        self.completion.on_complete(Box::new(callback));
    }

    /// Asks for the request to be dropped. Its answer is then `CANCELLED`, unless another was there before.
    pub fn cancel(&self) {
        self.canceller.cancel();
    }

    /// A handle that cancels this request from elsewhere, after `on_complete` took the `Pending`.
    pub fn canceller(&self) -> Canceller {
        self.canceller.clone()
    }
}

/// Cancels one request; cloneable, usable from any thread, without effect once it is answered.
#[derive(Clone)]
pub struct Canceller {
    pub(super) shared: Weak<Shared>,
    pub(super) id: RequestId,
}

impl Canceller {
    /// Same as [`Pending::cancel`].
    pub fn cancel(&self) {
        if let Some(shared) = self.shared.upgrade() {
            shared.cancel(self.id);
        }
    }
}

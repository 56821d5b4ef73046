//! A request accepted and not yet answered, as its caller holds it.

use super::request::Response;
use crate::error::{Error, ErrorKind, Result};
use std::time::Duration;

/// The caller's side of an accepted request. It is answered exactly once; dropping this gives the
/// answer up and does not cancel the work of others.
pub struct Pending {
    _private: (),
}

impl Pending {
    /// Blocks until the answer is there.
    pub fn wait(self) -> Result<Response> {
        Err(Error::new(ErrorKind::Internal, "no engine"))
    }

    /// Blocks for at most `timeout`; gives the request back if the answer is not there by then.
    pub fn wait_timeout(self, _timeout: Duration) -> std::result::Result<Result<Response>, Pending> {
        Err(self)
    }

    /// Calls `callback` with the answer, from an engine thread, or at once if it is there already. The
    /// callback must be short and must not block.
    pub fn on_complete(self, callback: impl FnOnce(Result<Response>) + Send + 'static) {
        callback(self.wait())
    }

    /// Asks for the request to be dropped. Its answer is then `CANCELLED`, unless it was ready before.
    pub fn cancel(&self) {}

    /// A handle that cancels this request from elsewhere, after `on_complete` took the `Pending`.
    pub fn canceller(&self) -> Canceller {
        Canceller { _private: () }
    }
}

/// Cancels one request; cloneable, usable from any thread, without effect once it is answered.
#[derive(Clone)]
pub struct Canceller {
    _private: (),
}

impl Canceller {
    /// Same as [`Pending::cancel`].
    pub fn cancel(&self) {}
}

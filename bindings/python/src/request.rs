//! A request that the engine accepted: waited for, handed on to the completions, or cancelled.

use crate::completion::{CompletionSender, Finished};
use crate::error::exception;
use crate::response::Response;
use libvision::{Canceller, Error, ErrorKind, Pending};
use pyo3::prelude::*;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long Python's signal handlers, Ctrl-C's among them, may be kept from running.
const SIGNAL_INTERVAL: Duration = Duration::from_millis(50);

/// A request that the engine accepted. Its answer is taken once, by `wait` or by `deliver`.
#[pyclass(frozen)]
pub(crate) struct Request {
    pending: Mutex<Option<Pending>>,
    canceller: Canceller,
}

impl Request {
    pub(crate) fn new(pending: Pending) -> Self {
        Self { canceller: pending.canceller(), pending: Mutex::new(Some(pending)) }
    }

    fn take(&self, py: Python<'_>) -> PyResult<Pending> {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.take().ok_or_else(|| {
            exception(
                py,
                &Error::new(ErrorKind::InvalidArgument, "the answer of this request was taken already"),
            )
        })
    }
}

#[pymethods]
impl Request {
    /// Blocks until the answer is there, without the GIL. An exception from a signal handler, as Ctrl-C
    /// raises it, ends the wait and cancels the request.
    fn wait(&self, py: Python<'_>) -> PyResult<Response> {
        let mut pending = self.take(py)?;
        loop {
            match py.detach(|| pending.wait_timeout(SIGNAL_INTERVAL)) {
                Ok(answer) => return answer.map(Response).map_err(|error| exception(py, &error)),
                Err(unanswered) => pending = unanswered,
            }
            py.check_signals().inspect_err(|_| self.canceller.cancel())?;
        }
    }

    /// Has the answer sent to `sender`, together with `receipt`.
    fn deliver(&self, py: Python<'_>, sender: &CompletionSender, receipt: Py<PyAny>) -> PyResult<()> {
        let sender = sender.clone();
        self.take(py)?.on_complete(move |answer| sender.send(Finished { receipt, answer: Some(answer) }));
        Ok(())
    }

    /// Asks for the request to be dropped; without effect once it is answered.
    fn cancel(&self) {
        self.canceller.cancel();
    }
}

//! Answers on their way from engine threads, which must not wait for the GIL, to one Python thread,
//! which takes all that are there at a time.

use crate::error::exception;
use crate::response::Response;
use pyo3::prelude::*;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};

/// An answer and the object that its caller gave to know it by; or that object alone, as a mark.
pub(crate) struct Finished {
    pub(crate) receipt: Py<PyAny>,
    pub(crate) answer: Option<libvision::Result<libvision::Response>>,
}

/// Where engine threads put answers.
#[pyclass(frozen)]
#[derive(Clone)]
pub(crate) struct CompletionSender(Sender<Finished>);

impl CompletionSender {
    /// Never blocks. An answer that nobody receives any more is dropped.
    pub(crate) fn send(&self, finished: Finished) {
        drop(self.0.send(finished));
    }
}

#[pymethods]
impl CompletionSender {
    /// Sends `receipt` without an answer. It arrives after everything that was sent before.
    fn mark(&self, receipt: Py<PyAny>) {
        self.send(Finished { receipt, answer: None });
    }
}

/// What a request was known by, with its answer.
type Receipt = (Py<PyAny>, Py<PyAny>);

/// Where one Python thread takes answers.
#[pyclass(frozen)]
pub(crate) struct CompletionReceiver(Mutex<Receiver<Finished>>);

#[pymethods]
impl CompletionReceiver {
    /// Blocks until there are answers, without the GIL, and takes them all: each receipt with a
    /// `Response`, an exception, or `None` for a mark. `None` once no more can come: every sender is
    /// gone, those of unanswered requests included.
    #[pyo3(signature = () -> "list[tuple[Any, Response | Exception | None]] | None")]
    fn take(&self, py: Python<'_>) -> PyResult<Option<Vec<Receipt>>> {
        let Some(finished) = py.detach(|| self.receive()) else { return Ok(None) };
        let answers = finished.into_iter().map(|Finished { receipt, answer }| {
            let answer = match answer {
                Some(Ok(response)) => Py::new(py, Response(response))?.into_any(),
                Some(Err(error)) => exception(py, &error).into_value(py).into_any(),
                None => py.None(),
            };
            Ok((receipt, answer))
        });
        answers.collect::<PyResult<_>>().map(Some)
    }
}

impl CompletionReceiver {
    fn receive(&self) -> Option<Vec<Finished>> {
        let receiver = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let first = receiver.recv().ok()?;
        Some(std::iter::once(first).chain(receiver.try_iter()).collect())
    }
}

/// A new channel for answers.
#[pyfunction]
pub(crate) fn completions() -> (CompletionSender, CompletionReceiver) {
    let (sender, receiver) = channel();
    (CompletionSender(sender), CompletionReceiver(Mutex::new(receiver)))
}

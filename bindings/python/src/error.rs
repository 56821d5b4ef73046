//! Core errors as the exceptions of `libvision.errors`.

use libvision::{Error, ErrorKind};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// Every kind of error as number, name and hint.
#[pyfunction]
pub(crate) fn error_kinds() -> Vec<(u32, &'static str, &'static str)> {
    ErrorKind::ALL.iter().map(|kind| (kind.number(), kind.name(), kind.hint())).collect()
}

/// The exception for `error`: of the class of its group, with code, number, hint, and whether and when to try again.
pub(crate) fn exception(py: Python<'_>, error: &Error) -> PyErr {
    static MAKE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let kind = error.kind();
    MAKE.import(py, "libvision.errors", "make")
        .and_then(|make| {
            let retry_after = error.retry_after().map(|after| after.as_secs_f64());
            let (name, number, hint) = (kind.name(), kind.number(), kind.hint());
            make.call1((error.message(), name, number, hint, kind.is_retryable(), retry_after))
        })
        .map_or_else(|failure| failure, PyErr::from_value)
}

/// The exception for an argument that cannot be taken.
pub(crate) fn argument(py: Python<'_>, message: impl Into<String>) -> PyErr {
    exception(py, &Error::new(ErrorKind::InvalidArgument, message))
}

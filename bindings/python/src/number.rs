//! Python numbers to the core's, with errors that name the argument.

use crate::error::argument;
use pyo3::prelude::*;
use std::time::Duration;

/// A number that must not be negative.
pub(crate) fn count(py: Python<'_>, name: &str, value: i64) -> PyResult<usize> {
    usize::try_from(value).map_err(|_| argument(py, format!("{name}: expected 0 or more, found {value}")))
}

/// A time in seconds that must not be negative.
pub(crate) fn seconds(py: Python<'_>, name: &str, value: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(value)
        .map_err(|_| argument(py, format!("{name}: expected seconds, 0 or more, found {value}")))
}

//! The keyword arguments of a request.

use crate::error::{argument, exception};
use crate::number::seconds;
use libvision::{Engine, Priority, RequestOptions, Task, TraceContext};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// What is wanted by when, and the rest of the keyword arguments: `priority`, `tenant`, `traceparent`,
/// `model`.
pub(crate) fn request_options(
    py: Python<'_>,
    engine: &Engine,
    task: Task,
    deadline: Option<f64>,
    rest: Option<&Bound<'_, PyDict>>,
) -> PyResult<RequestOptions> {
    let deadline = deadline.map(|value| seconds(py, "deadline", value)).transpose()?;
    let mut options = RequestOptions { task, deadline, ..RequestOptions::default() };
    for (name, value) in rest.into_iter().flatten() {
        match name.extract::<&str>()? {
            "priority" => options.priority = priority(&value)?,
            "tenant" => {
                if let Some(name) = value.extract::<Option<String>>()? {
                    options.tenant = engine.tenant(&name).map_err(|error| exception(py, &error))?;
                }
            }
            "model" => {
                if let Some(name) = value.extract::<Option<String>>()? {
                    options.model = engine.model_id(&name).map_err(|error| exception(py, &error))?;
                }
            }
            // A malformed one is ignored, as the specification says.
            "traceparent" => {
                let text = value.extract::<Option<String>>()?;
                options.trace_context = text.as_deref().and_then(TraceContext::parse);
            }
            other => {
                let message = format!(
                    "unexpected keyword argument '{other}'; a request takes deadline, priority, \
                     tenant, traceparent, model"
                );
                return Err(PyTypeError::new_err(message));
            }
        }
    }
    Ok(options)
}

fn priority(value: &Bound<'_, PyAny>) -> PyResult<Priority> {
    match value.extract::<String>().as_deref() {
        Ok("high") => Ok(Priority::High),
        Ok("normal") => Ok(Priority::Normal),
        Ok("low") => Ok(Priority::Low),
        _ => {
            let message = format!("priority: expected 'high', 'normal' or 'low', found {}", value.repr()?);
            Err(argument(value.py(), message))
        }
    }
}

//! One request as JavaScript asks for it.

use crate::number::{invalid, milliseconds, whole_number};
use libvision::{Engine, Error, ErrorKind, Priority, RequestOptions, Result, Task, TraceContext};
use napi_derive::napi;

/// One request.
#[napi(object, object_to_js = false)]
pub struct NativeRequest {
    /// `classify`, `embed` or `run`.
    pub task: String,
    /// For `classify`.
    pub top_k: Option<f64>,
    /// For `classify`.
    pub min_score: Option<f64>,
    /// Milliseconds from acceptance.
    pub deadline_ms: Option<f64>,
    /// `high`, `normal` or `low`.
    pub priority: Option<String>,
    /// Whose it is.
    pub tenant: Option<String>,
    /// A header of W3C Trace Context; a malformed one is ignored, as the specification says.
    pub traceparent: Option<String>,
    /// Which of the engine's models.
    pub model: Option<String>,
}

impl NativeRequest {
    pub(crate) fn options(&self, engine: &Engine) -> Result<RequestOptions> {
        let priority = match self.priority.as_deref() {
            Some("high") => Priority::High,
            None | Some("normal") => Priority::Normal,
            Some("low") => Priority::Low,
            Some(other) => {
                return Err(invalid(format!("priority must be 'high', 'normal' or 'low', found '{other}'")));
            }
        };
        Ok(RequestOptions {
            task: self.task()?,
            deadline: self.deadline_ms.map(|value| milliseconds("deadlineMs", value)).transpose()?,
            priority,
            tenant: self.tenant.as_deref().map(|name| engine.tenant(name)).transpose()?.unwrap_or_default(),
            model: self.model.as_deref().map(|name| engine.model_id(name)).transpose()?.unwrap_or_default(),
            trace_context: self.traceparent.as_deref().and_then(TraceContext::parse),
        })
    }

    fn task(&self) -> Result<Task> {
        match self.task.as_str() {
            "embed" => Ok(Task::Embed),
            "run" => Ok(Task::Run),
            _ => {
                let Task::Classify { mut top_k, mut min_score } = Task::default() else {
                    return Err(Error::new(ErrorKind::Internal, "the default task is not to classify"));
                };
                if let Some(value) = self.top_k {
                    top_k = whole_number("topK", value)?;
                }
                if let Some(value) = self.min_score {
                    min_score = value as f32;
                }
                Ok(Task::Classify { top_k, min_score })
            }
        }
    }
}

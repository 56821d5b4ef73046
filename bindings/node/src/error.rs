//! Errors as plain objects; `index.js` turns them into `VisionError`.

use libvision::{Error, ErrorKind};
use napi_derive::napi;

/// What a failed call carries.
#[napi(object, object_from_js = false)]
pub struct NativeError {
    /// Stable name, `QUEUE_FULL` for example.
    pub code: String,
    /// Stable number.
    pub number: u32,
    /// What went wrong.
    pub message: String,
    /// What the caller can do about it; may be empty.
    pub hint: String,
    /// Whether the same call may succeed another time.
    pub retryable: bool,
    /// Milliseconds after which to try again, where that is known.
    pub retry_after_ms: Option<f64>,
}

impl From<Error> for NativeError {
    fn from(error: Error) -> Self {
        let kind = error.kind();
        Self {
            code: kind.name().into(),
            number: kind.number(),
            message: error.message().into(),
            hint: kind.hint().into(),
            retryable: kind.is_retryable(),
            retry_after_ms: error.retry_after().map(|after| after.as_secs_f64() * 1e3),
        }
    }
}

/// One row of the table of error kinds.
#[napi(object, object_from_js = false)]
pub struct NativeErrorKind {
    /// Stable name.
    pub code: String,
    /// Stable number.
    pub number: u32,
    /// What the caller can do about it.
    pub hint: String,
}

/// Every kind of error, for documentation and tests.
#[napi]
pub fn error_kinds() -> Vec<NativeErrorKind> {
    let row = |kind: &ErrorKind| NativeErrorKind {
        code: kind.name().into(),
        number: kind.number(),
        hint: kind.hint().into(),
    };
    ErrorKind::ALL.iter().map(row).collect()
}

//! Words for failure: one [`Error`] for people, its [`ErrorKind`] for programs.
//!
//! Numbers are part of the ABI: grouped by hundred, never changed, never reused. The C status codes,
//! the Python exception classes, the Node `code` strings and the table in the docs are all made from
//! [`ErrorKind::ALL`].

use std::fmt;
use std::time::Duration;

macro_rules! error_kinds {
    ($($(#[$doc:meta])* $kind:ident = $number:literal, $name:literal, $hint:literal;)*) => {
        /// What went wrong, for programs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        #[repr(u32)]
        pub enum ErrorKind {
            $($(#[$doc])* $kind = $number,)*
        }

        impl ErrorKind {
            /// Every kind, in order of its number.
            pub const ALL: &[ErrorKind] = &[$(ErrorKind::$kind,)*];

            /// The stable name, as C, Python and Node show it.
            pub const fn name(self) -> &'static str {
                match self { $(ErrorKind::$kind => $name,)* }
            }

            /// What the caller can do about it, one sentence.
            pub const fn hint(self) -> &'static str {
                match self { $(ErrorKind::$kind => $hint,)* }
            }
        }
    };
}

error_kinds! {
    /// An argument is outside what the function accepts.
    InvalidArgument = 100, "INVALID_ARGUMENT", "correct the argument that the message names";
    /// A handle that is stale, foreign or was freed before (C ABI).
    BadHandle = 101, "BAD_HANDLE", "use a handle only between its _new and its _free";
    /// A tensor has another shape than the model's input.
    ShapeMismatch = 102, "SHAPE_MISMATCH", "give a tensor of the shape that the message names";
    /// A tensor has another element type than the model's input.
    DTypeMismatch = 103, "DTYPE_MISMATCH", "convert the tensor to the element type that the message names";
    /// No file at this path.
    FileNotFound = 110, "FILE_NOT_FOUND", "check the path";
    /// The file exists and cannot be read.
    FileUnreadable = 111, "FILE_UNREADABLE", "check the permissions and that it is a file";

    /// The bytes are no image of a known format.
    ImageFormatUnknown = 200, "IMAGE_FORMAT_UNKNOWN", "give a JPEG, PNG, WebP, GIF or BMP file";
    /// The image's data is damaged.
    ImageCorrupt = 201, "IMAGE_CORRUPT", "the file is damaged; fetch it again";
    /// The image ends before its data does.
    ImageTruncated = 202, "IMAGE_TRUNCATED", "the file was cut off; fetch it again";
    /// The image is over one of the decode limits.
    ImageTooCostly = 203, "IMAGE_TOO_COSTLY", "shrink the image, or raise the limit that the message names";
    /// A known format with a feature that is not decoded.
    ImageUnsupported = 204, "IMAGE_UNSUPPORTED", "convert the image to an 8-bit JPEG or PNG";

    /// The model's files are damaged or no model.
    ModelCorrupt = 300, "MODEL_CORRUPT", "export the model again";
    /// The model uses an operator, or a setting of one, that is not supported.
    OperatorUnsupported = 301, "OPERATOR_UNSUPPORTED", "see docs/operators.md for what is supported";
    /// The model's graph contradicts itself.
    ModelInvalid = 302, "MODEL_INVALID", "the exporter wrote a graph that does not fit together; export again";
    /// A configuration file beside the model cannot be understood.
    ConfigInvalid = 303, "CONFIG_INVALID", "correct the field that the message names";
    /// The model has no such output, or no part that the call needs.
    OutputMissing = 304, "OUTPUT_MISSING", "see describe() for the outputs this model has";
    /// The model's files or tensors are over a limit.
    ModelTooLarge = 305, "MODEL_TOO_LARGE", "raise the limit that the message names";
    /// A tuning file for another model or instruction set, or none.
    TuningMismatch = 306, "TUNING_MISMATCH", "make the tuning anew with `vision tune`, or go without it";

    /// The asked-for device cannot be used here.
    DeviceUnavailable = 400, "DEVICE_UNAVAILABLE", "the message names what is missing; device \"cpu\" always works";
    /// Memory would exceed its budget or could not be had.
    OutOfMemory = 401, "OUT_OF_MEMORY", "lower max_batch_size or raise the memory limit";
    /// The device failed while it was working.
    DeviceLost = 402, "DEVICE_LOST", "the engine rebuilds by itself; try again";

    /// A batch did not end; its worker was replaced.
    BackendStuck = 403, "BACKEND_STUCK", "the engine replaces the worker by itself; try again";
    /// The device, or a batch size on it, does not compute what is known to be right.
    SelfTestFailed = 404, "SELF_TEST_FAILED", "do not trust this device with this model; the message names what differs";

    /// The queue is full; nothing was accepted.
    QueueFull = 500, "QUEUE_FULL", "try again later, or raise queue_capacity";
    /// The answer was not ready by the request's deadline.
    DeadlineExceeded = 501, "DEADLINE_EXCEEDED", "allow more time, or send fewer requests";
    /// The caller cancelled the request.
    Cancelled = 502, "CANCELLED", "";
    /// The engine is closing and accepts nothing more.
    EngineClosed = 503, "ENGINE_CLOSED", "create a new engine";

    /// The answer could not be ready by the request's deadline; nothing was accepted.
    DeadlineInfeasible = 504, "DEADLINE_INFEASIBLE", "allow more time, or try again when there is less to do";

    /// A defect in libvision itself.
    Internal = 900, "INTERNAL", "please report this with the message";
}

impl ErrorKind {
    /// The stable number, as C sees it.
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// Whether the same call may succeed another time though the caller changes nothing.
    pub const fn is_retryable(self) -> bool {
        matches!(
            self,
            ErrorKind::OutOfMemory
                | ErrorKind::DeviceLost
                | ErrorKind::BackendStuck
                | ErrorKind::QueueFull
                | ErrorKind::DeadlineExceeded
                | ErrorKind::DeadlineInfeasible
        )
    }
}

/// A failure: a kind for programs, a message for people, and the cause if there is one.
pub struct Error {
    inner: Box<Inner>,
}

struct Inner {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
    retry_after: Option<Duration>,
}

/// The result of everything that can fail.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error whose message names the thing, what was expected and what was found.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { inner: Box::new(Inner { kind, message: message.into(), source: None, retry_after: None }) }
    }

    /// The same with the error that caused it, for a message that does not repeat its words: who prints an error
    /// with its causes would print them twice.
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.inner.source = Some(source.into());
        self
    }

    /// The same with the time after which another attempt makes sense.
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        self.inner.retry_after = Some(after);
        self
    }

    /// When to try again, where that is known; see [`ErrorKind::is_retryable`] for whether.
    pub fn retry_after(&self) -> Option<Duration> {
        self.inner.retry_after
    }

    /// Puts the name of the surrounding thing before the message: `context: message`.
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.inner.message = format!("{context}: {}", self.inner.message);
        self
    }

    /// What went wrong, for programs.
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// The message without kind and hint.
    pub fn message(&self) -> &str {
        &self.inner.message
    }

    /// An error for a file that could not be opened or read.
    pub fn from_io(path: &std::path::Path, error: std::io::Error) -> Self {
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => ErrorKind::FileNotFound,
            _ => ErrorKind::FileUnreadable,
        };
        Self::new(kind, format!("{}: {error}", path.display()))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.inner.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.inner.kind.name(), self.inner.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.inner.source.as_deref().map(|e| e as _)
    }
}

impl From<libvision_kernels::geometry::GeometryError> for Error {
    fn from(error: libvision_kernels::geometry::GeometryError) -> Self {
        Error::new(ErrorKind::ModelInvalid, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_ascend_and_names_differ() {
        for pair in ErrorKind::ALL.windows(2) {
            assert!(pair[0].number() < pair[1].number(), "{:?} before {:?}", pair[0], pair[1]);
            assert_ne!(pair[0].name(), pair[1].name());
        }
    }
}

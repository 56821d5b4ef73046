//! What went wrong, for C: a number that programs compare and a message that people read.

use libvision::{Error, ErrorKind};
use std::cell::RefCell;
use std::ffi::{CString, c_char};

/// What a call returned. A number of `enum vision_status`; later versions may add some, so handle
/// those that you do not know like VISION_STATUS_INTERNAL.
pub type vision_status_t = u32;

/// Numbers below 100 are no failures. The others are grouped by hundred: 1xx argument, 2xx image,
/// 3xx model, 4xx device, 5xx engine, 9xx internal. They never change and are never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum vision_status {
    /// Done.
    VISION_STATUS_OK = 0,
    /// The answer is not there yet; wait again.
    VISION_STATUS_NOT_READY = 1,

    /// An argument is outside what the function accepts.
    VISION_STATUS_INVALID_ARGUMENT = 100,
    /// A handle that is stale, foreign, of another type or was freed before.
    VISION_STATUS_BAD_HANDLE = 101,
    /// A tensor has another shape than the model's input.
    VISION_STATUS_SHAPE_MISMATCH = 102,
    /// A tensor has another element type than the model's input.
    VISION_STATUS_DTYPE_MISMATCH = 103,
    /// No file at this path.
    VISION_STATUS_FILE_NOT_FOUND = 110,
    /// The file exists and cannot be read.
    VISION_STATUS_FILE_UNREADABLE = 111,

    /// The bytes are no image of a known format.
    VISION_STATUS_IMAGE_FORMAT_UNKNOWN = 200,
    /// The image's data is damaged.
    VISION_STATUS_IMAGE_CORRUPT = 201,
    /// The image ends before its data does.
    VISION_STATUS_IMAGE_TRUNCATED = 202,
    /// The image is over one of the decode limits.
    VISION_STATUS_IMAGE_TOO_COSTLY = 203,
    /// A known format with a feature that is not decoded.
    VISION_STATUS_IMAGE_UNSUPPORTED = 204,

    /// The model's files are damaged or no model.
    VISION_STATUS_MODEL_CORRUPT = 300,
    /// The model uses an operator, or a setting of one, that is not supported.
    VISION_STATUS_OPERATOR_UNSUPPORTED = 301,
    /// The model's graph contradicts itself.
    VISION_STATUS_MODEL_INVALID = 302,
    /// A configuration file beside the model cannot be understood.
    VISION_STATUS_CONFIG_INVALID = 303,
    /// The model has no such output, or no part that the call needs.
    VISION_STATUS_OUTPUT_MISSING = 304,
    /// The model's files or tensors are over a limit.
    VISION_STATUS_MODEL_TOO_LARGE = 305,
    /// A tuning file for another model or instruction set, or none.
    VISION_STATUS_TUNING_MISMATCH = 306,

    /// The asked-for device cannot be used here.
    VISION_STATUS_DEVICE_UNAVAILABLE = 400,
    /// Memory would exceed its budget or could not be had.
    VISION_STATUS_OUT_OF_MEMORY = 401,
    /// The device failed while it was working.
    VISION_STATUS_DEVICE_LOST = 402,
    /// A batch did not end; its worker was replaced.
    VISION_STATUS_BACKEND_STUCK = 403,
    /// The device, or a batch size on it, does not compute what is known to be right.
    VISION_STATUS_SELF_TEST_FAILED = 404,

    /// The queue is full; nothing was accepted.
    VISION_STATUS_QUEUE_FULL = 500,
    /// The answer was not ready by the request's deadline.
    VISION_STATUS_DEADLINE_EXCEEDED = 501,
    /// The caller cancelled the request.
    VISION_STATUS_CANCELLED = 502,
    /// The engine is closing and accepts nothing more.
    VISION_STATUS_ENGINE_CLOSED = 503,
    /// The answer could not be ready by the request's deadline; nothing was accepted.
    VISION_STATUS_DEADLINE_INFEASIBLE = 504,

    /// A defect in libvision itself.
    VISION_STATUS_INTERNAL = 900,
}

const NO_FAILURES: [(vision_status, &str, &str); 2] = [
    (vision_status::VISION_STATUS_OK, "OK", ""),
    (vision_status::VISION_STATUS_NOT_READY, "NOT_READY", "wait again"),
];

/// Name and hint of one status, terminated for C.
struct Words {
    status: vision_status_t,
    name: [u8; 32],
    hint: [u8; 128],
}

static WORDS: [Words; NO_FAILURES.len() + ErrorKind::ALL.len()] = {
    const EMPTY: Words = Words { status: 0, name: [0; 32], hint: [0; 128] };
    let mut words = [EMPTY; NO_FAILURES.len() + ErrorKind::ALL.len()];
    let mut i = 0;
    while i < words.len() {
        let (status, name, hint) = if i < NO_FAILURES.len() {
            let (status, name, hint) = NO_FAILURES[i];
            (status as vision_status_t, name, hint)
        } else {
            let kind = ErrorKind::ALL[i - NO_FAILURES.len()];
            (kind.number(), kind.name(), kind.hint())
        };
        words[i] = Words { status, name: terminated(name), hint: terminated(hint) };
        i += 1;
    }
    words
};

const fn terminated<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [0; N];
    assert!(text.len() < N, "a name or hint of core's error table is longer than its place here");
    let mut i = 0;
    while i < text.len() {
        bytes[i] = text.as_bytes()[i];
        i += 1;
    }
    bytes
}

thread_local! {
    static LAST_ERROR: RefCell<LastError> = RefCell::default();
}

/// What a thread is told of its last failure.
#[derive(Default)]
struct LastError {
    message: CString,
    retry_after_us: u64,
}

/// Keeps what the error says for this thread and returns its status.
pub(crate) fn fail(error: &Error) -> vision_status_t {
    let last_error = LastError {
        message: crate::boundary::c_string(error.message()),
        // At once is a time too, and 0 is none.
        retry_after_us: error.retry_after().map_or(0, |after| (after.as_micros() as u64).max(1)),
    };
    // A thread that is ending has no place for messages any more; its status still tells.
    let _ = LAST_ERROR.try_with(|last| last.replace(last_error));
    error.kind().number()
}

/// The name of a status without its prefix, as "IMAGE_CORRUPT"; "UNKNOWN" for a number that this
/// version does not have. Lives for ever.
#[unsafe(no_mangle)]
pub extern "C" fn vision_status_name(status: vision_status_t) -> *const c_char {
    match WORDS.iter().find(|words| words.status == status) {
        Some(words) => words.name.as_ptr().cast(),
        None => c"UNKNOWN".as_ptr(),
    }
}

/// What can be done about a status, one sentence, or "". Lives for ever.
#[unsafe(no_mangle)]
pub extern "C" fn vision_status_hint(status: vision_status_t) -> *const c_char {
    match WORDS.iter().find(|words| words.status == status) {
        Some(words) => words.hint.as_ptr().cast(),
        None => c"".as_ptr(),
    }
}

/// What went wrong in the last call that failed on this thread, in UTF-8; "" if none has. A call that
/// succeeds leaves it alone. Lives until the next failing call on this thread.
#[unsafe(no_mangle)]
pub extern "C" fn vision_last_error_message() -> *const c_char {
    LAST_ERROR.try_with(|last| last.borrow().message.as_ptr()).unwrap_or(c"".as_ptr())
}

/// After how many microseconds it makes sense to try again what failed last on this thread; 0 if that is not
/// known. Whether it makes sense at all, vision_status_is_retryable() says.
#[unsafe(no_mangle)]
pub extern "C" fn vision_last_error_retry_after_us() -> u64 {
    LAST_ERROR.try_with(|last| last.borrow().retry_after_us).unwrap_or(0)
}

/// 1 if the same call may succeed another time though the caller changes nothing, otherwise 0.
#[unsafe(no_mangle)]
pub extern "C" fn vision_status_is_retryable(status: vision_status_t) -> u32 {
    ErrorKind::ALL.iter().any(|kind| kind.number() == status && kind.is_retryable()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;

    fn read(text: *const c_char) -> &'static str {
        // SAFETY: names and hints are terminated and live for ever.
        unsafe { CStr::from_ptr(text) }.to_str().unwrap()
    }

    /// Reads the enumeration from this file, which is also what the header is made from.
    #[test]
    fn every_error_kind_has_its_number_here_and_nothing_else_has() {
        let source = include_str!("status.rs");
        let mut here: Vec<(String, u32)> = source
            .lines()
            .filter_map(|line| line.strip_prefix("    VISION_STATUS_")?.strip_suffix(',')?.split_once(" = "))
            .map(|(name, number)| (name.to_owned(), number.parse().unwrap()))
            .collect();
        assert_eq!(here.drain(..2).collect::<Vec<_>>(), [("OK".into(), 0), ("NOT_READY".into(), 1)]);
        let core: Vec<_> = ErrorKind::ALL.iter().map(|k| (k.name().to_owned(), k.number())).collect();
        assert_eq!(here, core);
    }

    #[test]
    fn names_and_hints_are_those_of_core() {
        for &kind in ErrorKind::ALL {
            assert_eq!(read(vision_status_name(kind.number())), kind.name());
            assert_eq!(read(vision_status_hint(kind.number())), kind.hint());
        }
        assert_eq!(read(vision_status_name(0)), "OK");
        assert_eq!(read(vision_status_name(1)), "NOT_READY");
        assert_eq!(read(vision_status_name(999)), "UNKNOWN");
        assert_eq!(read(vision_status_hint(999)), "");
    }

    #[test]
    fn each_thread_has_its_own_message() {
        let after = std::time::Duration::from_millis(3);
        fail(&Error::new(ErrorKind::QueueFull, "here").with_retry_after(after));
        std::thread::spawn(|| {
            assert_eq!(read(vision_last_error_message()), "");
            fail(&Error::new(ErrorKind::Cancelled, "there"));
            assert_eq!(read(vision_last_error_message()), "there");
            assert_eq!(vision_last_error_retry_after_us(), 0);
        })
        .join()
        .unwrap();
        assert_eq!(read(vision_last_error_message()), "here");
        assert_eq!(vision_last_error_retry_after_us(), 3000);
        fail(&Error::new(ErrorKind::QueueFull, "at once").with_retry_after(std::time::Duration::ZERO));
        assert_eq!(vision_last_error_retry_after_us(), 1);
    }

    #[test]
    fn what_may_be_tried_again_is_what_core_says() {
        for &kind in ErrorKind::ALL {
            assert_eq!(vision_status_is_retryable(kind.number()), u32::from(kind.is_retryable()));
        }
        assert_eq!([0, 1, 999].map(|status| vision_status_is_retryable(status)), [0; 3]);
    }
}

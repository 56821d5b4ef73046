//! The one place where C's arguments become Rust's: NULL, text, arrays, places for results, and the
//! status that every call returns, panics included.

use crate::status::{fail, vision_status, vision_status_t};
use libvision::{Error, ErrorKind, Result};
use std::any::Any;
use std::ffi::{CStr, CString, c_char};
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

/// Runs a function's body; what it returns, or how it failed, becomes the status.
pub(crate) fn boundary(body: impl FnOnce() -> Result<()>) -> vision_status_t {
    boundary_with(|| body().map(|()| vision_status::VISION_STATUS_OK))
}

/// The same for a body that succeeds in more than one way.
pub(crate) fn boundary_with(body: impl FnOnce() -> Result<vision_status>) -> vision_status_t {
    // What a body shares with other calls sits behind locks that do not poison, each left consistent
    // before anything that can panic.
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(status)) => status as vision_status_t,
        Ok(Err(error)) => fail(&error),
        Err(payload) => fail(&panic_error(payload)),
    }
}

fn panic_error(payload: Box<dyn Any + Send>) -> Error {
    let text = match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ => "no message".to_owned(),
    };
    // Dropping a payload may run foreign code that panics again.
    std::mem::forget(payload);
    Error::new(ErrorKind::Internal, format!("panic: {text}"))
}

/// An `INVALID_ARGUMENT` error.
pub(crate) fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidArgument, message)
}

/// The place behind `pointer` that a function fills when it succeeds. `name` is the argument's.
///
/// # Safety
///
/// `pointer` is NULL, or aligned and writable for one `T` for as long as the call lasts.
pub(crate) unsafe fn out<'a, T>(pointer: *mut T, name: &str) -> Result<&'a mut MaybeUninit<T>> {
    // SAFETY: not NULL once `as_mut` returns a reference, and the caller's promise covers the rest;
    // uninitialised memory is fine behind `MaybeUninit`.
    unsafe { pointer.cast::<MaybeUninit<T>>().as_mut() }.ok_or_else(|| null(name))
}

/// The text behind `pointer`, or `None` for NULL. `name` is the argument's.
///
/// # Safety
///
/// `pointer` is NULL or a NUL-terminated string that stays as it is for `'a`.
pub(crate) unsafe fn optional_text<'a>(pointer: *const c_char, name: &str) -> Result<Option<&'a str>> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: not NULL, and the caller promises a terminated string.
    let text = unsafe { CStr::from_ptr(pointer) }.to_str();
    text.map(Some).map_err(|error| invalid(format!("{name} is not UTF-8: {error}")))
}

/// The text behind `pointer`; NULL is an error. `name` is the argument's.
///
/// # Safety
///
/// As for [`optional_text`].
pub(crate) unsafe fn text<'a>(pointer: *const c_char, name: &str) -> Result<&'a str> {
    // SAFETY: the caller's promise is the same.
    unsafe { optional_text(pointer, name) }?.ok_or_else(|| null(name))
}

/// The path behind `pointer`; NULL is an error. On Unix any bytes do, elsewhere it is UTF-8.
///
/// # Safety
///
/// `pointer` is NULL or a NUL-terminated string.
pub(crate) unsafe fn path(pointer: *const c_char, name: &str) -> Result<PathBuf> {
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        if pointer.is_null() {
            return Err(null(name));
        }
        // SAFETY: not NULL, and the caller promises a terminated string.
        let bytes = unsafe { CStr::from_ptr(pointer) }.to_bytes();
        Ok(PathBuf::from(std::ffi::OsStr::from_bytes(bytes)))
    }
    #[cfg(not(unix))]
    // SAFETY: the caller's promise is the same.
    unsafe { text(pointer, name) }.map(PathBuf::from)
}

/// The `length` elements from `pointer` on; NULL is fine for none. `name` is the argument's.
///
/// # Safety
///
/// `pointer` is NULL, or aligned and readable for `length` elements that stay as they are for `'a`.
pub(crate) unsafe fn array<'a, T>(pointer: *const T, length: usize, name: &str) -> Result<&'a [T]> {
    if length == 0 {
        return Ok(&[]);
    }
    if pointer.is_null() {
        return Err(null(name));
    }
    if length > isize::MAX as usize / size_of::<T>() {
        return Err(invalid(format!("{name} cannot have {length} elements of {} bytes", size_of::<T>())));
    }
    // SAFETY: not NULL and of a size that exists; the caller promises the rest.
    Ok(unsafe { std::slice::from_raw_parts(pointer, length) })
}

/// Text for C; a NUL within it, which would cut it off, becomes U+FFFD.
pub(crate) fn c_string(text: &str) -> CString {
    CString::new(text.replace('\0', "\u{fffd}")).unwrap_or_default()
}

/// An argument that may not be NULL.
pub(crate) fn null(name: &str) -> Error {
    invalid(format!("{name} is NULL"))
}

/// An `index` that a list of `count` `things` does not have.
pub(crate) fn beyond(index: usize, count: usize, things: &str) -> Error {
    invalid(format!("index is {index}, and there are {count} {things}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::vision_last_error_message;

    fn last_message() -> String {
        // SAFETY: the message lives until this thread's next failing call.
        unsafe { CStr::from_ptr(vision_last_error_message()) }.to_str().unwrap().to_owned()
    }

    #[test]
    fn a_panic_is_a_status_with_its_message() {
        let number = ErrorKind::Internal.number();
        assert_eq!(boundary(|| panic!("at the disco")), number);
        assert_eq!(last_message(), "panic: at the disco");
        assert_eq!(boundary(|| panic!("{} {}", "two", "parts")), number);
        assert_eq!(last_message(), "panic: two parts");
        assert_eq!(boundary(|| std::panic::panic_any(7)), number);
        assert_eq!(last_message(), "panic: no message");
        assert_eq!(boundary(|| Ok(())), 0);
    }

    #[test]
    fn null_arguments_are_named() {
        // SAFETY: NULL is allowed in each.
        unsafe {
            assert_eq!(out::<u32>(std::ptr::null_mut(), "result").unwrap_err().message(), "result is NULL");
            assert_eq!(text(std::ptr::null(), "name").unwrap_err().message(), "name is NULL");
            assert_eq!(path(std::ptr::null(), "path").unwrap_err().message(), "path is NULL");
            assert_eq!(array::<u64>(std::ptr::null(), 2, "shape").unwrap_err().message(), "shape is NULL");
            assert!(array::<u64>(std::ptr::null(), 0, "shape").unwrap().is_empty());
            assert!(optional_text(std::ptr::null(), "device").unwrap().is_none());
        }
    }

    #[test]
    fn text_must_be_utf_8_and_arrays_must_fit_in_memory() {
        let element = 0u64;
        // SAFETY: a terminated string, and an array that is refused before it is read.
        let (text, array) =
            unsafe { (text(c"caf\xe9".as_ptr(), "label"), array(&raw const element, usize::MAX, "shape")) };
        assert!(text.unwrap_err().message().starts_with("label is not UTF-8"));
        assert!(array.unwrap_err().message().starts_with("shape cannot have"));
    }

    #[test]
    fn text_for_c_keeps_everything_but_nul() {
        assert_eq!(c_string("a\0é").to_str().unwrap(), "a\u{fffd}é");
    }
}

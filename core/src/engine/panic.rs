//! A panic in a decoder, a backend or a callback costs the request it served, never a thread.

use crate::error::{Error, ErrorKind, Result};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Calls `work`; a panic becomes an `INTERNAL` error that says `doing` what. The caller drops whatever the
/// panic may have left half done.
pub(super) fn contained<T>(doing: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| {
        let said = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no message");
        Err(Error::new(ErrorKind::Internal, format!("{doing}: panicked with {said:?}")))
    })
}

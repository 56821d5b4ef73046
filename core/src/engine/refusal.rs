//! The machine's refusals as errors: what was expected, what was found, and when to try again.

use super::machine::{Policy, Refusal};
use super::request::RequestOptions;
use crate::error::{Error, ErrorKind};
use std::time::Duration;

/// The error that a refused request is answered with.
pub(super) fn error_of(
    refusal: Refusal,
    retry_after: Option<Duration>,
    options: &RequestOptions,
    policy: &Policy,
) -> Error {
    let allowed = options.deadline.unwrap_or_default();
    let (kind, message) = match refusal {
        Refusal::QueueFull => (
            ErrorKind::QueueFull,
            format!("as many requests wait as queue_capacity, {}, allows this tenant", policy.queue_capacity),
        ),
        Refusal::BytesFull => (
            ErrorKind::QueueFull,
            format!("as many bytes of files wait as encoded_budget, {}, allows", policy.encoded_bytes),
        ),
        Refusal::TooCostly => (
            ErrorKind::ImageTooCostly,
            format!(
                "the request by itself is over encoded_budget, {} bytes, or over decode_budget, {} bytes",
                policy.encoded_bytes, policy.decode_bytes
            ),
        ),
        Refusal::DeadlineInfeasible => (
            ErrorKind::DeadlineInfeasible,
            format!("no answer is expected within the {allowed:?} that the request allows"),
        ),
        Refusal::Closed => (ErrorKind::EngineClosed, "the engine is closed".into()),
        Refusal::Cancelled => (ErrorKind::Cancelled, "the caller cancelled the request".into()),
        Refusal::DeadlineExceeded => {
            (ErrorKind::DeadlineExceeded, format!("no answer within the {allowed:?} that the request allows"))
        }
        Refusal::BackendStuck => (
            ErrorKind::BackendStuck,
            format!(
                "the batch was not done within stuck_after, {:?}; its worker was replaced",
                policy.stuck_after
            ),
        ),
        Refusal::BackendLost => (
            ErrorKind::DeviceLost,
            format!(
                "no worker could run for outage_patience, {:?}; the engine goes on trying",
                policy.outage_patience
            ),
        ),
    };
    let error = Error::new(kind, message);
    match retry_after {
        Some(after) => error.with_retry_after(after),
        None => error,
    }
}

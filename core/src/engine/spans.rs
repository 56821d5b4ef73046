//! What a `tracing` subscriber sees: a span for each request from acceptance to answer, one for each run of a
//! batch, and an event when a worker is lost or replaced. Without a subscriber each costs one load of a number.

use super::machine::{Cost, RunId};
use super::request::{RequestOptions, Response, Timing};
use crate::error::Error;
use std::time::Duration;
use tracing::Span;
use tracing::field::{Empty, display};

/// Where all of them come from, for filters.
const TARGET: &str = "libvision::engine";

/// The span of one request. A subscriber is called when it is made, recorded to or dropped: not under a lock.
pub(super) struct RequestSpan(Span);

impl RequestSpan {
    /// Begins on the caller's thread, so that a span which is entered there is its parent.
    pub(super) fn new(cost: Cost, options: &RequestOptions) -> Self {
        let span = tracing::info_span!(
            target: TARGET,
            "request",
            images = cost.slots,
            priority = ?options.priority,
            traceparent = Empty,
            request = Empty,
            run = Empty,
            outcome = Empty,
            batch_size = Empty,
            queue_us = Empty,
            decode_us = Empty,
            preprocess_us = Empty,
            batch_wait_us = Empty,
            compute_us = Empty,
            postprocess_us = Empty,
            total_us = Empty,
        );
        if let Some(context) = options.trace_context.filter(|_| !span.is_disabled()) {
            span.record("traceparent", display(context));
        }
        Self(span)
    }

    /// Ends with the answer, in the run that it was made in.
    pub(super) fn end(self, request: Option<u64>, run: Option<RunId>, answer: Result<&Response, &Error>) {
        let Self(span) = self;
        if span.is_disabled() {
            return;
        }
        request.map(|request| span.record("request", request));
        run.map(|run| span.record("run", run));
        match answer {
            Ok(response) => {
                span.record("outcome", "OK").record("batch_size", response.batch_size);
                for (name, part) in named(&response.timing) {
                    span.record(name, part.as_micros() as u64);
                }
            }
            Err(error) => {
                span.record("outcome", error.kind().name());
                tracing::info!(target: TARGET, parent: &span, code = error.kind().name(), "{error}");
            }
        }
    }
}

/// The span of one run, entered by the worker for as long as it computes. `run` is also in the spans of the
/// requests in it.
pub(super) fn run(run: RunId, images: usize, size: usize) -> Span {
    tracing::info_span!(target: TARGET, "run", run, images, size, outcome = Empty)
}

/// A run has ended.
pub(super) fn run_ended(span: Span, error: Option<&Error>) {
    span.record("outcome", error.map_or("OK", |error| error.kind().name()));
    if let Some(error) = error {
        tracing::warn!(target: TARGET, parent: &span, code = error.kind().name(), "{error}");
    }
}

/// A worker that is lost, or does not come back, is made anew.
pub(super) fn replacing(worker: usize) {
    tracing::warn!(target: TARGET, worker, "a worker is made anew");
}

/// That worked, or did not.
pub(super) fn replaced(worker: usize, error: Option<&Error>) {
    match error {
        None => tracing::info!(target: TARGET, worker, "the new worker is ready"),
        Some(error) => tracing::error!(target: TARGET, worker, "the worker cannot be made: {error}"),
    }
}

fn named(timing: &Timing) -> [(&'static str, Duration); 7] {
    let Timing { queue, decode, preprocess, batch_wait, compute, postprocess, total } = *timing;
    [
        ("queue_us", queue),
        ("decode_us", decode),
        ("preprocess_us", preprocess),
        ("batch_wait_us", batch_wait),
        ("compute_us", compute),
        ("postprocess_us", postprocess),
        ("total_us", total),
    ]
}

//! What a `tracing` subscriber sees of the engine. A program of its own, because there is one subscriber in a process.

mod engine_stub;

use engine_stub::*;
use libvision::{EngineOptions, ErrorKind, RequestOptions, TraceContext};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Instant;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::set_global_default;
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

/// One span or event that has ended: its name, or its level for an event, and its fields.
#[derive(Clone, Debug, Default, PartialEq)]
struct Seen {
    name: String,
    parent: Option<String>,
    fields: BTreeMap<&'static str, String>,
}

impl Visit for Seen {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.fields.insert(field.name(), format!("{value:?}").trim_matches('"').to_owned());
    }
}

impl Seen {
    fn number(&self, field: &str) -> u64 {
        self.fields[field].parse().expect("a number")
    }
}

/// Keeps what has ended.
#[derive(Clone, Default)]
struct Ended(Arc<Mutex<Vec<Seen>>>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Ended {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let span = context.span(id).expect("a span that is there");
        let parent = span.parent().map(|parent| parent.name().to_owned());
        let mut seen = Seen { name: span.name().into(), parent, ..Seen::default() };
        attributes.record(&mut seen);
        span.extensions_mut().insert(seen);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let span = context.span(id).expect("a span that is there");
        values.record(span.extensions_mut().get_mut::<Seen>().expect("put there at its start"));
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let parent = context.event_span(event).map(|span| span.name().to_owned());
        let mut seen = Seen { name: event.metadata().level().to_string(), parent, ..Seen::default() };
        event.record(&mut seen);
        self.0.lock().push(seen);
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let span = context.span(&id).expect("a span that is there");
        self.0.lock().push(span.extensions_mut().remove::<Seen>().expect("put there at its start"));
    }
}

impl Ended {
    /// Takes what has ended once `count` of this name have.
    fn take(&self, name: &str, count: usize) -> Vec<Seen> {
        let begun = Instant::now();
        loop {
            let mut seen = self.0.lock();
            if seen.iter().filter(|seen| seen.name == name).count() >= count {
                return std::mem::take(&mut seen);
            }
            assert!(begun.elapsed() < PATIENCE, "{count} {name} expected, seen {seen:?}");
            drop(seen);
            std::thread::yield_now();
        }
    }
}

const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[test]
fn requests_and_runs_are_spans_that_know_of_each_other() {
    let ended = Ended::default();
    set_global_default(tracing_subscriber::registry().with(ended.clone())).expect("the first");
    let (engine, control) = engine(&EngineOptions { queue_capacity: 1, batch_buckets: vec![4], ..options() });

    let traced =
        RequestOptions { trace_context: TraceContext::parse(TRACEPARENT), ..RequestOptions::default() };
    let response = tracing::info_span!("caller").in_scope(|| engine.classify(picture(0), traced));
    let response = response.expect("an answer");
    assert_eq!(response.trace_context.map(|context| context.to_string()).as_deref(), Some(TRACEPARENT));
    let seen = ended.take("run", 1);
    let find = |name: &str| seen.iter().find(|seen| seen.name == name).expect("it has ended");
    let (request, run) = (find("request"), find("run"));
    assert_eq!(request.parent.as_deref(), Some("caller"));
    assert_eq!(request.fields["traceparent"], TRACEPARENT);
    assert_eq!((&*request.fields["outcome"], &*request.fields["priority"]), ("OK", "Normal"));
    assert_eq!((request.number("run"), request.number("batch_size")), (run.number("run"), 1));
    assert_eq!((run.number("images"), run.number("size")), (1, 4), "filled up to the bucket");
    let parts = ["queue_us", "decode_us", "preprocess_us", "batch_wait_us", "compute_us", "postprocess_us"];
    let sum: u64 = parts.iter().map(|part| request.number(part)).sum();
    // Each part is cut off to whole microseconds.
    assert!((sum..=sum + parts.len() as u64).contains(&request.number("total_us")), "{request:?}");
    assert_eq!(response.timing.total.as_micros() as u64, request.number("total_us"));

    control.hold();
    let running = engine.submit(picture(0), RequestOptions::default()).expect("accepted");
    control.wait_begun(2);
    let waiting = engine.submit(picture(1), RequestOptions::default()).expect("room for one");
    let refused = engine.submit(picture(2), RequestOptions::default()).err().expect("full");
    waiting.cancel();
    control.set_fault(Fault::Error(ErrorKind::DeviceLost));
    control.release();
    assert!(wait(running).is_err() && wait(waiting).is_err());
    let seen = ended.take("request", 3);
    let codes = ["QUEUE_FULL", "CANCELLED", "DEVICE_LOST"];
    let outcomes: Vec<&str> =
        seen.iter().filter(|seen| seen.name == "request").map(|seen| &*seen.fields["outcome"]).collect();
    assert_eq!(outcomes, codes);
    let event = seen.iter().find(|seen| seen.name == "INFO").expect("an event for the refusal");
    assert_eq!((event.parent.as_deref(), &*event.fields["code"]), (Some("request"), "QUEUE_FULL"));
    assert_eq!(event.fields["message"], refused.message());
    assert!(seen.iter().any(|seen| seen.name == "WARN" && seen.fields["code"] == "DEVICE_LOST"), "{seen:?}");
}

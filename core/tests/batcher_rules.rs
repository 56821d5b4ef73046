//! Each rule of the batcher, on a clock that the test moves.

use libvision::engine::batcher::{Action, Batcher, BatcherConfig, Event, Place, Refusal, RequestId};
use libvision::engine::clock::Time;
use std::time::Duration;

const MS: u64 = 1_000_000;

struct Bench {
    batcher: Batcher,
    now: Time,
    next: RequestId,
}

impl Bench {
    fn new(max_batch_size: usize, delay_ms: u64, workers: usize) -> Self {
        let config = BatcherConfig {
            max_batch_size,
            max_queue_delay: Duration::from_millis(delay_ms),
            decode_threads: 2,
            workers,
            stagings: workers + 2,
        };
        Self { batcher: Batcher::new(config), now: Time(0), next: 0 }
    }

    fn step(&mut self, event: Event) -> Vec<Action> {
        self.batcher.step(self.now, event)
    }

    fn accept(&mut self, slots: usize, deadline_ms: Option<u64>) -> (RequestId, Vec<Action>) {
        let id = self.next;
        self.next += 1;
        let deadline = deadline_ms.map(|ms| Time(self.now.0 + ms * MS));
        (id, self.step(Event::Accepted { id, slots, deadline }))
    }

    /// Accepts a request of one slot and prepares it at once; returns what followed.
    fn accept_prepared(&mut self) -> Vec<Action> {
        let (id, actions) = self.accept(1, None);
        let is_prepare =
            matches!(actions[..], [Action::Prepare { place: Place { id: of, .. }, .. }] if of == id);
        assert!(is_prepare, "{actions:?}");
        self.step(Event::Prepared { id, succeeded: true })
    }

    fn advance(&mut self, ms: u64) -> Vec<Action> {
        self.now = Time(self.now.0 + ms * MS);
        self.step(Event::Tick)
    }
}

fn dispatched(actions: &[Action]) -> Vec<Vec<RequestId>> {
    actions
        .iter()
        .filter_map(|action| match action {
            Action::Dispatch { places, .. } => Some(places.iter().map(|place| place.id).collect()),
            _ => None,
        })
        .collect()
}

fn done(worker: usize, staging: usize, ids: &[RequestId]) -> Event {
    Event::BatchDone { worker, staging, ids: ids.to_vec() }
}

#[test]
fn a_full_batch_runs_at_once() {
    let mut bench = Bench::new(3, 1000, 1);
    assert!(dispatched(&bench.accept_prepared()).is_empty());
    assert!(dispatched(&bench.accept_prepared()).is_empty());
    assert_eq!(dispatched(&bench.accept_prepared()), [[0, 1, 2]]);
}

#[test]
fn the_delay_counts_from_the_oldest() {
    let mut bench = Bench::new(8, 10, 1);
    bench.accept_prepared();
    assert!(bench.advance(6).is_empty());
    bench.accept_prepared();
    assert_eq!(bench.batcher.next_wakeup(), Some(Time(10 * MS)));
    assert!(bench.advance(3).is_empty());
    assert_eq!(dispatched(&bench.advance(1)), [[0, 1]]);
    assert_eq!(bench.batcher.next_wakeup(), None);
}

#[test]
fn without_delay_nothing_waits() {
    let mut bench = Bench::new(8, 0, 1);
    assert_eq!(dispatched(&bench.accept_prepared()), [[0]]);
}

#[test]
fn while_the_worker_is_busy_the_next_batch_fills() {
    let mut bench = Bench::new(4, 10, 1);
    bench.accept_prepared();
    bench.advance(10);
    for _ in 0..3 {
        assert!(bench.accept_prepared().is_empty());
        assert!(bench.advance(20).is_empty());
    }
    assert_eq!(bench.batcher.next_wakeup(), None, "all workers are busy: no use in waking");
    let actions = bench.step(done(0, 0, &[0]));
    assert_eq!(actions[0], Action::Deliver { id: 0 });
    assert_eq!(dispatched(&actions), [[1, 2, 3]]);
}

#[test]
fn no_batch_exceeds_its_size_and_order_is_kept() {
    let mut bench = Bench::new(4, 1000, 1);
    let (_, first) = bench.accept(3, None);
    let (_, second) = bench.accept(2, None);
    let places: Vec<(usize, usize)> = first
        .iter()
        .chain(&second)
        .map(|action| match action {
            Action::Prepare { staging, place } => (*staging, place.first_slot),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(places, [(0, 0), (1, 0)], "two slots do not fit beside three of four");
    assert!(bench.step(Event::Prepared { id: 1, succeeded: true }).is_empty(), "ready first, runs second");
    assert_eq!(dispatched(&bench.step(Event::Prepared { id: 0, succeeded: true })), [[0]]);
}

#[test]
fn two_workers_run_two_batches() {
    let mut bench = Bench::new(1, 0, 2);
    assert_eq!(dispatched(&bench.accept_prepared()), [[0]]);
    assert_eq!(dispatched(&bench.accept_prepared()), [[1]]);
    assert!(dispatched(&bench.accept_prepared()).is_empty());
    assert_eq!(dispatched(&bench.step(done(1, 1, &[1]))), [[2]]);
}

#[test]
fn a_request_that_fails_fails_alone() {
    let mut bench = Bench::new(2, 10, 1);
    bench.accept(1, None);
    bench.accept(1, None);
    assert_eq!(bench.step(Event::Prepared { id: 0, succeeded: false }), [Action::Deliver { id: 0 }]);
    let actions = bench.step(Event::Prepared { id: 1, succeeded: true });
    assert_eq!(dispatched(&actions), [[1]]);
    assert!(matches!(&actions[0], Action::Dispatch { places, .. } if places[0].first_slot == 1));
}

#[test]
fn a_batch_of_failures_gives_its_buffer_back() {
    let mut bench = Bench::new(1, 0, 1);
    for id in 0..20 {
        let (_, actions) = bench.accept(1, None);
        assert_eq!(actions.len(), 1, "a buffer is free for request {id}");
        bench.step(Event::Prepared { id, succeeded: false });
    }
    assert!(bench.batcher.is_idle());
}

#[test]
fn waiting_requests_expire_and_never_run() {
    let mut bench = Bench::new(8, 1000, 1);
    bench.accept(1, None);
    bench.accept(1, None);
    let (late, actions) = bench.accept(1, Some(5));
    assert!(actions.is_empty(), "both decode threads are busy");
    assert_eq!(bench.batcher.next_wakeup(), Some(Time(5 * MS)));
    assert!(bench.advance(4).is_empty());
    let refusal = Action::Refuse { id: late, refusal: Refusal::DeadlineExceeded };
    assert_eq!(bench.advance(1), [refusal]);
    assert!(bench.step(Event::Prepared { id: 0, succeeded: true }).is_empty(), "nothing is left to prepare");
}

#[test]
fn an_answer_after_the_deadline_is_none() {
    let mut bench = Bench::new(1, 0, 1);
    let (id, _) = bench.accept(1, Some(5));
    bench.step(Event::Prepared { id, succeeded: true });
    assert_eq!(bench.advance(5), [Action::Refuse { id, refusal: Refusal::DeadlineExceeded }]);
    assert!(bench.step(done(0, 0, &[id])).is_empty(), "it was answered already");
    assert!(bench.batcher.is_idle());
}

#[test]
fn cancelling_frees_the_place_at_every_stage() {
    let mut bench = Bench::new(4, 1000, 1);
    let cancelled = |id| vec![Action::Refuse { id, refusal: Refusal::Cancelled }];
    // Being prepared.
    bench.accept(1, None);
    assert_eq!(bench.step(Event::Cancelled { id: 0 }), cancelled(0));
    assert!(bench.step(Event::Prepared { id: 0, succeeded: true }).is_empty());
    assert!(bench.batcher.is_idle());
    // Ready.
    bench.accept_prepared();
    assert_eq!(bench.step(Event::Cancelled { id: 1 }), cancelled(1));
    assert!(bench.batcher.is_idle());
    // Running.
    let actions: Vec<Action> = (0..4).flat_map(|_| bench.accept_prepared()).collect();
    let Some(Action::Dispatch { staging, .. }) = actions.first() else { panic!("{actions:?}") };
    assert_eq!(bench.step(Event::Cancelled { id: 3 }), cancelled(3));
    let actions = bench.step(done(0, *staging, &[2, 3, 4, 5]));
    assert_eq!(actions, [2, 4, 5].map(|id| Action::Deliver { id }));
    // Answered.
    assert!(bench.step(Event::Cancelled { id: 2 }).is_empty());
    assert_eq!(bench.batcher.queued(), 0);
}

#[test]
fn closing_waits_for_no_delay() {
    let mut bench = Bench::new(8, 1000, 1);
    for _ in 0..3 {
        bench.accept_prepared();
    }
    assert_eq!(dispatched(&bench.step(Event::Close)), [[0, 1, 2]]);
}

//! Each rule of the machine's batching, on a clock that the test moves.

use libvision::engine::machine::{
    Action, Cost, Event, Machine, Policy, Priority, Refusal, RequestId, RunId, RunOutcome, Shape, Time,
    Window,
};
use std::time::Duration;

const MS: u64 = 1_000_000;

/// A machine, its time, and the decoders' side of it.
struct Bench {
    machine: Machine,
    now: Time,
    next: RequestId,
    /// By worker.
    runs: Vec<RunId>,
}

struct Sizes {
    max_batch_size: usize,
    max_queue_delay: Duration,
    queue_capacity: usize,
    decoders: usize,
    workers: usize,
    stagings: usize,
}

impl Bench {
    fn new(max_batch_size: usize, delay_ms: u64, workers: usize) -> Self {
        Self::with(Sizes {
            max_batch_size,
            max_queue_delay: Duration::from_millis(delay_ms),
            queue_capacity: 100,
            decoders: 4,
            workers,
            stagings: workers + 2,
        })
    }

    fn with(sizes: Sizes) -> Self {
        let Sizes { max_batch_size, max_queue_delay, queue_capacity, decoders, workers, stagings } = sizes;
        let shape = Shape { max_batch_size, buckets: Vec::new(), decoders, workers, stagings };
        Self::of(shape, Policy { max_queue_delay, queue_capacity, ..policy() })
    }

    fn of(shape: Shape, policy: Policy) -> Self {
        let runs = vec![0; shape.workers];
        Self { machine: Machine::new(shape, policy), now: Time(0), next: 0, runs }
    }

    /// What the machine says, but for when to try again.
    fn step(&mut self, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        self.machine.step(self.now, event, &mut actions);
        let wakeup = self.machine.next_wakeup();
        assert!(wakeup.is_none_or(|wakeup| wakeup > self.now), "a wakeup in the past");
        for action in &mut actions {
            match action {
                Action::Run { worker, run, .. } | Action::Test { worker, run } => self.runs[*worker] = *run,
                Action::Refuse { retry_after, .. } => *retry_after = None,
                _ => {}
            }
        }
        actions
    }

    fn arrive(&mut self, slots: usize, deadline_ms: Option<u64>) -> Vec<Action> {
        let id = self.next;
        self.next += 1;
        let deadline = deadline_ms.map(|ms| Time(self.now.0 + ms * MS));
        self.step(arrival(id, slots, deadline))
    }

    fn decoded(&mut self, decoder: usize) -> Vec<Action> {
        self.step(Event::Decoded { decoder, succeeded: true })
    }

    fn filled(&mut self, decoder: usize) -> Vec<Action> {
        self.step(Event::Filled { decoder, succeeded: true })
    }

    /// A request that is decoded and filled in at once by decoder 0, which must be idle. Returns what came
    /// of the last step.
    fn ready(&mut self, slots: usize) -> Vec<Action> {
        let id = self.next;
        assert_eq!(self.arrive(slots, None), [Action::Decode { decoder: 0, id }]);
        let actions = self.decoded(0);
        assert!(matches!(actions[..], [Action::Fill { decoder: 0, .. }]), "{actions:?}");
        self.filled(0)
    }

    fn advance(&mut self, ms: u64) -> Vec<Action> {
        self.now = Time(self.now.0 + ms * MS);
        self.step(Event::Tick)
    }

    fn done(&mut self, worker: usize) -> Vec<Action> {
        self.ends(worker, RunOutcome::Succeeded)
    }

    fn ends(&mut self, worker: usize, outcome: RunOutcome) -> Vec<Action> {
        self.step(Event::RunDone { run: self.runs[worker], outcome })
    }
}

/// A batch waits for as long as it may, and nobody loses patience.
fn policy() -> Policy {
    Policy {
        window: Window::Throughput,
        stuck_after: Duration::MAX,
        outage_patience: Duration::from_secs(100),
        ageing: Duration::from_secs(100),
        ..Policy::default()
    }
}

fn arrival(id: RequestId, slots: usize, deadline: Option<Time>) -> Event {
    let cost = Cost { slots, ..Cost::default() };
    Event::Arrived { id, tenant: 0, weight: 1, priority: Priority::Normal, cost, deadline, twin: None }
}

/// The batches among the actions.
fn runs(actions: &[Action]) -> Vec<Vec<RequestId>> {
    let ids = |action: &Action| match action {
        Action::Run { places, .. } => Some(places.iter().map(|place| place.id).collect()),
        _ => None,
    };
    actions.iter().filter_map(ids).collect()
}

fn refused(id: RequestId, refusal: Refusal) -> Action {
    Action::Refuse { id, refusal, retry_after: None }
}

#[test]
fn a_full_batch_runs_at_once() {
    let mut bench = Bench::new(3, 1000, 1);
    assert!(bench.ready(1).is_empty());
    assert!(bench.ready(1).is_empty());
    assert_eq!(runs(&bench.ready(1)), [[0, 1, 2]]);
}

#[test]
fn without_delay_nothing_waits() {
    let mut bench = Bench::new(8, 0, 1);
    assert_eq!(runs(&bench.ready(1)), [[0]]);
    assert_eq!(bench.machine.next_wakeup(), None);
}

#[test]
fn the_delay_counts_from_the_first_place_in_the_batch() {
    let mut bench = Bench::new(8, 10, 1);
    // Decoding takes longer than the delay and does not count.
    bench.arrive(1, None);
    assert!(bench.advance(50).is_empty());
    bench.decoded(0);
    bench.filled(0);
    assert_eq!(bench.machine.next_wakeup(), Some(Time(60 * MS)));
    assert!(bench.advance(6).is_empty());
    assert!(bench.ready(1).is_empty());
    assert_eq!(bench.machine.next_wakeup(), Some(Time(60 * MS)));
    assert!(bench.advance(3).is_empty());
    assert_eq!(runs(&bench.advance(1)), [[0, 1]]);
    assert_eq!(bench.machine.next_wakeup(), None);
}

#[test]
fn while_all_workers_are_busy_the_batch_stays_open() {
    let mut bench = Bench::new(4, 10, 1);
    bench.ready(1);
    assert_eq!(runs(&bench.advance(10)), [[0]]);
    for _ in 0..3 {
        assert!(bench.ready(1).is_empty());
        assert!(bench.advance(20).is_empty());
        assert_eq!(bench.machine.next_wakeup(), None, "all workers are busy: no use in waking");
    }
    let actions = bench.done(0);
    assert_eq!(actions[0], Action::Deliver { id: 0 });
    assert_eq!(runs(&actions), [[1, 2, 3]]);
}

#[test]
fn an_idle_worker_waits_for_one_batch_only() {
    // Three requests are being written when the delay is over: they go together, not each by itself.
    let mut bench = Bench::new(8, 10, 1);
    for decoder in 0..3 {
        bench.arrive(1, None);
        bench.decoded(decoder);
    }
    assert!(bench.advance(10).is_empty(), "the first batch is complete and not yet written");
    bench.arrive(1, None);
    let fourth = bench.decoded(3);
    assert!(matches!(fourth[..], [Action::Fill { staging: 1, .. }]), "{fourth:?}");
    assert!(bench.advance(30).is_empty(), "no second worker will be idle: the second batch stays open");
    bench.filled(0);
    bench.filled(1);
    assert_eq!(runs(&bench.filled(2)), [[0, 1, 2]]);
    assert!(bench.filled(3).is_empty());
    assert!(bench.ready(1).is_empty());
    assert_eq!(runs(&bench.done(0)), [[3, 4]]);
}

#[test]
fn no_batch_exceeds_its_size_and_order_is_kept() {
    let mut bench = Bench::new(4, 1000, 1);
    assert!(bench.ready(3).is_empty());
    // Two slots do not fit beside three of four, so the first batch is complete.
    bench.arrive(2, None);
    let actions = bench.decoded(0);
    assert!(
        matches!(actions[0], Action::Fill { staging: 1, place, .. } if place.first_slot == 0),
        "{actions:?}"
    );
    assert_eq!(runs(&actions), [[0]]);
    bench.filled(0);
    // One slot would fit beside them, and joins them.
    assert!(bench.ready(1).is_empty());
    assert_eq!(runs(&bench.ready(1)), [] as [Vec<RequestId>; 0]);
    assert_eq!(runs(&bench.done(0)), [[1, 2, 3]]);
}

#[test]
fn a_large_request_is_not_overtaken_for_ever() {
    let mut bench = Bench::with(Sizes {
        max_batch_size: 4,
        max_queue_delay: Duration::from_millis(1000),
        queue_capacity: 100,
        decoders: 4,
        workers: 1,
        stagings: 2,
    });
    assert_eq!(runs(&bench.ready(4)), [[0]]);
    assert!(bench.ready(1).is_empty());
    // No room for four, and none for the small one behind it.
    bench.arrive(4, None);
    assert!(bench.decoded(0).is_empty());
    bench.arrive(1, None);
    assert!(bench.decoded(1).is_empty());
    let actions = bench.done(0);
    assert!(actions.contains(&Action::Deliver { id: 0 }));
    assert_eq!(runs(&actions), [[1]], "who waits for a place completes the batch");
    assert!(
        actions.iter().any(|action| matches!(action, Action::Fill { place, .. } if place.id == 2)),
        "{actions:?}"
    );
}

#[test]
fn two_workers_run_two_batches() {
    let mut bench = Bench::new(1, 0, 2);
    assert_eq!(runs(&bench.ready(1)), [[0]]);
    assert_eq!(runs(&bench.ready(1)), [[1]]);
    assert!(bench.ready(1).is_empty());
    let actions = bench.done(1);
    assert_eq!(runs(&actions), [[2]]);
    assert!(actions.iter().any(|action| matches!(action, Action::Run { worker: 1, .. })), "{actions:?}");
}

#[test]
fn places_go_by_acceptance_among_those_that_are_decoded() {
    let mut bench = Bench::with(Sizes {
        max_batch_size: 1,
        max_queue_delay: Duration::ZERO,
        queue_capacity: 100,
        decoders: 4,
        workers: 1,
        stagings: 2,
    });
    bench.ready(1);
    bench.ready(1);
    for _ in 0..3 {
        bench.arrive(1, None);
    }
    // The last is decoded first, the first not at all for now.
    bench.decoded(2);
    bench.decoded(1);
    let actions = bench.done(0);
    assert_eq!(runs(&actions), [[1]]);
    assert!(matches!(actions[1], Action::Fill { place, .. } if place.id == 3), "{actions:?}");
}

#[test]
fn a_slow_picture_holds_up_nobody() {
    let mut bench = Bench::new(2, 1000, 1);
    bench.arrive(1, None);
    for decoder in [1, 2] {
        bench.arrive(1, None);
        bench.decoded(decoder);
    }
    bench.filled(1);
    assert_eq!(runs(&bench.filled(2)), [[1, 2]]);
}

#[test]
fn a_batch_that_is_written_passes_one_that_is_not() {
    let mut bench = Bench::new(1, 0, 1);
    for decoder in [0, 1] {
        bench.arrive(1, None);
        bench.decoded(decoder);
    }
    assert_eq!(runs(&bench.filled(1)), [[1]]);
}

#[test]
fn a_request_that_fails_fails_alone_and_frees_its_place() {
    let mut bench = Bench::new(2, 10, 1);
    for _ in 0..3 {
        bench.arrive(1, None);
    }
    assert_eq!(bench.step(Event::Decoded { decoder: 0, succeeded: false }), [Action::Deliver { id: 0 }]);
    bench.decoded(1);
    bench.decoded(2);
    assert_eq!(bench.step(Event::Filled { decoder: 1, succeeded: false }), [Action::Deliver { id: 1 }]);
    assert!(bench.filled(2).is_empty(), "there is room for another again");
    assert_eq!(runs(&bench.ready(1)), [[3, 2]], "in order of the slots");
}

#[test]
fn a_batch_of_failures_gives_its_buffer_back() {
    let mut bench = Bench::new(1, 0, 1);
    for id in 0..20 {
        bench.arrive(1, None);
        let actions = bench.decoded(0);
        assert!(matches!(actions[..], [Action::Fill { .. }]), "request {id}: {actions:?}");
        bench.step(Event::Filled { decoder: 0, succeeded: false });
    }
    assert_eq!(bench.machine.queued(), 0);
}

#[test]
fn the_queue_counts_everything_that_does_not_run() {
    let mut bench = Bench::with(Sizes {
        max_batch_size: 2,
        max_queue_delay: Duration::ZERO,
        queue_capacity: 4,
        decoders: 1,
        workers: 1,
        stagings: 2,
    });
    assert_eq!(runs(&bench.ready(1)), [[0]]);
    bench.ready(1);
    for _ in 0..3 {
        assert!(!bench.arrive(1, None).iter().any(|action| matches!(action, Action::Refuse { .. })));
    }
    assert_eq!(bench.machine.queued(), 4);
    assert_eq!(bench.arrive(1, None), [refused(5, Refusal::QueueFull)]);
    assert_eq!(bench.step(Event::Cancelled { id: 3 }), [refused(3, Refusal::Cancelled)]);
    assert!(bench.arrive(1, None).is_empty(), "a place came free");
    assert_eq!(bench.arrive(1, None), [refused(7, Refusal::QueueFull)]);
    assert_eq!(runs(&bench.done(0)), [[1]]);
    assert!(bench.arrive(1, None).is_empty(), "what runs does not count");
}

#[test]
fn requests_expire_on_time_at_every_stage_and_never_run() {
    let expired = |id| refused(id, Refusal::DeadlineExceeded);
    let mut bench = Bench::new(8, 1000, 1);
    for _ in 0..4 {
        bench.arrive(1, Some(5));
    }
    for _ in 0..2 {
        assert!(bench.arrive(1, Some(5)).is_empty(), "all decoders are busy");
    }
    // One is decoded and has a place, one is written, the last waits.
    bench.decoded(1);
    bench.decoded(2);
    assert_eq!(bench.filled(2), [Action::Decode { decoder: 2, id: 4 }]);
    assert_eq!(bench.machine.next_wakeup(), Some(Time(5 * MS)));
    assert!(bench.advance(4).is_empty());
    assert_eq!(bench.advance(1), [0, 1, 2, 3, 4, 5].map(expired));
    for decoder in [0, 2] {
        assert_eq!(bench.decoded(decoder), [Action::Discard { decoder }]);
    }
    assert!(bench.filled(1).is_empty());
    assert!(bench.step(Event::Decoded { decoder: 3, succeeded: false }).is_empty());
    assert_eq!(bench.machine.next_wakeup(), None);
    bench.step(Event::Close { until: Time(u64::MAX) });
    assert!(bench.machine.is_drained());
}

#[test]
fn an_answer_at_the_deadline_is_too_late() {
    let mut bench = Bench::new(1, 0, 1);
    bench.arrive(1, Some(5));
    bench.decoded(0);
    assert_eq!(runs(&bench.filled(0)), [[0]]);
    bench.now = Time(5 * MS);
    assert_eq!(bench.done(0), [refused(0, Refusal::DeadlineExceeded)]);
    // Another one is accepted with a margin only. While it runs it is answered on time, whatever the backend does.
    assert_eq!(bench.arrive(1, Some(5)), [refused(1, Refusal::DeadlineInfeasible)]);
    bench.arrive(1, Some(6));
    bench.decoded(0);
    assert_eq!(runs(&bench.filled(0)), [[2]]);
    assert_eq!(bench.advance(6), [refused(2, Refusal::DeadlineExceeded)]);
    assert!(bench.done(0).is_empty());
}

#[test]
fn a_deadline_that_has_passed_is_refused_at_arrival() {
    let mut bench = Bench::new(1, 0, 1);
    bench.now = Time(7);
    let event = arrival(0, 1, Some(Time(7)));
    assert_eq!(bench.step(event), [refused(0, Refusal::DeadlineExceeded)]);
    assert_eq!(bench.machine.queued(), 0);
}

#[test]
fn cancelling_works_at_every_stage() {
    let cancelled = |id| vec![refused(id, Refusal::Cancelled)];
    let mut bench = Bench::new(2, 1000, 1);
    // Being decoded.
    bench.arrive(1, None);
    assert_eq!(bench.step(Event::Cancelled { id: 0 }), cancelled(0));
    assert_eq!(bench.decoded(0), [Action::Discard { decoder: 0 }]);
    // Being written: the slot comes free when its decoder is done.
    bench.arrive(1, None);
    bench.decoded(0);
    assert_eq!(bench.step(Event::Cancelled { id: 1 }), cancelled(1));
    assert!(bench.ready_by(1, 1).is_empty(), "the other slot");
    assert!(bench.filled(0).is_empty());
    assert_eq!(runs(&bench.ready(1)), [[3, 2]], "the slot that came free");
    // Written, in a batch that is complete: another takes the place.
    bench.ready(1);
    bench.ready(1);
    assert_eq!(bench.step(Event::Cancelled { id: 4 }), cancelled(4));
    bench.ready(1);
    // Decoded, without a place; and waiting.
    for _ in 0..4 {
        bench.ready(1);
        if bench.machine.queued() == 4 {
            break;
        }
    }
    bench.arrive(1, None);
    assert!(bench.decoded(0).is_empty(), "every buffer is full");
    let held = bench.next - 1;
    let mut expected = vec![Action::Discard { decoder: 0 }];
    expected.extend(cancelled(held));
    assert_eq!(bench.step(Event::Cancelled { id: held }), expected);
    for _ in 0..5 {
        bench.arrive(1, None);
    }
    let waiting = bench.next - 1;
    assert_eq!(bench.step(Event::Cancelled { id: waiting }), cancelled(waiting));
    // Running: nobody gets the answer, the others get theirs.
    assert_eq!(bench.step(Event::Cancelled { id: 3 }), cancelled(3));
    let actions = bench.done(0);
    assert_eq!(actions[0], Action::Deliver { id: 2 });
    assert!(!actions.contains(&Action::Deliver { id: 3 }));
    // Answered, or never heard of.
    assert!(bench.step(Event::Cancelled { id: 2 }).is_empty());
    assert!(bench.step(Event::Cancelled { id: 1_000_000 }).is_empty());
}

impl Bench {
    /// As [`Bench::ready`], by another decoder.
    fn ready_by(&mut self, decoder: usize, slots: usize) -> Vec<Action> {
        let id = self.next;
        assert_eq!(self.arrive(slots, None), [Action::Decode { decoder, id }]);
        self.decoded(decoder);
        self.filled(decoder)
    }
}

#[test]
fn closing_waits_for_no_delay_and_for_everybody() {
    let mut bench = Bench::new(8, 1000, 1);
    bench.ready(1);
    bench.ready(1);
    bench.arrive(1, None);
    assert!(bench.step(Event::Close { until: Time(u64::MAX) }).is_empty(), "one is still to come");
    assert_eq!(bench.arrive(1, None), [refused(3, Refusal::Closed)]);
    bench.decoded(0);
    assert_eq!(runs(&bench.filled(0)), [[0, 1, 2]]);
    assert!(!bench.machine.is_drained());
    assert_eq!(bench.done(0), [0, 1, 2].map(|id| Action::Deliver { id }));
    assert!(bench.machine.is_drained());
}

#[test]
fn closing_does_not_wait_for_one_that_is_cancelled() {
    let mut bench = Bench::new(8, 1000, 1);
    bench.ready(1);
    for _ in 0..5 {
        bench.arrive(1, None);
    }
    bench.step(Event::Close { until: Time(u64::MAX) });
    for id in 1..6 {
        bench.step(Event::Cancelled { id });
    }
    for decoder in 0..3 {
        assert_eq!(bench.decoded(decoder), [Action::Discard { decoder }]);
    }
    let actions = bench.decoded(3);
    assert_eq!(actions[0], Action::Discard { decoder: 3 });
    assert_eq!(runs(&actions), [[0]]);
}

//! Being ready is earned: known images at every batch bucket before, from time to time while serving, and again
//! after whatever went wrong.

mod engine_stub;

use engine_stub::*;
use libvision::engine::clock::ManualClock;
use libvision::engine::{Readiness, Surroundings};
use libvision::model::{Golden, golden_image};
use libvision::{Engine, EngineOptions, ErrorKind, Model};
use std::sync::Arc;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
/// What those are told whose batch did not come to a result.
const TYPED: [ErrorKind; 5] = [
    ErrorKind::BackendStuck,
    ErrorKind::DeadlineExceeded,
    ErrorKind::DeviceLost,
    ErrorKind::OutOfMemory,
    // A panic of the backend is a defect of its own.
    ErrorKind::Internal,
];

const BUCKETS: &[usize] = &[1, 2, 4];

fn with_buckets() -> Stub {
    Stub { buckets: BUCKETS, ..Stub::new() }
}

/// Tests itself every second.
fn watchful() -> EngineOptions {
    EngineOptions { self_test_every: SECOND, stuck_after: SECOND, max_batch_size: 4, ..options() }
}

fn on_manual_clock(stub: Stub, options: &EngineOptions) -> (Engine, Hand, Arc<ManualClock>) {
    let (hand, clock) = (Hand(Arc::clone(&stub.control)), Arc::new(ManualClock::default()));
    let around = Surroundings { clock: clock.clone(), ..Surroundings::of(Arc::new(stub)) };
    (Engine::start(picture_model(), options, around).expect("an engine"), hand, clock)
}

/// Lets time pass until it is so.
fn until(clock: &ManualClock, what: &str, mut is_so: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "{what} does not come");
        clock.advance(Duration::from_millis(10));
        std::thread::yield_now();
    }
}

#[test]
fn every_bucket_of_every_worker_runs_known_images_before_the_engine_is_there() {
    let stub = Stub { contexts: 2, ..with_buckets() };
    let control = Arc::clone(&stub.control);
    let limits = EngineOptions { max_batch_size: 7, ..options() };
    let engine = Engine::with_backend(picture_model(), &limits, Arc::new(stub)).expect("an engine");
    assert_eq!(engine.readiness(), Readiness::Ready);
    let of_one = [1, 1, 2, 4, 7];
    assert_eq!(control.begun(), [of_one, of_one].concat());
}

#[test]
fn one_wrong_bit_in_one_bucket_and_there_is_no_engine() {
    for wrong in [0, 1, 2, 4] {
        let stub = with_buckets();
        stub.control.set_fault(Fault::Wrong(wrong));
        let made = Engine::with_backend(picture_model(), &watchful(), Arc::new(stub));
        let error = made.err().expect("a wrong bit");
        assert_eq!(error.kind(), ErrorKind::SelfTestFailed);
        // One that is wrong alone is at one with itself: the next size tells.
        assert!(error.message().contains(&format!("batch of {}", wrong.max(2))), "{error}");
    }
}

/// What the stub makes of a golden image.
fn logits_of(image: usize) -> Vec<f32> {
    let pixels = golden_image(image, 0, PIXELS);
    (0..CLASSES).map(|class| mix(&pixels, class)).collect()
}

#[test]
fn answers_that_a_model_brings_along_are_binding() {
    let model = |scale: f32| {
        let answers = (0..2).map(|image| {
            vec![("logits".to_owned(), logits_of(image).into_iter().map(|x| x * scale).collect())]
        });
        let graph = picture_model().graph().clone();
        let model = Model::from_graph("stub", graph, preprocessing(), vec![], libvision::Head::Softmax);
        Arc::new(model.expect("a model").with_golden(Golden::new(1e-3, answers.collect()).expect("good")))
    };
    let made = |scale| Engine::with_backend(model(scale), &options(), Arc::new(Stub::new()));
    assert!(made(1.0).is_ok_and(|engine| engine.is_ready()));
    let error = made(1.01).err().expect("the model computes something else");
    assert_eq!(error.kind(), ErrorKind::SelfTestFailed);
    assert!(error.message().contains("golden.json") && error.message().contains("logits"), "{error}");
}

#[test]
fn without_a_proof_the_engine_answers_and_is_not_ready() {
    let (engine, control) = engine(&EngineOptions { prove: false, ..options() });
    assert!(engine.readiness().reason().is_some_and(|reason| reason.contains("prove is off")));
    assert!(control.begun().is_empty());
    let answer = engine.classify(picture(0), classify_all()).expect("an answer");
    assert_eq!(scores(&answer), expected_scores(0));
    assert!(!engine.is_ready() && !engine.metrics().is_ready);
    // The first run of this size did something for the first time, which is what the proof is for.
    assert_eq!(engine.metrics().cold_paths, 1);
}

#[test]
fn nothing_is_done_for_the_first_time_once_the_engine_is_ready() {
    let (engine, control) = engine_on(with_buckets(), &EngineOptions { max_batch_size: 8, ..options() });
    for size in 1..9 {
        control.hold();
        let begun = control.begun().len();
        let first = engine.submit(picture(0), classify_all()).expect("accepted");
        control.wait_begun(begun + 1);
        let rest: Vec<_> =
            (0..size).map(|s| engine.submit(picture(s), classify_all()).expect("room")).collect();
        wait_filled(&engine);
        control.release();
        assert!(wait(first).is_ok());
        rest.into_iter().for_each(|pending| assert!(wait(pending).is_ok()));
    }
    let sizes: std::collections::BTreeSet<usize> = control.begun().into_iter().collect();
    assert_eq!(Vec::from_iter(sizes), [1, 2, 4, 8]);
    assert_eq!(engine.metrics().cold_paths, 0);
    assert!(engine.prometheus().contains("libvision_cold_path_total{model=\"default\",version=\"1\"} 0"));
}

#[test]
fn a_self_test_finds_wrong_results_turns_readiness_off_and_serves_nobody_until_they_are_right() {
    let patient = EngineOptions { outage_patience: Duration::MAX, ..watchful() };
    let (engine, control, clock) = on_manual_clock(with_buckets(), &patient);
    until(&clock, "a self-test", || engine.metrics().counters.self_tests > 2);
    assert!(engine.is_ready());
    control.set_fault(Fault::Wrong(0));
    until(&clock, "a failed self-test", || !engine.is_ready());
    let reason = engine.readiness().reason().expect("why not").to_owned();
    assert!(reason.contains("model \"default\"") && reason.contains("known image"), "{reason}");
    // Made anew, compiled anew, and still wrong: it stays off, and those who ask wait.
    let waits = engine.submit(picture(3), classify_all()).expect("accepted");
    until(&clock, "many attempts", || control.contexts() > 8);
    assert!(!engine.is_ready());
    control.set_fault(Fault::None);
    until(&clock, "readiness", || engine.is_ready());
    assert_eq!(scores(&wait(waits).expect("an answer")), expected_scores(3));
    let metrics = engine.metrics();
    assert_eq!((metrics.counters.self_tests_failed, metrics.counters.rebuilt), (1, 1));
    assert!(metrics.cold_paths > 0);
}

#[test]
fn whatever_fails_wherever_in_a_run_everybody_is_answered_once_and_readiness_comes_back() {
    let faults = [
        Fault::Hang,
        Fault::Panic,
        Fault::Error(ErrorKind::DeviceLost),
        Fault::Error(ErrorKind::OutOfMemory),
        Fault::Wrong(0),
    ];
    for fault in faults {
        for point in 0..12 {
            for once in [true, false] {
                let (engine, control, clock) = on_manual_clock(with_buckets(), &watchful());
                control.set_fault_after(fault, point, once);
                let all: Vec<_> = (0..9)
                    .map(|seed| engine.submit(picture(seed), deadline(5 * SECOND)).expect("room"))
                    .collect();
                let (sender, answers) = std::sync::mpsc::channel();
                for pending in all {
                    let sender = sender.clone();
                    pending.on_complete(move |answer| sender.send(answer).expect("the test listens"));
                }
                let mut answered = 0;
                until(&clock, &format!("the last answer, {fault:?} at {point}"), || {
                    for answer in answers.try_iter() {
                        answered += 1;
                        let kind = answer.err().map(|error| error.kind());
                        assert!(kind.is_none_or(|kind| TYPED.contains(&kind)), "{fault:?}: {kind:?}");
                    }
                    answered == 9
                });
                let turns_off = fault != Fault::Error(ErrorKind::OutOfMemory) && !once;
                if turns_off {
                    until(&clock, &format!("readiness off, {fault:?} at {point}"), || !engine.is_ready());
                }
                control.set_fault(Fault::None);
                control.release_hanging();
                until(&clock, &format!("readiness again, {fault:?} at {point}"), || {
                    control.release_hanging();
                    engine.is_ready()
                });
                let answer = engine.submit(picture(5), classify_all()).expect("accepted");
                assert_eq!(scores(&wait(answer).expect("goes on")), expected_scores(5));
                let counters = engine.metrics().counters;
                assert_eq!(counters.accepted, 10);
                assert!(answers.try_iter().next().is_none(), "answered twice");
            }
        }
    }
}

#[test]
fn one_lost_device_of_two_turns_readiness_off_and_the_other_serves() {
    let two = || Stub { contexts: 2, ..Stub::new() };
    let (good, bad) = (two(), two());
    let (on_good, on_bad) = (Hand(Arc::clone(&good.control)), Hand(Arc::clone(&bad.control)));
    let devices = vec![device("stub:0", good), device("stub:1", bad)];
    let limits = EngineOptions { max_batch_size: 1, instances: 2, ..options() };
    let engine = Engine::start(picture_model(), &limits, surroundings(devices)).expect("an engine");
    assert_eq!((engine.device().as_str(), on_good.contexts(), on_bad.contexts()), ("stub:0,stub:1", 2, 2));
    for hand in [&on_good, &on_bad] {
        hand.forget_begun();
        hand.hold();
    }
    let all: Vec<_> =
        (0..4).map(|seed| engine.submit(picture(seed), classify_all()).expect("room")).collect();
    on_good.wait_begun(2);
    on_bad.wait_begun(2);
    on_bad.set_fault(Fault::Error(ErrorKind::DeviceLost));
    on_bad.refuse_contexts(true);
    on_good.release();
    on_bad.release();
    let answers = all.into_iter().map(wait).zip(0..);
    let lost = answers.filter(|(answer, seed)| match answer {
        Ok(response) => {
            assert_eq!(scores(response), expected_scores(*seed));
            false
        }
        Err(error) => error.kind() == ErrorKind::DeviceLost,
    });
    assert_eq!(lost.count(), 2);
    assert!(engine.readiness().reason().is_some_and(|reason| reason.contains("2 of 4 workers")));
    for seed in 0..6 {
        assert_eq!(
            scores(&engine.classify(picture(seed), classify_all()).expect("served")),
            expected_scores(seed)
        );
    }
    on_bad.set_fault(Fault::None);
    on_bad.refuse_contexts(false);
    let start = std::time::Instant::now();
    while !engine.is_ready() {
        assert!(start.elapsed() < PATIENCE, "the lost device is not used again");
        std::thread::sleep(Duration::from_millis(1));
    }
}

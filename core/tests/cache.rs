//! Equal pictures are computed once, at the same time or one after the other, and nobody is answered with what is
//! another's.

mod engine_stub;

use engine_stub::*;
use libvision::engine::CacheCounters;
use libvision::{EngineOptions, ErrorKind, ImageSource, RequestOptions, Task};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

fn with_cache() -> EngineOptions {
    EngineOptions { cache_entries: 2, max_batch_size: 1, ..options() }
}

#[test]
fn a_picture_that_comes_again_is_not_computed_again() {
    let (engine, control) = engine(&with_cache());
    for round in 0..3 {
        let raw = engine.classify(picture(1), classify_all()).expect("an answer");
        let encoded =
            engine.classify(ImageSource::Encoded(bmp(2).into()), classify_all()).expect("an answer");
        assert_eq!((scores(&raw), scores(&encoded)), (expected_scores(1), expected_scores(2)));
        assert_eq!(raw.timing.total.is_zero(), round > 0);
    }
    assert_eq!(control.begun(), [1, 1]);
    let CacheCounters { hits, misses, joined, entries, bytes, .. } = engine.metrics().cache;
    assert_eq!((hits, misses, joined, entries), (4, 2, 0, 2));
    assert!(
        bytes > 0
            && engine.prometheus().contains("libvision_cache_hits_total{model=\"default\",version=\"1\"} 4")
    );
    // Another task is another answer, and a third entry pushes out the oldest.
    let one =
        RequestOptions { task: Task::Classify { top_k: 1, min_score: 0.0 }, ..RequestOptions::default() };
    assert_eq!(engine.classify(picture(1), one).expect("an answer").predictions.len(), 1);
    assert_eq!((control.begun().len(), engine.metrics().cache.evicted), (3, 1));
    engine.close();
    assert_eq!(kind_of(engine.classify(picture(2), classify_all())), ErrorKind::EngineClosed);
}

#[test]
fn without_a_cache_nothing_is_kept() {
    let (engine, control) = engine(&options());
    for _ in 0..2 {
        assert!(engine.classify(picture(1), classify_all()).is_ok());
    }
    assert_eq!((control.begun().len(), engine.metrics().cache), (2, CacheCounters::default()));
}

#[test]
fn those_at_the_same_time_are_computed_once_and_cancelling_one_cancels_no_other() {
    let (engine, control) = engine(&with_cache());
    control.hold();
    let busy = engine.submit(picture(0), classify_all()).expect("accepted");
    control.wait_begun(1);
    let all: Vec<_> = (0..5).map(|_| engine.submit(picture(1), classify_all()).expect("accepted")).collect();
    assert_eq!(engine.metrics().cache.joined, 4);
    // The first leads; the third follows.
    all[0].cancel();
    all[2].cancel();
    control.release();
    assert!(wait(busy).is_ok());
    for (at, pending) in all.into_iter().enumerate() {
        match at {
            0 | 2 => assert_eq!(kind_of(wait(pending)), ErrorKind::Cancelled),
            _ => {
                let response = wait(pending).expect("an answer");
                assert_eq!(scores(&response), expected_scores(1));
                let timing = response.timing;
                let parts = timing.queue + timing.decode + timing.preprocess + timing.batch_wait;
                assert_eq!(parts + timing.compute + timing.postprocess, timing.total);
            }
        }
    }
    assert_eq!(control.begun(), [1, 1]);
}

#[test]
fn a_failure_is_shared_by_those_who_waited_for_it_and_kept_for_nobody() {
    let (engine, control) = engine(&with_cache());
    control.hold();
    let busy = engine.submit(picture(0), classify_all()).expect("accepted");
    control.wait_begun(1);
    let all: Vec<_> = (0..3).map(|_| engine.submit(picture(1), classify_all()).expect("accepted")).collect();
    control.set_fault_after(Fault::Error(ErrorKind::OutOfMemory), 0, true);
    control.release();
    assert!(wait(busy).is_ok());
    for pending in all {
        assert_eq!(kind_of(wait(pending)), ErrorKind::OutOfMemory);
    }
    let response = engine.classify(picture(1), classify_all()).expect("computed anew");
    assert_eq!(scores(&response), expected_scores(1));
    assert_eq!(kind_of(engine.classify(corrupt(), classify_all())), ErrorKind::ImageTruncated);
    assert_eq!(engine.metrics().cache.entries, 2);
}

#[test]
fn who_follows_keeps_a_deadline_of_its_own() {
    let (engine, control, clock) = engine_on_manual_clock(&with_cache());
    control.hold();
    let first = engine.submit(picture(1), classify_all()).expect("accepted");
    control.wait_begun(1);
    let late = engine.submit(picture(1), deadline(HOUR)).expect("accepted");
    let patient = engine.submit(picture(1), classify_all()).expect("accepted");
    clock.advance(HOUR);
    assert_eq!(kind_of(wait(late)), ErrorKind::DeadlineExceeded);
    control.release();
    for pending in [first, patient] {
        assert_eq!(scores(&wait(pending).expect("an answer")), expected_scores(1));
    }
    assert_eq!(control.begun(), [1]);
}

#[test]
fn a_failed_self_test_and_a_new_version_empty_the_cache() {
    let limits = EngineOptions { self_test_every: HOUR, ..with_cache() };
    let (engine, control, clock) = engine_on_manual_clock(&limits);
    assert!(engine.classify(picture(1), classify_all()).is_ok());
    assert_eq!(engine.metrics().cache.entries, 1);
    control.set_fault_after(Fault::Wrong(0), 0, true);
    while engine.metrics().counters.self_tests_failed == 0 {
        clock.advance(HOUR);
        std::thread::yield_now();
    }
    assert_eq!(engine.metrics().cache.entries, 0);
    while !engine.is_ready() {
        std::thread::yield_now();
    }
    assert!(engine.classify(picture(1), classify_all()).is_ok());
    engine.swap("default", picture_model()).expect("swapped");
    assert_eq!(engine.metrics().cache, CacheCounters::default());
}

//! The end of an engine: everything accepted is answered, callbacks are called once and may do what they
//! like, threads and memory are gone, and a forked child is told.

mod engine_stub;

use engine_stub::*;
use libvision::{EngineOptions, ErrorKind, RequestOptions};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

/// Blocks until nothing of an engine is left that holds on to the backend.
fn wait_gone(hand: &Hand) {
    let start = std::time::Instant::now();
    while Arc::strong_count(&hand.0) > 1 {
        assert!(start.elapsed() < PATIENCE, "threads or memory of the engine are left");
        std::thread::yield_now();
    }
}

#[test]
fn closing_while_busy_answers_everybody_and_ends_everything() {
    let (engine, control) = engine(&EngineOptions { max_queue_delay: HOUR, decode_threads: 3, ..options() });
    let engine = Arc::new(engine);
    control.hold();
    let pending: Vec<_> = (0..20).map(|s| engine.submit(picture(s), classify_all()).expect("room")).collect();
    control.wait_begun(1);
    let closers: Vec<_> = (0..3)
        .map(|_| {
            let engine = Arc::clone(&engine);
            std::thread::spawn(move || engine.close())
        })
        .collect();
    // The closers are on their way; what is accepted before they arrive is taken back.
    loop {
        match engine.submit(picture(0), classify_all()) {
            Ok(early) => early.cancel(),
            Err(error) if error.kind() == ErrorKind::EngineClosed => break,
            Err(error) => assert_eq!(error.kind(), ErrorKind::QueueFull),
        }
        std::thread::yield_now();
    }
    assert_eq!(kind_of(engine.submit(picture(0), classify_all())), ErrorKind::EngineClosed);
    assert_eq!(kind_of(engine.submit_tensors(tensor_of(&[0]), classify_all())), ErrorKind::EngineClosed);
    assert!(closers.iter().all(|closer| !closer.is_finished()), "it waits for what was accepted");
    control.release();
    for closer in closers {
        closer.join().expect("no panic");
    }
    engine.close();
    for (seed, pending) in pending.into_iter().enumerate() {
        let answer = pending.wait_timeout(Duration::ZERO).ok().expect("close waits for the answers");
        assert_eq!(scores(&answer.expect("an answer")), expected_scores(seed));
    }
    drop(engine);
    wait_gone(&control);
}

#[test]
fn dropping_is_closing_and_a_pending_request_outlives_it() {
    let (engine, control) = engine(&EngineOptions { max_queue_delay: HOUR, ..options() });
    let pending = engine.submit(picture(4), classify_all()).expect("accepted");
    drop(engine);
    let canceller = pending.canceller();
    canceller.cancel();
    assert_eq!(scores(&wait(pending).expect("answered before")), expected_scores(4));
    wait_gone(&control);
}

#[test]
fn dropping_a_pending_request_cancels_nothing() {
    let (engine, control) = engine(&options());
    for seed in 0..5 {
        drop(engine.submit(picture(seed), classify_all()).expect("accepted"));
    }
    engine.close();
    assert_eq!(control.begun().iter().sum::<usize>(), 5);
}

#[test]
fn the_last_engine_may_be_dropped_in_a_callback() {
    let (engine, control) = engine(&EngineOptions { max_queue_delay: HOUR, max_batch_size: 2, ..options() });
    let engine = Arc::new(Mutex::new(Some(engine)));
    let (sender, answers) = channel();
    control.hold();
    for seed in 0..6 {
        let pending = engine.lock().as_ref().expect("there").submit(picture(seed), classify_all());
        let (engine, sender) = (Arc::clone(&engine), sender.clone());
        pending.expect("accepted").on_complete(move |answer| {
            drop(engine.lock().take());
            sender.send((seed, answer.map(|response| scores(&response)))).expect("the test listens");
        });
    }
    drop(sender);
    control.release();
    let mut answers: Vec<_> = answers.iter().collect();
    answers.sort_by_key(|(seed, _)| *seed);
    assert_eq!(answers.len(), 6, "each callback is called once");
    for (seed, answer) in answers {
        assert_eq!(answer.expect("an answer"), expected_scores(seed));
    }
    wait_gone(&control);
}

#[test]
fn callbacks_may_close_submit_and_panic() {
    let (engine, control) = engine(&options());
    let engine = Arc::new(engine);
    let (sender, told) = channel();
    control.hold();
    let first = engine.submit(picture(0), RequestOptions::default()).expect("accepted");
    first.on_complete(|_| panic!("a callback that panics, as the test wants it"));
    let second = engine.submit(picture(1), RequestOptions::default()).expect("accepted");
    let inner = Arc::clone(&engine);
    second.on_complete(move |_| {
        let third = inner.submit(picture(2), classify_all()).expect("room");
        third.on_complete(move |answer| {
            inner.close();
            let refused = kind_of(inner.submit(picture(3), classify_all()));
            let thread = std::thread::current().name().map(str::to_owned);
            sender.send((answer.map(|r| scores(&r)), refused, thread)).expect("the test listens");
        });
    });
    control.release();
    let (answer, refused, thread) = told.recv().expect("the third callback");
    assert_eq!(answer.expect("an answer"), expected_scores(2));
    assert_eq!((refused, thread.as_deref()), (ErrorKind::EngineClosed, Some("libvision-complete")));
    engine.close();
}

#[test]
fn a_callback_that_comes_after_the_answer_is_called_at_once_and_here() {
    let (engine, _control) = engine(&options());
    let pending = engine.submit(picture(0), classify_all()).expect("accepted");
    engine.close();
    let (here, mut called) = (std::thread::current().id(), None);
    let called_by = Arc::new(Mutex::new(None));
    let noted = Arc::clone(&called_by);
    pending.on_complete(move |answer| *noted.lock() = Some((std::thread::current().id(), answer.is_ok())));
    std::mem::swap(&mut called, &mut called_by.lock());
    assert_eq!(called, Some((here, true)));
}

#[test]
fn an_engine_that_cannot_start_leaves_nothing_behind() {
    for refused in [1, 2, 3] {
        let stub = Stub { contexts: 3, fails_at_context: Some(refused), ..Stub::new() };
        let control = Hand(Arc::clone(&stub.control));
        let failed = libvision::Engine::with_backend(picture_model(), &options(), Arc::new(stub));
        assert_eq!(kind_of(failed), ErrorKind::OutOfMemory);
        wait_gone(&control);
    }
}

#[test]
fn threads_that_submit_cancel_and_wait_at_the_same_time_all_get_their_own_answer() {
    let stub = Stub { contexts: 2, ..Stub::new() };
    let options = EngineOptions {
        decode_threads: 3,
        queue_capacity: 16,
        max_batch_size: 4,
        max_queue_delay: Duration::from_micros(100),
        ..options()
    };
    let (engine, control) = engine_on(stub, &options);
    let expected: Vec<_> = (0..16).map(expected_scores).collect();
    let ended = Mutex::new([0_usize; 4]);
    std::thread::scope(|scope| {
        for thread in 0..6 {
            let (engine, expected, ended) = (&engine, &expected, &ended);
            scope.spawn(move || {
                for round in 0..200 {
                    let seed = (thread * 31 + round * 7) % 16;
                    let late = thread == 5 && round % 3 == 0 && round % 5 != 3;
                    let options = if late { deadline(Duration::from_nanos(1)) } else { classify_all() };
                    let end = match engine.submit(picture(seed), options) {
                        Ok(pending) if round % 5 == 3 => {
                            pending.cancel();
                            match wait(pending) {
                                Ok(response) => assert_eq!(scores(&response), expected[seed]),
                                Err(error) => assert_eq!(error.kind(), ErrorKind::Cancelled),
                            }
                            1
                        }
                        Ok(pending) => match wait(pending) {
                            Ok(response) => {
                                assert_eq!(scores(&response), expected[seed]);
                                0
                            }
                            Err(error) => {
                                assert!(late && error.kind() == ErrorKind::DeadlineExceeded, "{error:?}");
                                2
                            }
                        },
                        Err(error) if late && error.kind() == ErrorKind::DeadlineInfeasible => 2,
                        Err(error) => {
                            assert_eq!(error.kind(), ErrorKind::QueueFull);
                            3
                        }
                    };
                    ended.lock()[end] += 1;
                }
            });
        }
    });
    let ended = *ended.lock();
    assert!(ended[0] > 0 && ended[1] > 0 && ended[2] > 0 && ended.iter().sum::<usize>() == 1200, "{ended:?}");
    assert!(control.begun().iter().all(|&batch| batch <= 4));
    drop(engine);
    wait_gone(&control);
}

//! More than the engine can take, and everything that goes wrong on the way: refused at once, answered on
//! time, each failure kept to those it concerns.

mod engine_stub;

use engine_stub::*;
use libvision::image::DecodeLimits;
use libvision::{EngineOptions, ErrorKind, ImageSource, RequestOptions, Task};
use std::time::{Duration, Instant};

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn with_the_backend_held_one_more_than_the_queue_holds_is_refused_at_once() {
    let (engine, control) = engine(&EngineOptions { queue_capacity: 4, max_batch_size: 2, ..options() });
    control.hold();
    let running = engine.submit(picture(0), classify_all()).expect("accepted");
    control.wait_begun(1);
    let waiting: Vec<_> =
        (1..5).map(|seed| engine.submit(picture(seed), classify_all()).expect("room")).collect();
    for _ in 0..3 {
        let refused = engine.submit(picture(5), classify_all()).err().expect("full");
        assert_eq!(refused.kind(), ErrorKind::QueueFull);
        assert!(refused.message().contains('4') && refused.message().contains("queue_capacity"), "{refused}");
    }
    control.release();
    for (seed, pending) in [running].into_iter().chain(waiting).enumerate() {
        let response = wait(pending).expect("an answer");
        assert_eq!(scores(&response), expected_scores(seed));
        assert!(response.batch_size <= 2);
    }
    assert!(control.begun().iter().all(|&batch| batch <= 2), "{:?}", control.begun());
    wait(engine.submit(picture(5), classify_all()).expect("room again")).expect("an answer");
}

#[test]
fn a_cancelled_request_frees_its_place_in_the_queue() {
    let (engine, control) = engine(&EngineOptions { queue_capacity: 1, ..options() });
    control.hold();
    let running = engine.submit(picture(0), classify_all()).expect("accepted");
    control.wait_begun(1);
    for seed in 1..20 {
        let pending = engine.submit(picture(seed), classify_all()).expect("room");
        assert_eq!(kind_of(engine.submit(picture(0), classify_all())), ErrorKind::QueueFull);
        pending.cancel();
        assert_eq!(kind_of(wait(pending)), ErrorKind::Cancelled);
    }
    control.release();
    wait(running).expect("an answer");
    assert_eq!(control.begun().len(), 1, "what was cancelled did not run");
}

#[test]
fn cancelling_what_runs_answers_at_once_and_spoils_nothing() {
    let (engine, control) = engine(&options());
    control.hold();
    let pending = engine.submit(picture(0), classify_all()).expect("accepted");
    control.wait_begun(1);
    let canceller = pending.canceller();
    canceller.clone().cancel();
    assert_eq!(kind_of(wait(pending)), ErrorKind::Cancelled);
    control.release();
    let after = engine.classify(picture(1), classify_all()).expect("an answer");
    assert_eq!(scores(&after), expected_scores(1));
    canceller.cancel();
}

#[test]
fn cancelled_neighbours_leave_gaps_that_nobody_sees() {
    // One gap in front, two in the middle, one at the end, and slots of several images between.
    for gaps in [&[0][..], &[1, 2], &[4], &[0, 2, 4], &[0, 1, 2, 3]] {
        let (engine, control) = engine(&EngineOptions { max_batch_size: 8, ..options() });
        control.hold();
        let first = engine.submit(picture(0), classify_all()).expect("accepted");
        control.wait_begun(1);
        let submit = |seed| match seed {
            2 => engine.submit_tensors(tensor_of(&[20, 21, 22]), task(Task::Run)),
            _ => engine.submit(picture(seed), classify_all()),
        };
        let mut pending: Vec<_> = (0..5).map(|at| Some(submit(at + 1).expect("room"))).collect();
        wait_filled(&engine);
        for &gap in gaps {
            let cancelled = pending[gap].take().expect("not yet cancelled");
            cancelled.cancel();
            assert_eq!(kind_of(wait(cancelled)), ErrorKind::Cancelled);
        }
        control.release();
        wait(first).expect("an answer");
        let mut images = 0;
        for (at, pending) in pending.into_iter().enumerate() {
            let Some(pending) = pending else { continue };
            let response = wait(pending).expect("an answer");
            match at + 1 {
                2 => {
                    images += 3;
                    let logits = response.outputs[0].1.to_f32().expect("f32").into_owned();
                    let of = |seed| (0..CLASSES).map(move |class| mix(&picture_tensor(seed), class));
                    assert_eq!(logits, [20, 21, 22].into_iter().flat_map(of).collect::<Vec<_>>());
                }
                seed => {
                    images += 1;
                    assert_eq!(scores(&response), expected_scores(seed));
                }
            }
        }
        assert_eq!(control.begun(), [1, images], "gaps {gaps:?} are closed, not computed");
    }
}

#[test]
fn what_expires_in_the_queue_is_answered_on_time_and_never_runs() {
    let (engine, control, clock) = engine_on_manual_clock(&EngineOptions { max_batch_size: 1, ..options() });
    control.hold();
    let running = engine.submit(picture(0), classify_all()).expect("accepted");
    control.wait_begun(1);
    let hurried: Vec<_> = (1..6).map(|s| engine.submit(picture(s), deadline(HOUR)).expect("room")).collect();
    let patient = engine.submit(picture(6), classify_all()).expect("room");
    clock.advance(HOUR - Duration::from_nanos(1));
    let hurried = hurried
        .into_iter()
        .map(|pending| pending.wait_timeout(Duration::ZERO).expect_err("it is not time yet"));
    let hurried: Vec<_> = hurried.collect();
    clock.advance(Duration::from_nanos(1));
    for pending in hurried {
        // While the backend still holds the first one.
        let error = wait(pending).expect_err("too late");
        assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
        assert!(error.message().contains("3600s"), "{error}");
    }
    control.release();
    wait(running).expect("an answer");
    assert_eq!(scores(&wait(patient).expect("an answer")), expected_scores(6));
    assert_eq!(control.begun(), [1, 1]);
}

#[test]
fn what_is_late_while_it_runs_is_answered_on_time() {
    let (engine, control, clock) = engine_on_manual_clock(&options());
    control.hold();
    let pending = engine.submit(picture(0), deadline(HOUR)).expect("accepted");
    control.wait_begun(1);
    clock.advance(HOUR);
    assert_eq!(kind_of(wait(pending)), ErrorKind::DeadlineExceeded);
    control.release();
    assert_eq!(kind_of(engine.submit(picture(1), deadline(Duration::ZERO))), ErrorKind::DeadlineExceeded);
    let far = engine.submit(picture(1), deadline(Duration::MAX)).expect("accepted");
    wait(far).expect("no overflow");
}

#[test]
fn the_delay_lets_a_batch_fill() {
    let delayed = EngineOptions { max_queue_delay: HOUR, max_batch_size: 4, ..options() };
    let (engine, control, clock) = engine_on_manual_clock(&delayed);
    let full: Vec<_> = (0..4).map(|s| engine.submit(picture(s), classify_all()).expect("room")).collect();
    for (seed, pending) in full.into_iter().enumerate() {
        let response = wait(pending).expect("a full batch does not wait");
        assert_eq!((response.batch_size, scores(&response)), (4, expected_scores(seed)));
    }
    let partly: Vec<_> = (0..3).map(|s| engine.submit(picture(s), classify_all()).expect("room")).collect();
    assert_eq!(control.begun(), [4]);
    // Wherever their decoding stands, an hour after the last has its place it is time.
    let mut answers = Vec::new();
    for mut pending in partly {
        loop {
            match pending.wait_timeout(Duration::from_millis(1)) {
                Ok(answer) => break answers.push(answer.expect("an answer")),
                Err(unanswered) => pending = unanswered,
            }
            clock.advance(HOUR);
        }
    }
    assert_eq!(control.begun().iter().sum::<usize>(), 7);
    assert!(answers.iter().enumerate().all(|(seed, answer)| scores(answer) == expected_scores(seed)));
}

#[test]
fn a_corrupt_picture_fails_alone() {
    let (engine, control) = engine(&EngineOptions { decode_threads: 2, ..options() });
    control.hold();
    let first = engine.submit(picture(0), classify_all()).expect("accepted");
    control.wait_begun(1);
    let all: Vec<_> = (1..7)
        .map(|seed| {
            let source = if seed % 2 == 0 { corrupt() } else { ImageSource::Encoded(bmp(seed).into()) };
            (seed, engine.submit(source, classify_all()).expect("the header is good"))
        })
        .collect();
    let missing = engine.submit(ImageSource::Path("no/such/picture.png".into()), classify_all());
    let missing = missing.expect("files are opened later");
    assert_eq!(kind_of(wait(missing)), ErrorKind::FileNotFound);
    control.release();
    wait(first).expect("an answer");
    for (seed, pending) in all {
        match seed % 2 {
            0 => assert_eq!(kind_of(wait(pending)), ErrorKind::ImageTruncated),
            _ => assert_eq!(scores(&wait(pending).expect("an answer")), expected_scores(seed)),
        }
    }
}

#[test]
fn pictures_that_could_never_be_decoded_are_refused_at_the_door() {
    let limits = DecodeLimits { max_pixels: 15, ..DecodeLimits::default() };
    let (engine, control) = engine(&EngineOptions { limits, ..options() });
    for source in [ImageSource::Encoded(bmp(0).into()), picture(0)] {
        let error = engine.submit(source, classify_all()).err().expect("16 pixels");
        assert_eq!(error.kind(), ErrorKind::ImageTooCostly);
        assert!(error.message().contains("max_pixels"), "{error}");
    }
    let error = engine.submit(ImageSource::Encoded("text".into()), classify_all()).err().expect("no picture");
    assert_eq!(error.kind(), ErrorKind::ImageFormatUnknown);
    assert!(control.begun().is_empty());
}

#[test]
fn an_error_of_the_backend_goes_to_everybody_in_the_batch_and_to_nobody_else() {
    for kind in [ErrorKind::OutOfMemory, ErrorKind::DeviceLost] {
        let (engine, control) = engine(&options());
        control.hold();
        let first = engine.submit(picture(0), classify_all()).expect("accepted");
        control.wait_begun(1);
        let batch: Vec<_> =
            (1..4).map(|s| engine.submit(picture(s), classify_all()).expect("room")).collect();
        control.set_fault(Fault::Error(kind));
        control.release_one();
        assert_eq!(kind_of(wait(first)), kind);
        control.wait_begun(2);
        control.set_fault(Fault::None);
        control.release();
        for (seed, pending) in (1..).zip(batch) {
            assert_eq!(scores(&wait(pending).expect("an answer")), expected_scores(seed));
        }
        assert_eq!(control.contexts(), if kind == ErrorKind::DeviceLost { 2 } else { 1 });
    }
}

#[test]
fn a_panic_of_the_backend_costs_one_batch() {
    let (engine, control) = engine(&options());
    for seed in 0..3 {
        // The worker that comes after a panic proves itself first.
        while !engine.is_ready() {
            std::thread::yield_now();
        }
        control.set_fault_after(Fault::Panic, 0, true);
        let error = engine.classify(picture(seed), classify_all()).expect_err("it panicked");
        assert_eq!(error.kind(), ErrorKind::Internal);
        assert!(error.message().contains("the stub was told to panic"), "{error}");
    }
    let response = engine.classify(picture(3), classify_all()).expect("usable again");
    assert_eq!(scores(&response), expected_scores(3));
    assert_eq!(control.contexts(), 4);
}

#[test]
fn slow_callbacks_hold_up_no_batch_and_are_bounded() {
    let (engine, control) = engine(&EngineOptions { queue_capacity: 3, max_batch_size: 1, ..options() });
    let (blocker, blocked) = std::sync::mpsc::channel::<()>();
    let (told, tells) = std::sync::mpsc::channel();
    control.hold();
    let first = engine.submit(picture(0), RequestOptions::default()).expect("accepted");
    let told_first = told.clone();
    first.on_complete(move |_| {
        told_first.send("first is in its callback").expect("the test listens");
        blocked.recv().expect("the test lets go");
    });
    control.release();
    assert_eq!(tells.recv(), Ok("first is in its callback"));
    // Batches run on, and three answers come to wait for the callback.
    control.hold();
    let mut accepted = 0;
    while accepted < 3 {
        let pending = engine.submit(picture(1), RequestOptions::default()).expect("room");
        let told = told.clone();
        pending.on_complete(move |_| told.send("another").expect("the test listens"));
        accepted += 1;
        control.wait_begun(1 + accepted);
        control.release_one();
    }
    let started = Instant::now();
    let refused = loop {
        match engine.submit(picture(2), RequestOptions::default()) {
            // The last answer may still be on its way to where it waits.
            Ok(pending) => {
                assert!(started.elapsed() < PATIENCE, "callbacks that wait do not count");
                pending.cancel();
                std::thread::yield_now();
            }
            Err(error) => break error,
        }
    };
    assert_eq!(refused.kind(), ErrorKind::QueueFull);
    assert!(refused.message().contains("callbacks"), "{refused}");
    blocker.send(()).expect("the callback waits");
    for _ in 0..3 {
        assert_eq!(tells.recv(), Ok("another"));
    }
    control.release();
    wait(engine.submit(picture(2), RequestOptions::default()).expect("room again")).expect("an answer");
}

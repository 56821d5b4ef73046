//! The engine's promises to one caller: what is refused at the door, priorities and tenants, deadlines, and what
//! becomes of requests when the backend has no memory, is lost or never comes back.

mod engine_stub;

use engine_stub::*;
use libvision::engine::{machine::Action, trace};
use libvision::{DType, EngineOptions, ErrorKind, Priority, RequestOptions, Task, Tensor};
use std::sync::{Arc, mpsc};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn options_out_of_range_are_errors_that_say_the_range() {
    let wrong = [
        EngineOptions { max_batch_size: 0, ..options() },
        EngineOptions { max_batch_size: usize::MAX, ..options() },
        EngineOptions { queue_capacity: 0, ..options() },
        EngineOptions { queue_capacity: usize::MAX, ..options() },
        EngineOptions { decode_threads: 1000, ..options() },
        EngineOptions { encoded_budget: 0, ..options() },
        EngineOptions { decode_budget: 0, ..options() },
        EngineOptions { batch_buckets: vec![2, 0], ..options() },
        EngineOptions { tenant_weights: vec![("a".into(), 0)], ..options() },
    ];
    for options in wrong {
        let engine = libvision::Engine::with_backend(picture_model(), &options, Arc::new(Stub::new()));
        let error = engine.err().expect("out of range");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.message().contains("from 1 to"), "{error}");
    }
}

#[test]
fn what_can_never_be_answered_is_refused_at_the_door() {
    let (engine, control) = engine(&EngineOptions { max_batch_size: 2, decode_budget: 50, ..options() });
    let submit = |name: &str, images: usize, t| {
        let tensor = tensor_of(&vec![0; images]).remove(0).1;
        kind_of(engine.submit_tensors(vec![(name.to_owned(), tensor)], task(t)))
    };
    assert_eq!(submit("pixels", 3, Task::Run), ErrorKind::InvalidArgument);
    assert_eq!(submit("logits", 1, Task::Run), ErrorKind::InvalidArgument);
    assert_eq!(submit("pixels", 2, Task::default()), ErrorKind::InvalidArgument);
    let flat = [("pixels", Tensor::new(&[PIXELS], vec![0.0_f32; PIXELS]).expect("sizes fit"))];
    assert_eq!(kind_of(engine.submit_tensors(flat, task(Task::Run))), ErrorKind::ShapeMismatch);
    let bytes = Tensor::new(&[1, 3, SIDE, SIDE], vec![0_u8; PIXELS]).expect("sizes fit");
    assert_eq!(bytes.dtype(), DType::U8);
    let bytes = [("pixels", bytes)];
    assert_eq!(kind_of(engine.submit_tensors(bytes, task(Task::Run))), ErrorKind::DTypeMismatch);
    assert_eq!(
        kind_of(engine.submit_tensors(tensor_of(&[0])[1..].to_vec(), task(Task::Run))),
        ErrorKind::InvalidArgument
    );
    let twice = [tensor_of(&[0]), tensor_of(&[0])].concat();
    assert_eq!(kind_of(engine.submit_tensors(twice, task(Task::Run))), ErrorKind::InvalidArgument);
    for wrong in
        [Task::Classify { top_k: 0, min_score: 0.0 }, Task::Classify { top_k: 1, min_score: f32::NAN }]
    {
        assert_eq!(kind_of(engine.submit(picture(0), task(wrong))), ErrorKind::InvalidArgument);
    }
    // 48 bytes of pixels are within the budget for decoding; a BMP file of them takes more with its copies.
    assert!(engine.classify(picture(0), classify_all()).is_ok());
    let file = libvision::ImageSource::Encoded(bmp(0).into());
    let error = engine.submit(file, classify_all()).err().expect("over the budget");
    assert_eq!(error.kind(), ErrorKind::ImageTooCostly);
    assert!(error.message().contains("decode_budget") && error.retry_after().is_none(), "{error}");
    assert_eq!(control.begun(), [1]);
}

#[test]
fn refusals_say_when_to_try_again() {
    let (engine, control) = engine(&EngineOptions { queue_capacity: 1, ..options() });
    control.hold();
    let running = engine.submit(picture(0), classify_all()).expect("accepted");
    control.wait_begun(1);
    let waiting = engine.submit(picture(1), classify_all()).expect("room");
    let error = engine.submit(picture(2), classify_all()).err().expect("full");
    assert!(
        error.kind().is_retryable() && error.retry_after() >= Some(Duration::from_millis(1)),
        "{error:?}"
    );
    control.release();
    assert!(wait(running).is_ok() && wait(waiting).is_ok());
}

#[test]
fn a_callback_of_a_cancelled_request_is_called_by_the_engines_thread() {
    let (engine, control) = engine(&options());
    control.hold();
    let running = engine.submit(picture(0), RequestOptions::default()).expect("accepted");
    control.wait_begun(1);
    let canceller = running.canceller();
    let (sender, receiver) = mpsc::channel();
    running.on_complete(move |answer| {
        let name = std::thread::current().name().map(str::to_owned);
        sender.send((answer.map(drop), name)).expect("the test listens");
    });
    canceller.cancel();
    let (answer, thread) = receiver.recv().expect("an answer");
    assert_eq!(kind_of(answer), ErrorKind::Cancelled);
    assert_eq!(thread.as_deref(), Some("libvision-complete"), "never on a caller's thread");
    control.release();
}

#[test]
fn waiting_with_a_timeout_gives_the_request_back() {
    let (engine, control) = engine(&options());
    control.hold();
    let pending = engine.submit(picture(0), RequestOptions::default()).expect("accepted");
    let Err(pending) = pending.wait_timeout(Duration::from_millis(1)) else { panic!("the backend is held") };
    control.release();
    assert!(wait(pending).is_ok());
}

#[test]
fn urgent_requests_go_first_and_tenants_take_turns() {
    let (engine, control) = engine(&EngineOptions { max_batch_size: 1, ..options() });
    let [a, b] = ["a", "b"].map(|name| engine.tenant(name).expect("a tenant"));
    control.hold();
    let (sender, receiver) = mpsc::channel();
    let submit = |name: &'static str, options: RequestOptions| {
        let sender = sender.clone();
        let pending = engine.submit(picture(0), options).expect("room");
        pending.on_complete(move |answer| {
            assert!(answer.is_ok());
            sender.send(name).expect("the test listens");
        });
    };
    submit("first", RequestOptions::default());
    control.wait_begun(1);
    // Two more fill the buffers and one the decoder; the others wait for a decoder.
    for name in ["buffer", "buffer", "decoder"] {
        submit(name, RequestOptions::default());
    }
    while engine.metrics().waiting > 0 {
        std::thread::yield_now();
    }
    for _ in 0..3 {
        submit("a", RequestOptions { tenant: a, ..RequestOptions::default() });
    }
    submit("b", RequestOptions { tenant: b, ..RequestOptions::default() });
    submit("low", RequestOptions { priority: Priority::Low, ..RequestOptions::default() });
    submit("high", RequestOptions { priority: Priority::High, ..RequestOptions::default() });
    control.release();
    let order: Vec<&str> = (0..10).map(|_| receiver.recv().expect("an answer")).collect();
    assert_eq!(order, ["first", "buffer", "buffer", "decoder", "high", "a", "b", "a", "a", "low"]);
}

#[test]
fn a_batch_without_memory_is_split_once_and_then_fails_alone() {
    let (engine, control) = engine(&EngineOptions { max_batch_size: 8, ..options() });
    for (memory, expected) in [(4, None), (2, Some(ErrorKind::OutOfMemory))] {
        control.hold();
        let begun = control.begun().len();
        let first = engine.submit(picture(0), classify_all()).expect("accepted");
        control.wait_begun(begun + 1);
        let batch: Vec<_> =
            (1..9).map(|seed| engine.submit(picture(seed), classify_all()).expect("room")).collect();
        wait_filled(&engine);
        control.set_fault(Fault::Memory(memory));
        control.release();
        assert!(wait(first).is_ok());
        for (seed, pending) in (1..).zip(batch) {
            match expected {
                None => assert_eq!(scores(&wait(pending).expect("an answer")), expected_scores(seed)),
                Some(kind) => assert_eq!(kind_of(wait(pending)), kind),
            }
        }
        assert_eq!(control.begun()[begun..], [1, 8, 4, 4]);
    }
    assert_eq!(scores(&engine.classify(picture(9), classify_all()).expect("goes on")), expected_scores(9));
}

#[test]
fn a_worker_that_never_comes_back_is_replaced() {
    let limits = EngineOptions { stuck_after: HOUR, max_batch_size: 1, ..options() };
    let (engine, control, clock) = engine_on_manual_clock(&limits);
    assert!(engine.is_ready());
    control.set_fault(Fault::Hang);
    let hangs = engine.submit(picture(0), classify_all()).expect("accepted");
    control.wait_begun(1);
    let waits = engine.submit(picture(1), classify_all()).expect("accepted");
    control.set_fault(Fault::None);
    clock.advance(HOUR);
    assert_eq!(kind_of(wait(hangs)), ErrorKind::BackendStuck);
    assert_eq!(scores(&wait(waits).expect("by another worker")), expected_scores(1));
    assert!(engine.is_ready());
    assert_eq!(control.contexts(), 2);
    control.release_hanging();
    assert_eq!(scores(&engine.classify(picture(2), classify_all()).expect("goes on")), expected_scores(2));
}

#[test]
fn closing_does_not_wait_for_ever_for_a_backend_that_hangs() {
    let (engine, control, clock) = engine_on_manual_clock(&EngineOptions { max_batch_size: 1, ..options() });
    control.set_fault(Fault::Hang);
    let pending: Vec<_> =
        (0..3).map(|seed| engine.submit(picture(seed), classify_all()).expect("accepted")).collect();
    control.wait_begun(1);
    std::thread::scope(|scope| {
        let closing = scope.spawn(|| engine.close());
        while !closing.is_finished() {
            clock.advance(HOUR);
            std::thread::yield_now();
        }
    });
    for pending in pending {
        assert_eq!(kind_of(wait(pending)), ErrorKind::EngineClosed);
    }
    control.release_hanging();
}

#[test]
fn a_device_that_cannot_be_had_again_turns_readiness_off_until_it_can() {
    let (engine, control) = engine(&options());
    control.set_fault(Fault::Error(ErrorKind::DeviceLost));
    control.refuse_contexts(true);
    assert_eq!(kind_of(engine.classify(picture(0), classify_all())), ErrorKind::DeviceLost);
    assert!(!engine.is_ready());
    control.set_fault(Fault::None);
    control.refuse_contexts(false);
    let answer = engine.classify(picture(1), classify_all()).expect("after a rebuild");
    assert_eq!(scores(&answer), expected_scores(1));
    assert!(engine.is_ready());
}

#[test]
fn what_was_recorded_is_decided_the_same_again() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("trace");
    let recording = EngineOptions { trace: Some(path.clone()), queue_capacity: 3, ..options() };
    let (engine, control) = engine(&recording);
    control.hold();
    let first = engine.submit(picture(0), classify_all()).expect("accepted");
    control.wait_begun(1);
    let rest: Vec<_> = (1..6).map(|seed| engine.submit(picture(seed), classify_all())).collect();
    assert_eq!(rest.iter().filter(|submitted| submitted.is_err()).count(), 2);
    control.release();
    assert!(wait(first).is_ok());
    rest.into_iter().flatten().for_each(|pending| assert!(wait(pending).is_ok()));
    drop(engine);
    let file = std::io::BufReader::new(std::fs::File::open(&path).expect("a trace"));
    let mut refused = 0;
    let steps = trace::replay(file, |step| {
        assert!(step.is_the_same, "{step:?}");
        refused += step.actions.iter().filter(|action| matches!(action, Action::Refuse { .. })).count();
    });
    assert!(steps.expect("a whole trace") > 6 && refused == 2);
}

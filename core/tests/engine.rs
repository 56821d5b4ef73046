//! The engine on a backend that the test holds: admission, batches, failures, closing.

mod stub;

use libvision::{EngineOptions, ErrorKind, ImageSource, Pending, RequestOptions, Response, Result, Task};
use std::sync::mpsc;
use std::time::Duration;
use stub::{CLASSES, Fault, SIDE, Stub, picture, tensor};

const FOR_EVER: Duration = Duration::from_secs(3600);

fn options() -> EngineOptions {
    EngineOptions { max_queue_delay: Duration::ZERO, decode_threads: 2, ..EngineOptions::default() }
}

fn wait_all(pending: Vec<Pending>) -> Vec<Response> {
    pending.into_iter().map(|pending| pending.wait().unwrap()).collect()
}

fn kind<T>(result: Result<T>) -> ErrorKind {
    result.err().expect("a failure").kind()
}

fn task(task: Task) -> RequestOptions {
    RequestOptions { task, deadline: None }
}

#[test]
fn requests_that_come_together_run_together_and_keep_their_bits() {
    let stub = Stub::default();
    let engine = stub.engine(&options()).unwrap();
    let alone: Vec<Response> =
        (0..32).map(|i| engine.classify(picture(i), RequestOptions::default()).unwrap()).collect();
    stub.hold();
    let pending = (0..32).map(|i| engine.submit(picture(i), RequestOptions::default()).unwrap()).collect();
    stub.release();
    let together = wait_all(pending);
    for (i, (a, b)) in alone.iter().zip(&together).enumerate() {
        assert_eq!(a.predictions, b.predictions, "picture {i}");
        assert!(b.batch_size <= 8);
    }
    assert!(together.iter().any(|response| response.batch_size > 1));
    assert!(stub.batches().iter().all(|&size| size <= 8), "{:?}", stub.batches());
    assert_ne!(alone[0].predictions[0].score, alone[1].predictions[0].score, "the pictures differ");
}

#[test]
fn a_full_queue_refuses_at_once() {
    let stub = Stub::default();
    let engine = stub.engine(&EngineOptions { queue_capacity: 4, max_batch_size: 2, ..options() }).unwrap();
    stub.hold();
    let running = engine.submit(picture(0), RequestOptions::default()).unwrap();
    stub.wait_for_batches(1);
    let queued: Vec<Pending> =
        (1..5).map(|i| engine.submit(picture(i), RequestOptions::default()).unwrap()).collect();
    let error = engine.submit(picture(5), RequestOptions::default()).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::QueueFull);
    assert!(error.message().contains('4'), "{error}");
    stub.release();
    assert_eq!(running.wait().unwrap().batch_size, 1);
    wait_all(queued);
    assert!(engine.classify(picture(5), RequestOptions::default()).is_ok(), "there is room again");
    assert!(stub.batches().iter().all(|&size| size <= 2));
}

#[test]
fn a_bad_picture_fails_alone() {
    let stub = Stub::default();
    let engine = stub.engine(&options()).unwrap();
    stub.hold();
    let first = engine.submit(picture(0), RequestOptions::default()).unwrap();
    stub.wait_for_batches(1);
    let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x04\0\0\0\x04\x08\x02\0\0\0".to_vec();
    let good = engine.submit(picture(1), RequestOptions::default()).unwrap();
    let missing = engine.submit(ImageSource::Path("nowhere.png".into()), RequestOptions::default()).unwrap();
    let also_good = engine.submit(picture(2), RequestOptions::default()).unwrap();
    let broken = engine.submit(ImageSource::Encoded(png.into()), RequestOptions::default());
    stub.release();
    assert_eq!(kind(missing.wait()), ErrorKind::FileNotFound);
    let broken = broken.and_then(Pending::wait).err().unwrap();
    assert_eq!(broken.kind().number() / 100, 2, "{broken:?}");
    assert_eq!(
        kind(engine.submit(ImageSource::Encoded(b"hello"[..].into()), RequestOptions::default())),
        ErrorKind::ImageFormatUnknown
    );
    for (pending, seed) in [(first, 0), (good, 1), (also_good, 2)] {
        let expected = engine.classify(picture(seed), RequestOptions::default()).unwrap();
        assert_eq!(pending.wait().unwrap().predictions, expected.predictions);
    }
}

#[test]
fn a_failing_batch_answers_everyone_in_it_and_the_engine_goes_on() {
    for (fault, expected) in [(Fault::Error, ErrorKind::DeviceLost), (Fault::Panic, ErrorKind::Internal)] {
        let stub = Stub::default();
        let engine = stub.engine(&options()).unwrap();
        stub.hold();
        let pending: Vec<Pending> =
            (0..5).map(|i| engine.submit(picture(i), RequestOptions::default()).unwrap()).collect();
        stub.fail(fault);
        stub.release();
        for pending in pending {
            assert_eq!(kind(pending.wait()), expected);
        }
        stub.fail(Fault::None);
        assert!(engine.classify(picture(0), RequestOptions::default()).is_ok());
    }
}

#[test]
fn embeddings_and_outputs_come_with_their_names() {
    let stub = Stub::default();
    let engine = stub.engine(&options()).unwrap();
    let input = tensor(3);
    let run = engine.submit_tensors(vec![("input".into(), input.clone())], task(Task::Run)).unwrap();
    let run = run.wait().unwrap();
    let names: Vec<&str> = run.outputs.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["logits", "embedding"]);
    assert_eq!(run.outputs[0].1.shape(), [3, CLASSES]);
    let input = input.to_f32().unwrap();
    let expected: Vec<f32> = input.chunks(3 * SIDE * SIDE).flat_map(stub::logits_of).collect();
    assert_eq!(*run.outputs[0].1.to_f32().unwrap(), expected);
    assert_eq!(run.batch_size, 3);
    let embed = engine.classify(picture(3), task(Task::Embed)).unwrap();
    assert_eq!(embed.outputs[0].0, "embedding");
    assert_eq!(embed.outputs[0].1.shape(), [1, 2]);
    assert!(embed.predictions.is_empty());
}

#[test]
fn what_can_never_be_answered_is_refused_at_the_door() {
    let stub = Stub::default();
    let engine = stub.engine(&EngineOptions { max_batch_size: 2, ..options() }).unwrap();
    let submit = |name: &str, tensor, t| engine.submit_tensors(vec![(name.to_owned(), tensor)], task(t));
    assert_eq!(kind(submit("input", tensor(3), Task::Run)), ErrorKind::InvalidArgument);
    assert_eq!(kind(submit("pixels", tensor(1), Task::Run)), ErrorKind::InvalidArgument);
    assert_eq!(kind(submit("input", tensor(2), Task::default())), ErrorKind::InvalidArgument);
    let flat = libvision::Tensor::new(&[3 * SIDE * SIDE], vec![0.0_f32; 3 * SIDE * SIDE]).unwrap();
    assert_eq!(kind(submit("input", flat, Task::Run)), ErrorKind::ShapeMismatch);
    let bytes = libvision::Tensor::new(&[1, 3, SIDE, SIDE], vec![0_u8; 3 * SIDE * SIDE]).unwrap();
    assert_eq!(kind(submit("input", bytes, Task::Run)), ErrorKind::DTypeMismatch);
    assert_eq!(kind(engine.submit_tensors(vec![], task(Task::Run))), ErrorKind::InvalidArgument);
    let twice = vec![("input".to_owned(), tensor(1)), ("input".to_owned(), tensor(1))];
    assert_eq!(kind(engine.submit_tensors(twice, task(Task::Run))), ErrorKind::InvalidArgument);
    for wrong in
        [Task::Classify { top_k: 0, min_score: 0.0 }, Task::Classify { top_k: 1, min_score: f32::NAN }]
    {
        assert_eq!(kind(engine.submit(picture(0), task(wrong))), ErrorKind::InvalidArgument);
    }
    let late = RequestOptions { deadline: Some(Duration::ZERO), ..RequestOptions::default() };
    assert_eq!(kind(engine.submit(picture(0), late)), ErrorKind::DeadlineExceeded);
    assert!(stub.batches().is_empty());
}

#[test]
fn options_out_of_range_are_errors_that_say_the_range() {
    let stub = Stub::default();
    let wrong = [
        EngineOptions { max_batch_size: 0, ..options() },
        EngineOptions { max_batch_size: usize::MAX, ..options() },
        EngineOptions { queue_capacity: 0, ..options() },
        EngineOptions { queue_capacity: usize::MAX, ..options() },
        EngineOptions { decode_threads: 1000, ..options() },
    ];
    for options in wrong {
        let error = stub.engine(&options).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.message().contains("from 1 to"), "{error}");
    }
}

#[test]
fn cancelled_requests_are_answered_so_at_once() {
    let stub = Stub::default();
    let engine = stub.engine(&EngineOptions { max_queue_delay: FOR_EVER, ..options() }).unwrap();
    let waiting = engine.submit(picture(0), RequestOptions::default()).unwrap();
    let other = engine.submit(picture(1), RequestOptions::default()).unwrap();
    waiting.cancel();
    assert_eq!(kind(waiting.wait()), ErrorKind::Cancelled);
    // Running: the answer does not wait for the backend.
    let stub = Stub::default();
    let busy = stub.engine(&options()).unwrap();
    stub.hold();
    let running = busy.submit(picture(0), RequestOptions::default()).unwrap();
    stub.wait_for_batches(1);
    let canceller = running.canceller();
    let (sender, receiver) = mpsc::channel();
    running.on_complete(move |answer| {
        let name = std::thread::current().name().map(str::to_owned);
        sender.send((answer.map(drop), name)).unwrap();
    });
    canceller.cancel();
    let (answer, thread) = receiver.recv().unwrap();
    assert_eq!(kind(answer), ErrorKind::Cancelled);
    assert_eq!(thread.as_deref(), Some("libvision-complete"), "never on a caller's thread");
    canceller.cancel();
    stub.release();
    engine.close();
    assert!(other.wait().is_ok(), "closing runs what was accepted");
}

#[test]
fn a_deadline_is_kept_though_the_backend_hangs() {
    let stub = Stub::default();
    let engine = stub.engine(&options()).unwrap();
    stub.hold();
    let soon = RequestOptions { deadline: Some(Duration::from_millis(20)), ..RequestOptions::default() };
    let running = engine.submit(picture(0), soon).unwrap();
    let queued = engine.submit(picture(1), soon).unwrap();
    assert_eq!(kind(running.wait()), ErrorKind::DeadlineExceeded);
    assert_eq!(kind(queued.wait()), ErrorKind::DeadlineExceeded);
    stub.release();
    assert!(engine.classify(picture(2), RequestOptions::default()).is_ok());
}

#[test]
fn closing_answers_what_was_accepted_and_refuses_the_rest() {
    let stub = Stub::default();
    let engine = stub.engine(&EngineOptions { max_queue_delay: FOR_EVER, ..options() }).unwrap();
    let pending: Vec<Pending> =
        (0..20).map(|i| engine.submit(picture(i), RequestOptions::default()).unwrap()).collect();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| engine.close());
        }
    });
    assert_eq!(wait_all(pending).len(), 20);
    assert_eq!(kind(engine.submit(picture(0), RequestOptions::default())), ErrorKind::EngineClosed);
}

#[test]
fn dropping_the_engine_in_a_callback_does_not_hang() {
    let stub = Stub::default();
    let engine = stub.engine(&options()).unwrap();
    stub.hold();
    let pending = engine.submit(picture(0), RequestOptions::default()).unwrap();
    let (sender, receiver) = mpsc::channel();
    pending.on_complete(move |answer| {
        drop(engine);
        sender.send(answer.is_ok()).unwrap();
    });
    stub.release();
    assert!(receiver.recv().unwrap());
}

#[test]
fn the_parts_of_the_time_add_up() {
    let stub = Stub::default();
    let engine = stub.engine(&options()).unwrap();
    let timing = engine.classify(picture(0), RequestOptions::default()).unwrap().timing;
    let parts = timing.queue + timing.decode + timing.preprocess + timing.batch_wait + timing.compute;
    assert_eq!(parts + timing.postprocess, timing.total);
}

#[test]
fn waiting_with_a_timeout_gives_the_request_back() {
    let stub = Stub::default();
    let engine = stub.engine(&options()).unwrap();
    stub.hold();
    let pending = engine.submit(picture(0), RequestOptions::default()).unwrap();
    let Err(pending) = pending.wait_timeout(Duration::from_millis(1)) else { panic!("the backend is held") };
    stub.release();
    assert!(pending.wait_timeout(FOR_EVER).ok().expect("in time").is_ok());
}

#[test]
fn many_threads_at_once_each_get_their_own_answer() {
    let stub = Stub::default();
    let engine = stub.engine(&EngineOptions { max_batch_size: 4, queue_capacity: 8, ..options() }).unwrap();
    let expected: Vec<Response> =
        (0..16).map(|i| engine.classify(picture(i), RequestOptions::default()).unwrap()).collect();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (engine, expected) = (&engine, &expected);
            scope.spawn(move || {
                for round in 0..100 {
                    let seed = (thread * 31 + round * 7) % 16;
                    match engine.submit(picture(seed), RequestOptions::default()) {
                        Ok(pending) if round % 10 == 3 => drop(pending),
                        Ok(pending) if round % 10 == 7 => pending.cancel(),
                        Ok(pending) => {
                            assert_eq!(pending.wait().unwrap().predictions, expected[seed].predictions);
                        }
                        Err(error) => assert_eq!(error.kind(), ErrorKind::QueueFull),
                    }
                }
            });
        }
    });
}

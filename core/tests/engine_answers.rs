//! What comes out: the right numbers for the right request whatever it shares a batch with, for each task,
//! each kind of input and each limit; and what the engine says about itself.

mod engine_stub;

use engine_stub::*;
use libvision::{DType, Engine, EngineOptions, Error, ErrorKind, ImageSource, Response, Task, Tensor};
use std::sync::Arc;

fn elements(tensor: &Tensor) -> Vec<f32> {
    tensor.to_f32().expect("f32").into_owned()
}

#[test]
fn mixed_tasks_and_sizes_share_batches_and_each_gets_its_own() {
    let stub = Stub { contexts: 2, ..Stub::new() };
    let options = EngineOptions { max_batch_size: 8, decode_threads: 3, ..options() };
    let (engine, control) = engine_on(stub, &options);
    control.hold();
    let all: Vec<_> = (0..60)
        .map(|i| {
            let seeds: Vec<usize> = (i..i + 1 + i % 3).collect();
            let pending = match i % 5 {
                0 => engine.submit(picture(i), classify_all()),
                1 => engine.submit(picture(i), task(Task::Embed)),
                2 => engine.submit_tensors(tensor_of(&seeds), task(Task::Run)),
                3 => engine.submit_tensors(tensor_of(&seeds), task(Task::Embed)),
                _ => engine.submit_tensors(tensor_of(&[i]), classify_all()),
            };
            (i, seeds, pending.expect("room"))
        })
        .collect();
    control.release();
    let mut largest = 0;
    for (i, seeds, pending) in all {
        let response = wait(pending).expect("an answer");
        largest = largest.max(response.batch_size);
        let features = |salt: usize, size: usize, seeds: &[usize]| -> Vec<f32> {
            let image = |&seed: &usize| (0..size).map(move |at| mix(&picture_tensor(seed), at + salt));
            seeds.iter().flat_map(image).collect()
        };
        match i % 5 {
            0 | 4 => {
                assert_eq!(scores(&response), expected_scores(i));
                assert!(response.outputs.is_empty());
            }
            1 | 3 => {
                let seeds = if i % 5 == 1 { &[i][..] } else { &seeds };
                let [(name, tensor)] = &response.outputs[..] else { panic!("one output") };
                assert_eq!((name.as_str(), tensor.shape()), ("embedding", &[seeds.len(), FEATURES][..]));
                assert_eq!(elements(tensor), features(100, FEATURES, seeds));
            }
            _ => {
                let [(logits, of_logits), (embedding, of_embedding)] = &response.outputs[..] else {
                    panic!("two outputs")
                };
                assert_eq!((logits.as_str(), embedding.as_str()), ("logits", "embedding"));
                assert_eq!(of_logits.shape(), [seeds.len(), CLASSES]);
                assert_eq!(elements(of_logits), features(0, CLASSES, &seeds));
                assert_eq!(elements(of_embedding), features(100, FEATURES, &seeds));
            }
        }
        assert_timing_adds_up(&response);
    }
    assert!(largest > 1 && control.begun().iter().all(|&batch| batch <= 8), "{:?}", control.begun());
}

fn assert_timing_adds_up(response: &Response) {
    let t = &response.timing;
    let parts = t.queue + t.decode + t.preprocess + t.batch_wait + t.compute + t.postprocess;
    assert_eq!(parts, t.total);
}

#[test]
fn predictions_are_the_best_first_with_names_and_a_least_score() {
    let (engine, _control) = engine(&options());
    let expected = expected_scores(7);
    let response =
        engine.classify(picture(7), task(Task::Classify { top_k: 3, min_score: 0.0 })).expect("an answer");
    assert_eq!(response.predictions.len(), 3);
    assert!(response.predictions.windows(2).all(|pair| pair[0].score >= pair[1].score));
    let best = expected.iter().copied().fold(0.0, f32::max);
    assert_eq!(response.predictions[0].score, best);
    for prediction in &response.predictions {
        assert_eq!(prediction.label, format!("class {}", prediction.class_index));
        assert_eq!(prediction.score, expected[prediction.class_index]);
    }
    let best_only = task(Task::Classify { top_k: 100, min_score: best });
    assert_eq!(engine.classify(picture(7), best_only).expect("an answer").predictions.len(), 1);
    let all = task(Task::Classify { top_k: usize::MAX, min_score: f32::NEG_INFINITY });
    assert_eq!(engine.classify(picture(7), all).expect("an answer").predictions.len(), CLASSES);
}

#[test]
fn models_with_several_inputs_take_tensors_in_any_order_and_no_pictures() {
    let model = model_of(graph(&[("a", &[2, 3]), ("b", &[4])], false, None));
    let engine = Engine::with_backend(model, &options(), Arc::new(Stub::new())).expect("an engine");
    let a: Vec<f32> = (0..12).map(|i| i as f32 * 0.25).collect();
    let b: Vec<f32> = (0..8).map(|i| 1.0 - i as f32).collect();
    let tensor =
        |shape: &[usize], elements: &[f32]| Tensor::new(shape, elements.to_vec()).expect("sizes fit");
    let run = |inputs: Vec<(&str, Tensor)>| engine.submit_tensors(inputs, task(Task::Run)).and_then(wait);
    let (whole_a, whole_b) = (tensor(&[2, 2, 3], &a), tensor(&[2, 4], &b));
    let response = run(vec![("b", whole_b.clone()), ("a", whole_a.clone())]).expect("an answer");
    let expected: Vec<f32> = (0..2)
        .flat_map(|image| (0..CLASSES).map(move |class| (image, class)))
        .map(|(image, class)| mix(&a[image * 6..][..6], class) + mix(&b[image * 4..][..4], class))
        .collect();
    assert_eq!(elements(&response.outputs[0].1), expected);

    let fails = |inputs, kind, needles: &[&str]| {
        let error: Error = run(inputs).expect_err("refused");
        assert_eq!(error.kind(), kind, "{error}");
        assert!(needles.iter().all(|needle| error.message().contains(needle)), "{error} lacks {needles:?}");
    };
    fails(vec![("a", whole_a.clone())], ErrorKind::InvalidArgument, &["\"b\"", "missing"]);
    fails(
        vec![("a", whole_a.clone()), ("b", whole_b.clone()), ("c", whole_b.clone())],
        ErrorKind::InvalidArgument,
        &["\"c\"", "\"a\", \"b\""],
    );
    fails(
        vec![("a", whole_a.clone()), ("b", whole_b.clone()), ("b", whole_b.clone())],
        ErrorKind::InvalidArgument,
        &["\"b\"", "twice"],
    );
    fails(
        vec![("a", whole_a.clone()), ("b", tensor(&[1, 4], &b[..4]))],
        ErrorKind::ShapeMismatch,
        &["\"b\"", "expected 2", "found 1"],
    );
    fails(
        vec![("a", tensor(&[2, 3, 2], &a)), ("b", whole_b.clone())],
        ErrorKind::ShapeMismatch,
        &["\"a\"", "[N,2,3]", "[2, 3, 2]"],
    );
    fails(vec![("a", tensor(&[0, 2, 3], &[])), ("b", whole_b)], ErrorKind::ShapeMismatch, &["at least 1"]);
    let error = engine.submit(picture(0), classify_all()).err().expect("two inputs");
    assert_eq!(error.kind(), ErrorKind::ShapeMismatch);
    assert!(error.message().contains("2 inputs"), "{error}");
    let error = engine.submit_tensors(tensor_of(&[0]), task(Task::Embed)).err().expect("no embedding");
    assert_eq!(error.kind(), ErrorKind::OutputMissing);
    assert!(error.message().contains("logits"), "{error}");
}

#[test]
fn a_model_of_another_size_than_its_preprocessing_takes_tensors_only() {
    let model = model_of(graph(&[("pixels", &[3, SIDE, SIDE + 1])], true, None));
    let engine = Engine::with_backend(model, &options(), Arc::new(Stub::new())).expect("an engine");
    let error = engine.submit(picture(0), classify_all()).err().expect("another size");
    assert_eq!(error.kind(), ErrorKind::ShapeMismatch);
    assert!(error.message().contains("[N,3,4,4]") && error.message().contains("[N,3,4,5]"), "{error}");
    assert!(engine.describe().contains("pictures         none"), "{}", engine.describe());
}

#[test]
fn tensors_at_any_alignment_and_of_no_other_type() {
    let (engine, _control) = engine(&options());
    let bytes: Vec<u8> = picture_tensor(3).iter().flat_map(|x| x.to_le_bytes()).collect();
    for shift in 0..4 {
        let mut shifted = vec![0; shift];
        shifted.extend(&bytes);
        let bytes = bytes::Bytes::from(shifted).slice(shift..);
        let tensor = Tensor::from_bytes(DType::F32, &[1, 3, SIDE, SIDE], bytes).expect("sizes fit");
        let pending = engine.submit_tensors([("pixels", tensor)], classify_all()).expect("accepted");
        assert_eq!(scores(&wait(pending).expect("an answer")), expected_scores(3));
    }
    let half =
        Tensor::from_bytes(DType::F16, &[1, 3, SIDE, SIDE], vec![0; 2 * PIXELS].into()).expect("sizes fit");
    let error = engine.submit_tensors([("pixels", half)], classify_all()).err().expect("not f32");
    assert_eq!(error.kind(), ErrorKind::DTypeMismatch);
    assert!(error.message().contains("f32") && error.message().contains("f16"), "{error}");
}

#[test]
fn the_smallest_batch_limit_wins_and_describe_says_which() {
    let limited = |limit, most, asked| {
        let model = model_of(graph(&[("pixels", &[3, SIDE, SIDE])], true, limit));
        let stub = Stub { max_batch_size: most, ..Stub::new() };
        let control = Hand(Arc::clone(&stub.control));
        let options = EngineOptions { max_batch_size: asked, ..options() };
        (Engine::with_backend(model, &options, Arc::new(stub)).expect("an engine"), control)
    };
    for (limit, most, asked, in_force, says) in [
        (None, usize::MAX, 5, 5, "as asked for"),
        (Some(1), usize::MAX, 5, 1, "the model's own limit"),
        (Some(9), usize::MAX, 5, 5, "as asked for"),
        (None, 3, 5, 3, "the device's limit"),
        (Some(4), 3, 5, 3, "the device's limit"),
    ] {
        let (engine, control) = limited(limit, most, asked);
        assert_eq!(engine.max_batch_size(), in_force);
        let described = engine.describe();
        assert!(described.contains(&format!("max_batch_size   {in_force} ({says}")), "{described}");
        control.hold();
        let all: Vec<_> =
            (0..12).map(|seed| engine.submit(picture(seed), classify_all()).expect("room")).collect();
        let seeds: Vec<usize> = (0..in_force + 1).collect();
        let error = engine.submit_tensors(tensor_of(&seeds), task(Task::Run)).err().expect("too many");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.message().contains(&format!("max_batch_size images, {in_force}")), "{error}");
        control.release();
        for pending in all {
            assert!(wait(pending).expect("an answer").batch_size <= in_force);
        }
    }
}

#[test]
fn describe_tells_what_is_in_force() {
    let (engine, _control) = engine(&EngineOptions { queue_capacity: 77, ..options() });
    assert_eq!(engine.device(), "stub");
    let text = engine.describe();
    for part in [
        "device           stub (",
        "queue_capacity   77",
        "decode_threads   1",
        "max_queue_delay  0ns",
        "33000000 pixels",
        "workers          1",
        "weights                           123 bytes, host",
        "arenas                            456 bytes, host",
        "plan of the stub",
    ] {
        assert!(text.contains(part), "{part:?} is missing in\n{text}");
    }
    // Three buffers of 8 pictures, and one of each output for 8; to the graph each is the flattened picture.
    let batches = 3 * 8 * PIXELS * 4;
    let results = 8 * 2 * PIXELS * 4;
    let total = 123 + 456 + batches + results;
    for part in
        [format!("memory           {total} bytes"), format!("batches                           {batches} ")]
    {
        assert!(text.contains(&part), "{part:?} is missing in\n{text}");
    }
}

#[test]
fn encoded_bytes_and_raw_pixels_of_one_picture_give_one_answer() {
    let (engine, _control) = engine(&options());
    let raw = engine.classify(picture(2), classify_all()).expect("an answer");
    let encoded = engine.classify(ImageSource::Encoded(bmp(2).into()), classify_all()).expect("an answer");
    assert_eq!(raw.predictions, encoded.predictions);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("picture.bmp");
    std::fs::write(&path, bmp(2)).expect("a file");
    let file = engine.classify(ImageSource::Path(path), classify_all()).expect("an answer");
    assert_eq!(raw.predictions, file.predictions);
}

//! The engine on a CUDA device: the same bits alone and in any company, two engines on one device, pictures as the
//! CPU labels them. The software driver runs it over many schedules: `LIBVISION_SWCUDA_SEED`.
#![cfg(feature = "cuda")]

#[path = "cuda_networks/mod.rs"]
mod networks;
mod pictures;

use libvision::preprocess::CpuPreprocessor;
use libvision::{
    BatchWindow, DecodeLimits, Engine, EngineOptions, ErrorKind, ImageSource, Model, RequestOptions,
    Response, Task, Tensor,
};
use networks::has_device;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

fn model() -> Arc<Model> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/onnx");
    Arc::new(Model::load(path.join("basic_torchscript_folded_dynamic.onnx")).expect("a golden model"))
}

fn picture(seed: usize) -> ImageSource {
    pictures::structured(seed, 20 + 7 * (seed % 5), 15 + 11 * (seed % 3))
}

/// Emulated kernels take as long as the machine lets them.
const NEVER: Duration = Duration::from_secs(3600);

fn engine(model: &Arc<Model>, device: &str, max_batch_size: usize) -> Engine {
    let options = EngineOptions {
        device: device.into(),
        max_batch_size,
        stuck_after: NEVER,
        ..EngineOptions::default()
    };
    Engine::new(Arc::clone(model), &options).expect("an engine")
}

fn ask(engine: &Engine, seed: usize) -> Response {
    let all = RequestOptions { task: Task::Run, ..RequestOptions::default() };
    engine.classify(picture(seed), all).expect("an answer")
}

fn bits(response: &Response) -> Vec<u32> {
    let outputs = response.outputs.iter();
    outputs
        .flat_map(|(_, tensor)| {
            tensor.elements::<f32>().expect("f32").iter().map(|x| x.to_bits()).collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn requests_at_once_share_batches_and_keep_their_bits() {
    if !has_device() {
        return;
    }
    let model = model();
    let alone: Vec<Vec<u32>> = {
        let engine = engine(&model, "cuda:0", 1);
        (0..8).map(|seed| bits(&ask(&engine, seed))).collect()
    };
    assert_ne!(alone[0], alone[1], "the pictures differ");
    let engines = [engine(&model, "cuda:0", 4), engine(&model, "auto", 3)];
    assert_eq!(engines[1].device(), "cuda:0", "{}", engines[1].describe());
    std::thread::scope(|scope| {
        for engine in &engines {
            for (seed, expected) in alone.iter().enumerate() {
                scope.spawn(move || assert!(bits(&ask(engine, seed)) == *expected, "picture {seed}"));
            }
        }
    });
}

/// What the CPU makes of a picture.
fn tensor(model: &Model, source: &ImageSource) -> Tensor {
    let preprocessor = CpuPreprocessor::new(model.preprocess()).expect("a spec");
    let pixels = libvision::image::load(source, &DecodeLimits::default(), false).expect("a picture");
    let mut input = vec![0.0; preprocessor.output_len()];
    preprocessor.run(&pixels, &mut input).expect("preprocessed");
    let [channels, height, width] = preprocessor.output_shape();
    Tensor::new(&[1, channels, height, width], input).expect("as many")
}

#[test]
fn a_picture_has_the_bits_of_its_tensor_in_mixed_batches_and_however_large() {
    if !has_device() {
        return;
    }
    let model = model();
    let input = model.graph().value(model.graph().inputs[0]).name.clone();
    let options = EngineOptions {
        device: "cuda:0".into(),
        max_batch_size: 4,
        window: BatchWindow::Throughput,
        max_queue_delay: Duration::from_millis(200),
        stuck_after: NEVER,
        ..EngineOptions::default()
    };
    let engine = Engine::new(Arc::clone(&model), &options).expect("an engine");
    assert!(engine.describe().contains("u8_resize_normalize_f16"), "{}", engine.describe());
    let all = RequestOptions { task: Task::Run, ..RequestOptions::default() };
    // The last one is too large for the device's slot.
    let sources = [picture(1), picture(2), pictures::structured(3, 701, 702)];
    let pending: Vec<_> = sources
        .into_iter()
        .map(|source| {
            let tensors = vec![(input.clone(), tensor(&model, &source))];
            let as_picture = engine.submit(source, all).expect("accepted");
            (as_picture, engine.submit_tensors(tensors, all).expect("accepted"))
        })
        .collect();
    for (index, (as_picture, as_tensor)) in pending.into_iter().enumerate() {
        let [found, expected] = [as_picture, as_tensor].map(|it| bits(&it.wait().expect("an answer")));
        assert!(found == expected, "picture {index}");
    }
}

#[test]
fn answers_are_those_of_the_cpu() {
    if !has_device() {
        return;
    }
    let model = model();
    let [on_cuda, on_cpu] = ["cuda:0", "cpu"].map(|device| engine(&model, device, 2));
    for seed in 0..4 {
        let [found, expected] = [&on_cuda, &on_cpu].map(|engine| ask(engine, seed));
        for ((_, found), (name, expected)) in found.outputs.iter().zip(&expected.outputs) {
            let [found, expected] = [found, expected].map(|tensor| tensor.elements::<f32>().expect("f32"));
            let largest = expected.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
            for (e, f) in expected.iter().zip(found.iter()) {
                assert!(
                    (e - f).abs() <= 0.01 * largest,
                    "{name}: expected {e}, found {f}, of at most {largest}"
                );
            }
        }
    }
}

#[test]
fn a_device_that_is_not_there_is_never_replaced_in_silence() {
    let options = EngineOptions { device: "cuda:4294967295".into(), ..EngineOptions::default() };
    let error = Engine::new(model(), &options).err().expect("no such device");
    assert_eq!(error.kind(), ErrorKind::DeviceUnavailable);
    let options = EngineOptions { device_memory_limit: Some(1000), device: "cuda:0".into(), ..options };
    let error = Engine::new(model(), &options).err().expect("too little memory, or no device");
    let kind = if has_device() { ErrorKind::OutOfMemory } else { ErrorKind::DeviceUnavailable };
    assert_eq!(error.kind(), kind, "{error}");
    // With `auto` the CPU takes over, and says why.
    let engine =
        Engine::new(model(), &EngineOptions { device: "auto".into(), ..options }).expect("on the CPU");
    assert_eq!(engine.device(), "cpu");
    assert!(engine.describe().contains("auto took cpu, because"), "{}", engine.describe());
}

//! The engine on the CPU backend: the same bits alone and in any company.

mod pictures;

use libvision::{Engine, EngineOptions, ErrorKind, ImageSource, Model, RequestOptions, Task, Tensor};
use std::path::Path;
use std::sync::Arc;

fn model(name: &str) -> Arc<Model> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden").join(name);
    Arc::new(Model::load(path).expect("a golden model"))
}

fn picture(seed: usize) -> ImageSource {
    pictures::structured(seed, 60 + 7 * (seed % 5), 50 + 11 * (seed % 3))
}

fn task(task: Task) -> RequestOptions {
    RequestOptions { task, ..RequestOptions::default() }
}

#[test]
fn thirty_two_at_once_share_batches_and_keep_their_bits() {
    let model = model("onnx/basic_torchscript_folded_dynamic.onnx");
    let all = task(Task::Classify { top_k: 1000, min_score: 0.0 });
    let alone = {
        let options = EngineOptions { max_batch_size: 1, threads: 1, ..EngineOptions::default() };
        let engine = Engine::new(Arc::clone(&model), &options).expect("an engine");
        let answer = |seed| engine.classify(picture(seed), all).expect("an answer");
        (0..32).map(answer).collect::<Vec<_>>()
    };
    assert!(alone.iter().all(|response| response.batch_size == 1));
    assert_ne!(alone[0].predictions, alone[1].predictions, "the pictures differ");
    let options = EngineOptions { max_batch_size: 8, threads: 2, ..EngineOptions::default() };
    let engine = Engine::new(model, &options).expect("an engine");
    let largest = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..32)
            .map(|seed| {
                let engine = &engine;
                scope.spawn(move || engine.classify(picture(seed), all).expect("an answer"))
            })
            .collect();
        let answers = threads.into_iter().map(|thread| thread.join().expect("no panic"));
        let sizes = answers.enumerate().map(|(seed, together)| {
            assert_eq!(together.predictions, alone[seed].predictions, "picture {seed}");
            together.batch_size
        });
        sizes.max().unwrap_or(0)
    });
    assert!((2..=8).contains(&largest), "{largest}");
    let described = engine.describe();
    assert!(described.contains("device           cpu (auto took cpu"), "{described}");
}

#[test]
fn pictures_and_their_tensors_give_the_same_outputs() {
    let model = model("onnx/basic_torchscript_folded_dynamic.onnx");
    let engine = Engine::new(Arc::clone(&model), &EngineOptions::default()).expect("an engine");
    let preprocessor = libvision::preprocess::CpuPreprocessor::new(model.preprocess()).expect("a good spec");
    let mut elements = Vec::new();
    for seed in 0..5 {
        let pixels = libvision::image::load(&picture(seed), &Default::default(), false).expect("pixels");
        let mut slot = vec![0.0; preprocessor.output_len()];
        preprocessor.run(&pixels, &mut slot).expect("a result");
        elements.extend(slot);
    }
    let shape: Vec<usize> = [5].into_iter().chain(preprocessor.output_shape()).collect();
    let input = model.graph().value(model.graph().inputs[0]).name.clone();
    let tensors = vec![(input, Tensor::new(&shape, elements).expect("sizes fit"))];
    let together =
        engine.submit_tensors(tensors, task(Task::Run)).expect("accepted").wait().expect("an answer");
    let outputs: Vec<Vec<f32>> =
        together.outputs.iter().map(|(_, tensor)| tensor.to_f32().expect("f32").into_owned()).collect();
    for seed in 0..5 {
        let run = engine.classify(picture(seed), task(Task::Run)).expect("an answer");
        assert_eq!(run.outputs.len(), outputs.len());
        for ((name, tensor), together) in run.outputs.iter().zip(&outputs) {
            let alone = tensor.to_f32().expect("f32");
            assert_eq!(*alone, together[seed * alone.len()..][..alone.len()], "{name} of picture {seed}");
        }
        let embed = engine.classify(picture(seed), task(Task::Embed)).expect("an answer");
        let embedding =
            run.outputs.iter().find(|(name, _)| name == "embedding").expect("a classifier was found");
        assert_eq!(embed.outputs, std::slice::from_ref(embedding));
    }
}

#[test]
fn a_model_of_fixed_batch_runs_one_by_one() {
    let model = model("onnx/basic_torchscript_folded_fixed.onnx");
    assert_eq!(model.graph().batch_limit, Some(1));
    let engine = Engine::new(model, &EngineOptions::default()).expect("an engine");
    assert_eq!(engine.max_batch_size(), 1);
    let all: Vec<_> =
        (0..6).map(|seed| engine.submit(picture(seed), RequestOptions::default()).expect("room")).collect();
    for pending in all {
        assert_eq!(pending.wait().expect("an answer").batch_size, 1);
    }
}

#[test]
fn a_device_that_is_not_here_is_an_error_that_says_why() {
    let model = model("onnx/basic_torchscript_folded_dynamic.onnx");
    for (device, kind) in [("cuda:0", ErrorKind::DeviceUnavailable), ("gpu", ErrorKind::InvalidArgument)] {
        let options = EngineOptions { device: device.into(), ..EngineOptions::default() };
        let error = Engine::new(Arc::clone(&model), &options).err().expect("not here");
        assert_eq!(error.kind(), kind);
        assert!(error.message().contains(device), "{error}");
    }
}

#[test]
fn a_file_that_changes_under_a_loaded_model_is_noticed() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden");
    for name in ["onnx/basic_torchscript_folded_dynamic.onnx", "safetensors/resnet18.torchvision.safetensors"]
    {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(Path::new(name).file_name().expect("a name"));
        let fresh = || {
            let _ = std::fs::remove_file(&path);
            std::fs::copy(golden.join(name), &path).expect("a copy");
        };
        let load = |memory_map| {
            let options = libvision::LoadOptions { memory_map, ..libvision::LoadOptions::default() };
            Arc::new(Model::load_with(&path, &options).expect("a model"))
        };
        let start = |model: Arc<Model>| Engine::new(model, &EngineOptions::default());
        let cut = || {
            let file = std::fs::OpenOptions::new().write(true).open(&path).expect("the file");
            file.set_len(1000).expect("a shorter file");
        };

        fresh();
        let (mapped, read) = (load(true), load(false));
        let running = start(Arc::clone(&mapped)).expect("an engine");
        cut();
        let error = start(mapped).err().expect("the weights are gone");
        assert_eq!(error.kind(), ErrorKind::FileUnreadable, "{name}: {error}");
        assert!(error.message().contains("1000 bytes"), "{error}");
        assert!(start(read).is_ok(), "{name}: a model that was read depends on no file");
        running.classify(picture(0), RequestOptions::default()).expect("an answer from packed weights");

        fresh();
        let model = load(true);
        std::fs::write(folder.path().join("new"), "replaced").expect("a file");
        std::fs::rename(folder.path().join("new"), &path).expect("a new file in its place");
        assert!(start(model).is_ok(), "{name}: renaming leaves the old file's bytes");
    }
}

//! Exported networks give the numbers of ONNX Runtime, with every pass and with hardly any.

use super::interpret::largest_difference;
use super::{compile, run};
use libvision::compile::Pipeline;
use libvision::graph::Graph;
use libvision::import::onnx::{OnnxOptions, import};
use libvision::import::safetensors;
use libvision::memory::{ReadOptions, read_file};
use libvision::{Model, Tensor};
use libvision_kernels::cpu::variants::usable_sets;
use std::path::{Path, PathBuf};

type TestResult = Result<(), Box<dyn std::error::Error>>;

const READ: ReadOptions = ReadOptions { memory_map: true, max_bytes: 1 << 24 };

fn golden(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden").join(folder)
}

/// Runs the graph on every kernel set and compares output 0.
fn check(name: &str, graph: &Graph, pictures: &[f32], expected: &Tensor) -> TestResult {
    let batch = expected.shape()[0];
    for set in usable_sets() {
        let executable = compile(set, graph, 2);
        let pictures = &pictures[..batch * executable.inputs()[0].elements_per_image()];
        let found = run(&executable, batch, &[pictures.to_vec()]).swap_remove(0);
        let error = largest_difference(&Tensor::new(expected.shape(), found)?, expected);
        assert!(error < 5e-5, "{name} on {}: {error} off", set.isa);
    }
    Ok(())
}

#[test]
fn onnx_exports_give_the_logits_of_onnxruntime() -> TestResult {
    let expected = safetensors::read(read_file(&golden("onnx/expected.safetensors"), READ)?)?;
    let input = expected["input"].to_f32("input")?;
    let records: Vec<serde_json::Value> =
        serde_json::from_slice(&std::fs::read(golden("onnx/expected.json"))?)?;
    assert!(!records.is_empty());
    for record in records {
        let name = record["file"].as_str().ok_or("a file name")?;
        let key = record["logits"].as_str().ok_or("a tensor name")?;
        let logits = expected[key].to_f32(key)?;
        let path = golden("onnx").join(name);
        check(name, Model::load(&path)?.graph(), &input.to_f32()?, &logits)?;

        let options = OnnxOptions { folder: None, read: READ, input_size: None };
        let mut raw = import(read_file(&path, READ)?, options)?;
        Pipeline::standard().stopping_at("fold_constants")?.run(&mut raw)?;
        check(&format!("{name}, unfused"), &raw, &input.to_f32()?, &logits)?;
    }
    Ok(())
}

#[test]
fn safetensors_give_the_logits_of_onnxruntime() -> TestResult {
    let expected = safetensors::read(read_file(&golden("safetensors/expected.safetensors"), READ)?)?;
    let input = expected["input"].to_f32("input")?;
    for depth in [18, 50, 152] {
        let key = format!("resnet{depth}.logits");
        let logits = expected[&key].to_f32(&key)?;
        let file = format!("resnet{depth}.torchvision.safetensors");
        let mut options = libvision::LoadOptions::default();
        let side = input.shape()[2];
        options.preprocess = Some(libvision::PreprocessSpec::imagenet(side, side));
        let model = Model::load_with(golden("safetensors").join(&file), &options)?;
        check(&file, model.graph(), &input.to_f32()?, &logits)?;
    }
    Ok(())
}

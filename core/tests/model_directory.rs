//! Model directories as people have them on disk: preprocessing, labels and head come without being asked
//! for.

mod interpret;
mod onnx_file;

use interpret::{largest_difference, run};
use libvision::image::decode;
use libvision::preprocess::{CpuPreprocessor, CropPolicy, PreprocessSpec, ResizeFilter, ResizeMode};
use libvision::{DecodeLimits, ErrorKind, Head, LoadOptions, Model, Tensor};
use onnx_file::*;
use prost::Message;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::error::Error;
use std::path::{Path, PathBuf};

type TestResult = Result<(), Box<dyn std::error::Error>>;

const LABELS: [&str; 10] = ["ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen", "ibis", "jay"];

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/directories")
}

#[test]
fn directories_give_the_tensors_and_logits_of_pillow_and_onnxruntime() -> TestResult {
    for (name, head) in [
        ("timm", Head::Softmax),
        ("hugging_face", Head::Softmax),
        ("hugging_face_multi_label", Head::Sigmoid),
        ("torchvision", Head::Softmax),
    ] {
        let folder = golden().join(name);
        let model = Model::load(&folder)?;
        assert_eq!(model.head(), head, "{name}");
        assert_eq!(model.labels(), LABELS, "{name}");
        assert_eq!(model.class_count(), Some(10), "{name}");
        let preprocessor = CpuPreprocessor::new(model.preprocess())?;
        let answers: Vec<Value> = serde_json::from_slice(&std::fs::read(folder.join("expected.json"))?)?;
        assert_eq!(answers.len(), 3, "{name}");
        for answer in answers {
            let picture = folder.join(answer["picture"].as_str().ok_or("a picture")?);
            let pixels = decode(&std::fs::read(&picture)?, &DecodeLimits::default(), false)?;
            let what = format!("{name}, {}", picture.display());

            let mut crop = vec![0; preprocessor.output_len()];
            preprocessor.run_to_bytes(&pixels, &mut crop)?;
            let hash: String = Sha256::digest(&crop).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(answer["crop_sha256"], hash, "{what}");

            let mut tensor = vec![0.0; preprocessor.output_len()];
            preprocessor.run(&pixels, &mut tensor)?;
            for sample in answer["samples"].as_array().ok_or("samples")? {
                let place = sample[0].as_u64().ok_or("a place")? as usize;
                let value = sample[1].as_f64().ok_or("a value")? as f32;
                assert_eq!(tensor[place], value, "{what} at {place}");
            }

            let shape = [&[1], &preprocessor.output_shape()[..]].concat();
            let logits = run(model.graph(), &[Tensor::new(&shape, tensor)?]).swap_remove(0);
            let expected: Vec<f32> = serde_json::from_value(answer["logits"].clone())?;
            let difference = largest_difference(&logits, &Tensor::new(&[1, 10], expected)?);
            assert!(difference < 1e-5, "{what}: {difference}");
        }
    }
    Ok(())
}

/// A folder of configuration files around a model of 3 classes for pictures of 32x32.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Result<Self, std::io::Error> {
        let folder = Self(tempfile::tempdir()?);
        folder.write("model.onnx", &classifier(&[-1, 3, 32, 32]))?;
        for (name, content) in files {
            folder.write(name, content.as_bytes())?;
        }
        Ok(folder)
    }

    fn write(&self, name: &str, content: &[u8]) -> Result<(), std::io::Error> {
        std::fs::write(self.0.path().join(name), content)
    }

    fn load(&self) -> libvision::Result<Model> {
        Model::load(self.0.path())
    }

    fn error(&self) -> libvision::Error {
        self.load().expect_err("a folder that cannot be loaded")
    }
}

/// Pooling and one fully connected layer.
fn classifier(sizes: &[i64]) -> Vec<u8> {
    let nodes = vec![
        node("GlobalAveragePool", &["x"], "pooled", vec![]),
        node("Flatten", &["pooled"], "flat", vec![]),
        node("Gemm", &["flat", "w"], "y", vec![]),
    ];
    model(sizes, nodes, vec![filled("w", &[3, 3], 0.5)]).encode_to_vec()
}

#[test]
fn an_onnx_file_takes_the_configuration_beside_it() -> TestResult {
    let timm = r#"{"architecture": "resnet9", "label_names": ["a", "b", "c"], "pretrained_cfg":
        {"input_size": [3, 32, 32], "crop_pct": 1.0, "interpolation": "bilinear"}}"#;
    let folder = Folder::new(&[("config.json", timm)])?;
    for path in [folder.0.path().to_path_buf(), folder.0.path().join("model.onnx")] {
        let model = Model::load(path)?;
        assert_eq!(model.name(), "resnet9");
        assert_eq!(model.labels(), ["a", "b", "c"]);
        assert_eq!(*model.preprocess(), PreprocessSpec::imagenet(32, 32));
        let names: Vec<&str> = model.graph().outputs.iter().map(|output| output.name.as_str()).collect();
        assert_eq!(names, ["logits", "embedding"]);
    }
    Ok(())
}

#[test]
fn without_configuration_everything_is_torchvisions() -> TestResult {
    let folder = Folder::new(&[])?;
    let model = folder.load()?;
    assert_eq!(*model.preprocess(), PreprocessSpec::imagenet(37, 32));
    assert_eq!((model.labels(), model.head()), (&[][..], Head::Softmax));
    folder.write("model.onnx", &classifier(&[-1, 3, 32, 48]))?;
    let spec = folder.load()?.preprocess().clone();
    assert_eq!((spec.resize, spec.crop), (ResizeMode::Exact { height: 32, width: 48 }, CropPolicy::None));
    Ok(())
}

#[test]
fn what_the_caller_gives_goes_before_the_files() -> TestResult {
    let folder = Folder::new(&[("labels.txt", "a\nb\nc\n")])?;
    let spec = PreprocessSpec { filter: ResizeFilter::Lanczos, ..PreprocessSpec::imagenet(40, 32) };
    let options = LoadOptions {
        preprocess: Some(spec.clone()),
        labels: Some(["x", "y", "z"].map(String::from).to_vec()),
        head: Some(Head::Sigmoid),
        memory_map: false,
        ..LoadOptions::default()
    };
    let model = Model::load_with(folder.0.path(), &options)?;
    assert_eq!((model.preprocess(), model.head()), (&spec, Head::Sigmoid));
    assert_eq!(model.labels(), ["x", "y", "z"]);
    for (options, expected) in [
        (
            LoadOptions { labels: Some(vec!["x".into()]), ..options.clone() },
            "1 labels, and the network has 3",
        ),
        (
            LoadOptions { preprocess: Some(PreprocessSpec::imagenet(40, 24)), ..options.clone() },
            "makes 24x24",
        ),
        (LoadOptions { max_file_bytes: 10, ..options.clone() }, "over max_file_bytes, 10"),
    ] {
        let error = Model::load_with(folder.0.path(), &options).unwrap_err();
        assert!(error.message().contains(expected), "{expected}: {error}");
    }
    Ok(())
}

#[test]
fn the_configured_size_fills_in_an_open_height_and_width() -> TestResult {
    let size = r#"{"image_processor_type": "ViTImageProcessor", "size": {"height": 24, "width": 40}}"#;
    let folder = Folder::new(&[("preprocessor_config.json", size)])?;
    let error = folder.error();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    assert!(error.message().contains("pictures of 32x32") && error.message().contains("24x40"), "{error}");
    folder.write("model.onnx", &classifier(&[-1, 3, -1, -1]))?;
    assert_eq!(folder.load()?.graph().dump().lines().next(), Some("input x[N,3,24,40]"));
    Ok(())
}

#[test]
fn a_graph_that_ends_in_softmax_needs_no_head() -> TestResult {
    let folder = Folder::new(&[])?;
    let nodes = vec![
        node("GlobalAveragePool", &["x"], "pooled", vec![]),
        node("Conv", &["pooled", "w"], "scores", vec![]),
        node("Flatten", &["scores"], "flat", vec![]),
        node("Softmax", &["flat"], "y", vec![]),
    ];
    folder.write(
        "model.onnx",
        &model(&[-1, 3, 8, 8], nodes, vec![filled("w", &[4, 3, 1, 1], 1.0)]).encode_to_vec(),
    )?;
    let model = folder.load()?;
    assert_eq!((model.head(), model.class_count()), (Head::Identity, Some(4)));
    assert!(model.notes().iter().any(|note| note.contains("ends in Softmax")), "{:?}", model.notes());
    // The classifier is a convolution: its input, flattened, is the embedding.
    assert_eq!(model.graph().outputs[1].name, "embedding");
    let x = Tensor::new(&[2, 3, 8, 8], vec![0.25f32; 2 * 3 * 64])?;
    assert_eq!(run(model.graph(), &[x])[1], Tensor::new(&[2, 3], vec![0.25f32; 6])?);
    Ok(())
}

#[test]
fn labels_come_from_the_first_file_that_has_some() -> TestResult {
    let config = r#"{"id2label": {"0": "c0", "2": "c2", "1": "c1"}, "problem_type": null}"#;
    let folder = Folder::new(&[("config.json", config)])?;
    assert_eq!(folder.load()?.labels(), ["c0", "c1", "c2"]);
    folder.write("imagenet_classes.txt", b"i0\ni1\ni2")?;
    assert_eq!(folder.load()?.labels(), ["i0", "i1", "i2"]);
    folder.write("labels.txt", b"l0\r\nl1\r\nl2\r\n\r\n")?;
    assert_eq!(folder.load()?.labels(), ["l0", "l1", "l2"]);
    folder.write("labels.txt", b"l0\nl1")?;
    let error = folder.error();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    assert!(error.message().contains("labels.txt: 2 labels, and the network has 3 classes"), "{error}");
    Ok(())
}

#[test]
fn which_file_is_the_model() -> TestResult {
    let folder = Folder::new(&[])?;
    std::fs::rename(folder.0.path().join("model.onnx"), folder.0.path().join("other.onnx"))?;
    assert!(folder.load()?.notes()[0].contains("other.onnx"));

    folder.write("another.onnx", &classifier(&[-1, 3, 8, 8]))?;
    let error = folder.error();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.message().contains("another.onnx, other.onnx"), "{error}");

    folder.write("model.onnx", &classifier(&[-1, 3, 8, 8]))?;
    assert!(folder.load()?.notes()[0].contains("model.onnx"));

    // Weights of a network that is not known: the ONNX file is taken instead.
    let empty = br#"{}"#;
    folder.write("model.safetensors", &[&2u64.to_le_bytes()[..], empty].concat())?;
    let model = folder.load()?;
    assert!(model.notes()[0].contains("model.onnx"), "{:?}", model.notes());
    assert!(model.notes().iter().any(|note| note.contains("passed over")), "{:?}", model.notes());

    // Damaged weights are not passed over.
    folder.write("model.safetensors", &2u64.to_le_bytes())?;
    assert_eq!(folder.error().kind(), ErrorKind::ModelCorrupt);
    Ok(())
}

#[test]
fn what_is_not_there_is_named() -> TestResult {
    let folder = tempfile::tempdir()?;
    let error = Model::load(folder.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FileNotFound);
    for name in ["model.safetensors", "model.onnx"] {
        assert!(error.message().contains(name), "{error}");
    }
    let missing = folder.path().join("none.onnx");
    let (error, why) = (Model::load(&missing).unwrap_err(), missing.metadata().unwrap_err());
    assert_eq!(error.kind(), ErrorKind::FileNotFound);
    // Once, for who prints causes too.
    assert_eq!(error.message(), format!("{}: {why}", missing.display()));
    assert!(error.source().is_none());
    std::fs::write(folder.path().join("model.pth"), "")?;
    let error = Model::load(folder.path().join("model.pth")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.message().contains(".safetensors"), "{error}");
    Ok(())
}

#[test]
fn a_model_takes_one_batch_of_colour_pictures() -> TestResult {
    let folder = Folder::new(&[])?;
    folder.write(
        "model.onnx",
        &model(&[-1, 8], vec![node("Relu", &["x"], "y", vec![])], vec![]).encode_to_vec(),
    )?;
    let error = folder.error();
    assert!(
        error.message().contains("expected one input [N,3,H,W]") && error.message().contains("[N,8]"),
        "{error}"
    );
    Ok(())
}

#[test]
fn a_model_that_was_not_mapped_does_not_depend_on_its_files() -> TestResult {
    // Batch norm is folded in this file, so that no pass makes new weights.
    let export = golden().join("../onnx/basic_torchscript_folded_dynamic.onnx");
    let folder = Folder::new(&[])?;
    folder.write("model.onnx", &std::fs::read(export)?)?;
    let options = LoadOptions { memory_map: false, ..LoadOptions::default() };
    let model = Model::load_with(folder.0.path(), &options)?;
    let x = Tensor::new(&[1, 3, 32, 32], vec![0.25f32; 3 * 32 * 32])?;
    let before = run(model.graph(), std::slice::from_ref(&x));
    std::fs::OpenOptions::new().write(true).open(folder.0.path().join("model.onnx"))?.set_len(0)?;
    assert_eq!(run(model.graph(), &[x]), before);
    Ok(())
}

#[test]
fn a_description_tells_what_was_read() -> TestResult {
    let text = Model::load(golden().join("timm"))?.describe();
    for part in
        ["resnet18", "[N,3,64,64]", "shorter side to 67 (bicubic)", "softmax", "classes: 10, with labels"]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
    Ok(())
}

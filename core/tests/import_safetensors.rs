//! ResNets from safetensors files, under each family of names.

mod interpret;

use ::safetensors::tensor::{Dtype, TensorView, serialize};
use interpret::{largest_difference, noise, run};
use libvision::graph::Op;
use libvision::import::architectures::{ResNetOptions, resnet};
use libvision::import::safetensors::{self, StoredTensors};
use libvision::memory::{ReadOptions, read_file};
use libvision::preprocess::PreprocessSpec;
use libvision::{ErrorKind, LoadOptions, Model, Tensor};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

type TestResult = Result<(), Box<dyn std::error::Error>>;

const READ: ReadOptions = ReadOptions { memory_map: true, max_bytes: 1 << 24 };

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/safetensors")
}

#[test]
fn every_network_and_naming_gives_the_logits_of_onnxruntime() -> TestResult {
    let expected = safetensors::read(read_file(&golden().join("expected.safetensors"), READ)?)?;
    let input = expected["input"].to_f32("input")?;
    let side = input.shape()[2];
    let options =
        LoadOptions { preprocess: Some(PreprocessSpec::imagenet(side, side)), ..LoadOptions::default() };
    let mut count = 0;
    let networks =
        ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d", "wide_resnet50_2"];
    for network in networks {
        let key = format!("{network}.logits");
        let logits = expected[&key].to_f32(&key)?;
        for naming in ["torchvision", "timm", "hugging_face"] {
            let path = golden().join(format!("{network}.{naming}.safetensors"));
            if naming != "torchvision" && !path.exists() {
                // timm's names are torchvision's, so that some are enough; Hugging Face has no such ResNeXt.
                continue;
            }
            let model = Model::load_with(&path, &options)?;
            let found = run(model.graph(), std::slice::from_ref(&input));
            let difference = largest_difference(&found[0], &logits);
            assert!(difference < 1e-5, "{}: {difference}", path.display());
            count += 1;
        }
    }
    assert_eq!(count, 16);
    Ok(())
}

#[test]
fn the_same_network_from_onnx_gives_the_same_logits() -> TestResult {
    let expected = safetensors::read(read_file(&golden().join("expected.safetensors"), READ)?)?;
    let input = expected["input"].to_f32("input")?;
    let side = input.shape()[2];
    let options =
        LoadOptions { preprocess: Some(PreprocessSpec::imagenet(side, side)), ..LoadOptions::default() };
    for depth in [18, 50] {
        let load = |file: &str| Model::load_with(golden().join(format!("resnet{depth}.{file}")), &options);
        let [weights, onnx] = [load("torchvision.safetensors")?, load("onnx")?];
        let [a, b] = [&weights, &onnx].map(|model| run(model.graph(), std::slice::from_ref(&input)));
        assert!(largest_difference(&a[0], &b[0]) < 1e-6, "resnet{depth}");
        assert!(largest_difference(&a[1], &b[1]) < 1e-6, "embedding of resnet{depth}");
    }
    Ok(())
}

/// Tensors of a file: name to type, shape and bytes.
type File = BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>;

fn bytes_of(file: &File) -> Vec<u8> {
    let views = file.iter().map(|(name, (dtype, shape, bytes))| {
        (name.clone(), TensorView::new(*dtype, shape.clone(), bytes).expect("a tensor that fits its shape"))
    });
    serialize(views, None).expect("a file")
}

fn read(file: &File) -> StoredTensors {
    safetensors::read(bytes_of(file).into()).expect("a readable file")
}

fn f32_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// torchvision's names for blocks `[out, in / groups, k, k]`, one block in each of two stages.
fn small_resnet(convolutions: &[(&str, [usize; 4])], classes: usize, features: usize) -> File {
    let mut file = File::new();
    for (seed, (name, shape)) in convolutions.iter().enumerate() {
        let values = noise(shape.iter().product(), seed as u64 + 1);
        file.insert(format!("{name}.weight"), (Dtype::F32, shape.to_vec(), f32_bytes(&values)));
        let norm = match name.strip_suffix("downsample.0") {
            Some(block) => format!("{block}downsample.1"),
            None => name.replace("conv", "bn"),
        };
        for (part, value) in [("weight", 1.5), ("bias", 0.1), ("running_mean", 0.2), ("running_var", 0.7)] {
            let values = f32_bytes(&vec![value; shape[0]]);
            file.insert(format!("{norm}.{part}"), (Dtype::F32, vec![shape[0]], values));
        }
    }
    file.insert(
        "fc.weight".into(),
        (Dtype::F32, vec![classes, features], f32_bytes(&noise(classes * features, 99))),
    );
    file.insert("fc.bias".into(), (Dtype::F32, vec![classes], f32_bytes(&noise(classes, 98))));
    file
}

fn basic() -> File {
    small_resnet(
        &[
            ("conv1", [4, 3, 7, 7]),
            ("layer1.0.conv1", [4, 4, 3, 3]),
            ("layer1.0.conv2", [4, 4, 3, 3]),
            ("layer2.0.conv1", [6, 4, 3, 3]),
            ("layer2.0.conv2", [6, 6, 3, 3]),
            ("layer2.0.downsample.0", [6, 4, 1, 1]),
        ],
        5,
        6,
    )
}

fn options() -> ResNetOptions {
    ResNetOptions::new([32, 32])
}

fn picture() -> Result<Tensor, libvision::Error> {
    Tensor::new(&[2, 3, 32, 32], noise(2 * 3 * 32 * 32, 7))
}

#[test]
fn prefixes_do_not_matter() -> TestResult {
    let plain = run(&resnet(&read(&basic()), &options())?, &[picture()?]);
    for prefix in ["module.", "model.", "backbone.body."] {
        let prefixed: File =
            basic().into_iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor)).collect();
        assert_eq!(run(&resnet(&read(&prefixed), &options())?, &[picture()?]), plain, "{prefix}");
    }
    Ok(())
}

#[test]
fn half_precisions_are_widened() -> TestResult {
    for (dtype, convert) in [
        (Dtype::F16, (|x| half::f16::from_f32(x).to_le_bytes().to_vec()) as fn(f32) -> Vec<u8>),
        (Dtype::BF16, |x| half::bf16::from_f32(x).to_le_bytes().to_vec()),
    ] {
        let narrowed: File = basic()
            .into_iter()
            .map(|(name, (_, shape, bytes))| {
                let values = bytes.as_chunks().0.iter().map(|bytes| convert(f32::from_le_bytes(*bytes)));
                (name, (dtype, shape, values.flatten().collect()))
            })
            .collect();
        let exact = run(&resnet(&read(&basic()), &options())?, &[picture()?]);
        let found = run(&resnet(&read(&narrowed), &options())?, &[picture()?]);
        let difference = largest_difference(&found[0], &exact[0]);
        assert!((1e-7..0.05).contains(&difference), "{dtype:?}: {difference}");
    }
    Ok(())
}

#[test]
fn groups_and_strides_follow_from_shapes_and_options() -> TestResult {
    let file = small_resnet(
        &[
            ("conv1", [8, 3, 7, 7]),
            ("layer1.0.conv1", [8, 8, 1, 1]),
            // Four groups of two, as in ResNeXt.
            ("layer1.0.conv2", [8, 2, 3, 3]),
            ("layer1.0.conv3", [16, 8, 1, 1]),
            ("layer1.0.downsample.0", [16, 8, 1, 1]),
            ("layer2.0.conv1", [16, 16, 1, 1]),
            ("layer2.0.conv2", [16, 4, 3, 3]),
            ("layer2.0.conv3", [24, 16, 1, 1]),
            ("layer2.0.downsample.0", [24, 16, 1, 1]),
        ],
        5,
        24,
    );
    let convolutions = |options: &ResNetOptions| -> Result<Vec<(String, usize, usize)>, libvision::Error> {
        let graph = resnet(&read(&file), options)?;
        let windows = graph.nodes.iter().filter_map(|node| match node.op {
            Op::Conv2d { window, groups, .. } => Some((node.name.clone(), window.stride[0], groups)),
            _ => None,
        });
        Ok(windows.collect())
    };
    let named = |name: &str, stride, groups| (name.to_string(), stride, groups);
    assert_eq!(
        convolutions(&options())?,
        [
            named("conv1", 2, 1),
            named("layer1.0.conv1", 1, 1),
            named("layer1.0.conv2", 1, 4),
            named("layer1.0.conv3", 1, 1),
            named("layer1.0.downsample.0", 1, 1),
            named("layer2.0.conv1", 1, 1),
            named("layer2.0.conv2", 2, 4),
            named("layer2.0.conv3", 1, 1),
            named("layer2.0.downsample.0", 2, 1),
        ]
    );
    let original =
        ResNetOptions { downsample_in_bottleneck: true, downsample_in_first_stage: true, ..options() };
    let strides: Vec<usize> = convolutions(&original)?.iter().map(|convolution| convolution.1).collect();
    assert_eq!(strides, [2, 2, 1, 1, 2, 2, 1, 1, 2]);
    Ok(())
}

#[test]
fn missing_surplus_and_wrong_tensors_are_named() {
    let error_of = |change: &dyn Fn(&mut File)| {
        let mut file = basic();
        change(&mut file);
        resnet(&read(&file), &options()).expect_err("a damaged set of tensors")
    };
    let floats = |shape: &[usize]| (Dtype::F32, shape.to_vec(), vec![0; 4 * shape.iter().product::<usize>()]);
    for (change, kind, expected) in [
        (
            &(|file: &mut File| drop(file.remove("bn1.running_var"))) as &dyn Fn(&mut File),
            ErrorKind::ModelInvalid,
            "tensor \"bn1.running_var\" is missing",
        ),
        (
            &|file: &mut File| drop(file.remove("fc.weight")),
            ErrorKind::ModelInvalid,
            "tensor \"fc.weight\" is missing",
        ),
        (
            &|file: &mut File| drop(file.remove("layer2.0.downsample.0.weight")),
            ErrorKind::ModelInvalid,
            "tensor \"layer2.0.downsample.0.weight\" is missing",
        ),
        (
            &|file: &mut File| drop(file.insert("layer1.0.se.fc1.weight".into(), floats(&[2]))),
            ErrorKind::ModelInvalid,
            "1 tensors have no place",
        ),
        (
            &|file: &mut File| drop(file.insert("conv1.bias".into(), floats(&[4]))),
            ErrorKind::ModelInvalid,
            "conv1.bias",
        ),
        (
            &|file: &mut File| drop(file.insert("conv1.weight".into(), floats(&[4, 3, 3, 3]))),
            ErrorKind::OperatorUnsupported,
            "expected a window of 7x7",
        ),
        (
            &|file: &mut File| drop(file.insert("conv1.weight".into(), floats(&[4, 147]))),
            ErrorKind::ModelInvalid,
            "expected four axes",
        ),
        (
            &|file: &mut File| drop(file.insert("layer1.0.conv2.weight".into(), floats(&[4, 3, 3, 3]))),
            ErrorKind::ModelInvalid,
            "does not fit the convolution before it",
        ),
        (
            &|file: &mut File| drop(file.insert("layer1.0.conv2.weight".into(), floats(&[4, 4, 2, 2]))),
            ErrorKind::ModelInvalid,
            "expected an odd, square window",
        ),
        (
            &|file: &mut File| drop(file.insert("bn1.bias".into(), floats(&[5]))),
            ErrorKind::ModelInvalid,
            "expected input \"bn1.bias\" of shape [4], found [5]",
        ),
        (
            &|file: &mut File| drop(file.insert("fc.weight".into(), floats(&[5, 7]))),
            ErrorKind::ModelInvalid,
            "expected input \"fc.weight\" of shape [5,6]",
        ),
        (
            &|file: &mut File| drop(file.insert("bn1.bias".into(), (Dtype::I32, vec![4], vec![0; 16]))),
            ErrorKind::OperatorUnsupported,
            "tensor \"bn1.bias\": expected elements F32, F16 or BF16, found I32",
        ),
        (
            &|file: &mut File| file.retain(|name, _| !name.starts_with("layer1")),
            ErrorKind::OperatorUnsupported,
            "not those of a ResNet",
        ),
    ] {
        let error = error_of(change);
        assert!(error.message().contains(expected), "{expected}: {error}");
        assert_eq!(error.kind(), kind, "{expected}");
    }
}

#[test]
fn counters_of_training_are_ignored() -> TestResult {
    let mut file = basic();
    file.insert("bn1.num_batches_tracked".into(), (Dtype::I64, vec![], vec![0; 8]));
    resnet(&read(&file), &options())?;
    Ok(())
}

#[test]
fn weights_cut_into_several_files_are_put_together() -> TestResult {
    let folder = tempfile::tempdir()?;
    let (first, second): (Vec<_>, Vec<_>) =
        basic().into_iter().partition(|(name, _)| name.starts_with("layer"));
    let mut map = serde_json::Map::new();
    for (name, part) in [("a.safetensors", first), ("b.safetensors", second)] {
        let part: File = part.into_iter().collect();
        map.extend(part.keys().map(|tensor| (tensor.clone(), name.into())));
        std::fs::write(folder.path().join(name), bytes_of(&part))?;
    }
    let index = folder.path().join("model.safetensors.index.json");
    let write = |map: &serde_json::Map<String, serde_json::Value>| {
        std::fs::write(&index, serde_json::json!({"metadata": {}, "weight_map": map}).to_string())
    };
    write(&map)?;
    let whole = run(&resnet(&read(&basic()), &options())?, &[picture()?]);
    let options =
        LoadOptions { preprocess: Some(PreprocessSpec::imagenet(32, 32)), ..LoadOptions::default() };
    for path in [folder.path(), &index] {
        let found = run(Model::load_with(path, &options)?.graph(), &[picture()?]);
        assert!(largest_difference(&found[0], &whole[0]) < 1e-5);
    }
    for (value, expected) in [("../a.safetensors", "in the same folder"), ("c.safetensors", "c.safetensors")]
    {
        let mut wrong = map.clone();
        wrong.insert("extra".into(), value.into());
        write(&wrong)?;
        let error = Model::load_with(folder.path(), &options).unwrap_err();
        assert!(error.message().contains(expected), "{error}");
    }
    map.insert("extra".into(), "a.safetensors".into());
    write(&map)?;
    let error = Model::load_with(folder.path(), &options).unwrap_err();
    assert!(error.message().contains("\"extra\" lies in none"), "{error}");
    Ok(())
}

#[test]
fn the_reader_agrees_with_the_reference_reader() -> TestResult {
    let file = std::fs::read(golden().join("resnet18.timm.safetensors"))?;
    let reference = ::safetensors::SafeTensors::deserialize(&file)?;
    let found = safetensors::read(file.clone().into())?;
    assert_eq!(found.len(), reference.len());
    for (name, view) in reference.iter() {
        assert_eq!(found[name].shape(), view.shape(), "{name}");
        if view.dtype() == Dtype::F32 {
            assert_eq!(&found[name].to_f32(name)?.bytes()[..], view.data(), "{name}");
        }
    }
    Ok(())
}

//! Preprocessing against torchvision's rules on Pillow, and its bounds.

use bytes::Bytes;
use libvision::image::Pixels;
use libvision::preprocess::{CpuPreprocessor, CropPolicy, Layout, PreprocessSpec, ResizeFilter, ResizeMode};
use libvision::{Error, ErrorKind};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::path::Path;

/// SplitMix64, the high byte of each number, as in the golden script.
fn noise(height: usize, width: usize) -> Pixels {
    let mut state = (height * 31 + width) as u64;
    let data: Vec<u8> = (0..height * width * 3)
        .map(|_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ (z >> 31)) >> 56) as u8
        })
        .collect();
    Pixels { width, height, data: data.into() }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn number(value: &Value) -> usize {
    value.as_u64().expect("a whole number") as usize
}

fn three(value: &Value) -> [f32; 3] {
    std::array::from_fn(|channel| value[channel].as_f64().expect("a number") as f32)
}

fn spec(case: &Value) -> PreprocessSpec {
    let resize = &case["resize"];
    let resize = if let Some(size) = resize.get("shorter_side") {
        ResizeMode::ShorterSide { size: number(size) }
    } else if let Some(size) = resize.get("exact") {
        ResizeMode::Exact { height: number(&size[0]), width: number(&size[1]) }
    } else if let Some(size) = resize.get("letterbox") {
        let fill = three(&resize["fill"]).map(|value| value as u8);
        ResizeMode::Letterbox { height: number(&size[0]), width: number(&size[1]), fill }
    } else {
        ResizeMode::None
    };
    let crop = match &case["crop"] {
        Value::Null => CropPolicy::None,
        size => CropPolicy::Center { height: number(&size[0]), width: number(&size[1]) },
    };
    PreprocessSpec {
        resize,
        filter: ResizeFilter::from_name(case["filter"].as_str().expect("a name")).expect("a filter"),
        crop,
        scale: case["scale"].as_f64().expect("a number") as f32,
        mean: three(&case["mean"]),
        std: three(&case["std"]),
        layout: if case["layout"] == "nhwc" { Layout::Nhwc } else { Layout::Nchw },
        apply_orientation: false,
    }
}

fn preprocess(preprocessor: &CpuPreprocessor, pixels: &Pixels) -> Result<Vec<f32>, Error> {
    let mut slot = vec![f32::NAN; preprocessor.output_len()];
    preprocessor.run(pixels, &mut slot).map(|()| slot)
}

fn little_endian(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

#[test]
fn every_golden_case_has_the_same_bits() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/preprocess/cases.jsonl");
    let text = std::fs::read_to_string(path).expect("in the repository");
    let cases: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(cases.len() >= 150, "{} cases", cases.len());
    let mut faults = Vec::new();
    for case in &cases {
        let spec = spec(case);
        let preprocessor = CpuPreprocessor::new(&spec).expect("a spec that fixes the size");
        let (height, width) = (number(&case["input"][0]), number(&case["input"][1]));
        let pixels = noise(height, width);
        let mut bytes = vec![0xa5; preprocessor.output_len()];
        preprocessor.run_to_bytes(&pixels, &mut bytes).expect("runs");
        if sha256(&bytes) != case["bytes"] {
            faults.push(format!("bytes of {width} x {height}: {spec:?}"));
        }
        // Twice: the second run takes the plan and the memory of the first.
        for _ in 0..2 {
            let values = preprocess(&preprocessor, &pixels).expect("runs");
            if sha256(&little_endian(&values)) != case["tensor"] {
                faults.push(format!("tensor of {width} x {height}: {spec:?}"));
            }
        }
    }
    println!("{} cases, {} differ", cases.len(), faults.len());
    assert!(faults.is_empty(), "{} differ:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn many_threads_share_one_preprocessor() {
    let preprocessor = CpuPreprocessor::new(&PreprocessSpec::imagenet(64, 56)).expect("a usual spec");
    let pictures: Vec<Pixels> = (0..24).map(|i| noise(40 + i, 90 - 2 * i)).collect();
    let expected: Vec<_> = pictures.iter().map(|p| preprocess(&preprocessor, p).expect("runs")).collect();
    std::thread::scope(|scope| {
        for offset in 0..4 {
            let (preprocessor, pictures, expected) = (&preprocessor, &pictures, &expected);
            scope.spawn(move || {
                for turn in 0..2 * pictures.len() {
                    let index = (turn * 5 + offset) % pictures.len();
                    assert!(preprocess(preprocessor, &pictures[index]).expect("runs") == expected[index]);
                }
            });
        }
    });
}

#[test]
fn extreme_shapes_take_bounded_memory() {
    // The shorter side of 1 x 16384 becomes 256 and the longer one four million; only the crop is computed.
    let preprocessor = CpuPreprocessor::new(&PreprocessSpec::imagenet(256, 224)).expect("a usual spec");
    for [height, width] in [[1, 16_384], [16_384, 1], [2, 16_384], [16_384, 2000]] {
        let bound = preprocessor.scratch_bytes(width, height);
        assert!(bound <= 224 * 224 * 3 + 224 * 16_384 * 3, "{bound} bytes for {width} x {height}");
        let pixels = Pixels { width, height, data: vec![77; width * height * 3].into() };
        let values = preprocess(&preprocessor, &pixels).expect("runs");
        let expected = (77.0 / 255.0 - 0.485) / 0.229;
        assert!(values[..224 * 224].iter().all(|&value| value == expected), "{width} x {height}");
    }
}

#[test]
fn the_shape_follows_the_layout() {
    let mut spec = PreprocessSpec::imagenet(40, 32);
    spec.crop = CropPolicy::Center { height: 30, width: 32 };
    let shape = |spec: &PreprocessSpec| CpuPreprocessor::new(spec).expect("fixed").output_shape();
    assert_eq!(shape(&spec), [3, 30, 32]);
    spec.layout = Layout::Nhwc;
    assert_eq!(shape(&spec), [30, 32, 3]);
}

#[test]
fn what_does_not_fit_is_refused_with_the_numbers() {
    let spec = PreprocessSpec::imagenet(40, 32);
    let preprocessor = CpuPreprocessor::new(&spec).expect("a usual spec");
    let refused = |result: Result<(), Error>, words: &[&str]| {
        let error = result.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
        assert!(words.iter().all(|word| error.message().contains(word)), "{error}");
    };
    let pixels = noise(5, 5);
    refused(preprocessor.run(&pixels, &mut [0.0; 7]), &["slot", "7", "3072"]);
    refused(preprocessor.run_to_bytes(&pixels, &mut [0; 7]), &["output", "7", "3072"]);
    let mut slot = vec![0.0; preprocessor.output_len()];
    let short = Pixels { width: 5, height: 5, data: vec![0; 74].into() };
    refused(preprocessor.run(&short, &mut slot), &["picture", "74", "75"]);
    let empty = Pixels { width: 0, height: 5, data: Bytes::new() };
    refused(preprocessor.run(&empty, &mut slot), &["0 x 5"]);
    let endless = Pixels { width: usize::MAX, height: usize::MAX, data: Bytes::new() };
    refused(preprocessor.run(&endless, &mut slot), &["no pixels"]);
    let build = |spec: PreprocessSpec| CpuPreprocessor::new(&spec).map(|_| ());
    refused(build(PreprocessSpec { std: [1.0, 0.0, 1.0], ..spec.clone() }), &["std", "0.0"]);
    refused(build(PreprocessSpec { scale: f32::NAN, ..spec.clone() }), &["scale", "NaN"]);
    refused(build(PreprocessSpec { crop: CropPolicy::None, ..spec }), &["depends on the picture"]);
}

//! Networks on a CUDA device: answers beside the CPU's, batches, limits, and what is refused. Without a device the
//! tests say so and pass, unless `LIBVISION_REQUIRE_CUDA` is 1; `cargo xtask software-gpu` gives them one.
#![cfg(feature = "cuda")]

#[path = "cuda_networks/mod.rs"]
mod networks;

use libvision::backend::cuda::CudaBackend;
use libvision::backend::{
    Backend, CompileOptions, DevicePreprocessing, Executable, Image, Precision, cpu::CpuBackend,
};
use libvision::graph::{Graph, Op, ValueKind};
use libvision::image::Pixels;
use libvision::preprocess::{CpuPreprocessor, CropPolicy, PreprocessSpec, ResizeFilter, ResizeMode};
use libvision::{ErrorKind, Model, Tensor};
use libvision_kernels::epilogue::Activation;
use libvision_kernels::geometry::Window;
use networks::{Net, every_operator, has_device, inverted_residuals, noise, small};
use std::path::Path;
use std::sync::Arc;

fn compile(graph: &Graph, options: &CompileOptions) -> Arc<dyn Executable> {
    CudaBackend::new(0).compile(graph, options).expect("a device that runs it")
}

/// All outputs of one run.
fn run(executable: &Arc<dyn Executable>, batch: usize, input: &[f32]) -> Vec<Vec<f32>> {
    let mut context = Arc::clone(executable).new_context().expect("memory");
    let sizes = executable.outputs().iter().map(|output| batch * output.elements_per_image());
    let mut outputs: Vec<Vec<f32>> = sizes.map(|size| vec![f32::NAN; size]).collect();
    let mut parts: Vec<&mut [f32]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
    context.run(batch, &[input], &mut parts).expect("a run");
    outputs
}

fn agree(expected: &[Vec<f32>], found: &[Vec<f32>], tolerance: f32) {
    for (output, (expected, found)) in expected.iter().zip(found).enumerate() {
        let largest = expected.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
        for (index, (e, f)) in expected.iter().zip(found).enumerate() {
            let close = (e - f).abs() <= tolerance * largest;
            assert!(close, "output {output}, value {index}: expected {e}, found {f}, of at most {largest}");
        }
    }
}

#[test]
fn every_operator_agrees_with_the_cpu_in_every_precision() {
    if !has_device() {
        return;
    }
    let input = noise(3 * 3 * 17 * 13, 99);
    let options = CompileOptions { max_batch_size: 3, ..CompileOptions::default() };
    for graph in [every_operator(), inverted_residuals()] {
        let expected = run(&CpuBackend::new().compile(&graph, &options).expect("the CPU runs it"), 3, &input);
        for (precision, tolerance) in
            [(Precision::F32, 1e-5), (Precision::Auto, 5e-3), (Precision::F16, 5e-3), (Precision::Bf16, 4e-2)]
        {
            let found = run(&compile(&graph, &CompileOptions { precision, ..options.clone() }), 3, &input);
            agree(&expected, &found, tolerance);
        }
    }
}

#[test]
fn an_image_has_the_same_bits_alone_in_every_bucket_and_at_every_slot() {
    if !has_device() {
        return;
    }
    let graph = every_operator();
    let most = 5;
    let executable = compile(&graph, &CompileOptions { max_batch_size: most, ..CompileOptions::default() });
    assert_eq!(executable.batch_buckets(), [1, 2, 4, 5]);
    let size = executable.inputs()[0].elements_per_image();
    let image = noise(size, 7);
    let mut context = Arc::clone(&executable).new_context().expect("memory");
    let mut bits = |batch: usize, slot: usize| -> Vec<u32> {
        let mut input = noise(batch * size, (100 * batch + slot) as u32);
        input[slot * size..(slot + 1) * size].copy_from_slice(&image);
        let sizes: Vec<usize> =
            executable.outputs().iter().map(|output| output.elements_per_image()).collect();
        let mut outputs: Vec<Vec<f32>> = sizes.iter().map(|size| vec![f32::NAN; batch * size]).collect();
        let mut parts: Vec<&mut [f32]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
        context.run(batch, &[&input], &mut parts).expect("a run");
        let of_slot = outputs.iter().zip(&sizes).flat_map(|(o, size)| &o[slot * size..(slot + 1) * size]);
        of_slot.map(|value| value.to_bits()).collect()
    };
    let alone = bits(1, 0);
    for batch in 1..=most {
        for slot in 0..batch {
            assert!(bits(batch, slot) == alone, "slot {slot} of {batch}");
        }
    }
}

/// A spec of each kind for an input of 12 x 10.
fn specs() -> Vec<PreprocessSpec> {
    let crop = CropPolicy::Center { height: 12, width: 10 };
    let usual = PreprocessSpec { crop, ..PreprocessSpec::imagenet(13, 1) };
    let letterbox = ResizeMode::Letterbox { height: 12, width: 10, fill: [10, 200, 77] };
    let mut specs = vec![
        PreprocessSpec { resize: letterbox, crop: CropPolicy::None, ..usual.clone() },
        PreprocessSpec { resize: ResizeMode::None, filter: ResizeFilter::Nearest, ..usual.clone() },
        PreprocessSpec {
            resize: ResizeMode::Letterbox { height: 40, width: 40, fill: [9; 3] },
            ..usual.clone()
        },
    ];
    specs.extend(ResizeFilter::ALL.map(|filter| PreprocessSpec { filter, ..usual.clone() }));
    specs
}

#[test]
fn pictures_become_the_input_that_the_cpu_makes_of_them() {
    if !has_device() {
        return;
    }
    let graph = small();
    let pictures: Vec<Pixels> = [[1, 1], [9, 31], [40, 7], [24, 24]]
        .into_iter()
        .enumerate()
        .map(|(seed, [height, width])| {
            let data = noise(height * width * 3, seed as u32).into_iter().map(|x| (x * 127.0 + 128.0) as u8);
            Pixels { width, height, data: data.collect::<Vec<_>>().into() }
        })
        .collect();
    for (number, spec) in specs().into_iter().enumerate() {
        let host = CpuPreprocessor::new(&spec).expect("a spec");
        let inputs: Vec<Vec<f32>> = pictures
            .iter()
            .map(|pixels| {
                let mut input = vec![0.0; host.output_len()];
                host.run(pixels, &mut input).expect("preprocessed");
                input
            })
            .collect();
        let preprocessing = DevicePreprocessing { spec, slot_bytes: 3500 };
        let options = CompileOptions {
            max_batch_size: 5,
            precision: [Precision::F16, Precision::Bf16, Precision::F32][number % 3],
            preprocessing: Some(preprocessing),
            ..CompileOptions::default()
        };
        let executable = compile(&graph, &options);
        let expected = run(&executable, 4, &inputs.concat()).remove(0);
        let loader = executable.picture_loader().expect("the device preprocesses");
        let mut slots = vec![vec![0; loader.slot_bytes()]; 4];
        let images: Vec<Image> = pictures
            .iter()
            .zip(&mut slots)
            .zip(&inputs)
            .enumerate()
            .map(|(image, ((pixels, slot), input))| match loader.load(pixels, slot).expect("loaded") {
                Some(bytes) if image != 2 => Image::Picture(&slot[..bytes]),
                _ => Image::Tensor(input),
            })
            .collect();
        assert!(images.iter().filter(|image| matches!(image, Image::Picture(_))).count() >= 2, "{number}");
        let mut context = Arc::clone(&executable).new_context().expect("memory");
        // A full batch, one filled up, one of a tensor, one of a picture.
        for range in [0..4, 0..3, 2..3, 1..2] {
            let mut output = vec![f32::NAN; range.len() * 5];
            let mut some = images[range.clone()].iter().copied();
            context.run_images(range.len(), &mut some, &mut [&mut output]).expect("a run");
            let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(
                bits(&output),
                bits(&expected[range.start * 5..range.end * 5]),
                "spec {number}, {range:?}"
            );
        }
        let mut many = images.iter().chain(&images).copied();
        assert!(context.run_images(4, &mut many, &mut [&mut [0.0; 20]]).is_err());
        let mut cut = [Image::Picture(&[0; 3])].into_iter();
        assert!(context.run_images(1, &mut cut, &mut [&mut [0.0; 5]]).is_err());
    }
}

#[test]
fn a_picture_that_its_slot_does_not_hold_is_left_to_the_host() {
    if !has_device() {
        return;
    }
    let spec = specs().pop().expect("one");
    let with = |slot_bytes: usize| {
        let preprocessing = Some(DevicePreprocessing { spec: spec.clone(), slot_bytes });
        compile(&small(), &CompileOptions { preprocessing, ..CompileOptions::default() })
    };
    let pixels = Pixels { width: 20, height: 20, data: vec![7; 1200].into() };
    let loader = with(1 << 16).picture_loader().expect("the device preprocesses");
    let needed = loader.load(&pixels, &mut vec![0; loader.slot_bytes()]).expect("loaded").expect("room");
    assert_eq!(loader.load(&pixels, &mut vec![0; needed - 1]).expect("no failure"), None);
    let small_loader = with(needed - 16).picture_loader().expect("the device preprocesses");
    assert_eq!(small_loader.load(&pixels, &mut vec![0; needed]).expect("no failure"), None);
    let wrong = Pixels { width: 21, ..pixels };
    assert_eq!(loader.load(&wrong, &mut vec![0; loader.slot_bytes()]).expect("no failure"), None);
    // What it makes is not the input.
    let crop = CropPolicy::Center { height: 5, width: 5 };
    let preprocessing = DevicePreprocessing { spec: PreprocessSpec { crop, ..spec.clone() }, slot_bytes: 99 };
    let options = CompileOptions { preprocessing: Some(preprocessing), ..CompileOptions::default() };
    assert!(compile(&small(), &options).picture_loader().is_none());
}

#[test]
fn steps_are_timed_and_outputs_may_be_left_out() {
    if !has_device() {
        return;
    }
    let executable = compile(&small(), &CompileOptions { max_batch_size: 2, ..CompileOptions::default() });
    let input = noise(executable.inputs()[0].elements_per_image(), 3);
    let expected = run(&executable, 1, &input);
    let mut context = Arc::clone(&executable).new_context().expect("memory");
    let mut output = vec![0.0; 5];
    let mut times = vec![std::time::Duration::ZERO; executable.steps().len()];
    context.run_timed(1, &[&input], &mut [&mut output], &mut times).expect("a run");
    assert_eq!(output, expected[0]);
    assert!(context.run_timed(1, &[&input], &mut [&mut output], &mut times[1..]).is_err());
    output.fill(0.0);
    assert!(context.run_clocked(1, &[&input], &mut [&mut output]).expect("a run").is_some());
    assert_eq!(output, expected[0]);
    context.run(1, &[&input], &mut [&mut []]).expect("a run");
    for (batch, input, outputs) in [(0, 0, 0), (3, 3, 3), (1, 2, 1), (1, 1, 2)] {
        let input = vec![0.0; input * executable.inputs()[0].elements_per_image()];
        assert!(context.run(batch, &[&input], &mut [&mut vec![0.0; outputs * 5]]).is_err());
    }
}

#[test]
fn the_memory_limit_is_kept() {
    if !has_device() {
        return;
    }
    let graph = small();
    let need =
        compile(&graph, &CompileOptions { max_batch_size: 4, ..CompileOptions::default() }).memory_need();
    let limited = |bytes: usize| CompileOptions {
        max_batch_size: 4,
        device_memory_limit: Some(bytes as u64),
        ..CompileOptions::default()
    };
    let error = CudaBackend::new(0).compile(&graph, &limited(need.weights - 1)).err().expect("too little");
    assert_eq!(error.kind(), ErrorKind::OutOfMemory);
    let executable = compile(&graph, &limited(need.weights + 64));
    let error = executable.new_context().err().expect("too little");
    assert_eq!(error.kind(), ErrorKind::OutOfMemory);
    assert!(error.message().contains("device_memory_limit"), "{error}");
}

#[test]
fn sizes_that_cannot_be_addressed_are_refused() {
    if !has_device() {
        return;
    }
    for max_batch_size in [usize::MAX, usize::MAX / 8 + 2, 1 << 40] {
        let options = CompileOptions { max_batch_size, ..CompileOptions::default() };
        let error = CudaBackend::new(0).compile(&small(), &options).err().expect("too many");
        assert_eq!(error.kind(), ErrorKind::OutOfMemory, "{error}");
    }
}

#[test]
fn what_has_no_kernel_is_refused_by_name() {
    if !has_device() {
        return;
    }
    let options = CompileOptions::default();
    let refused = |graph: &Graph, options: &CompileOptions| {
        CudaBackend::new(0).compile(graph, options).err().expect("refused")
    };
    let (mut net, x) = Net::input(&[8, 4, 4]);
    let one_channel = net.conv(x, [8, 1], Window::square(1, 1, 0), 1);
    let y = net.node(Op::Mul, &[x, one_channel]);
    let error = refused(&net.output(&[y]), &options);
    assert_eq!(error.kind(), ErrorKind::OperatorUnsupported);
    assert!(error.message().contains("node1") && error.message().contains("[N,1,4,4]"), "{error}");

    // As many values of as many channels, but not the same.
    let (mut net, x) = Net::input(&[8, 6, 6]);
    let [row, column] =
        [[6, 1], [1, 6]].map(|size| net.conv(x, [8, 8], Window { size, ..Window::square(1, 1, 0) }, 1));
    let y = net.node(Op::Add { activation: Activation::Identity }, &[row, column]);
    let error = refused(&net.output(&[y]), &options);
    assert!(error.message().contains("[N,8,1,6] with [N,8,6,1]"), "{error}");

    let (mut net, x) = Net::input(&[8, 2, 2]);
    let flat = net.node(Op::Flatten, &[x]);
    let hidden = net.linear(flat, [32, 32]);
    let y = net.node(Op::Add { activation: Activation::Identity }, &[flat, hidden]);
    let error = refused(&net.output(&[y]), &options);
    assert!(error.message().contains("node2") && error.message().contains("flattened"), "{error}");

    let (mut net, x) = Net::input(&[8]);
    let y = net.linear(x, [8, 3]);
    let mut graph = net.output(&[y]);
    for value in &mut graph.values {
        if let ValueKind::Constant(tensor) = &mut value.kind {
            *tensor =
                Tensor::new(tensor.shape(), vec![1e6_f32; tensor.shape().iter().product()]).expect("as many");
        }
    }
    assert!(refused(&graph, &options).message().contains("f16"));
    compile(&graph, &CompileOptions { precision: Precision::Bf16, ..options });
}

#[test]
fn the_shipped_model_labels_its_pictures_as_the_cpu_does() {
    if !has_device() {
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let model = Model::load(root.join("examples/model")).expect("the shipped model");
    let options = CompileOptions { max_batch_size: 4, ..CompileOptions::default() };
    let on_cpu = CpuBackend::new().compile(model.graph(), &options).expect("the CPU runs it");
    let on_cuda = compile(model.graph(), &options);
    let preprocessor = libvision::preprocess::CpuPreprocessor::new(model.preprocess()).expect("a spec");
    let mut files: Vec<_> =
        root.join("examples/model/pictures").read_dir().expect("pictures").flatten().collect();
    files.sort_by_key(|file| file.path());
    let pictures: Vec<Vec<f32>> = files
        .iter()
        .map(|file| {
            let bytes = std::fs::read(file.path()).expect("readable");
            let pixels = libvision::image::decode(&bytes, &Default::default(), true).expect("a picture");
            let mut slot = vec![0.0; preprocessor.output_len()];
            preprocessor.run(&pixels, &mut slot).expect("preprocessed");
            slot
        })
        .collect();
    let mut same = 0;
    for batch in pictures.chunks(4) {
        let input = batch.concat();
        let [expected, found] = [&on_cpu, &on_cuda].map(|executable| run(executable, batch.len(), &input));
        agree(&expected[..1], &found[..1], 1e-2);
        let classes = expected[0].len() / batch.len();
        let best = |logits: &[f32]| (0..classes).max_by(|a, b| logits[*a].total_cmp(&logits[*b]));
        let pairs = expected[0].chunks(classes).zip(found[0].chunks(classes));
        same += pairs.filter(|(e, f)| best(e) == best(f)).count();
    }
    assert!(same >= 58 && pictures.len() == 60, "{same} of {}", pictures.len());
}

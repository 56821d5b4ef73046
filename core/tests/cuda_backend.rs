//! Networks on a CUDA device: answers beside the CPU's, batches, limits, and what is refused. Without a device the
//! tests say so and pass, unless `LIBVISION_REQUIRE_CUDA` is 1; `cargo xtask software-gpu` gives them one.
#![cfg(feature = "cuda")]

use libvision::backend::cuda::{CudaBackend, probe};
use libvision::backend::{Backend, CompileOptions, Executable, Precision, cpu::CpuBackend};
use libvision::graph::{Dim, Graph, Op, Output, Value, ValueId, ValueKind, infer_shapes};
use libvision::{DType, ErrorKind, Model, Tensor};
use libvision_kernels::epilogue::Activation;
use libvision_kernels::geometry::Window;
use std::path::Path;
use std::sync::Arc;

/// Whether there is a device to test on.
fn has_device() -> bool {
    match probe::device(0) {
        Ok(_) => true,
        Err(missing) => {
            assert!(std::env::var_os("LIBVISION_REQUIRE_CUDA").is_none_or(|v| v != "1"), "{missing}");
            eprintln!("SKIPPED: {missing}");
            false
        }
    }
}

/// Numbers in -1..1 from a seed, never the same row twice.
fn noise(len: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

#[derive(Default)]
struct Net {
    graph: Graph,
    seed: u32,
}

impl Net {
    fn input(sizes: &[usize]) -> (Self, ValueId) {
        let mut net = Self::default();
        let shape = std::iter::once(Dim::Batch).chain(sizes.iter().map(|size| Dim::Fixed(*size))).collect();
        let value = Value { name: "x".into(), kind: ValueKind::Input, dtype: DType::F32, shape: Some(shape) };
        let x = net.graph.add_value(value);
        net.graph.inputs.push(x);
        (net, x)
    }

    fn constant(&mut self, shape: &[usize], scale: f32) -> ValueId {
        self.seed += 1;
        let values =
            noise(shape.iter().product(), self.seed).into_iter().map(|v| v * scale).collect::<Vec<_>>();
        let name = format!("constant{}", self.seed);
        self.graph.add_constant(name, Tensor::new(shape, values).expect("as many"))
    }

    fn node(&mut self, op: Op, inputs: &[ValueId]) -> ValueId {
        let name = format!("node{}", self.graph.nodes.len());
        self.graph.add_node(name.clone(), op, inputs.to_vec(), format!("{name}:out"))
    }

    fn conv(&mut self, x: ValueId, [from, to]: [usize; 2], window: Window, groups: usize) -> ValueId {
        let depth = from / groups * window.size[0] * window.size[1];
        let shape = [to, from / groups, window.size[0], window.size[1]];
        let weights = self.constant(&shape, (2.0 / depth as f32).sqrt());
        let bias = self.constant(&[to], 0.1);
        let activation = Activation::Relu;
        let op = Op::Conv2d { window, groups, has_bias: true, has_residual: false, activation };
        self.node(op, &[x, weights, bias])
    }

    fn linear(&mut self, x: ValueId, [from, to]: [usize; 2]) -> ValueId {
        let weights = self.constant(&[to, from], (1.0 / from as f32).sqrt());
        let bias = self.constant(&[to], 0.1);
        self.node(Op::Linear { has_bias: true, activation: Activation::Identity }, &[x, weights, bias])
    }

    fn output(mut self, values: &[ValueId]) -> Graph {
        for (index, value) in values.iter().enumerate() {
            self.graph.outputs.push(Output { name: format!("y{index}"), value: *value });
        }
        infer_shapes(&mut self.graph).expect("shapes that fit");
        self.graph
    }
}

/// Three layers: what faults are tried on.
fn small() -> Graph {
    let (mut net, x) = Net::input(&[3, 12, 10]);
    let y = net.conv(x, [3, 16], Window::square(3, 2, 1), 1);
    let y = net.node(Op::GlobalAveragePool { keep_dims: false }, &[y]);
    let y = net.linear(y, [16, 5]);
    net.output(&[y])
}

/// Every operator that has a kernel, at odd sizes.
fn every_operator() -> Graph {
    let (mut net, x) = Net::input(&[3, 17, 13]);
    let stem = net.conv(x, [3, 20], Window::square(3, 2, 1), 1);
    let depthwise = net.conv(stem, [20, 20], Window::square(3, 1, 1), 20);
    let grouped = net.conv(depthwise, [20, 20], Window::square(3, 1, 1), 5);
    let [scale, bias, mean] = [0.5, 0.5, 0.1].map(|size| net.constant(&[20], size));
    let variance =
        net.graph.add_constant("variance", Tensor::new(&[20], vec![0.7_f32; 20]).expect("as many"));
    let norm = net.node(Op::BatchNorm { epsilon: 1e-3 }, &[grouped, scale, bias, mean, variance]);
    let swish = net.node(Op::Activate(Activation::HardSwish), &[norm]);
    let sum = net.node(Op::Add { activation: Activation::Silu }, &[swish, stem]);
    let factor = net.constant(&[1, 20, 1, 1], 1.0);
    let product = net.node(Op::Mul, &[sum, factor]);
    let one = net.constant(&[1], 1.0);
    let shifted = net.node(Op::Add { activation: Activation::Identity }, &[one, product]);
    let most = net.node(Op::MaxPool { window: Window::square(3, 2, 1) }, &[shifted]);
    let window = Window::square(2, 2, 0);
    let mean = net.node(Op::AveragePool { window, count_include_pad: false }, &[most]);
    let flat = net.node(Op::Flatten, &[mean]);
    let hidden = net.linear(flat, [20 * 2 * 2, 33]);
    let hidden = net.node(Op::Activate(Activation::Relu), &[hidden]);
    let logits = net.linear(hidden, [33, 7]);
    let scores = net.node(Op::Softmax, &[logits]);
    let pooled = net.node(Op::GlobalAveragePool { keep_dims: true }, &[most]);
    net.output(&[logits, scores, pooled, most, flat])
}

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
    let graph = every_operator();
    let input = noise(3 * 3 * 17 * 13, 99);
    let options = CompileOptions { max_batch_size: 3, ..CompileOptions::default() };
    let expected = run(&CpuBackend::new().compile(&graph, &options).expect("the CPU runs it"), 3, &input);
    for (precision, tolerance) in
        [(Precision::F32, 1e-5), (Precision::Auto, 5e-3), (Precision::F16, 5e-3), (Precision::Bf16, 4e-2)]
    {
        let found = run(&compile(&graph, &CompileOptions { precision, ..options.clone() }), 3, &input);
        agree(&expected, &found, tolerance);
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
fn what_has_no_kernel_is_refused_by_name() {
    if !has_device() {
        return;
    }
    let options = CompileOptions::default();
    let refused = |graph: &Graph, options: &CompileOptions| {
        CudaBackend::new(0).compile(graph, options).err().expect("refused")
    };
    let (mut net, x) = Net::input(&[8, 4, 4]);
    let y = net.node(Op::Mul, &[x, x]);
    let error = refused(&net.output(&[y]), &options);
    assert_eq!(error.kind(), ErrorKind::OperatorUnsupported);
    assert!(error.message().contains("node0"), "{error}");

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

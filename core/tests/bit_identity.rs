//! A picture's answer has the same bits alone and in any batch, beside any neighbours, on any number of
//! threads, in every run: networks that take every algorithm, in the sizes at which layers are cut into
//! tasks in different ways.

#[path = "interpret/mod.rs"]
mod interpret;
#[path = "cpu_backend/nets.rs"]
#[allow(dead_code, reason = "only its builder is used here")]
mod nets;

use interpret::noise;
use libvision::backend::cpu::CpuBackend;
use libvision::backend::{Backend, CompileOptions, Executable, ExecutionContext};
use libvision::graph::{Graph, Op, ValueId};
use libvision_kernels::cpu::variants::{KernelSet, usable_sets};
use libvision_kernels::epilogue::Activation;
use libvision_kernels::geometry::Window;
use nets::Net;
use std::sync::Arc;

const BATCHES: [usize; 6] = [1, 2, 3, 7, 8, 16];
const THREADS: [usize; 4] = [1, 2, 3, 8];
/// Largest batches to compile for: a run is laid out in another way if there may be fewer images than threads.
const LIMITS: [usize; 2] = [16, 3];
const PICTURES: usize = 16;

const RELU: Activation = Activation::Relu;
const NONE: Activation = Activation::Identity;

/// A residual network of bottlenecks, narrow: a 7x7 stem, 3x3 layers large and small enough for each kind of
/// Winograd and for none, strided shortcuts, a classifier.
fn bottlenecks() -> Graph {
    let mut net = Net::new(21);
    let x = net.input(&[3, 56, 60]);
    let y = net.conv(x, 32, Window::square(7, 2, 3), RELU);
    let mut y = net.node(Op::MaxPool { window: Window::square(3, 2, 1) }, &[y]);
    for (width, stride) in [(32, 1), (32, 2), (48, 2)] {
        for is_first in [true, false] {
            let stride = if is_first { stride } else { 1 };
            let narrow = net.conv(y, width, Window::square(1, 1, 0), RELU);
            let narrow = net.conv(narrow, width, Window::square(3, stride, 1), RELU);
            let shortcut =
                if is_first { net.conv(y, width * 2, Window::square(1, stride, 0), NONE) } else { y };
            y = net.conv_with(narrow, width * 2, Window::square(1, 1, 0), 1, Some(shortcut), RELU);
        }
    }
    classify(&mut net, y);
    net.finish()
}

/// 3x3 layers with stride 2, on so many pixels that Winograd pays and on few, and wide ones on very few pixels,
/// where the smallest Winograd tile pays.
fn wide_layers() -> Graph {
    let mut net = Net::new(22);
    let x = net.input(&[3, 96, 96]);
    let mut y = net.conv(x, 24, Window::square(3, 2, 1), RELU);
    for (channels, stride) in [(48, 2), (64, 1), (96, 2), (128, 2)] {
        y = net.conv(y, channels, Window::square(3, stride, 1), RELU);
    }
    let z = net.conv(y, 128, Window::square(3, 1, 1), RELU);
    let y = net.conv_with(z, 128, Window::square(3, 1, 1), 1, Some(y), RELU);
    classify(&mut net, y);
    net.finish()
}

/// Grouped and depthwise convolution, squeeze and excitation, curved activations.
fn groups_and_gates() -> Graph {
    let mut net = Net::new(23);
    let x = net.input(&[3, 60, 52]);
    let mut y = net.conv(x, 24, Window::square(3, 2, 1), Activation::Silu);
    for (channels, window) in [(48, Window::square(3, 1, 1)), (72, Window::square(5, 2, 2))] {
        let wide = net.conv(y, channels, Window::square(1, 1, 0), Activation::HardSwish);
        let deep = net.depthwise(wide, window, Activation::Clip { low: 0.0, high: 6.0 });
        let mean = net.node(Op::GlobalAveragePool { keep_dims: true }, &[deep]);
        let gate = net.conv(mean, channels, Window::square(1, 1, 0), Activation::Sigmoid);
        let gated = net.node(Op::Mul, &[deep, gate]);
        y = net.conv_with(
            gated,
            channels,
            Window::square(3, 1, 1),
            if channels == 48 { 12 } else { 4 },
            None,
            RELU,
        );
        y = net.node(Op::AveragePool { window: Window::square(3, 1, 1), count_include_pad: false }, &[y]);
    }
    classify(&mut net, y);
    net.finish()
}

fn classify(net: &mut Net, features: ValueId) {
    let mean = net.node(Op::GlobalAveragePool { keep_dims: false }, &[features]);
    let logits = net.linear(mean, 50, NONE);
    let scores = net.node(Op::Softmax, &[logits]);
    net.output("features", features);
    net.output("logits", logits);
    net.output("scores", scores);
}

fn compile(set: &'static KernelSet, graph: &Graph, limit: usize, threads: usize) -> Arc<dyn Executable> {
    let options = CompileOptions { max_batch_size: limit, threads, ..CompileOptions::default() };
    CpuBackend::with_kernels(set).compile(graph, &options).expect("a graph that the CPU runs")
}

/// For each output, the bits of all pictures one after the other.
fn run(
    context: &mut dyn ExecutionContext,
    executable: &dyn Executable,
    pictures: &[&[f32]],
) -> Vec<Vec<u32>> {
    let input = pictures.concat();
    let specs = executable.outputs().iter();
    let mut outputs: Vec<Vec<f32>> =
        specs.map(|spec| vec![f32::NAN; pictures.len() * spec.elements_per_image()]).collect();
    let mut targets: Vec<&mut [f32]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
    context.run(pictures.len(), &[&input], &mut targets).expect("a run");
    outputs.iter().map(|values| values.iter().map(|value| value.to_bits()).collect()).collect()
}

/// Runs every batch on every number of threads, each batch starting with another picture, so that a
/// picture has other neighbours and another place each time.
fn check(name: &str, graph: &Graph, set: &'static KernelSet) {
    let alone = compile(set, graph, 1, 1);
    let per_picture = alone.inputs()[0].elements_per_image();
    let pictures: Vec<Vec<f32>> = (0..PICTURES as u64).map(|i| noise(per_picture, 90 + i)).collect();
    let mut context = alone.clone().new_context().expect("memory");
    let expected: Vec<_> = pictures.iter().map(|picture| run(&mut *context, &*alone, &[picture])).collect();
    assert!(expected[0] != expected[1], "{name}: pictures make a difference");
    for (limit, threads) in LIMITS.into_iter().flat_map(|limit| THREADS.map(|threads| (limit, threads))) {
        let executable = compile(set, graph, limit, threads);
        let mut context = executable.clone().new_context().expect("memory");
        for (step, batch) in BATCHES.into_iter().filter(|batch| *batch <= limit).enumerate() {
            let chosen: Vec<usize> = (0..batch).map(|i| (i * 5 + step * 3 + threads) % PICTURES).collect();
            let batch: Vec<&[f32]> = chosen.iter().map(|&i| pictures[i].as_slice()).collect();
            let found = run(&mut *context, &*executable, &batch);
            for (place, picture) in chosen.iter().enumerate() {
                for (output, (found, expected)) in found.iter().zip(&expected[*picture]).enumerate() {
                    let part = &found[place * expected.len()..][..expected.len()];
                    assert!(
                        part == expected,
                        "{name} on {}: output {output} of picture {picture} at place {place} of a batch of \
                         {} (at most {limit}) on {threads} threads has other bits than alone",
                        set.isa,
                        batch.len()
                    );
                }
            }
        }
    }
}

#[test]
fn a_picture_has_the_same_bits_in_any_batch_on_any_number_of_threads() {
    let networks = [
        ("bottlenecks", bottlenecks()),
        ("wide layers", wide_layers()),
        ("groups and gates", groups_and_gates()),
    ];
    for set in usable_sets() {
        for (name, graph) in &networks {
            check(name, graph, set);
        }
    }
}

/// Where the choice of an algorithm changes, the networks above have to change with it.
#[test]
fn the_networks_take_every_algorithm() {
    let set = usable_sets().next().expect("portable");
    let graphs = [bottlenecks(), wide_layers(), groups_and_gates()];
    let text: String = graphs.iter().map(|graph| compile(set, graph, 1, 1).describe()).collect();
    for algorithm in [
        "direct, grouped",
        "winograd f4x4 folded",
        "winograd f2x2",
        "winograd f4x4",
        "winograd f4x4 at use",
        "winograd f5x5",
        "winograd f4x4 stride 2",
        "direct",
        "depthwise",
    ] {
        assert!(text.contains(&format!(", {algorithm},")), "no layer takes {algorithm:?}:\n{text}");
    }
}

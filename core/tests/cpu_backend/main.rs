//! The CPU backend, from a graph to numbers, against the reference computed node by node.

#[path = "../interpret/mod.rs"]
mod interpret;
mod golden;
mod nets;

use interpret::{largest_difference, noise};
use libvision::backend::cpu::CpuBackend;
use libvision::backend::{Backend, CompileOptions, Executable};
use libvision::graph::{Graph, Op};
use libvision::{ErrorKind, Tensor};
use libvision_kernels::cpu::variants::{KernelSet, usable_sets};
use libvision_kernels::epilogue::Activation;
use nets::Net;
use std::sync::Arc;

const BATCH: usize = 5;

fn compile(set: &'static KernelSet, graph: &Graph, threads: usize) -> Arc<dyn Executable> {
    let options = CompileOptions { max_batch_size: BATCH, threads, ..CompileOptions::default() };
    CpuBackend::with_kernels(set).compile(graph, &options).expect("a graph that the CPU runs")
}

/// One input per graph input for a batch of images.
fn images(executable: &dyn Executable, batch: usize) -> Vec<Vec<f32>> {
    let specs = executable.inputs().iter().zip(70..);
    specs.map(|(spec, seed)| noise(batch * spec.elements_per_image(), seed)).collect()
}

fn image(inputs: &[Vec<f32>], batch: usize, index: usize) -> Vec<Vec<f32>> {
    let part = |input: &Vec<f32>| {
        let len = input.len() / batch;
        input[index * len..(index + 1) * len].to_vec()
    };
    inputs.iter().map(part).collect()
}

fn run(executable: &Arc<dyn Executable>, batch: usize, inputs: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let mut context = executable.clone().new_context().expect("memory");
    run_in(&mut *context, &**executable, batch, inputs)
}

fn run_in(
    context: &mut dyn libvision::backend::ExecutionContext,
    executable: &dyn Executable,
    batch: usize,
    inputs: &[Vec<f32>],
) -> Vec<Vec<f32>> {
    let specs = executable.outputs().iter();
    let mut outputs: Vec<Vec<f32>> =
        specs.map(|spec| vec![f32::NAN; batch * spec.elements_per_image()]).collect();
    let inputs: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
    let mut targets: Vec<&mut [f32]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
    context.run(batch, &inputs, &mut targets).expect("a run");
    outputs
}

fn bits(values: &[Vec<f32>]) -> Vec<Vec<u32>> {
    values.iter().map(|values| values.iter().map(|value| value.to_bits()).collect()).collect()
}

/// Compares every output of two images with the reference.
fn check(name: &str, graph: &Graph, set: &'static KernelSet) {
    let executable = compile(set, graph, 2);
    let inputs = images(&*executable, 2);
    let tensors = executable.inputs().iter().zip(&inputs);
    let tensors: Vec<Tensor> =
        tensors.map(|(spec, x)| Tensor::new(&spec.shape_for(2), x.clone()).expect("as many")).collect();
    let expected = interpret::run(graph, &tensors);
    let found = run(&executable, 2, &inputs);
    for ((spec, found), expected) in executable.outputs().iter().zip(found).zip(&expected) {
        let found = Tensor::new(&spec.shape_for(2), found).expect("as many");
        let error = largest_difference(&found, expected);
        assert!(error < 1e-5, "{name} on {}: output {:?} is {error} off", set.isa, spec.name);
    }
}

#[test]
fn every_operator_agrees_with_the_reference() {
    for (name, graph) in nets::all() {
        usable_sets().for_each(|set| check(name, &graph, set));
    }
}

#[test]
fn random_graphs_agree_with_the_reference() {
    for seed in 0..40 {
        let graph = nets::random(seed);
        usable_sets().for_each(|set| check(&format!("seed {seed}"), &graph, set));
    }
}

#[test]
fn a_result_depends_neither_on_the_batch_nor_on_the_threads() {
    for (name, graph) in nets::all() {
        for set in usable_sets() {
            let executable = compile(set, &graph, 1);
            let inputs = images(&*executable, BATCH);
            let whole = bits(&run(&executable, BATCH, &inputs));
            for index in 0..BATCH {
                let alone = bits(&run(&executable, 1, &image(&inputs, BATCH, index)));
                for (whole, alone) in whole.iter().zip(&alone) {
                    let part = &whole[index * alone.len()..][..alone.len()];
                    assert!(part == alone, "{name} on {}: image {index} differs in a batch", set.isa);
                }
            }
            for threads in [2, 3, 8] {
                let other = compile(set, &graph, threads);
                let mut context = other.clone().new_context().expect("memory");
                for round in 0..2 {
                    let found = bits(&run_in(&mut *context, &*other, BATCH, &inputs));
                    assert!(found == whole, "{name} on {}: {threads} threads differ, round {round}", set.isa);
                }
            }
        }
    }
}

#[test]
fn contexts_run_at_the_same_time() {
    let (_, graph) = nets::all().swap_remove(2);
    let set = usable_sets().next().expect("portable");
    let executable = compile(set, &graph, 3);
    let inputs = images(&*executable, BATCH);
    let expected = bits(&run(&executable, BATCH, &inputs));
    let run = || {
        let mut context = executable.clone().new_context().expect("memory");
        for _ in 0..20 {
            assert!(bits(&run_in(&mut *context, &*executable, BATCH, &inputs)) == expected);
        }
    };
    // Joined one by one, which ThreadSanitizer sees: what ends a scope happens inside the standard library.
    std::thread::scope(|scope| {
        let threads = [(); 6].map(|()| scope.spawn(run));
        for thread in threads {
            thread.join().expect("the same bits");
        }
    });
}

#[test]
fn an_output_that_is_not_wanted_may_be_empty() {
    let (_, graph) = nets::all().swap_remove(2);
    let executable = compile(usable_sets().next().expect("portable"), &graph, 1);
    let inputs = images(&*executable, 1);
    let expected = run(&executable, 1, &inputs);
    let mut embedding = vec![0.0; expected[1].len()];
    let mut context = executable.clone().new_context().expect("memory");
    let mut outputs: Vec<&mut [f32]> = vec![&mut [], &mut embedding, &mut []];
    context.run(1, &[&inputs[0]], &mut outputs).expect("a run");
    assert_eq!(embedding, expected[1]);
}

#[test]
fn wrong_sizes_are_errors_that_name_what_is_wrong() {
    let (_, graph) = nets::all().swap_remove(2);
    let executable = compile(usable_sets().next().expect("portable"), &graph, 1);
    let mut context = executable.clone().new_context().expect("memory");
    let (pixels, classes) = (3 * 33 * 37, 37);
    /// Batch, elements of each input and of each output; kind and words of the error.
    type Case<'a> = (usize, &'a [usize], [usize; 3], ErrorKind, &'a str);
    let cases: [Case; 9] = [
        (0, &[0], [0; 3], ErrorKind::InvalidArgument, "1 to 5"),
        (6, &[6 * pixels], [0; 3], ErrorKind::InvalidArgument, "found 6"),
        (usize::MAX, &[pixels], [0; 3], ErrorKind::InvalidArgument, "1 to 5"),
        (1, &[], [0; 3], ErrorKind::InvalidArgument, "1 inputs"),
        (1, &[pixels, pixels], [0; 3], ErrorKind::InvalidArgument, "found 2"),
        (1, &[pixels - 1], [0; 3], ErrorKind::ShapeMismatch, "input \"input0\""),
        (2, &[pixels], [0; 3], ErrorKind::ShapeMismatch, "[N,3,33,37]"),
        (1, &[pixels], [classes + 1, 0, 0], ErrorKind::ShapeMismatch, "output \"logits\""),
        (2, &[2 * pixels], [2 * classes, 35, 0], ErrorKind::ShapeMismatch, "output \"embedding\""),
    ];
    for (batch, inputs, outputs, kind, words) in cases {
        let inputs: Vec<Vec<f32>> = inputs.iter().map(|len| vec![0.0; *len]).collect();
        let inputs: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
        let mut outputs = outputs.map(|len| vec![7.0; len]);
        let mut targets: Vec<&mut [f32]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
        let error = context.run(batch, &inputs, &mut targets).expect_err(words);
        assert_eq!(error.kind(), kind, "{error:?}");
        assert!(error.message().contains(words), "{error:?} should contain {words:?}");
        assert!(outputs.iter().flatten().all(|value| *value == 7.0), "outputs are untouched");
    }
    let two_outputs: &mut [&mut [f32]] = &mut [&mut [], &mut []];
    let error = context.run(1, &[&vec![0.0; pixels]], two_outputs).expect_err("three outputs");
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
}

#[test]
fn the_models_own_limit_lowers_the_batch() {
    let (_, mut graph) = nets::all().swap_remove(4);
    graph.batch_limit = Some(2);
    let executable = compile(usable_sets().next().expect("portable"), &graph, 1);
    assert_eq!(executable.max_batch_size(), 2);
    let options = CompileOptions { max_batch_size: 0, threads: 1, ..CompileOptions::default() };
    let error = CpuBackend::new().compile(&graph, &options).err().expect("no batch");
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    let options = CompileOptions { max_batch_size: usize::MAX, threads: 1, ..CompileOptions::default() };
    graph.batch_limit = None;
    let error = CpuBackend::new().compile(&graph, &options).err().expect("no memory for that");
    assert_eq!(error.kind(), ErrorKind::OutOfMemory);
}

/// Graphs that are valid and that this backend does not run, with a word of the reason.
fn unsupported() -> Vec<(&'static str, Graph)> {
    let mut cases = Vec::new();
    let mut case = |reason, build: &dyn Fn(&mut Net) -> libvision::graph::ValueId| {
        let mut net = Net::new(1);
        let output = build(&mut net);
        net.output("y", output);
        cases.push((reason, net.finish()));
    };
    case("[N,K] or [N,C,H,W]", &|net| {
        let x = net.input(&[3, 5]);
        net.node(Op::Activate(Activation::Relu), &[x])
    });
    case("[N,5,4,4] with [N,1,4,4]", &|net| {
        let (a, b) = (net.input(&[5, 4, 4]), net.input(&[1, 4, 4]));
        net.node(Op::Add { activation: Activation::Identity }, &[a, b])
    });
    case("[N,5,1,1] with [N,1,4,4]", &|net| {
        let (a, b) = (net.input(&[5, 1, 1]), net.input(&[1, 4, 4]));
        net.node(Op::Mul, &[a, b])
    });
    case("constant", &|net| {
        net.input(&[2]);
        net.constant(&[1, 4])
    });
    cases
}

#[test]
fn what_is_not_supported_is_an_error_that_names_node_operator_and_reason() {
    for (reason, graph) in unsupported() {
        let options = CompileOptions { max_batch_size: 2, threads: 1, ..CompileOptions::default() };
        let error = CpuBackend::new().compile(&graph, &options).err().expect(reason);
        assert_eq!(error.kind(), ErrorKind::OperatorUnsupported, "{error:?}");
        assert!(error.message().contains(reason), "{error:?} should contain {reason:?}");
        let names_node = graph.nodes.iter().any(|node| error.message().contains(&node.name));
        assert!(names_node || error.message().contains("put \""), "{error:?}");
    }
}

#[test]
fn the_description_shows_steps_fusions_and_memory() {
    let (_, graph) = nets::all().swap_remove(1);
    let executable = compile(usable_sets().next().expect("portable"), &graph, 1);
    let text = executable.describe();
    for node in &graph.nodes {
        assert!(text.contains(&format!("{:?}", node.name)), "{text}");
    }
    for words in [
        "+residual relu",
        "direct",
        "[N,40,5,5]",
        "at most 5 images per run",
        "Load \"input0\"",
        "packed weights",
    ] {
        assert!(text.contains(words), "{words:?} is not in\n{text}");
    }
    assert!(text.contains(&format!("arena: {} bytes", executable.memory_need().arena)), "{text}");
    assert!(text.contains(&format!("weights: {} bytes", executable.memory_need().weights)), "{text}");
}

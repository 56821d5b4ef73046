//! Whether results depend on what lay in the arena before: random graphs over memory full of NaN.

use super::context::CpuContext;
use super::executable::CpuExecutable;
use crate::backend::{CompileOptions, Executable, ExecutionContext};
use crate::graph::{Dim, Graph, Op, Output, Value, ValueId, ValueKind, infer_shapes, validate};
use crate::tensor::{DType, Tensor};
use libvision_kernels::cpu::layout::clear_border;
use libvision_kernels::cpu::variants::usable_sets;
use libvision_kernels::epilogue::Activation;
use libvision_kernels::geometry::{Padding, Window};
use libvision_kernels::parallel::Serial;
use std::sync::Arc;

const BATCH: usize = 3;

/// SplitMix64 (Steele, Lea, Flood, 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end as u64) as usize
    }

    fn floats(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.below(2001) as f32 / 1000.0 - 1.0).collect()
    }
}

/// A graph of images of few sizes, so that tensors come to lie over each other in every way.
fn random_graph(seed: u64) -> Graph {
    let mut random = Random(seed);
    let mut graph = Graph::default();
    let shape = [Dim::Batch, Dim::Fixed([3, 17][random.below(2)]), Dim::Fixed(9), Dim::Fixed(8)];
    let input =
        Value { name: "x".into(), kind: ValueKind::Input, dtype: DType::F32, shape: Some(shape.to_vec()) };
    let mut images = vec![graph.add_value(input)];
    graph.inputs = images.clone();
    for _ in 0..4 + random.below(11) {
        // Late values more often than early ones: a chain with some shortcuts.
        let x = images[images.len() - 1 - random.below(images.len().min(3))];
        let [_, channels, height, width] = sizes(&graph, x);
        let alike =
            images.iter().copied().find(|&other| other != x && sizes(&graph, other) == sizes(&graph, x));
        let size = [1, 3, 3, 5][random.below(4)];
        let stride = if height > 4 && random.below(4) == 0 { 2 } else { 1 };
        let window = Window::square(size, stride, size / 2);
        let output = match (random.below(8), alike) {
            (0, Some(other)) => node(&mut graph, Op::Add { activation: Activation::Relu }, vec![x, other]),
            (1, _) => node(&mut graph, Op::MaxPool { window: Window::square(3, 1, 1) }, vec![x]),
            (2, _) => {
                let mean = node(&mut graph, Op::GlobalAveragePool { keep_dims: true }, vec![x]);
                node(&mut graph, Op::Mul, vec![x, mean])
            }
            (3, residual) => conv(&mut graph, &mut random, x, channels, Window::square(3, 1, 1), 1, residual),
            (4, _) => conv(&mut graph, &mut random, x, channels, window, channels, None),
            (5, _) if height > 2 && width > 2 => {
                let padding = Padding { top: 0, left: 1, bottom: 2, right: 0 };
                let window = Window { padding, ..Window::square(3, 1, 0) };
                conv(&mut graph, &mut random, x, channels, window, 1, None)
            }
            _ => {
                let outputs = [channels, channels, 8, 33][random.below(4)];
                conv(&mut graph, &mut random, x, outputs, window, 1, None)
            }
        };
        images.push(output);
    }
    for (name, value) in [("last", images[images.len() - 1]), ("middle", images[images.len() / 2])] {
        graph.outputs.push(Output { name: name.into(), value });
    }
    validate(&graph).expect("a valid graph");
    graph
}

fn sizes(graph: &Graph, id: ValueId) -> [usize; 4] {
    let shape = graph.value(id).shape.as_deref().expect("a shape");
    let size = |dim: &Dim| if let Dim::Fixed(size) = dim { *size } else { 1 };
    shape.iter().map(size).collect::<Vec<_>>().try_into().expect("an image")
}

fn node(graph: &mut Graph, op: Op, inputs: Vec<ValueId>) -> ValueId {
    let name = format!("node{}", graph.nodes.len());
    let output = graph.add_node(name.clone(), op, inputs, name);
    infer_shapes(graph).expect("shapes that fit");
    output
}

fn conv(
    graph: &mut Graph,
    random: &mut Random,
    x: ValueId,
    outputs: usize,
    window: Window,
    groups: usize,
    residual: Option<ValueId>,
) -> ValueId {
    let shape = [outputs, sizes(graph, x)[1] / groups, window.size[0], window.size[1]];
    let weights = random.floats(shape.iter().product());
    let scale = 1.0 / (weights.len() / outputs) as f32;
    let weights = Tensor::new(&shape, weights.into_iter().map(|w| w * scale).collect()).expect("as many");
    let weights = graph.add_constant("weights", weights);
    let bias = graph.add_constant("bias", Tensor::new(&[outputs], random.floats(outputs)).expect("as many"));
    let op = Op::Conv2d {
        window,
        groups,
        has_bias: true,
        has_residual: residual.is_some(),
        activation: Activation::HardSwish,
    };
    node(graph, op, [x, weights, bias].into_iter().chain(residual).collect())
}

/// Fills with NaN everything but the floats that no step ever writes.
fn poison(context: &mut CpuContext) {
    let executable = context.executable.clone();
    let plan = &executable.plan;
    let floats = context.arena.floats();
    let mut is_written = vec![false; floats.len()];
    is_written[plan.workspace_start()..].fill(true);
    for (index, tensor) in plan.tensors().iter().enumerate() {
        let mut inside = vec![1.0; plan.images() * tensor.layout.len()];
        clear_border(&Serial, &tensor.layout, plan.images(), &mut inside);
        for replica in 0..plan.replicas() {
            let place = is_written[plan.range(index, replica, plan.images())].iter_mut();
            place.zip(&inside).for_each(|(written, inside)| *written |= *inside == 1.0);
        }
    }
    for (value, is_written) in floats.iter_mut().zip(is_written) {
        if is_written {
            *value = f32::NAN;
        }
    }
}

fn run(context: &mut CpuContext, batch: usize, image: &[f32]) -> Vec<Vec<u32>> {
    let executable = context.executable.clone();
    let specs = executable.outputs().iter();
    let mut outputs: Vec<Vec<f32>> = specs.map(|spec| vec![0.0; batch * spec.elements_per_image()]).collect();
    let mut targets: Vec<&mut [f32]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
    let input = &image[..batch * executable.inputs()[0].elements_per_image()];
    context.run(batch, &[input], &mut targets).expect("a run");
    outputs.iter().map(|output| output.iter().map(|value| value.to_bits()).collect()).collect()
}

/// Whether every float of the first replica's tensors that nothing was written over is a number: border and
/// lanes beyond the last channel are, by the contract of the layout.
fn check_left_over(context: &mut CpuContext) {
    let executable = context.executable.clone();
    let (plan, floats) = (&executable.plan, context.arena.floats());
    let ranges: Vec<_> = (0..plan.tensors().len()).map(|tensor| plan.range(tensor, 0, 1)).collect();
    for (tensor, range) in plan.tensors().iter().zip(&ranges) {
        let mut others = plan.tensors().iter().zip(&ranges);
        let is_gone = others.any(|(other, r)| {
            other.lifetime.first > tensor.lifetime.first && r.start < range.end && range.start < r.end
        });
        let values = &floats[range.clone()];
        assert!(is_gone || values.iter().all(|value| value.is_finite()), "{}", tensor.name);
    }
}

#[test]
fn results_do_not_depend_on_what_lay_in_the_arena() {
    let mut seen = [0; 2];
    for seed in 0..60 {
        let graph = random_graph(seed);
        let threads = [1, 2, 4][seed as usize % 3];
        for set in usable_sets() {
            let options = CompileOptions { max_batch_size: BATCH, threads, ..CompileOptions::default() };
            let executable = CpuExecutable::new(&graph, &options, set).expect("a graph that the CPU runs");
            let mut careful = CpuExecutable::new(&graph, &options, set).expect("the same");
            careful.plan = careful.plan.clearing_all_borders();
            let image = Random(seed).floats(BATCH * executable.inputs()[0].elements_per_image());
            for step in executable.plan.steps() {
                let border = step.output.map(|tensor| executable.plan.tensors()[tensor].layout.border);
                if border.is_some_and(|border| border != Padding::default()) {
                    seen[usize::from(step.clear_border)] += 1;
                }
            }
            let mut careful = CpuContext::new(Arc::new(careful)).expect("memory");
            let mut tested = CpuContext::new(Arc::new(executable)).expect("memory");
            for (round, batch) in [BATCH, 1, BATCH, 2, 1, BATCH].into_iter().enumerate() {
                let expected = run(&mut careful, batch, &image);
                let is_finite = |bits: &u32| f32::from_bits(*bits).is_finite();
                assert!(expected.iter().flatten().all(is_finite), "seed {seed} gives no numbers");
                // In some rounds what earlier runs left is all there is.
                if round % 3 == 0 {
                    poison(&mut tested);
                }
                let found = run(&mut tested, batch, &image);
                let plan = tested.executable.describe();
                assert!(found == expected, "seed {seed} on {}, round {round}: {plan}", set.isa);
                // The image that is left over is in the first replica; the others are wherever a thread was free.
                if threads > BATCH || batch % threads != 0 {
                    check_left_over(&mut tested);
                }
            }
        }
    }
    // Both kinds of border must have been tried.
    let least = 30 * usable_sets().count();
    assert!(seen.iter().all(|count| *count > least), "clean and cleared borders: {seen:?}");
}

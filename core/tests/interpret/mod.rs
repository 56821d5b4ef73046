//! Runs a graph node by node with the reference kernels: slow, obvious, and without a backend.

#![allow(dead_code, reason = "each test binary uses a part")]

use libvision::Tensor;
use libvision::graph::{Dim, Graph, Node, Op, ValueKind};
use libvision_kernels::geometry::{Conv2dGeometry, Pool2dGeometry};
use libvision_kernels::reference;

/// The outputs of `graph`, in its order, for inputs in its order.
pub fn run(graph: &Graph, inputs: &[Tensor]) -> Vec<Tensor> {
    let mut values: Vec<Option<Tensor>> = graph
        .values
        .iter()
        .map(|value| match &value.kind {
            ValueKind::Constant(tensor) => Some(tensor.clone()),
            ValueKind::Input | ValueKind::Produced => None,
        })
        .collect();
    for (id, tensor) in graph.inputs.iter().zip(inputs) {
        values[id.index()] = Some(tensor.clone());
    }
    for node in &graph.nodes {
        let read: Vec<&Tensor> = node
            .inputs
            .iter()
            .map(|id| values[id.index()].as_ref().expect("an input that is computed before it is read"))
            .collect();
        let result = compute(node, &read);
        let expected = graph.value(node.output).shape.as_deref().expect("a shape");
        let batch = result.shape()[0];
        let expected: Vec<usize> = expected
            .iter()
            .map(|dim| match dim {
                Dim::Fixed(size) => *size,
                Dim::Batch => batch,
            })
            .collect();
        assert_eq!(result.shape(), expected, "the inferred shape of {:?}", node.name);
        values[node.output.index()] = Some(result);
    }
    let output = |output: &libvision::graph::Output| values[output.value.index()].clone().expect("an output");
    graph.outputs.iter().map(output).collect()
}

fn compute(node: &Node, inputs: &[&Tensor]) -> Tensor {
    let x = inputs[0];
    let data = |tensor: &Tensor| tensor.to_f32().expect("floats").into_owned();
    match &node.op {
        Op::Conv2d { window, groups, has_bias, has_residual, activation } => {
            let weights = data(inputs[1]);
            let bias = has_bias.then(|| data(inputs[2]));
            let residual = has_residual.then(|| inputs[inputs.len() - 1]);
            let &[_, c, h, w] = x.shape() else { panic!("{:?}", x.shape()) };
            let g =
                Conv2dGeometry::new(c, inputs[1].shape()[0], *groups, *window, [h, w]).expect("a geometry");
            let shape = [g.out_channels, g.output[0], g.output[1]];
            per_image(&[Some(x), residual], &shape, |parts| {
                let residual = (parts.len() > 1).then(|| parts[1]);
                reference::conv2d::conv2d(&g, parts[0], &weights, bias.as_deref(), residual, *activation)
            })
        }
        Op::BatchNorm { epsilon } => {
            let [scale, shift, mean, variance] = [1, 2, 3, 4].map(|i| data(inputs[i]));
            let channels = scale.len();
            per_image(&[Some(x)], &x.shape()[1..], |parts| {
                let pixels = parts[0].len() / channels;
                let normalise = |(i, x): (usize, &f32)| {
                    let c = i / pixels;
                    let spread = (f64::from(variance[c]) + f64::from(*epsilon)).sqrt();
                    (f64::from(*x) - f64::from(mean[c])) / spread * f64::from(scale[c]) + f64::from(shift[c])
                };
                parts[0].iter().enumerate().map(normalise).collect()
            })
        }
        Op::Activate(function) => per_image(&[Some(x)], &x.shape()[1..], |parts| {
            reference::elementwise::activate(*function, parts[0])
        }),
        Op::Add { activation } => {
            let sum = broadcast(x, inputs[1], |a, b| a + b);
            per_image(&[Some(&sum)], &sum.shape()[1..], |parts| {
                reference::elementwise::activate(*activation, parts[0])
            })
        }
        Op::Mul => broadcast(x, inputs[1], |a, b| a * b),
        Op::MaxPool { window } => {
            let g =
                Pool2dGeometry::new(x.shape()[1], *window, [x.shape()[2], x.shape()[3]]).expect("a geometry");
            per_image(&[Some(x)], &[g.channels, g.output[0], g.output[1]], |parts| {
                reference::pool2d::max_pool(&g, parts[0])
            })
        }
        Op::AveragePool { window, count_include_pad } => {
            let g =
                Pool2dGeometry::new(x.shape()[1], *window, [x.shape()[2], x.shape()[3]]).expect("a geometry");
            per_image(&[Some(x)], &[g.channels, g.output[0], g.output[1]], |parts| {
                reference::pool2d::average_pool(&g, *count_include_pad, parts[0])
            })
        }
        Op::GlobalAveragePool { keep_dims } => {
            let channels = x.shape()[1];
            let shape = if *keep_dims { vec![channels, 1, 1] } else { vec![channels] };
            per_image(&[Some(x)], &shape, |parts| reference::pool2d::global_average_pool(channels, parts[0]))
        }
        Op::Flatten => {
            let shape = [x.shape()[0], x.shape()[1..].iter().product()];
            Tensor::new(&shape, data(x)).expect("a tensor")
        }
        Op::Linear { has_bias, activation } => {
            let weights = data(inputs[1]);
            let bias = has_bias.then(|| data(inputs[2]));
            per_image(&[Some(x)], &inputs[1].shape()[..1], |parts| {
                reference::linear::linear(parts[0], &weights, bias.as_deref(), *activation)
            })
        }
        Op::Softmax => per_image(&[Some(x)], &x.shape()[1..], |parts| reference::softmax::softmax(parts[0])),
        other => panic!("no reference for {other:?}"),
    }
}

/// Applies `function` to each image's part of the tensors that are there.
fn per_image(
    tensors: &[Option<&Tensor>],
    shape: &[usize],
    function: impl Fn(&[&[f32]]) -> Vec<f64>,
) -> Tensor {
    let given: Vec<&Tensor> = tensors.iter().copied().flatten().collect();
    let batch = given[0].shape()[0];
    let elements: Vec<Vec<f32>> =
        given.iter().map(|tensor| tensor.to_f32().expect("floats").into_owned()).collect();
    let mut result = Vec::new();
    for image in 0..batch {
        let parts: Vec<&[f32]> = elements
            .iter()
            .map(|elements| {
                let size = elements.len() / batch;
                &elements[image * size..][..size]
            })
            .collect();
        result.extend(function(&parts).into_iter().map(|value| value as f32));
    }
    let shape: Vec<usize> = std::iter::once(batch).chain(shape.iter().copied()).collect();
    Tensor::new(&shape, result).expect("a tensor of the inferred shape")
}

/// NumPy's broadcasting, by counting through the result's positions.
fn broadcast(a: &Tensor, b: &Tensor, operator: impl Fn(f64, f64) -> f64) -> Tensor {
    let rank = a.shape().len().max(b.shape().len());
    let widened = |tensor: &Tensor| {
        let mut shape = vec![1; rank - tensor.shape().len()];
        shape.extend(tensor.shape());
        shape
    };
    let (left, right) = (widened(a), widened(b));
    let shape: Vec<usize> = left.iter().zip(&right).map(|(&a, &b)| a.max(b)).collect();
    let at = |own: &[usize], place: &[usize]| {
        own.iter().zip(place).fold(0, |offset, (&size, &i)| offset * size + if size == 1 { 0 } else { i })
    };
    let (x, y) = (a.to_f32().expect("floats"), b.to_f32().expect("floats"));
    let mut place = vec![0; rank];
    let mut result = Vec::new();
    for _ in 0..shape.iter().product() {
        result.push(operator(f64::from(x[at(&left, &place)]), f64::from(y[at(&right, &place)])) as f32);
        for axis in (0..rank).rev() {
            place[axis] += 1;
            if place[axis] < shape[axis] {
                break;
            }
            place[axis] = 0;
        }
    }
    Tensor::new(&shape, result).expect("a tensor")
}

/// The largest difference, relative to the largest expected number.
pub fn largest_difference(found: &Tensor, expected: &Tensor) -> f32 {
    assert_eq!(found.shape(), expected.shape());
    let (found, expected) = (found.to_f32().expect("floats"), expected.to_f32().expect("floats"));
    let largest = expected.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
    let differences = found.iter().zip(expected.iter()).map(|(a, b)| (a - b).abs());
    // A comparison with NaN is false, so NaN must not get lost in the maximum.
    differences.fold(0.0f32, |most, x| if x <= most { most } else { x }) / largest
}

/// Pseudo-random numbers between -1 and 1 (xorshift64*), the same for the same seed.
pub fn noise(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40) as f32 / (1u32 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

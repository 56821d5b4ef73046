//! Runs a graph node by node with `kernels::reference`, one image at a time.

use libvision::graph::{Dim, Graph, Node, Op, ValueId};
use libvision_kernels::geometry::{Conv2dGeometry, Pool2dGeometry, Window};
use libvision_kernels::reference;

/// The outputs of one image, in the graph's order.
pub fn outputs(graph: &Graph, inputs: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let mut values: Vec<Vec<f32>> = vec![Vec::new(); graph.values.len()];
    for (index, value) in values.iter_mut().enumerate() {
        if let libvision::graph::ValueKind::Constant(tensor) = &graph.values[index].kind {
            *value = tensor.to_f32().expect("floats").into_owned();
        }
    }
    for (id, input) in graph.inputs.iter().zip(inputs) {
        values[id.index()] = input.clone();
    }
    for node in &graph.nodes {
        let operands: Vec<&[f32]> = node.inputs.iter().map(|id| values[id.index()].as_slice()).collect();
        let result = compute(graph, node, &operands);
        values[node.output.index()] = result.into_iter().map(|value| value as f32).collect();
    }
    graph.outputs.iter().map(|output| values[output.value.index()].clone()).collect()
}

fn compute(graph: &Graph, node: &Node, x: &[&[f32]]) -> Vec<f64> {
    let shape = sizes(graph, node.inputs[0]);
    match &node.op {
        Op::Conv2d { window, groups, has_bias, has_residual, activation } => {
            let outputs = sizes(graph, node.inputs[1])[0];
            let g = Conv2dGeometry::new(shape[1], outputs, *groups, *window, [shape[2], shape[3]]);
            let bias = has_bias.then(|| x[2]);
            let residual = has_residual.then(|| x[x.len() - 1]);
            reference::conv2d::conv2d(&g.expect("geometry"), x[0], x[1], bias, residual, *activation)
        }
        Op::BatchNorm { epsilon } => {
            let pixels = x[0].len() / shape[1];
            let value = |(i, x0): (usize, &f32)| {
                let parameter = |p: usize| f64::from(x[p][i / pixels]);
                let deviation = (parameter(4) + f64::from(*epsilon)).sqrt();
                (f64::from(*x0) - parameter(3)) / deviation * parameter(1) + parameter(2)
            };
            x[0].iter().enumerate().map(value).collect()
        }
        Op::Activate(activation) => reference::elementwise::activate(*activation, x[0]),
        Op::Add { activation } => {
            let [a, b] = broadcast(graph, node, x);
            reference::elementwise::add(*activation, &a, &b)
        }
        Op::Mul => {
            let [a, b] = broadcast(graph, node, x);
            reference::elementwise::mul(&a, &b)
        }
        Op::MaxPool { window } => reference::pool2d::max_pool(&pool(window, &shape), x[0]),
        Op::AveragePool { window, count_include_pad } => {
            reference::pool2d::average_pool(&pool(window, &shape), *count_include_pad, x[0])
        }
        Op::GlobalAveragePool { .. } => reference::pool2d::global_average_pool(shape[1], x[0]),
        Op::Flatten => x[0].iter().map(|value| f64::from(*value)).collect(),
        Op::Linear { has_bias, activation } => {
            reference::linear::linear(x[0], x[1], has_bias.then(|| x[2]), *activation)
        }
        Op::Softmax => reference::softmax::softmax(x[0]),
        other => panic!("no reference for {other:?}"),
    }
}

fn pool(window: &Window, shape: &[usize]) -> Pool2dGeometry {
    Pool2dGeometry::new(shape[1], *window, [shape[2], shape[3]]).expect("geometry")
}

/// Both operands repeated to the size of one image of the output, by NumPy's rule.
fn broadcast(graph: &Graph, node: &Node, x: &[&[f32]]) -> [Vec<f32>; 2] {
    let target = sizes(graph, node.output);
    [0, 1].map(|operand| {
        let mut shape = sizes(graph, node.inputs[operand]);
        while shape.len() < target.len() {
            shape.insert(0, 1);
        }
        let count: usize = target.iter().product();
        let value = |index: usize| {
            let (mut rest, mut at, mut stride) = (index, 0, 1);
            for axis in (0..target.len()).rev() {
                let coordinate = rest % target[axis];
                rest /= target[axis];
                at += stride * if shape[axis] == 1 { 0 } else { coordinate };
                stride *= shape[axis];
            }
            x[operand][at]
        };
        (0..count).map(value).collect()
    })
}

/// Sizes for a batch of one.
pub fn sizes(graph: &Graph, id: ValueId) -> Vec<usize> {
    let shape = graph.value(id).shape.as_deref().expect("a shape");
    shape.iter().map(|dim| if let Dim::Fixed(size) = dim { *size } else { 1 }).collect()
}

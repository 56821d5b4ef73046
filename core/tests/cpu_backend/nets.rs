//! Small graphs with invented weights.

use super::interpret::noise;
use libvision::graph::{Dim, Graph, Op, Output, Value, ValueId, ValueKind, infer_shapes, validate};
use libvision::{DType, Tensor};
use libvision_kernels::epilogue::Activation;
use libvision_kernels::geometry::{Padding, Window};

/// A graph under construction.
pub struct Net {
    graph: Graph,
    seed: u64,
}

impl Net {
    pub fn new(seed: u64) -> Self {
        Self { graph: Graph::default(), seed: seed << 32 }
    }

    pub fn input(&mut self, sizes: &[usize]) -> ValueId {
        let shape = std::iter::once(Dim::Batch).chain(sizes.iter().map(|size| Dim::Fixed(*size))).collect();
        let name = format!("input{}", self.graph.inputs.len());
        let value = Value { name, kind: ValueKind::Input, dtype: DType::F32, shape: Some(shape) };
        let id = self.graph.add_value(value);
        self.graph.inputs.push(id);
        id
    }

    fn floats(&mut self, count: usize) -> Vec<f32> {
        self.seed += 1;
        noise(count, self.seed)
    }

    pub fn constant(&mut self, sizes: &[usize]) -> ValueId {
        let floats = self.floats(sizes.iter().product());
        self.tensor(sizes, floats)
    }

    fn tensor(&mut self, sizes: &[usize], floats: Vec<f32>) -> ValueId {
        let name = format!("constant{}", self.graph.values.len());
        self.graph.add_constant(name, Tensor::new(sizes, floats).expect("as many as the shape says"))
    }

    pub fn node(&mut self, op: Op, inputs: &[ValueId]) -> ValueId {
        let name = format!("node{}", self.graph.nodes.len());
        let output = self.graph.add_node(name.clone(), op, inputs.to_vec(), format!("{name}:out"));
        infer_shapes(&mut self.graph).expect("shapes that fit");
        output
    }

    /// Sizes for a batch of one.
    fn size(&self, id: ValueId) -> Vec<usize> {
        let shape = self.graph.value(id).shape.as_deref().expect("a shape");
        shape.iter().map(|dim| if let Dim::Fixed(size) = dim { *size } else { 1 }).collect()
    }

    /// A convolution with bias to `outputs` channels.
    pub fn conv(&mut self, x: ValueId, outputs: usize, window: Window, activation: Activation) -> ValueId {
        self.conv_with(x, outputs, window, 1, None, activation)
    }

    pub fn depthwise(&mut self, x: ValueId, window: Window, activation: Activation) -> ValueId {
        let channels = self.size(x)[1];
        self.conv_with(x, channels, window, channels, None, activation)
    }

    pub fn conv_with(
        &mut self,
        x: ValueId,
        outputs: usize,
        window: Window,
        groups: usize,
        residual: Option<ValueId>,
        activation: Activation,
    ) -> ValueId {
        let inputs = self.size(x)[1] / groups;
        let sizes = [outputs, inputs, window.size[0], window.size[1]];
        let scale = 1.5 / ((inputs * window.size[0] * window.size[1]) as f32).sqrt();
        let count = sizes.iter().product();
        let weights = self.floats(count).into_iter().map(|w| w * scale).collect();
        let weights = self.tensor(&sizes, weights);
        let bias = self.constant(&[outputs]);
        let has_residual = residual.is_some();
        let op = Op::Conv2d { window, groups, has_bias: true, has_residual, activation };
        let operands: Vec<_> = [x, weights, bias].into_iter().chain(residual).collect();
        self.node(op, &operands)
    }

    pub fn batch_norm(&mut self, x: ValueId) -> ValueId {
        let channels = self.size(x)[1];
        let [scale, bias, mean] = [0, 1, 2].map(|_| self.constant(&[channels]));
        let variance = self.floats(channels).into_iter().map(|v| v.abs() + 0.1).collect();
        let variance = self.tensor(&[channels], variance);
        self.node(Op::BatchNorm { epsilon: 1e-3 }, &[x, scale, bias, mean, variance])
    }

    pub fn linear(&mut self, x: ValueId, outputs: usize, activation: Activation) -> ValueId {
        let inputs = self.size(x)[1];
        let weights = self.constant(&[outputs, inputs]);
        let bias = self.constant(&[outputs]);
        self.node(Op::Linear { has_bias: true, activation }, &[x, weights, bias])
    }

    pub fn output(&mut self, name: &str, value: ValueId) {
        self.graph.outputs.push(Output { name: name.into(), value });
    }

    pub fn finish(self) -> Graph {
        validate(&self.graph).expect("a valid graph");
        self.graph
    }
}

const RELU: Activation = Activation::Relu;
const NONE: Activation = Activation::Identity;

/// Nets that between them hold every operator and every way to broadcast.
pub fn all() -> Vec<(&'static str, Graph)> {
    vec![
        ("residual block, unfused", residual_block_unfused()),
        ("residual blocks, fused", residual_blocks_fused()),
        ("pooled classifier", pooled_classifier()),
        ("depthwise with squeeze and excitation", squeeze_and_excitation()),
        ("rows", rows()),
        ("flattened images", flattened()),
        ("windows", windows()),
        ("constants", constants()),
        ("outputs", outputs()),
    ]
}

fn residual_block_unfused() -> Graph {
    let mut net = Net::new(1);
    let x = net.input(&[5, 9, 7]);
    let start = net.conv(x, 21, Window::square(3, 1, 1), RELU);
    let mut y = start;
    for _ in 0..2 {
        y = net.conv(y, 21, Window::square(3, 1, 1), NONE);
        y = net.batch_norm(y);
        y = net.node(Op::Activate(RELU), &[y]);
    }
    let sum = net.node(Op::Add { activation: RELU }, &[y, start]);
    let twice = net.node(Op::Add { activation: NONE }, &[sum, sum]);
    net.output("sum", twice);
    net.finish()
}

fn residual_blocks_fused() -> Graph {
    let mut net = Net::new(2);
    let x = net.input(&[3, 20, 18]);
    let mut y = net.conv(x, 16, Window::square(3, 1, 1), RELU);
    for (channels, stride) in [(16, 1), (24, 2), (24, 1), (40, 2)] {
        let inner = net.conv(y, channels, Window::square(3, stride, 1), RELU);
        let shortcut =
            if stride == 1 { y } else { net.conv(y, channels, Window::square(1, stride, 0), NONE) };
        y = net.conv_with(inner, channels, Window::square(3, 1, 1), 1, Some(shortcut), RELU);
    }
    net.output("features", y);
    net.finish()
}

fn pooled_classifier() -> Graph {
    let mut net = Net::new(3);
    let x = net.input(&[3, 33, 37]);
    let y = net.conv(x, 20, Window::square(7, 2, 3), RELU);
    let y = net.node(Op::MaxPool { window: Window::square(3, 2, 1) }, &[y]);
    let y = net.conv(y, 35, Window::square(3, 1, 1), RELU);
    let embedding = net.node(Op::GlobalAveragePool { keep_dims: false }, &[y]);
    let logits = net.linear(embedding, 37, NONE);
    let scores = net.node(Op::Softmax, &[logits]);
    net.output("logits", logits);
    net.output("embedding", embedding);
    net.output("scores", scores);
    net.finish()
}

fn squeeze_and_excitation() -> Graph {
    let mut net = Net::new(4);
    let x = net.input(&[3, 15, 15]);
    let mut y = net.conv(x, 19, Window::square(3, 2, 1), Activation::HardSwish);
    for (channels, activation) in [(19, Activation::HardSwish), (40, Activation::Silu)] {
        let wide = net.conv(y, channels, Window::square(1, 1, 0), activation);
        let deep = net.depthwise(wide, Window::square(5, 1, 2), activation);
        let mean = net.node(Op::GlobalAveragePool { keep_dims: true }, &[deep]);
        let narrow = net.conv(mean, 6, Window::square(1, 1, 0), RELU);
        let gate = Activation::HardSigmoid { alpha: 0.2, beta: 0.5 };
        let gate = net.conv(narrow, channels, Window::square(1, 1, 0), gate);
        // The order of the operands is free.
        let gated = net.node(Op::Mul, &if channels == 19 { [deep, gate] } else { [gate, deep] });
        let shifted = net.node(Op::Add { activation: NONE }, &[gate, gated]);
        y = net.conv(shifted, 19, Window::square(1, 1, 0), Activation::Sigmoid);
    }
    net.output("features", y);
    net.finish()
}

fn rows() -> Graph {
    let mut net = Net::new(5);
    let x = net.input(&[37]);
    let y = net.batch_norm(x);
    let wide = net.linear(y, 50, Activation::Silu);
    let y = net.linear(wide, 50, NONE);
    let y = net.batch_norm(y);
    let y = net.node(Op::Activate(Activation::Clip { low: -1.0, high: 6.0 }), &[y]);
    let y = net.node(Op::Add { activation: RELU }, &[y, wide]);
    let y = net.node(Op::Mul, &[wide, y]);
    let constants = [net.constant(&[50]), net.constant(&[1, 50]), net.constant(&[]), net.constant(&[1, 1])];
    let y = net.node(Op::Mul, &[y, constants[0]]);
    let y = net.node(Op::Add { activation: NONE }, &[constants[1], y]);
    let y = net.node(Op::Mul, &[y, constants[2]]);
    let y = net.node(Op::Add { activation: NONE }, &[y, constants[3]]);
    let flat = net.node(Op::Flatten, &[y]);
    let scores = net.node(Op::Softmax, &[flat]);
    net.output("scores", scores);
    net.finish()
}

fn flattened() -> Graph {
    let mut net = Net::new(6);
    let x = net.input(&[3, 4, 5]);
    let raw = net.node(Op::Flatten, &[x]);
    let raw = net.linear(raw, 11, RELU);
    let image = net.input(&[3, 4, 5]);
    let y = net.conv(image, 18, Window::square(3, 1, 1), RELU);
    let flat = net.node(Op::Flatten, &[y]);
    let flat = net.linear(flat, 11, NONE);
    let mean = net.node(Op::GlobalAveragePool { keep_dims: true }, &[y]);
    let mean = net.node(Op::Flatten, &[mean]);
    let mean = net.linear(mean, 11, NONE);
    let sum = net.node(Op::Add { activation: NONE }, &[flat, mean]);
    let sum = net.node(Op::Add { activation: NONE }, &[sum, raw]);
    net.output("sum", sum);
    net.finish()
}

fn windows() -> Graph {
    let mut net = Net::new(7);
    let x = net.input(&[24, 13, 11]);
    let lopsided = Padding { top: 0, left: 2, bottom: 3, right: 1 };
    let window = Window { size: [3, 2], stride: [1, 2], dilation: [2, 1], padding: lopsided };
    let y = net.conv_with(x, 36, window, 4, None, Activation::Clip { low: 0.0, high: 6.0 });
    let y = net.node(Op::AveragePool { window: Window::square(3, 1, 1), count_include_pad: true }, &[y]);
    let y = net.node(Op::AveragePool { window: Window::square(2, 1, 1), count_include_pad: false }, &[y]);
    let y = net.depthwise(y, Window::square(3, 2, 1), NONE);
    let y = net.node(Op::MaxPool { window: Window::square(2, 1, 0) }, &[y]);
    let y = net.conv(y, 5, Window { size: [1, 3], padding: lopsided, ..Window::square(1, 1, 0) }, NONE);
    net.output("features", y);
    net.finish()
}

fn constants() -> Graph {
    let mut net = Net::new(8);
    let x = net.input(&[19, 6, 5]);
    let mut y = x;
    for sizes in [&[][..], &[1], &[19, 1, 1], &[1, 19, 1, 1], &[1, 19, 6, 5], &[6, 5], &[6, 1], &[1, 1, 1, 5]]
    {
        let constant = net.constant(sizes);
        y = net.node(Op::Add { activation: NONE }, &[y, constant]);
        let constant = net.constant(sizes);
        y = net.node(Op::Mul, &[constant, y]);
    }
    net.output("y", y);
    net.finish()
}

/// Outputs that are an input, an intermediate value that is read later, and one value under two names.
fn outputs() -> Graph {
    let mut net = Net::new(9);
    let x = net.input(&[3, 8, 8]);
    let early = net.conv(x, 17, Window::square(3, 1, 1), RELU);
    let mut y = early;
    for _ in 0..3 {
        y = net.conv(y, 17, Window::square(3, 1, 1), RELU);
    }
    let late = net.node(Op::Add { activation: NONE }, &[y, early]);
    net.output("late", late);
    net.output("early", early);
    net.output("x", x);
    net.output("again", early);
    net.finish()
}

/// A graph of 12 operators chosen at random over earlier values, with shortcuts of any length.
pub fn random(seed: u64) -> Graph {
    let mut net = Net::new(100 + seed);
    let mut values = vec![net.input(&[[3, 16, 21][seed as usize % 3], 10, 9])];
    while values.len() < 13 {
        let choices: Vec<usize> = net.floats(4).into_iter().map(|x| (x.abs() * 1000.0) as usize).collect();
        let x = values[values.len() - 1 - choices[0] % values.len().min(4)];
        let [_, channels, height, width] = net.size(x)[..] else { unreachable!("an image") };
        let alike = values.iter().copied().find(|&other| other != x && net.size(other) == net.size(x));
        let activation = [NONE, RELU, Activation::Silu, Activation::HardSwish][choices[1] % 4];
        let size = [1, 3, 5][choices[2] % 3];
        let window = Window::square(size, 1 + (choices[3] % 2) * (height.min(width) / 5).min(1), size / 2);
        values.push(match (choices[1] / 4 % 8, alike) {
            (0, Some(other)) => net.node(Op::Add { activation }, &[x, other]),
            (1, Some(other)) => net.node(Op::Mul, &[other, x]),
            (2, residual) => net.conv_with(x, channels, Window::square(3, 1, 1), 1, residual, activation),
            (3, _) => net.depthwise(x, window, activation),
            (4, _) => {
                let mean = net.node(Op::GlobalAveragePool { keep_dims: true }, &[x]);
                net.node(Op::Mul, &[mean, x])
            }
            (5, _) => net.node(Op::MaxPool { window: Window::square(3, 1, 1) }, &[x]),
            _ => net.conv(x, [8, 17, 32][choices[3] % 3], window, activation),
        });
    }
    net.output("last", values[12]);
    net.output("middle", values[6]);
    net.finish()
}

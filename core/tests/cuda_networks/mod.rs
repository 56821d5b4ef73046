//! Small networks, and whether there is a device to run them on.
#![allow(dead_code, reason = "each test file takes what it needs")]

use libvision::backend::cuda::probe;
use libvision::graph::{Dim, Graph, Op, Output, Value, ValueId, ValueKind, infer_shapes};
use libvision::{DType, Tensor};
use libvision_kernels::epilogue::Activation;
use libvision_kernels::geometry::Window;

/// Whether there is a device to test on.
pub fn has_device() -> bool {
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
pub fn noise(len: usize, seed: u32) -> Vec<f32> {
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
pub struct Net {
    pub graph: Graph,
    seed: u32,
}

impl Net {
    pub fn input(sizes: &[usize]) -> (Self, ValueId) {
        let mut net = Self::default();
        let shape = std::iter::once(Dim::Batch).chain(sizes.iter().map(|size| Dim::Fixed(*size))).collect();
        let value = Value { name: "x".into(), kind: ValueKind::Input, dtype: DType::F32, shape: Some(shape) };
        let x = net.graph.add_value(value);
        net.graph.inputs.push(x);
        (net, x)
    }

    pub fn constant(&mut self, shape: &[usize], scale: f32) -> ValueId {
        self.seed += 1;
        let values =
            noise(shape.iter().product(), self.seed).into_iter().map(|v| v * scale).collect::<Vec<_>>();
        let name = format!("constant{}", self.seed);
        self.graph.add_constant(name, Tensor::new(shape, values).expect("as many"))
    }

    pub fn node(&mut self, op: Op, inputs: &[ValueId]) -> ValueId {
        let name = format!("node{}", self.graph.nodes.len());
        self.graph.add_node(name.clone(), op, inputs.to_vec(), format!("{name}:out"))
    }

    pub fn conv(&mut self, x: ValueId, [from, to]: [usize; 2], window: Window, groups: usize) -> ValueId {
        let depth = from / groups * window.size[0] * window.size[1];
        let shape = [to, from / groups, window.size[0], window.size[1]];
        let weights = self.constant(&shape, (2.0 / depth as f32).sqrt());
        let bias = self.constant(&[to], 0.1);
        let activation = Activation::Relu;
        let op = Op::Conv2d { window, groups, has_bias: true, has_residual: false, activation };
        self.node(op, &[x, weights, bias])
    }

    pub fn linear(&mut self, x: ValueId, [from, to]: [usize; 2]) -> ValueId {
        let weights = self.constant(&[to, from], (1.0 / from as f32).sqrt());
        let bias = self.constant(&[to], 0.1);
        self.node(Op::Linear { has_bias: true, activation: Activation::Identity }, &[x, weights, bias])
    }

    pub fn output(mut self, values: &[ValueId]) -> Graph {
        for (index, value) in values.iter().enumerate() {
            self.graph.outputs.push(Output { name: format!("y{index}"), value: *value });
        }
        infer_shapes(&mut self.graph).expect("shapes that fit");
        self.graph
    }
}

/// Three layers: what faults are tried on.
pub fn small() -> Graph {
    let (mut net, x) = Net::input(&[3, 12, 10]);
    let y = net.conv(x, [3, 16], Window::square(3, 2, 1), 1);
    let y = net.node(Op::GlobalAveragePool { keep_dims: false }, &[y]);
    let y = net.linear(y, [16, 5]);
    net.output(&[y])
}

/// Every operator that has a kernel, at odd sizes.
pub fn every_operator() -> Graph {
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
    let raised = net.node(Op::Add { activation: Activation::Relu }, &[most, pooled]);
    let square = net.node(Op::Mul, &[raised, raised]);
    net.output(&[logits, scores, pooled, most, flat, raised, square])
}

/// Inverted residual blocks with squeeze and excite, as of EfficientNet and of MobileNetV3.
pub fn inverted_residuals() -> Graph {
    let (mut net, x) = Net::input(&[3, 17, 13]);
    let mut y = net.conv(x, [3, 12], Window::square(3, 2, 1), 1);
    let pointwise = Window::square(1, 1, 0);
    let hard_sigmoid = Activation::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 };
    for (activation, gate) in [(Activation::Silu, Activation::Sigmoid), (Activation::HardSwish, hard_sigmoid)]
    {
        let wide = net.conv(y, [12, 44], pointwise, 1);
        let wide = net.conv(wide, [44, 44], Window::square(5, 1, 2), 44);
        let wide = net.node(Op::Activate(activation), &[wide]);
        let squeezed = net.node(Op::GlobalAveragePool { keep_dims: true }, &[wide]);
        let squeezed = net.conv(squeezed, [44, 7], pointwise, 1);
        let factors = net.conv(squeezed, [7, 44], pointwise, 1);
        let factors = net.node(Op::Activate(gate), &[factors]);
        // Exporters write either first.
        let operands = if gate == hard_sigmoid { [wide, factors] } else { [factors, wide] };
        let excited = net.node(Op::Mul, &operands);
        let narrow = net.conv(excited, [44, 12], pointwise, 1);
        y = net.node(Op::Add { activation: Activation::Identity }, &[narrow, y]);
    }
    let pooled = net.node(Op::GlobalAveragePool { keep_dims: false }, &[y]);
    let logits = net.linear(pooled, [12, 7]);
    net.output(&[logits, y])
}

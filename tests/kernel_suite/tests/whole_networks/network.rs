//! A whole network through the emulator: the graph's nodes in order, one launch each.

use anyhow::{Context, Result, bail, ensure};
use libvision::graph::{Dim, Graph, Node, Op, ValueId, ValueKind};
use libvision_cuda_emulator::{Access, Emulator, Memory};
use libvision_kernel_suite::numbers::to_device;
use libvision_kernels::cuda::conv2d::{Conv2d, Conv2dTensors, NARROW_CHANNELS};
use libvision_kernels::cuda::element::Element;
use libvision_kernels::cuda::launch::stored_channels;
use libvision_kernels::cuda::linear::{Linear, LinearTensors};
use libvision_kernels::cuda::window::{Depthwise, Operation, Pair, Pooling, global_average_pool, pool};
use libvision_kernels::geometry::{Conv2dGeometry, Pool2dGeometry};

/// A tensor on the "device": NHWC with stored channels, or rows of f32.
struct Activation {
    memory: Memory,
    channels: usize,
    size: [usize; 2],
}

pub(crate) struct Network<'g> {
    pub(crate) graph: &'g Graph,
    pub(crate) element: Element,
    pub(crate) seed: u64,
}

impl Network<'_> {
    /// The first output, in f32, for images in NCHW.
    pub(crate) fn run(&self, images: usize, x: &[f32]) -> Result<Vec<f32>> {
        let graph = self.graph;
        let mut values: Vec<Option<Activation>> = graph.values.iter().map(|_| None).collect();
        let input = graph.value(graph.inputs[0]);
        let shape: Vec<usize> = input.shape.iter().flatten().map(|dim| fixed(dim, images)).collect();
        let &[_, channels, height, width] = &shape[..] else { bail!("an input of shape {shape:?}") };
        let stored = if channels <= NARROW_CHANNELS { NARROW_CHANNELS } else { stored_channels(channels) };
        let memory = to_device(self.element, x, channels, stored, height * width);
        values[graph.inputs[0].index()] = Some(Activation { memory, channels, size: [height, width] });
        for node in &graph.nodes {
            let made = self.node(node, images, &values).with_context(|| node.name.clone())?;
            values[node.output.index()] = Some(made);
        }
        let output = graph.outputs[0].value;
        let output = values[output.index()].as_ref().context("an output")?;
        ensure!(output.memory.len() == images * output.channels * 4, "the output is not rows of f32");
        Ok(Element::F32.unpack(&output.memory.to_bytes()))
    }

    fn node(&self, node: &Node, images: usize, values: &[Option<Activation>]) -> Result<Activation> {
        let read = |id: ValueId| values[id.index()].as_ref().context("a value that is not computed yet");
        let constant = |id: ValueId| match &self.graph.value(id).kind {
            ValueKind::Constant(tensor) => Ok(tensor.to_f32()?.into_owned()),
            _ => bail!("weights that are not constant"),
        };
        let x = read(node.inputs[0])?;
        let element = self.element;
        let unwritten = |channels: usize, size: [usize; 2]| Activation {
            memory: Memory::unwritten(
                images * size[0] * size[1] * stored_channels(channels) * element.bytes(),
            ),
            channels,
            size,
        };
        match &node.op {
            Op::Conv2d { window, groups, has_bias, has_residual, activation } => {
                let weights = constant(node.inputs[1])?;
                let bias = if *has_bias { Some(constant(node.inputs[2])?) } else { None };
                let outputs = weights.len() * groups / (x.channels * window.size[0] * window.size[1]);
                let g = Conv2dGeometry::new(x.channels, outputs, *groups, *window, x.size)?;
                let narrow = node.inputs[0] == self.graph.inputs[0] && x.channels <= NARROW_CHANNELS;
                let residual =
                    if *has_residual { Some(read(node.inputs[node.inputs.len() - 1])?) } else { None };
                let mut made = unwritten(outputs, g.output);
                let tensors = Conv2dTensors {
                    input: x.memory.address(),
                    residual: residual.map_or(0, |residual| residual.memory.address()),
                    output: made.memory.address(),
                    ..Conv2dTensors::default()
                };
                let (launch, packed) = match Depthwise::new(&g, element, *activation) {
                    Some(layer) => {
                        let packed = [layer.pack_weights(&weights), layer.pack_bias(bias.as_deref())]
                            .map(|b| Memory::new(&b));
                        let [weights, bias] = [packed[0].address(), packed[1].address()];
                        (layer.launch(images, &Conv2dTensors { weights, bias, ..tensors })?, packed)
                    }
                    None => {
                        let layer = Conv2d::new(&g, element, *activation, narrow)?;
                        let packed = [layer.pack_weights(&weights), layer.pack_bias(bias.as_deref())]
                            .map(|b| Memory::new(&b));
                        let [weights, bias] = [packed[0].address(), packed[1].address()];
                        (layer.launch(images, &Conv2dTensors { weights, bias, ..tensors })?, packed)
                    }
                };
                let mut buffers =
                    vec![Access::Read(&x.memory), Access::Read(&packed[0]), Access::Read(&packed[1])];
                buffers.push(Access::Write(&mut made.memory));
                buffers.extend(residual.map(|residual| Access::Read(&residual.memory)));
                Emulator::shared().launch(&launch, &mut buffers, self.seed)?;
                Ok(made)
            }
            Op::MaxPool { window } => {
                let g = Pool2dGeometry::new(x.channels, *window, x.size)?;
                let mut made = unwritten(x.channels, g.output);
                let launch =
                    pool(&g, element, Pooling::Max, images, [x.memory.address(), made.memory.address()])?;
                self.launch(&launch, &[x], &mut made)?;
                Ok(made)
            }
            Op::GlobalAveragePool { .. } => {
                let mut made = unwritten(x.channels, [1, 1]);
                let addresses = [x.memory.address(), made.memory.address()];
                let launch =
                    global_average_pool(x.channels, x.size[0] * x.size[1], element, images, addresses)?;
                self.launch(&launch, &[x], &mut made)?;
                Ok(made)
            }
            Op::Add { activation } => {
                let y = read(node.inputs[1])?;
                ensure!(x.memory.len() == y.memory.len(), "a sum that broadcasts");
                let mut made = unwritten(x.channels, x.size);
                let pair = Pair {
                    operation: Operation::Add,
                    channels: x.channels,
                    pixels: x.size[0] * x.size[1],
                    right_is_whole: true,
                    element,
                    activation: *activation,
                };
                let addresses = [x.memory.address(), y.memory.address()];
                let launch = pair.launch(images, addresses, made.memory.address())?;
                self.launch(&launch, &[x, y], &mut made)?;
                Ok(made)
            }
            Op::Flatten => {
                ensure!(x.size == [1, 1], "flattening an image of several pixels");
                Ok(Activation { memory: x.memory.clone(), channels: x.channels, size: x.size })
            }
            Op::Linear { has_bias, activation } => {
                let weights = constant(node.inputs[1])?;
                let outputs = weights.len() / x.channels;
                let bias = if *has_bias { constant(node.inputs[2])? } else { vec![0.0; outputs] };
                let layer = Linear { inputs: x.channels, outputs, element, activation: *activation };
                let weights = Memory::new(&layer.pack_weights(&weights));
                let bias = Memory::new(&bias.iter().flat_map(|b| b.to_le_bytes()).collect::<Vec<u8>>());
                let mut memory = Memory::unwritten(images * outputs * 4);
                let tensors = LinearTensors {
                    input: x.memory.address(),
                    weights: weights.address(),
                    bias: bias.address(),
                    output: memory.address(),
                };
                let launch = layer.launch(images, &tensors)?;
                let mut buffers = [
                    Access::Read(&x.memory),
                    Access::Read(&weights),
                    Access::Read(&bias),
                    Access::Write(&mut memory),
                ];
                Emulator::shared().launch(&launch, &mut buffers, self.seed)?;
                Ok(Activation { memory, channels: outputs, size: [1, 1] })
            }
            other => bail!("no kernel for {}", other.name()),
        }
    }

    fn launch(
        &self,
        launch: &libvision_kernels::cuda::launch::Launch,
        inputs: &[&Activation],
        output: &mut Activation,
    ) -> Result<()> {
        let mut buffers: Vec<Access<'_>> = inputs.iter().map(|input| Access::Read(&input.memory)).collect();
        buffers.push(Access::Write(&mut output.memory));
        Emulator::shared().launch(launch, &mut buffers, self.seed).map(drop)
    }
}

fn fixed(dim: &Dim, images: usize) -> usize {
    match dim {
        Dim::Fixed(size) => *size,
        Dim::Batch => images,
    }
}

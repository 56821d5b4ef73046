//! From steps of a plan to kernels of the device: one arm per operator. Needs no device.

use super::form::Form;
use super::kernels::{Lowered, Work};
use super::packed_weights::{PackedWeights, Parameters};
use crate::backend::constants::{constant, floats, scale_and_shift};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Dim, Graph, Node, Op, describe_node, show_shape};
use crate::plan::{LayoutRules, Plan, Step, TensorId, Work as StepWork, conv2d_geometry};
use libvision_kernels::cuda::conv2d::{Conv2d, NARROW_CHANNELS};
use libvision_kernels::cuda::element::Element;
use libvision_kernels::cuda::launch::CHANNELS_AT_ONCE;
use libvision_kernels::cuda::linear::Linear;
use libvision_kernels::cuda::window::{Depthwise, Operation, Pair, Pooling};
use libvision_kernels::epilogue::Activation;
use libvision_kernels::geometry::{Conv2dGeometry, GeometryError, Padding, Pool2dGeometry, Window};

/// What the kernels want of the layout.
pub(super) struct CudaRules;

impl LayoutRules for CudaRules {
    fn lanes(&self) -> usize {
        CHANNELS_AT_ONCE
    }

    fn conv2d_border(&self, _: &Conv2dGeometry) -> Padding {
        Padding::default()
    }

    fn conv2d_input_lanes(&self, geometry: &Conv2dGeometry) -> usize {
        let is_narrow = geometry.groups == 1 && geometry.in_channels <= NARROW_CHANNELS;
        if is_narrow { NARROW_CHANNELS } else { CHANNELS_AT_ONCE }
    }
}

/// A kernel for each step, the form of each tensor, and all weights as the device takes them.
pub(super) struct Network {
    pub(super) steps: Vec<Lowered>,
    pub(super) forms: Vec<Form>,
    pub(super) weights: PackedWeights,
}

impl Network {
    /// Fails with `OPERATOR_UNSUPPORTED`, naming node, operator and reason of the first step that has no kernel.
    pub(super) fn new(graph: &Graph, plan: &Plan, element: Element) -> Result<Self> {
        // Every tensor is written by a step before others read it, so that each form is set before it is used.
        let nothing = Form { element, channels: 0, stored: 0, pixels: 0 };
        let mut network = Self {
            steps: Vec::with_capacity(plan.steps().len()),
            forms: vec![nothing; plan.tensors().len()],
            weights: PackedWeights::default(),
        };
        for step in plan.steps() {
            let lowered = match step.work {
                StepWork::Load { input } => network.load(plan, step, element, input)?,
                StepWork::Store { output } => Lowered::new(Work::Download { output }, &step.inputs, None),
                StepWork::Compute { node } => {
                    let node = &graph.nodes[node];
                    let Self { forms, weights, .. } = &mut network;
                    NodeLowering { graph, plan, element, node, step, forms, weights }.lower()?
                }
            };
            network.steps.push(lowered);
        }
        Ok(network)
    }

    fn load(&mut self, plan: &Plan, step: &Step, element: Element, input: usize) -> Result<Lowered> {
        let output = step.output.ok_or_else(no_output)?;
        let mut form = natural_form(plan, output, element);
        if plan.tensors()[output].layout.lanes == NARROW_CHANNELS {
            form.stored = NARROW_CHANNELS;
        }
        self.forms[output] = form;
        Ok(Lowered::new(Work::Upload { input }, &[], None))
    }
}

/// The form that kernels of this element type read and write.
fn natural_form(plan: &Plan, tensor: TensorId, element: Element) -> Form {
    match plan.tensors()[tensor].shape[..] {
        [_, Dim::Fixed(c), Dim::Fixed(h), Dim::Fixed(w)] => Form::image(element, c, h * w),
        _ => Form::image(element, plan.tensors()[tensor].layout.channels, 1),
    }
}

/// Whether `pixel` is `[N,C,1,1]` beside `[N,C,H,W]`.
fn is_pixel_for(pixel: &[Dim], image: &[Dim]) -> bool {
    match (pixel, image) {
        ([n, c, Dim::Fixed(1), Dim::Fixed(1)], [image_n, image_c, _, _]) => (n, c) == (image_n, image_c),
        _ => false,
    }
}

fn no_output() -> Error {
    Error::new(ErrorKind::Internal, "a step of the plan has no tensor to work on")
}

struct NodeLowering<'g> {
    graph: &'g Graph,
    plan: &'g Plan,
    element: Element,
    node: &'g Node,
    step: &'g Step,
    forms: &'g mut [Form],
    weights: &'g mut PackedWeights,
}

impl<'g> NodeLowering<'g> {
    fn lower(mut self) -> Result<Lowered> {
        match &self.node.op {
            Op::Conv2d { activation, has_bias, has_residual, .. } => {
                self.conv2d(*has_bias, *has_residual, *activation)
            }
            Op::BatchNorm { epsilon } => {
                let (scale, shift) = scale_and_shift(self.graph, self.node, *epsilon)?;
                let x = self.tensor(0)?;
                self.scale_shift(x, &scale, &shift, Activation::Identity)
            }
            Op::Activate(activation) => {
                let x = self.tensor(0)?;
                let channels = self.forms[x].channels;
                self.scale_shift(x, &vec![1.0; channels], &vec![0.0; channels], *activation)
            }
            Op::Add { activation } => self.pair(Operation::Add, *activation),
            Op::Mul => self.pair(Operation::Multiply, Activation::Identity),
            Op::MaxPool { window } => self.pool(window, Pooling::Max),
            Op::AveragePool { window, count_include_pad } => {
                self.pool(window, Pooling::Average { count_border: *count_include_pad })
            }
            Op::GlobalAveragePool { .. } => {
                let x = self.tensor(0)?;
                let Form { channels, pixels, .. } = self.forms[x];
                self.write(Form::image(self.element, channels, 1))?;
                Ok(self.made(Work::GlobalAveragePool { channels, pixels, element: self.element }, None))
            }
            Op::Flatten => {
                let x = self.tensor(0)?;
                let form = self.forms[x];
                self.write(form)?;
                Ok(self.made(Work::Copy { bytes: form.bytes() }, None))
            }
            Op::Linear { has_bias, activation } => self.linear(*has_bias, *activation),
            Op::Softmax => {
                let x = self.tensor(0)?;
                let form = self.forms[x];
                if form != Form::scores(form.channels) {
                    return Err(self.unsupported(
                        "softmax takes scores of a fully connected layer and gives what is only stored",
                    ));
                }
                self.write(form)?;
                Ok(self.made(Work::Softmax { columns: form.channels }, None))
            }
        }
    }

    fn conv2d(&mut self, has_bias: bool, has_residual: bool, activation: Activation) -> Result<Lowered> {
        let x = self.tensor(0)?;
        let weights = floats(self.graph, self.node, 1, "weights")?;
        let bias = has_bias.then(|| floats(self.graph, self.node, 2, "bias")).transpose()?;
        let geometry = conv2d_geometry(self.graph, self.node)?;
        let output =
            Form::image(self.element, geometry.out_channels, geometry.output[0] * geometry.output[1]);
        if has_residual {
            let residual = self.tensor(2 + usize::from(has_bias))?;
            self.same_form(residual, output)?;
        }
        self.convolve(x, &geometry, (&weights, bias.as_deref()), activation)
    }

    /// A convolution of `x`, as a depthwise one where it is. A second tensor of the step is the residual.
    fn convolve(
        &mut self,
        x: TensorId,
        geometry: &Conv2dGeometry,
        (weights, bias): (&[f32], Option<&[f32]>),
        activation: Activation,
    ) -> Result<Lowered> {
        let is_narrow = self.forms[x].stored == NARROW_CHANNELS;
        let (work, packed) = match Depthwise::new(geometry, self.element, activation) {
            Some(layer) => {
                let packed = [layer.pack_weights(weights), layer.pack_bias(bias)];
                (Work::Depthwise(Box::new(layer), *geometry), packed)
            }
            None => {
                let layer = self.fit(Conv2d::new(geometry, self.element, activation, is_narrow))?;
                let packed = [layer.pack_weights(weights), layer.pack_bias(bias)];
                (Work::Conv2d(Box::new(layer), *geometry), packed)
            }
        };
        self.write(Form::image(
            self.element,
            geometry.out_channels,
            geometry.output[0] * geometry.output[1],
        ))?;
        let parameters = self.pack(packed, weights)?;
        Ok(self.made(work, Some(parameters)))
    }

    /// `activation(x * scale + shift)`, one factor and summand per channel: a depthwise convolution of one tap.
    fn scale_shift(
        &mut self,
        x: TensorId,
        scale: &[f32],
        shift: &[f32],
        activation: Activation,
    ) -> Result<Lowered> {
        let Form { channels, pixels, .. } = self.natural(x)?;
        let window = Window::square(1, 1, 0);
        let geometry = self.fit(Conv2dGeometry::new(channels, channels, channels, window, [1, pixels]))?;
        self.convolve(x, &geometry, (scale, Some(shift)), activation)
    }

    /// A sum or product: of tensors of one shape, of images with a pixel for each, or with a constant.
    fn pair(&mut self, operation: Operation, activation: Activation) -> Result<Lowered> {
        match self.step.inputs[..] {
            [Some(a), Some(b)] => {
                let [of_a, of_b] = [self.shape(0)?, self.shape(1)?];
                let right_is_whole = of_a == of_b;
                // Both commute.
                let (left, right) = if is_pixel_for(of_a, of_b) { (b, a) } else { (a, b) };
                if !right_is_whole && !is_pixel_for(of_a, of_b) && !is_pixel_for(of_b, of_a) {
                    return Err(self.unsupported(format!(
                        "{} with {}: expected equal shapes, [N,C,1,1] with [N,C,H,W], or a constant",
                        show_shape(of_a),
                        show_shape(of_b)
                    )));
                }
                let form @ Form { channels, pixels, element, .. } = self.natural(left)?;
                self.natural(right)?;
                if right_is_whole {
                    self.same_form(right, form)?;
                }
                self.write(form)?;
                let pair = Pair { operation, channels, pixels, right_is_whole, element, activation };
                Ok(Lowered::new(Work::Pair(pair), &[Some(left), Some(right)], None))
            }
            [Some(x), None] | [None, Some(x)] => {
                let constant = self.per_channel(x)?;
                let neutral = |value: f32| vec![value; constant.len()];
                match operation {
                    Operation::Add => self.scale_shift(x, &neutral(1.0), &constant, activation),
                    Operation::Multiply => self.scale_shift(x, &constant, &neutral(0.0), activation),
                }
            }
            _ => Err(self.unsupported("at least one operand is computed")),
        }
    }

    /// The constant operand beside `x`, one value for each channel.
    fn per_channel(&self, x: TensorId) -> Result<Vec<f32>> {
        let input = usize::from(self.step.inputs[0].is_some());
        let operand = constant(self.graph, self.node, input, "operand")?;
        let rank = self.plan.tensors()[x].shape.len();
        let channels = self.forms[x].channels;
        let from_channel = rank - 1;
        let shape = operand.shape();
        let is_one = |axes: &[usize]| axes.iter().all(|size| *size == 1);
        let split = shape.len().saturating_sub(from_channel);
        let (outer, inner) = shape.split_at(split);
        // Missing axes are of size 1; the channel's is the first of `inner` if none is missing.
        let has_channel = inner.len() == from_channel && inner[0] == channels;
        let is_per_channel = outer.len() <= 1 && is_one(outer) && is_one(&inner[usize::from(has_channel)..]);
        if !is_per_channel {
            return Err(self.unsupported(format!(
                "expected a constant with one value for all or one per channel, found one of shape {shape:?}"
            )));
        }
        let values = operand.to_f32()?;
        Ok(if has_channel { values.into_owned() } else { vec![values[0]; channels] })
    }

    fn pool(&mut self, window: &Window, pooling: Pooling) -> Result<Lowered> {
        let x = self.tensor(0)?;
        let form = self.natural(x)?;
        let &[_, _, Dim::Fixed(height), Dim::Fixed(width)] = &self.plan.tensors()[x].shape[..] else {
            return Err(self.unsupported("expected an image [N,C,H,W]"));
        };
        let geometry = self.fit(Pool2dGeometry::new(form.channels, *window, [height, width]))?;
        let pixels = geometry.output[0] * geometry.output[1];
        self.write(Form::image(self.element, form.channels, pixels))?;
        Ok(self.made(Work::Pool { geometry, pooling, element: self.element }, None))
    }

    /// Scores if they are only stored or made into probabilities; else a pointwise convolution of one pixel, whose
    /// results have the element type that other layers read.
    fn linear(&mut self, has_bias: bool, activation: Activation) -> Result<Lowered> {
        let x = self.tensor(0)?;
        let form = self.natural(x)?;
        let weights = floats(self.graph, self.node, 1, "weights")?;
        let bias = has_bias.then(|| floats(self.graph, self.node, 2, "bias")).transpose()?;
        let outputs = weights.len() / form.values();
        let arranged = form.arrange_columns(&weights);
        let inputs = form.stored_elements();
        if !self.is_scores() {
            let window = Window::square(1, 1, 0);
            let geometry = self.fit(Conv2dGeometry::new(inputs, outputs, 1, window, [1, 1]))?;
            return self.convolve(x, &geometry, (&arranged, bias.as_deref()), activation);
        }
        let layer = Linear { inputs, outputs, element: self.element, activation };
        let bias = bias.map_or_else(|| vec![0.0; outputs], |bias| bias.into_owned());
        let packed = [layer.pack_weights(&arranged), bytemuck::cast_slice(&bias).to_vec()];
        let parameters = self.pack(packed, &weights)?;
        self.write(Form::scores(outputs))?;
        Ok(self.made(Work::Linear(layer), Some(parameters)))
    }

    /// Whether what this step writes is only stored or made into probabilities.
    fn is_scores(&self) -> bool {
        let takes_scores = |step: &&Step| match step.work {
            StepWork::Load { .. } => false,
            StepWork::Store { .. } => true,
            StepWork::Compute { node } => self.graph.nodes[node].op == Op::Softmax,
        };
        let readers = self.plan.steps().iter().filter(|step| step.inputs.contains(&self.step.output));
        readers.into_iter().all(|step| takes_scores(&step))
    }

    /// The tensor that is input number `input`. Fails for a constant.
    fn tensor(&self, input: usize) -> Result<TensorId> {
        let tensor = self.step.inputs.get(input).copied().flatten();
        tensor.ok_or_else(|| self.unsupported(format!("input {input} is a constant or missing")))
    }

    /// The form of a tensor that kernels other than softmax read.
    fn natural(&self, tensor: TensorId) -> Result<Form> {
        let form = self.forms[tensor];
        if form == Form::image(self.element, form.channels, form.pixels) {
            return Ok(form);
        }
        Err(self.unsupported("it reads probabilities, and only softmax and outputs can"))
    }

    /// Equal shapes are not enough: a flattened image lies otherwise than a row of as many values. Neither are equal
    /// forms: they know pixels, not rows and columns.
    fn same_form(&self, tensor: TensorId, form: Form) -> Result<()> {
        if self.forms[tensor] == form {
            return Ok(());
        }
        Err(self.unsupported("expected tensors of one form, found a flattened image and a row of values"))
    }

    /// The shape of the node's input, which the plan's tensor need not have if it is flattened.
    fn shape(&self, input: usize) -> Result<&'g [Dim]> {
        let shape = self.graph.value(self.node.inputs[input]).shape.as_deref();
        shape.ok_or_else(|| self.unsupported(format!("the shape of input {input} is not known")))
    }

    fn write(&mut self, form: Form) -> Result<()> {
        self.forms[self.step.output.ok_or_else(no_output)?] = form;
        Ok(())
    }

    fn made(&self, work: Work, parameters: Option<Parameters>) -> Lowered {
        Lowered::new(work, &self.step.inputs, parameters)
    }

    fn pack(&mut self, packed: [Vec<u8>; 2], weights: &[f32]) -> Result<Parameters> {
        let largest = weights.iter().fold(0.0_f32, |largest, weight| largest.max(weight.abs()));
        if self.element == Element::F16 && largest > half::f16::MAX.to_f32() {
            return Err(self.unsupported(format!(
                "a weight of {largest} is too large for f16; use precision bf16 or f32"
            )));
        }
        Ok(self.weights.add(packed))
    }

    fn fit<T>(&self, made: std::result::Result<T, GeometryError>) -> Result<T> {
        made.map_err(|error| self.unsupported(error))
    }

    fn unsupported(&self, reason: impl std::fmt::Display) -> Error {
        let message = format!("{}: {reason}", describe_node(self.node));
        Error::new(ErrorKind::OperatorUnsupported, message)
    }
}

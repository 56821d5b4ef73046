//! From steps of a plan to kernels: one arm per operator.

use super::kernel::{Kernel, ScaleShift};
use super::prepack::{Weights, aligned, broadcast, weights};
use super::tuning::Tuning;
use crate::backend::constants::{constant, floats, scale_and_shift};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Graph, Node, Op, describe_node, show_shape};
use crate::plan::{LayoutRules, Plan, Step, TensorId, Work, conv2d_geometry};
use libvision_kernels::cpu::conv2d::{Conv2d, Conv2dSpec, ConvOptions};
use libvision_kernels::cpu::elementwise::Elementwise;
use libvision_kernels::cpu::layout::BlockedShape;
use libvision_kernels::cpu::linear::Linear;
use libvision_kernels::cpu::pool2d::Pool2d;
use libvision_kernels::cpu::variants::KernelSet;
use libvision_kernels::epilogue::{Activation, Epilogue};
use libvision_kernels::geometry::{Conv2dGeometry, GeometryError, Padding, Pool2dGeometry, Window};
use libvision_kernels::parallel::Parallel;
use std::cmp::Reverse;
use std::sync::{Arc, OnceLock};

/// What a kernel set wants of the layout.
pub(super) struct CpuRules {
    pub(super) set: &'static KernelSet,
    pub(super) precise: bool,
    pub(super) tuning: Option<Arc<Tuning>>,
}

impl CpuRules {
    fn options(&self, geometry: &Conv2dGeometry) -> ConvOptions {
        let algorithm = self.tuning.as_ref().and_then(|tuning| tuning.algorithm(geometry));
        ConvOptions { precise: self.precise, algorithm }
    }
}

impl LayoutRules for CpuRules {
    fn lanes(&self) -> usize {
        self.set.lanes
    }

    fn conv2d_border(&self, geometry: &Conv2dGeometry) -> Padding {
        Conv2d::input_border(self.set, geometry, self.options(geometry))
    }

    fn conv2d_input_lanes(&self, geometry: &Conv2dGeometry) -> usize {
        Conv2d::preferred_input_lanes(self.set, geometry)
    }
}

/// A kernel and the tensors it reads, in its own order.
pub(super) struct Lowered {
    pub(super) kernel: Kernel,
    /// None for a caller's input.
    pub(super) first: Option<TensorId>,
    pub(super) second: Option<TensorId>,
}

/// A kernel for each step, the weights packed by the team's threads. Fails with `OPERATOR_UNSUPPORTED`,
/// naming node, operator and reason of the first step that has no kernel. The plan was made by the same rules.
pub(super) fn lower(
    graph: &Graph,
    plan: &Plan,
    rules: &CpuRules,
    team: &dyn Parallel,
) -> Result<Vec<Lowered>> {
    lower_each(graph, plan, rules, team, |lowered| lowered)
}

/// The same, of which only what `keep` says is kept: no more steps are in memory at one time than the team has
/// threads.
pub(super) fn lower_each<T: Send + Sync>(
    graph: &Graph,
    plan: &Plan,
    rules: &CpuRules,
    team: &dyn Parallel,
    keep: impl Fn(Lowered) -> T + Sync,
) -> Result<Vec<T>> {
    let set = rules.set;
    let layout = |tensor: Option<TensorId>| match tensor {
        Some(id) => Ok(plan.tensors()[id].layout),
        None => Err(Error::new(ErrorKind::Internal, "a step of the plan has no tensor to work on")),
    };
    let lower_step = |step: &Step| {
        let first = step.inputs.first().copied().flatten();
        match step.work {
            Work::Load { .. } => {
                Ok(Lowered { kernel: Kernel::Pack(layout(step.output)?), first: None, second: None })
            }
            Work::Store { .. } => Ok(Lowered { kernel: Kernel::Unpack(layout(first)?), first, second: None }),
            Work::Compute { node } => {
                let node = &graph.nodes[node];
                NodeLowering { graph, plan, set, rules, node, step, output: layout(step.output)? }.lower()
            }
        }
    };
    let steps = plan.steps();
    let lowered: Vec<OnceLock<Result<T>>> = steps.iter().map(|_| OnceLock::new()).collect();
    // The largest first: no thread is left with one at the end.
    let mut order: Vec<usize> = (0..steps.len()).collect();
    order.sort_by_key(|&index| Reverse(constant_bytes(graph, &steps[index])));
    team.for_each(steps.len(), &|task| {
        let index = order[task.index];
        // Each index comes once, so that the cell is empty.
        let _ = lowered[index].set(lower_step(&steps[index]).map(&keep));
    });
    let never = || Err(Error::new(ErrorKind::Internal, "a step of the plan was not lowered"));
    lowered.into_iter().map(|cell| cell.into_inner().unwrap_or_else(never)).collect()
}

/// What a step's constants take in the graph.
fn constant_bytes(graph: &Graph, step: &Step) -> usize {
    let Work::Compute { node } = step.work else { return 0 };
    let constants = graph.nodes[node].inputs.iter().filter_map(|&input| graph.value(input).constant());
    constants.map(|tensor| tensor.bytes().len()).sum()
}

struct NodeLowering<'g> {
    graph: &'g Graph,
    plan: &'g Plan,
    set: &'static KernelSet,
    rules: &'g CpuRules,
    node: &'g Node,
    step: &'g Step,
    output: BlockedShape,
}

impl NodeLowering<'_> {
    fn lower(&self) -> Result<Lowered> {
        let set = self.set;
        match &self.node.op {
            Op::Conv2d { activation, has_bias, has_residual, .. } => {
                self.conv2d(*has_bias, *has_residual, *activation)
            }
            Op::BatchNorm { epsilon } => self.batch_norm(*epsilon),
            Op::Activate(activation) => {
                let (x, layout) = self.tensor(0)?;
                let kernel = self.fit(Elementwise::activate(set, *activation, layout, self.output))?;
                Ok(Lowered { kernel: Kernel::Elementwise(kernel), first: Some(x), second: None })
            }
            Op::Add { activation } => {
                self.binary(|a, b| Elementwise::add(set, *activation, a, b, self.output))
            }
            Op::Mul => self.binary(|a, b| Elementwise::mul(set, a, b, self.output)),
            Op::MaxPool { window } => {
                let (x, layout) = self.tensor(0)?;
                let geometry = self.pool2d_geometry(window, &layout)?;
                self.pool2d(x, Pool2d::max_pool(set, &geometry, layout, self.output))
            }
            Op::AveragePool { window, count_include_pad } => {
                let (x, layout) = self.tensor(0)?;
                let geometry = self.pool2d_geometry(window, &layout)?;
                let pool = Pool2d::average_pool(set, &geometry, *count_include_pad, layout, self.output);
                self.pool2d(x, pool)
            }
            Op::GlobalAveragePool { .. } => {
                let (x, layout) = self.tensor(0)?;
                let pool = self.fit(Pool2d::global_average_pool(set, layout, self.output))?;
                let leaves_lanes = !self.output.channels.is_multiple_of(self.output.lanes);
                Ok(Lowered { kernel: Kernel::Pool2d { pool, leaves_lanes }, first: Some(x), second: None })
            }
            Op::Flatten => {
                let (x, layout) = self.tensor(0)?;
                Ok(Lowered { kernel: Kernel::Unpack(layout), first: Some(x), second: None })
            }
            Op::Linear { has_bias, activation } => self.linear(*has_bias, *activation),
            Op::Softmax => {
                let (x, _) = self.tensor(0)?;
                Ok(Lowered { kernel: Kernel::Softmax(set), first: Some(x), second: None })
            }
        }
    }

    fn conv2d(&self, has_bias: bool, has_residual: bool, activation: Activation) -> Result<Lowered> {
        let (x, input) = self.tensor(0)?;
        let weights = weights(self.graph, self.node)?;
        let bias = has_bias.then(|| floats(self.graph, self.node, 2, "bias")).transpose()?;
        let residual = has_residual.then(|| self.tensor(2 + usize::from(has_bias))).transpose()?;
        let geometry = conv2d_geometry(self.graph, self.node)?;
        if let Some(tuning) = &self.rules.tuning {
            tuning.check_size(&geometry).map_err(|error| error.context(describe_node(self.node)))?;
        }
        let spec = Conv2dSpec {
            geometry,
            input,
            output: self.output,
            residual: residual.map(|(_, layout)| layout),
            epilogue: Epilogue { bias: has_bias, residual: has_residual, activation },
            options: self.rules.options(&geometry),
        };
        let conv = self.fit(match weights {
            Weights::Bytes(weights) => Conv2d::new(self.set, spec, weights, bias.as_deref()),
            Weights::Widened(weights) => Conv2d::new(self.set, spec, &weights, bias.as_deref()),
        })?;
        Ok(Lowered {
            kernel: Kernel::Conv2d(Box::new(conv)),
            first: Some(x),
            second: residual.map(|(id, _)| id),
        })
    }

    /// On images a depthwise convolution of one tap, on rows a product and a sum.
    fn batch_norm(&self, epsilon: f32) -> Result<Lowered> {
        let (x, input) = self.tensor(0)?;
        let (scale, shift) = scale_and_shift(self.graph, self.node, epsilon)?;
        let kernel = if input.lanes == self.set.lanes {
            let channels = input.channels;
            let size = [input.height, input.width];
            let geometry =
                self.fit(Conv2dGeometry::new(channels, channels, channels, Window::square(1, 1, 0), size))?;
            let spec = Conv2dSpec {
                geometry,
                input,
                output: self.output,
                residual: None,
                epilogue: Epilogue { bias: true, ..Epilogue::NONE },
                options: self.rules.options(&geometry),
            };
            Kernel::Conv2d(Box::new(self.fit(Conv2d::new(self.set, spec, &scale, Some(&shift)))?))
        } else {
            let multiply = self.fit(Elementwise::mul(self.set, input, input, input))?;
            let add = Elementwise::add(self.set, Activation::Identity, input, input, self.output);
            Kernel::ScaleShift(Box::new(ScaleShift {
                multiply,
                add: self.fit(add)?,
                scale: aligned(&scale)?,
                shift: aligned(&shift)?,
            }))
        };
        Ok(Lowered { kernel, first: Some(x), second: None })
    }

    /// A sum or product: of a tensor of the output's size with another, with one value per channel, or with
    /// a constant. Both commute, so that the larger operand may come first.
    fn binary(
        &self,
        make: impl Fn(BlockedShape, BlockedShape) -> std::result::Result<Elementwise, GeometryError>,
    ) -> Result<Lowered> {
        let is_whole = |id: TensorId| self.plan.tensors()[id].layout.same_size(&self.output);
        match self.step.inputs[..] {
            [Some(a), Some(b)] => {
                let (first, second) = if is_whole(a) { (a, b) } else { (b, a) };
                let [x, y] = [first, second].map(|id| self.plan.tensors()[id].layout);
                let is_per_channel = y.channels == x.channels && (y.height, y.width) == (1, 1);
                if !is_whole(first) || !(is_whole(second) || is_per_channel) || x.lanes != y.lanes {
                    return Err(self.unsupported_broadcast());
                }
                let kernel = Kernel::Elementwise(self.fit(make(x, y))?);
                Ok(Lowered { kernel, first: Some(first), second: Some(second) })
            }
            [Some(x), None] | [None, Some(x)] if is_whole(x) => {
                let input = usize::from(self.step.inputs[0].is_some());
                let constant = constant(self.graph, self.node, input, "operand")?;
                let Some((layout, values)) = broadcast(constant, &self.output)? else {
                    return Err(self.unsupported_broadcast());
                };
                let elementwise = self.fit(make(self.plan.tensors()[x].layout, layout))?;
                let kernel = Kernel::WithConstant(elementwise, values);
                Ok(Lowered { kernel, first: Some(x), second: None })
            }
            _ => Err(self.unsupported_broadcast()),
        }
    }

    fn pool2d_geometry(&self, window: &Window, input: &BlockedShape) -> Result<Pool2dGeometry> {
        self.fit(Pool2dGeometry::new(input.channels, *window, [input.height, input.width]))
    }

    fn pool2d(&self, x: TensorId, pool: std::result::Result<Pool2d, GeometryError>) -> Result<Lowered> {
        let kernel = Kernel::Pool2d { pool: self.fit(pool)?, leaves_lanes: false };
        Ok(Lowered { kernel, first: Some(x), second: None })
    }

    fn linear(&self, has_bias: bool, activation: Activation) -> Result<Lowered> {
        let (x, input) = self.tensor(0)?;
        let weights = weights(self.graph, self.node)?;
        let bias = has_bias.then(|| floats(self.graph, self.node, 2, "bias")).transpose()?;
        let (set, bias) = (self.set, bias.as_deref());
        let (from, to) = (input.channels, self.output.channels);
        let linear = self.fit(match weights {
            Weights::Bytes(weights) => Linear::new(set, from, to, weights, bias, activation),
            Weights::Widened(weights) => Linear::new(set, from, to, &weights, bias, activation),
        })?;
        Ok(Lowered { kernel: Kernel::Linear(linear), first: Some(x), second: None })
    }

    /// The tensor that is input number `input`, and its layout. Fails for a constant.
    fn tensor(&self, input: usize) -> Result<(TensorId, BlockedShape)> {
        match self.step.inputs.get(input).copied().flatten() {
            Some(id) => Ok((id, self.plan.tensors()[id].layout)),
            None => Err(self.unsupported(format!("input {input} is a constant or missing"))),
        }
    }

    fn fit<T>(&self, made: std::result::Result<T, GeometryError>) -> Result<T> {
        made.map_err(|error| self.unsupported(error))
    }

    fn unsupported_broadcast(&self) -> Error {
        let shape = |input: usize| {
            let id = self.node.inputs.get(input).copied();
            id.and_then(|id| self.graph.value(id).shape.as_deref()).map(show_shape).unwrap_or_default()
        };
        self.unsupported(format!(
            "{} with {}: expected equal shapes, [N,C,1,1] with [N,C,H,W], or a constant that broadcasts to one \
             image",
            shape(0),
            shape(1)
        ))
    }

    fn unsupported(&self, reason: impl std::fmt::Display) -> Error {
        Error::new(ErrorKind::OperatorUnsupported, format!("{}: {reason}", describe_node(self.node)))
    }
}

//! Inference-time batch norm is a scale and a shift per channel, and goes into the weights and the bias of
//! the convolution or fully connected layer before it.

use super::{Diagnostics, Pass};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{GraphMutator, NodeIndex, Op, ValueId, describe_node};
use crate::tensor::Tensor;
use libvision_kernels::epilogue::Activation;

/// `w' = w * g`, `b' = (b - mean) * g + beta` with `g = gamma / sqrt(variance + epsilon)` per output
/// channel (Ioffe and Szegedy 2015, arXiv:1502.03167, section 3.1), computed in `f64`.
pub(super) struct FoldBatchNorm;

impl Pass for FoldBatchNorm {
    fn name(&self) -> &'static str {
        "fold_batch_norm"
    }

    fn apply(&self, graph: &mut GraphMutator<'_>, diagnostics: &mut Diagnostics) -> Result<()> {
        for index in graph.nodes() {
            let Op::BatchNorm { epsilon } = graph.node(index).op else { continue };
            let name = graph.node(index).name.clone();
            let input = graph.node(index).inputs[0];
            let Some(producer) = graph.producer(input) else { continue };
            let producer_op = graph.node(producer).op.clone();
            let (has_bias, what) = match producer_op {
                Op::Conv2d { has_bias, has_residual: false, activation: Activation::Identity, .. } => {
                    (has_bias, "batch norm into the convolution before it")
                }
                Op::Linear { has_bias, activation: Activation::Identity } => {
                    (has_bias, "batch norm into the fully connected layer before it")
                }
                _ => {
                    diagnostics.missed(self.name(), name, format!("it follows {}", producer_op.name()));
                    continue;
                }
            };
            if graph.only_reader(input) != Some(index) {
                diagnostics.missed(self.name(), name, "others read what it normalises");
                continue;
            }
            let Some(scale_shift) = ScaleShift::of(graph, index, f64::from(epsilon))? else {
                diagnostics.missed(self.name(), name, "its parameters are not constant");
                continue;
            };
            let Some(inputs) = scale_shift.fold_into(graph, producer, has_bias)? else {
                diagnostics.missed(self.name(), name, "the weights before it are not constant");
                continue;
            };
            let op = match producer_op {
                Op::Conv2d { window, groups, activation, .. } => {
                    Op::Conv2d { window, groups, has_bias: true, has_residual: false, activation }
                }
                _ => Op::Linear { has_bias: true, activation: Activation::Identity },
            };
            diagnostics.fired(self.name(), &graph.node(producer).name, what);
            graph.merge(producer, index, op, inputs);
        }
        Ok(())
    }
}

/// Factor and summand per channel.
struct ScaleShift {
    scale: Vec<f64>,
    shift: Vec<f64>,
}

impl ScaleShift {
    /// Those of a batch norm; `None` if they are not known yet.
    fn of(graph: &GraphMutator<'_>, batch_norm: NodeIndex, epsilon: f64) -> Result<Option<Self>> {
        let node = graph.node(batch_norm);
        let parameters: Option<Vec<&Tensor>> =
            node.inputs[1..].iter().map(|&input| graph.constant(input)).collect();
        let Some([gamma, beta, mean, variance]) = parameters.as_deref() else { return Ok(None) };
        let (gamma, beta, mean, variance) =
            (gamma.to_f32()?, beta.to_f32()?, mean.to_f32()?, variance.to_f32()?);
        let mut parts = Self { scale: Vec::new(), shift: Vec::new() };
        for channel in 0..gamma.len() {
            let spread = f64::from(variance[channel]) + epsilon;
            if spread.is_nan() || spread <= 0.0 {
                return Err(Error::new(
                    ErrorKind::ModelInvalid,
                    format!(
                        "{}: the variance of channel {channel} is {}, expected a number over {}",
                        describe_node(node),
                        variance[channel],
                        -epsilon
                    ),
                ));
            }
            let scale = f64::from(gamma[channel]) / spread.sqrt();
            parts.scale.push(scale);
            parts.shift.push(f64::from(beta[channel]) - f64::from(mean[channel]) * scale);
        }
        Ok(Some(parts))
    }

    /// The inputs of `producer` with new weights and bias; `None` if its weights are not known yet.
    fn fold_into(
        &self,
        graph: &mut GraphMutator<'_>,
        producer: NodeIndex,
        has_bias: bool,
    ) -> Result<Option<Vec<ValueId>>> {
        let node = graph.node(producer).clone();
        let Some(weights) = graph.constant(node.inputs[1]).cloned() else { return Ok(None) };
        let old_bias = match has_bias {
            true => match graph.constant(node.inputs[2]) {
                Some(bias) => Some(bias.clone()),
                None => return Ok(None),
            },
            false => None,
        };
        let channels = self.scale.len();
        let mut scaled = weights.to_f32()?.into_owned();
        let per_channel = scaled.len() / channels.max(1);
        for (row, &scale) in scaled.chunks_mut(per_channel.max(1)).zip(&self.scale) {
            row.iter_mut().for_each(|weight| *weight = (f64::from(*weight) * scale) as f32);
        }
        let bias = match &old_bias {
            Some(bias) => {
                let pairs = self.scale.iter().zip(&self.shift);
                let bias = bias.to_f32()?;
                bias.iter().zip(pairs).map(|(&b, (g, s))| (f64::from(b) * g + s) as f32).collect()
            }
            None => self.shift.iter().map(|&shift| shift as f32).collect(),
        };
        let (weights, bias) = (Tensor::new(weights.shape(), scaled)?, Tensor::new(&[channels], bias)?);
        let weights_name = graph.graph().value(node.inputs[1]).name.clone();
        let bias = graph.add_constant(format!("{}.bias", node.name), bias);
        Ok(Some(vec![node.inputs[0], graph.add_constant(weights_name, weights), bias]))
    }
}

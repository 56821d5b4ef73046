//! What follows a convolution, a fully connected layer or a sum, and can be done before its result is
//! stored, moves into it: a bias, a residual, an activation.

use super::{Diagnostics, Pass};
use crate::error::Result;
use crate::graph::{Dim, GraphMutator, NodeIndex, Op, ValueId};
use crate::tensor::Tensor;
use libvision_kernels::epilogue::Activation;

/// Fuses in the order in which an epilogue works: bias, residual, activation.
pub(super) struct FuseConvEpilogue;

impl Pass for FuseConvEpilogue {
    fn name(&self) -> &'static str {
        "fuse_conv_epilogue"
    }

    fn apply(&self, graph: &mut GraphMutator<'_>, diagnostics: &mut Diagnostics) -> Result<()> {
        for index in graph.nodes() {
            match graph.node(index).op {
                Op::Add { activation: Activation::Identity } => {
                    let is_bias = self.fuse_bias(graph, index, diagnostics)?;
                    if !is_bias {
                        self.fuse_residual(graph, index, diagnostics);
                    }
                }
                Op::Activate(activation) => self.fuse_activation(graph, index, activation, diagnostics),
                _ => {}
            }
        }
        Ok(())
    }
}

impl FuseConvEpilogue {
    /// A constant per channel goes into the bias of the node before the sum.
    fn fuse_bias(
        &self,
        graph: &mut GraphMutator<'_>,
        sum: NodeIndex,
        diagnostics: &mut Diagnostics,
    ) -> Result<bool> {
        let &[a, b] = &graph.node(sum).inputs[..] else { return Ok(false) };
        let (value, constant) = match (graph.constant(a), graph.constant(b)) {
            (None, Some(constant)) => (a, constant.clone()),
            (Some(constant), None) => (b, constant.clone()),
            _ => return Ok(false),
        };
        let Some(producer) = open_producer(graph, value, sum) else { return Ok(false) };
        let mut node = graph.node(producer).clone();
        let has_bias = match &mut node.op {
            Op::Conv2d { has_bias, .. } | Op::Linear { has_bias, .. } => has_bias,
            _ => return Ok(false),
        };
        let Some(addend) = per_channel(graph, value, &constant)? else { return Ok(false) };
        let bias = if std::mem::replace(has_bias, true) {
            let Some(bias) = graph.constant(node.inputs[2]).cloned() else { return Ok(false) };
            let sums: Vec<f32> = bias.to_f32()?.iter().zip(&addend).map(|(a, b)| a + b).collect();
            node.inputs.truncate(2);
            sums
        } else {
            addend
        };
        let bias = Tensor::new(&[bias.len()], bias)?;
        node.inputs.push(graph.add_constant(format!("{}.bias", node.name), bias));
        diagnostics.fired(self.name(), &node.name, "bias");
        graph.merge(producer, sum, node.op, node.inputs);
        Ok(true)
    }

    /// One side of the sum is computed by a convolution that can add the other side itself.
    fn fuse_residual(&self, graph: &mut GraphMutator<'_>, sum: NodeIndex, diagnostics: &mut Diagnostics) {
        let &[a, b] = &graph.node(sum).inputs[..] else { return };
        let shape = |value: ValueId| graph.graph().value(value).shape.as_deref();
        if shape(a) != shape(b) || graph.constant(a).is_some() || graph.constant(b).is_some() {
            return;
        }
        let candidate = |value: ValueId, other: ValueId| {
            let producer = open_producer(graph, value, sum)?;
            matches!(graph.node(producer).op, Op::Conv2d { .. }).then_some((producer, other))
        };
        // The later one, so that its own result need not wait for the other's.
        let Some((producer, residual)) = candidate(a, b).max(candidate(b, a)) else {
            diagnostics.missed(self.name(), &graph.node(sum).name, "no convolution ends in this sum alone");
            return;
        };
        let mut node = graph.node(producer).clone();
        if let Op::Conv2d { has_residual, .. } = &mut node.op {
            *has_residual = true;
        }
        node.inputs.push(residual);
        diagnostics.fired(self.name(), &node.name, "residual");
        graph.merge(producer, sum, node.op, node.inputs);
    }

    fn fuse_activation(
        &self,
        graph: &mut GraphMutator<'_>,
        index: NodeIndex,
        function: Activation,
        diagnostics: &mut Diagnostics,
    ) {
        let value = graph.node(index).inputs[0];
        let Some(producer) = graph.producer(value) else { return };
        let mut node = graph.node(producer).clone();
        match &mut node.op {
            Op::Conv2d { activation, .. } | Op::Linear { activation, .. } | Op::Add { activation }
                if *activation == Activation::Identity =>
            {
                *activation = function;
            }
            _ => return,
        }
        if graph.only_reader(value) != Some(index) {
            diagnostics.missed(self.name(), &graph.node(index).name, "others read the value before it");
            return;
        }
        diagnostics.fired(self.name(), &node.name, "activation");
        graph.merge(producer, index, node.op, node.inputs);
    }
}

/// The node that computes `value` for `reader` alone, if its epilogue has neither residual nor activation.
fn open_producer(graph: &GraphMutator<'_>, value: ValueId, reader: NodeIndex) -> Option<NodeIndex> {
    let producer = graph.producer(value)?;
    let is_open = match graph.node(producer).op {
        Op::Conv2d { has_residual, activation, .. } => !has_residual && activation == Activation::Identity,
        Op::Linear { activation, .. } => activation == Activation::Identity,
        _ => false,
    };
    (is_open && graph.only_reader(value) == Some(reader)).then_some(producer)
}

/// `constant` as one number per channel of `value`, if adding it leaves the shape of `value`.
fn per_channel(graph: &GraphMutator<'_>, value: ValueId, constant: &Tensor) -> Result<Option<Vec<f32>>> {
    let Some([_, Dim::Fixed(channels), spatial @ ..]) = graph.graph().value(value).shape.as_deref() else {
        return Ok(None);
    };
    let mut expected = vec![*channels];
    expected.extend(spatial.iter().map(|_| 1));
    // Leading axes of size 1 change nothing.
    let shape = constant.shape();
    let fits = shape.len() <= expected.len() + 1;
    let significant = &shape[shape.iter().take_while(|&&size| size == 1).count()..];
    let numbers = constant.to_f32()?;
    Ok(match significant {
        [] if fits => Some(vec![numbers[0]; *channels]),
        _ if fits && expected.ends_with(significant) && numbers.len() == *channels => {
            Some(numbers.into_owned())
        }
        _ => None,
    })
}

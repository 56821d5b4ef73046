//! Constants of a graph as lowering takes them, the same for every kind of device.

use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Graph, Node, ValueKind, describe_node};
use crate::tensor::Tensor;
use std::borrow::Cow;

/// The constant that is input number `input` of a node. Fails with `OPERATOR_UNSUPPORTED` if it is computed.
pub(super) fn constant<'g>(graph: &'g Graph, node: &Node, input: usize, what: &str) -> Result<&'g Tensor> {
    let value = graph.value(node.inputs[input]);
    match &value.kind {
        ValueKind::Constant(tensor) => Ok(tensor),
        ValueKind::Input | ValueKind::Produced => Err(Error::new(
            ErrorKind::OperatorUnsupported,
            format!(
                "{}: expected constant {what}, found {:?}, which is known only at run time",
                describe_node(node),
                value.name
            ),
        )),
    }
}

/// The same as floats.
pub(super) fn floats<'g>(graph: &'g Graph, node: &Node, input: usize, what: &str) -> Result<Cow<'g, [f32]>> {
    constant(graph, node, input, what)?
        .to_f32()
        .map_err(|error| error.context(format_args!("{}: {what}", describe_node(node))))
}

/// The factor and the summand that a `BatchNorm` node comes to, per channel.
pub(super) fn scale_and_shift(graph: &Graph, node: &Node, epsilon: f32) -> Result<(Vec<f32>, Vec<f32>)> {
    let [scale, bias, mean, variance] = [
        floats(graph, node, 1, "scale")?,
        floats(graph, node, 2, "bias")?,
        floats(graph, node, 3, "mean")?,
        floats(graph, node, 4, "variance")?,
    ];
    let factors = scale.iter().zip(variance.iter());
    let factors: Vec<f64> =
        factors.map(|(s, v)| f64::from(*s) / (f64::from(*v) + f64::from(epsilon)).sqrt()).collect();
    let summands = factors.iter().zip(bias.iter().zip(mean.iter()));
    let shift = summands.map(|(factor, (b, m))| (f64::from(*b) - f64::from(*m) * factor) as f32).collect();
    Ok((factors.into_iter().map(|factor| factor as f32).collect(), shift))
}

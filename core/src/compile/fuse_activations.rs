//! Activations that exporters write in several nodes become one: SiLU, hard sigmoid and hard swish.

use super::{Diagnostics, Pass};
use crate::error::Result;
use crate::graph::{GraphMutator, NodeIndex, Op, ValueId};
use libvision_kernels::epilogue::Activation;

/// Recognises, for one value `x`:
/// `x * sigmoid(x)`; `clip(x + 3, 0, 6) / 6`; `x * hard_sigmoid(x)`; `x * clip(x + 3, 0, 6) / 6`.
pub(super) struct FuseActivations;

impl Pass for FuseActivations {
    fn name(&self) -> &'static str {
        "fuse_activations"
    }

    fn apply(&self, graph: &mut GraphMutator<'_>, diagnostics: &mut Diagnostics) -> Result<()> {
        for index in graph.nodes() {
            if graph.is_removed(index) || graph.node(index).op != Op::Mul {
                continue;
            }
            let Some((activation, x)) = recognise(graph, index) else { continue };
            let name = graph.node(index).name.clone();
            let inner = graph.node(index).inputs.clone();
            graph.replace(index, Op::Activate(activation), vec![x]);
            remove_unread(graph, inner);
            let what = match activation {
                Activation::Silu => "x * sigmoid(x) to SiLU",
                Activation::HardSwish => "x * hard_sigmoid(x) to hard swish",
                _ => "clip(x + 3, 0, 6) / 6 to hard sigmoid",
            };
            diagnostics.fired(self.name(), name, what);
        }
        Ok(())
    }
}

/// Removes the nodes that compute these values for nobody: as readers of `x` they would keep the activation from
/// moving into what computes `x`.
fn remove_unread(graph: &mut GraphMutator<'_>, mut values: Vec<ValueId>) {
    while let Some(value) = values.pop() {
        if let Some(producer) = graph.producer(value)
            && graph.readers(value).is_empty()
            && !graph.is_output(value)
        {
            values.extend(graph.node(producer).inputs.iter().copied());
            graph.remove(producer);
        }
    }
}

/// The activation that the product computes, and of which value.
fn recognise(graph: &GraphMutator<'_>, product: NodeIndex) -> Option<(Activation, ValueId)> {
    let &[a, b] = &graph.node(product).inputs[..] else { return None };
    for (x, factor) in [(a, b), (b, a)] {
        if let Some(activation) = activation_of(graph, factor, x) {
            match activation {
                Activation::Sigmoid => return Some((Activation::Silu, x)),
                Activation::HardSigmoid { alpha, beta } if is_sixth(alpha) && beta == 0.5 => {
                    return Some((Activation::HardSwish, x));
                }
                _ => {}
            }
        }
        if !scalar(graph, factor).is_some_and(is_sixth) {
            continue;
        }
        if let Some(inner) = clipped_plus_three(graph, x) {
            return Some((Activation::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 }, inner));
        }
        let Some(inner) = graph.producer(x).map(|producer| graph.node(producer)) else { continue };
        if let (Op::Mul, &[c, d]) = (&inner.op, &inner.inputs[..]) {
            for (x, factor) in [(c, d), (d, c)] {
                if clipped_plus_three(graph, factor) == Some(x) {
                    return Some((Activation::HardSwish, x));
                }
            }
        }
    }
    None
}

/// The activation whose result for `x` is `value`.
fn activation_of(graph: &GraphMutator<'_>, value: ValueId, x: ValueId) -> Option<Activation> {
    let node = graph.node(graph.producer(value)?);
    match node.op {
        Op::Activate(activation) if node.inputs == [x] => Some(activation),
        _ => None,
    }
}

/// The `x` of which `value` is `clip(x + 3, 0, 6)`.
fn clipped_plus_three(graph: &GraphMutator<'_>, value: ValueId) -> Option<ValueId> {
    let clip = graph.node(graph.producer(value)?);
    if clip.op != Op::Activate(Activation::Clip { low: 0.0, high: 6.0 }) {
        return None;
    }
    let sum = graph.node(graph.producer(clip.inputs[0])?);
    let (Op::Add { activation: Activation::Identity }, &[a, b]) = (&sum.op, &sum.inputs[..]) else {
        return None;
    };
    [(a, b), (b, a)].into_iter().find(|&(_, three)| scalar(graph, three) == Some(3.0)).map(|(x, _)| x)
}

/// The number in a constant of one element that broadcasts without adding axes to an image.
fn scalar(graph: &GraphMutator<'_>, value: ValueId) -> Option<f32> {
    let tensor = graph.constant(value)?;
    match (tensor.shape().len(), &tensor.to_f32().ok()?[..]) {
        (0..=1, &[number]) => Some(number),
        _ => None,
    }
}

/// A sixth, as any exporter rounds it.
fn is_sixth(number: f32) -> bool {
    (number - 1.0 / 6.0).abs() < 1e-6
}

//! Flatten moves no elements: it vanishes where the shape is flat already, and global pooling gives the
//! flat shape itself.

use super::{Diagnostics, Pass};
use crate::error::Result;
use crate::graph::{GraphMutator, Op};

/// Removes Flatten of `[N,K]`, and that of a global average pooling that nothing else reads.
pub(super) struct FoldFlatten;

impl Pass for FoldFlatten {
    fn name(&self) -> &'static str {
        "fold_flatten"
    }

    fn apply(&self, graph: &mut GraphMutator<'_>, diagnostics: &mut Diagnostics) -> Result<()> {
        for index in graph.nodes() {
            if graph.node(index).op != Op::Flatten {
                continue;
            }
            let (name, input) = (graph.node(index).name.clone(), graph.node(index).inputs[0]);
            if graph.graph().value(input).shape.as_ref().is_some_and(|shape| shape.len() == 2) {
                graph.bypass(index, input);
                diagnostics.fired(self.name(), name, "flatten of what is flat");
                continue;
            }
            let Some(producer) = graph.producer(input) else { continue };
            let is_pooling = matches!(graph.node(producer).op, Op::GlobalAveragePool { .. });
            if is_pooling && graph.only_reader(input) == Some(index) {
                let inputs = graph.node(producer).inputs.clone();
                diagnostics.fired(self.name(), &graph.node(producer).name, "flatten into global pooling");
                graph.merge(producer, index, Op::GlobalAveragePool { keep_dims: false }, inputs);
            }
        }
        Ok(())
    }
}

//! The passes in their order.

use super::fold_batch_norm::FoldBatchNorm;
use super::fold_constants::FoldConstants;
use super::fold_flatten::FoldFlatten;
use super::fuse_activations::FuseActivations;
use super::fuse_conv_epilogue::FuseConvEpilogue;
use super::remove_dead_nodes::RemoveDeadNodes;
use super::{Diagnostics, Pass};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Graph, GraphMutator, infer_shapes, validate};

/// A list of passes, run once each in order.
pub struct Pipeline {
    passes: Vec<Box<dyn Pass>>,
}

impl Pipeline {
    /// Every pass. Constants come first because the others look for them; batch norm goes into the weights
    /// before an activation or a residual takes its place beside the convolution.
    pub fn standard() -> Self {
        Self {
            passes: vec![
                Box::new(FoldConstants),
                Box::new(FoldBatchNorm),
                Box::new(FuseActivations),
                Box::new(FuseConvEpilogue),
                Box::new(FoldFlatten),
                Box::new(RemoveDeadNodes),
            ],
        }
    }

    /// The names of the passes, in order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.passes.iter().map(|pass| pass.name())
    }

    /// The same up to and with the pass of this name, to see what it does. Fails if there is none.
    pub fn stopping_at(mut self, name: &str) -> Result<Self> {
        let position = self.names().position(|other| other == name).ok_or_else(|| {
            let known: Vec<_> = self.names().collect();
            let known = known.join(", ");
            Error::new(ErrorKind::InvalidArgument, format!("there is no pass {name:?} among {known}"))
        })?;
        self.passes.truncate(position + 1);
        Ok(self)
    }

    /// Runs the passes over a valid graph and checks that the result is valid. Constants that nothing
    /// refers to any more are dropped.
    pub fn run(&self, graph: &mut Graph) -> Result<Diagnostics> {
        let mut diagnostics = Diagnostics { nodes_before: graph.nodes.len(), ..Diagnostics::default() };
        for pass in &self.passes {
            pass.apply(&mut GraphMutator::new(graph), &mut diagnostics)?;
        }
        graph.drop_unused_values();
        infer_shapes(graph)?;
        validate(graph).map_err(|error| {
            Error::new(ErrorKind::Internal, format!("the passes left an invalid graph: {error}"))
        })?;
        diagnostics.nodes_after = graph.nodes.len();
        Ok(diagnostics)
    }
}

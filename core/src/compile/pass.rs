//! What a pass is.

use super::Diagnostics;
use crate::error::Result;
use crate::graph::GraphMutator;

/// One rewriting of a graph that leaves its results the same, up to rounding.
pub trait Pass {
    /// The name that diagnostics and [`super::Pipeline::stopping_at`] use.
    fn name(&self) -> &'static str;

    /// Rewrites what it can and notes it, by node. Fails only if the graph contradicts itself.
    fn apply(&self, graph: &mut GraphMutator<'_>, diagnostics: &mut Diagnostics) -> Result<()>;
}

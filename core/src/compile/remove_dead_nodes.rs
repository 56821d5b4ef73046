//! Nodes whose results nobody reads go.

use super::{Diagnostics, Pass};
use crate::error::Result;
use crate::graph::GraphMutator;

/// Removes, from the last node to the first, what neither a node nor the caller reads.
pub(super) struct RemoveDeadNodes;

impl Pass for RemoveDeadNodes {
    fn name(&self) -> &'static str {
        "remove_dead_nodes"
    }

    fn apply(&self, graph: &mut GraphMutator<'_>, diagnostics: &mut Diagnostics) -> Result<()> {
        for index in graph.nodes().into_iter().rev() {
            let output = graph.node(index).output;
            if graph.readers(output).is_empty() && !graph.is_output(output) {
                let name = graph.node(index).name.clone();
                graph.remove(index);
                diagnostics.fired(self.name(), name, "dead node");
            }
        }
        Ok(())
    }
}

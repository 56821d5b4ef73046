//! Operators, nodes, values and shapes: what a network is, apart from any file and any device.

mod graph;
mod op;

pub use graph::{Dim, Graph, Node, Output, Value, ValueId, ValueKind};
pub use op::Op;

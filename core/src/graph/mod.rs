//! Operators, nodes, values and shapes: what a network is, apart from any file and any device.

mod dump;
mod graph;
mod infer_shapes;
mod mutate;
mod op;
mod validate;

pub(crate) use dump::details as op_details;
pub use graph::{Dim, Graph, Node, Output, Value, ValueId, ValueKind};
pub(crate) use infer_shapes::{describe as describe_node, output_shape};
pub use infer_shapes::{infer_shapes, show_shape};
pub use mutate::{GraphMutator, NodeIndex};
pub use op::Op;
pub use validate::validate;

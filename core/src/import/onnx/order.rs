//! Which nodes of a file are needed, and which computes what.

use super::messages::{GraphProto, NodeProto, TensorProto, ValueInfoProto};
use super::node::invalid;
use super::ops::OPERATORS;
use crate::error::Result;
use std::collections::{HashMap, HashSet};

/// `node "/layer1/Conv" (Conv)`, or its place in the file if it has no name.
pub(super) fn describe(node: &NodeProto, index: usize) -> String {
    match node.name() {
        "" => format!("node #{index} ({}) of {:?}", node.op_type(), node.output),
        name => format!("node {name:?} ({})", node.op_type()),
    }
}

/// The node that computes each name.
pub(super) fn producers(graph: &GraphProto) -> Result<HashMap<&str, usize>> {
    let mut producers = HashMap::new();
    let given: HashSet<&str> = graph
        .input
        .iter()
        .map(ValueInfoProto::name)
        .chain(graph.initializer.iter().map(TensorProto::name))
        .collect();
    for (index, node) in graph.node.iter().enumerate() {
        for name in node.output.iter().filter(|name| !name.is_empty()) {
            if given.contains(name.as_str()) || producers.insert(name.as_str(), index).is_some() {
                return Err(invalid(format!(
                    "{}: its output {name:?} has another source already",
                    describe(node, index)
                )));
            }
        }
    }
    Ok(producers)
}

/// The nodes that the outputs depend on.
pub(super) struct Needed {
    pub(super) nodes: Vec<bool>,
    /// Complaints about nodes of which more than the first output is read.
    pub(super) second_outputs: Vec<String>,
}

/// Walks from the outputs to what they read.
pub(super) fn needed_nodes(graph: &GraphProto, producers: &HashMap<&str, usize>) -> Needed {
    let mut needed = Needed { nodes: vec![false; graph.node.len()], second_outputs: Vec::new() };
    let mut open: Vec<&str> = graph.output.iter().map(ValueInfoProto::name).collect();
    while let Some(name) = open.pop() {
        let Some(&index) = producers.get(name) else { continue };
        let node = &graph.node[index];
        // An operator that is not supported at all is told as such.
        let is_known = OPERATORS.iter().any(|operator| operator.name == node.op_type());
        if is_known && node.output.first().is_none_or(|first| first != name) {
            needed.second_outputs.push(format!(
                "{}: its output {name:?} is read, and only the first is supported",
                describe(node, index)
            ));
        }
        if !std::mem::replace(&mut needed.nodes[index], true) {
            open.extend(node.input.iter().map(String::as_str));
        }
    }
    needed
}

//! Every change that a pass makes to a graph goes through here, so that readers, producers and order stay
//! consistent by construction.

use super::{Graph, Node, Op, Value, ValueId};
use crate::tensor::Tensor;

/// Names a node while a pass runs.
pub type NodeIndex = usize;

/// A graph that is being changed. Removed nodes vanish when the mutator is dropped.
pub struct GraphMutator<'g> {
    graph: &'g mut Graph,
    producer: Vec<Option<NodeIndex>>,
    readers: Vec<Vec<NodeIndex>>,
    removed: Vec<bool>,
}

impl<'g> GraphMutator<'g> {
    /// Starts changing a valid graph.
    pub fn new(graph: &'g mut Graph) -> Self {
        let mut producer = vec![None; graph.values.len()];
        let mut readers = vec![Vec::new(); graph.values.len()];
        for (index, node) in graph.nodes.iter().enumerate() {
            producer[node.output.0] = Some(index);
            for input in &node.inputs {
                readers[input.0].push(index);
            }
        }
        let removed = vec![false; graph.nodes.len()];
        Self { graph, producer, readers, removed }
    }

    /// The graph as it is now; removed nodes are still listed, see [`Self::nodes`].
    pub fn graph(&self) -> &Graph {
        self.graph
    }

    /// The nodes that were not removed, in order.
    pub fn nodes(&self) -> Vec<NodeIndex> {
        (0..self.removed.len()).filter(|&index| !self.removed[index]).collect()
    }

    /// Whether the node was removed.
    pub fn is_removed(&self, index: NodeIndex) -> bool {
        self.removed[index]
    }

    /// One node.
    pub fn node(&self, index: NodeIndex) -> &Node {
        &self.graph.nodes[index]
    }

    /// The node that computes `value`, if one does.
    pub fn producer(&self, value: ValueId) -> Option<NodeIndex> {
        self.producer[value.0]
    }

    /// The nodes that read `value`; one that reads it twice is there twice.
    pub fn readers(&self, value: ValueId) -> &[NodeIndex] {
        &self.readers[value.0]
    }

    /// The one node that reads `value`, if it does so once and the caller of the graph does not.
    pub fn only_reader(&self, value: ValueId) -> Option<NodeIndex> {
        match self.readers[value.0][..] {
            [reader] if !self.is_output(value) => Some(reader),
            _ => None,
        }
    }

    /// Whether the caller of the graph gets `value`.
    pub fn is_output(&self, value: ValueId) -> bool {
        self.graph.outputs.iter().any(|output| output.value == value)
    }

    /// The constant behind `value`, if it is one.
    pub fn constant(&self, value: ValueId) -> Option<&Tensor> {
        self.graph.constant(value)
    }

    /// Adds a constant.
    pub fn add_constant(&mut self, name: impl Into<String>, tensor: Tensor) -> ValueId {
        self.producer.push(None);
        self.readers.push(Vec::new());
        self.graph.add_constant(name, tensor)
    }

    /// Gives a node another operator and other inputs; each must be computed before it.
    pub fn replace(&mut self, index: NodeIndex, op: Op, inputs: Vec<ValueId>) {
        debug_assert!(inputs.iter().all(|input| self.producer[input.0].is_none_or(|other| other < index)));
        self.forget_reads(index);
        for input in &inputs {
            self.readers[input.0].push(index);
        }
        let node = &mut self.graph.nodes[index];
        node.op = op;
        node.inputs = inputs;
    }

    /// Makes `later` do the work of both nodes, under the name of `earlier`, and removes `earlier`, whose
    /// output only `later` may read.
    pub fn merge(&mut self, earlier: NodeIndex, later: NodeIndex, op: Op, inputs: Vec<ValueId>) {
        debug_assert!(earlier < later);
        let name = self.graph.nodes[earlier].name.clone();
        self.replace(later, op, inputs);
        self.remove(earlier);
        self.graph.nodes[later].name = name;
    }

    /// Removes a node; whoever reads its output reads `instead` from now on.
    pub fn bypass(&mut self, index: NodeIndex, instead: ValueId) {
        let output = self.graph.nodes[index].output;
        for reader in std::mem::take(&mut self.readers[output.0]) {
            // A node that reads the value twice is listed twice; the second turn finds nothing left.
            for input in &mut self.graph.nodes[reader].inputs {
                if *input == output {
                    *input = instead;
                    self.readers[instead.0].push(reader);
                }
            }
        }
        for entry in &mut self.graph.outputs {
            if entry.value == output {
                entry.value = instead;
            }
        }
        self.remove(index);
    }

    /// Removes a node whose output nobody reads.
    pub fn remove(&mut self, index: NodeIndex) {
        let output = self.graph.nodes[index].output;
        debug_assert!(self.readers[output.0].is_empty() && !self.is_output(output));
        self.forget_reads(index);
        self.producer[output.0] = None;
        self.removed[index] = true;
    }

    fn forget_reads(&mut self, index: NodeIndex) {
        for input in &self.graph.nodes[index].inputs {
            self.readers[input.0].retain(|&reader| reader != index);
        }
    }
}

impl Drop for GraphMutator<'_> {
    fn drop(&mut self) {
        let mut removed = self.removed.iter();
        self.graph.nodes.retain(|_| !removed.next().copied().unwrap_or(false));
    }
}

impl Graph {
    /// Drops the values that no node, input or output refers to, and renumbers the rest. Constants that
    /// share a mapped file let go of it here.
    pub(crate) fn drop_unused_values(&mut self) {
        let mut used = vec![false; self.values.len()];
        let nodes = self.nodes.iter().flat_map(|node| node.inputs.iter().chain([&node.output]));
        let edges = self.inputs.iter().chain(self.outputs.iter().map(|output| &output.value));
        for id in nodes.chain(edges) {
            used[id.0] = true;
        }
        let mut next = 0;
        let renumbered: Vec<ValueId> = used
            .iter()
            .map(|&used| {
                let id = ValueId(next);
                next += usize::from(used);
                id
            })
            .collect();
        let mut used = used.into_iter();
        self.values.retain(|_| used.next().unwrap_or(false));
        for node in &mut self.nodes {
            node.output = renumbered[node.output.0];
            node.inputs.iter_mut().for_each(|input| *input = renumbered[input.0]);
        }
        self.inputs.iter_mut().for_each(|input| *input = renumbered[input.0]);
        self.outputs.iter_mut().for_each(|output| output.value = renumbered[output.value.0]);
    }

    /// Number of elements in all constants that nodes read.
    pub fn parameter_count(&self) -> usize {
        self.values.iter().filter_map(Value::constant).map(Tensor::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Dim, Output, ValueKind, infer_shapes, validate};
    use crate::tensor::DType;
    use libvision_kernels::epilogue::Activation;

    const SUM: Op = Op::Add { activation: Activation::Identity };

    fn activate(activation: Activation) -> Op {
        Op::Activate(activation)
    }

    /// `relu(x) + relu(x)`, with a dead node.
    fn graph() -> Graph {
        let mut graph = Graph::default();
        let shape = Some(vec![Dim::Batch, Dim::Fixed(3)]);
        let x = Value { name: "x".into(), kind: ValueKind::Input, dtype: DType::F32, shape };
        let x = graph.add_value(x);
        graph.inputs.push(x);
        let r = graph.add_node("relu", activate(Activation::Relu), vec![x], "r");
        graph.add_node("dead", activate(Activation::Sigmoid), vec![r], "d");
        let y = graph.add_node("sum", SUM, vec![r, r], "y");
        graph.outputs.push(Output { name: "y".into(), value: y });
        infer_shapes(&mut graph).unwrap();
        graph
    }

    fn nodes(graph: &Graph) -> Vec<&str> {
        graph.nodes.iter().map(|node| node.name.as_str()).collect()
    }

    #[test]
    fn readers_and_producers() {
        let mut graph = graph();
        let (x, r, y) = (ValueId(0), ValueId(1), ValueId(3));
        let mutator = GraphMutator::new(&mut graph);
        assert_eq!((mutator.producer(x), mutator.producer(r), mutator.producer(y)), (None, Some(0), Some(2)));
        assert_eq!(mutator.readers(r), [1, 2, 2]);
        // Read once, but also by the caller; read by many; read by one.
        assert_eq!(
            (mutator.only_reader(y), mutator.only_reader(r), mutator.only_reader(x)),
            (None, None, Some(0))
        );
    }

    #[test]
    fn a_bypassed_node_vanishes_from_every_place_that_read_it() {
        let mut graph = graph();
        let mut mutator = GraphMutator::new(&mut graph);
        mutator.bypass(0, ValueId(0));
        assert_eq!(mutator.readers(ValueId(0)), [1, 2, 2]);
        assert!(mutator.is_removed(0) && mutator.nodes() == [1, 2]);
        mutator.bypass(2, ValueId(2));
        drop(mutator);
        assert_eq!(nodes(&graph), ["dead"]);
        assert_eq!(graph.outputs[0].value, ValueId(2));
        validate(&graph).unwrap();
    }

    #[test]
    fn a_merged_node_keeps_the_later_place_and_the_earlier_name() {
        let mut graph = graph();
        let mut mutator = GraphMutator::new(&mut graph);
        mutator.remove(1);
        let x = ValueId(0);
        mutator.merge(0, 2, SUM, vec![x, x]);
        drop(mutator);
        assert_eq!(nodes(&graph), ["relu"]);
        assert_eq!(graph.nodes[0].output, ValueId(3));
        graph.drop_unused_values();
        assert_eq!(graph.dump(), "input x[N,3]\ny[N,3] = Add(x[N,3], x[N,3])\noutput y = y[N,3]\n");
        validate(&graph).unwrap();
    }
}

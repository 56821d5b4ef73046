//! Nodes and the values between them. A graph knows no file format and no device.

use super::Op;
use crate::tensor::{DType, Tensor};

/// Names a value of one graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(pub(crate) usize);

impl ValueId {
    /// Position in [`Graph::values`].
    pub fn index(self) -> usize {
        self.0
    }
}

/// Size of one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dim {
    /// Known when the model is loaded.
    Fixed(usize),
    /// The number of images in the batch, known when the model runs.
    Batch,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum ValueKind {
    /// The caller gives it.
    Input,
    /// Known when the model is loaded.
    Constant(Tensor),
    /// A node computes it.
    Produced,
}

/// An edge: a tensor that is an input, a constant, or some node's output.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// Name in the file the graph came from.
    pub name: String,
    /// Where it comes from.
    pub kind: ValueKind,
    /// Element type.
    pub dtype: DType,
    /// Sizes of the axes; `None` until shapes are inferred.
    pub shape: Option<Vec<Dim>>,
}

impl Value {
    /// The constant, if it is one.
    pub fn constant(&self) -> Option<&Tensor> {
        match &self.kind {
            ValueKind::Constant(tensor) => Some(tensor),
            ValueKind::Input | ValueKind::Produced => None,
        }
    }
}

/// One step of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Name in the file the graph came from, or made by the importer; unique.
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// In the order that [`Op`] documents.
    pub inputs: Vec<ValueId>,
    /// The one result.
    pub output: ValueId,
}

/// A network as nodes in an order in which they can run.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// Name in the file, or that of the file.
    pub name: String,
    /// The file's own limit of the batch; `None` if any batch will do.
    pub batch_limit: Option<usize>,
    /// What the caller gives.
    pub inputs: Vec<ValueId>,
    /// What the caller gets, each under its name.
    pub outputs: Vec<Output>,
    /// Every node after those whose outputs it reads.
    pub nodes: Vec<Node>,
    /// Every edge.
    pub values: Vec<Value>,
}

/// One named result of a graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// `logits`, `embedding`, or the name in the file.
    pub name: String,
    /// The value.
    pub value: ValueId,
}

impl Graph {
    /// The value `id`.
    pub fn value(&self, id: ValueId) -> &Value {
        &self.values[id.0]
    }

    /// The constant behind `id`, if it is one.
    pub fn constant(&self, id: ValueId) -> Option<&Tensor> {
        self.value(id).constant()
    }

    /// Adds a value and returns its name in this graph.
    pub fn add_value(&mut self, value: Value) -> ValueId {
        self.values.push(value);
        ValueId(self.values.len() - 1)
    }

    /// Adds a constant.
    pub fn add_constant(&mut self, name: impl Into<String>, tensor: Tensor) -> ValueId {
        let shape = tensor.shape().iter().map(|&size| Dim::Fixed(size)).collect();
        self.add_value(Value {
            name: name.into(),
            dtype: tensor.dtype(),
            kind: ValueKind::Constant(tensor),
            shape: Some(shape),
        })
    }

    /// Adds a node with a new output value of the given name, and returns that value.
    pub fn add_node(
        &mut self,
        name: impl Into<String>,
        op: Op,
        inputs: Vec<ValueId>,
        output_name: impl Into<String>,
    ) -> ValueId {
        let output = self.add_value(Value {
            name: output_name.into(),
            kind: ValueKind::Produced,
            dtype: DType::F32,
            shape: None,
        });
        self.nodes.push(Node { name: name.into(), op, inputs, output });
        output
    }
}

//! A file that is being translated: what names stand for, and the graph that grows.

use super::external::ExternalFiles;
use super::messages::TensorProto;
use super::node::{invalid, is_bordered, unsupported};
use super::operand::{FloatConstant, Operand, View};
use super::symbolic::Symbolic;
use super::tensors;
use crate::error::{Error, Result};
use crate::graph::{self, Dim, Graph, Op, ValueId, show_shape};
use libvision_kernels::geometry::Padding;
use std::collections::{HashMap, HashSet};

/// A file that is being translated.
pub(super) struct Importer<'m> {
    pub(super) graph: Graph,
    pub(super) opset: i64,
    pub(super) initializers: HashMap<&'m str, &'m TensorProto>,
    pub(super) operands: HashMap<&'m str, Operand>,
    /// Constants of the graph by the name of their operand.
    pub(super) constants: HashMap<String, ValueId>,
    /// Values that have been flattened, so that each is once.
    pub(super) flattened: HashMap<ValueId, ValueId>,
    pub(super) node_names: HashSet<String>,
    pub(super) files: ExternalFiles,
    pub(super) unsupported: Vec<String>,
}

impl<'m> Importer<'m> {
    /// What `name` stands for.
    pub(super) fn operand(&mut self, name: &'m str) -> Result<Operand> {
        if let Some(operand) = self.operands.get(name) {
            return Ok(operand.clone());
        }
        let Some(tensor) = self.initializers.get(name) else {
            return Err(invalid(format!("{name:?} is no input, no initializer and no result of a node")));
        };
        let operand = constant_operand(name, tensor, &mut self.files)?;
        self.operands.insert(name, operand.clone());
        Ok(operand)
    }

    /// The batch that the file fixes, if it does.
    pub(super) fn batch_limit(&self) -> Option<usize> {
        self.graph.batch_limit
    }

    /// The constant of the graph for these weights.
    pub(super) fn constant_value(&mut self, constant: &FloatConstant) -> ValueId {
        if let Some(&value) = self.constants.get(&constant.name) {
            return value;
        }
        let value = self.graph.add_constant(constant.name.clone(), constant.tensor.clone());
        self.constants.insert(constant.name.clone(), value);
        value
    }

    /// A constant of the graph that no other node shares.
    pub(super) fn add_constant(&mut self, constant: FloatConstant) -> ValueId {
        self.graph.add_constant(constant.name, constant.tensor)
    }

    /// The value as it is in the graph.
    pub(super) fn view_of(&self, value: ValueId) -> View {
        View {
            value,
            shape: self.graph.value(value).shape.clone().unwrap_or_default(),
            border: Padding::default(),
        }
    }

    /// The view as a value of the graph: itself, or flattened.
    pub(super) fn value_of(&mut self, view: &View) -> Result<ValueId> {
        if is_bordered(view.border) {
            return Err(unsupported("it reads the result of a Pad, which only Conv may do"));
        }
        let stored = self.view_of(view.value).shape;
        if stored == view.shape {
            return Ok(view.value);
        }
        let is_flat = matches!(view.shape[..], [Dim::Batch, Dim::Fixed(_)]);
        if !is_flat {
            return Err(unsupported(format!(
                "it reads {} seen as {}: only [N, product of the rest] is supported",
                show_shape(&stored),
                show_shape(&view.shape)
            )));
        }
        if let Some(&value) = self.flattened.get(&view.value) {
            return Ok(value);
        }
        let source = self.graph.value(view.value).name.clone();
        let name = format!("{source}.flatten");
        let value = self.add_node(&name, Op::Flatten, vec![view.value], &name)?;
        self.flattened.insert(view.value, value);
        Ok(value)
    }

    /// Adds a node under `name`, or under one like it if that is taken, and infers its shape.
    pub(super) fn add_node(
        &mut self,
        name: &str,
        op: Op,
        inputs: Vec<ValueId>,
        output: &str,
    ) -> Result<ValueId> {
        let base = if name.is_empty() { output } else { name };
        let mut unique = base.to_string();
        let mut count = self.graph.nodes.len();
        while !self.node_names.insert(unique.clone()) {
            count += 1;
            unique = format!("{base}.{count}");
        }
        let value = self.graph.add_node(unique, op, inputs, output);
        let node = &self.graph.nodes[self.graph.nodes.len() - 1];
        let shape = graph::output_shape(&self.graph, node).map_err(|error| strip(error, node))?;
        self.graph.values[value.index()].shape = Some(shape);
        Ok(value)
    }
}

/// Inference names the node as the graph does; the importer names it as the file does.
fn strip(error: Error, node: &graph::Node) -> Error {
    let prefix = format!("{}: ", graph::describe_node(node));
    match error.message().strip_prefix(&prefix) {
        Some(message) => Error::new(error.kind(), message),
        None => error,
    }
}

/// The operand behind a constant of the file.
pub(super) fn constant_operand(
    name: &str,
    tensor: &TensorProto,
    files: &mut ExternalFiles,
) -> Result<Operand> {
    if tensors::is_float(tensor.data_type()) {
        let tensor = tensors::float_tensor(tensor, files)?;
        return Ok(Operand::Float(FloatConstant { name: name.into(), tensor }));
    }
    if tensors::is_integer(tensor.data_type()) {
        let (sizes, items) = tensors::integers(tensor, files)?;
        let numbers = Symbolic::from_constant(&sizes, items);
        return numbers.map(Operand::Integers).map_err(|error| error.context(format!("constant {name:?}")));
    }
    let found = tensors::type_name(tensor.data_type());
    Err(unsupported(format!("constant {name:?}: elements of type {found} are not supported")))
}

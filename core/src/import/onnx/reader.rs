//! A whole ONNX file to a graph: names are resolved, nodes translated in order, and whatever is not
//! supported is collected and told at once.

use super::attributes::Attributes;
use super::external::ExternalFiles;
use super::messages::{
    GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, tensor_shape_proto::dimension, type_proto,
};
use super::node::{NodeReader, invalid, is_bordered, unsupported};
use super::operand::{FloatConstant, Operand, View};
use super::ops::{OPERATORS, Operator};
use super::symbolic::Symbolic;
use super::tensors;
use super::wire::check_cost;
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{self, Dim, Graph, Op, Output, Value, ValueId, ValueKind, show_shape};
use crate::memory::ReadOptions;
use crate::tensor::DType;
use bytes::Bytes;
use libvision_kernels::geometry::Padding;
use prost::Message;
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// Versions of the standard operators that are read.
const OPSETS: std::ops::RangeInclusive<i64> = 7..=27;

/// How many unsupported nodes a message names.
const NAMED_NODES: usize = 5;

/// What the importer cannot know from the file.
#[derive(Clone, Copy, Debug)]
pub struct OnnxOptions<'a> {
    /// The folder in which external data may lie.
    pub folder: Option<&'a Path>,
    /// How external data is read.
    pub read: ReadOptions,
    /// Height and width for an input whose file leaves them open.
    pub input_size: Option<[usize; 2]>,
}

/// Translates an ONNX file to a validated graph. Constants share `file`.
///
/// The first axis of each input becomes [`Dim::Batch`]; a fixed number there becomes the graph's
/// `batch_limit`. Fails with `MODEL_CORRUPT`, `MODEL_INVALID`, `MODEL_TOO_LARGE`, with
/// `OPERATOR_UNSUPPORTED` naming the nodes, or with what reading external data fails with.
pub fn import(file: Bytes, options: OnnxOptions<'_>) -> Result<Graph> {
    check_cost(&file)?;
    let model = ModelProto::decode(file).map_err(|error| {
        Error::new(ErrorKind::ModelCorrupt, format!("not an ONNX file: {error}")).with_source(error)
    })?;
    let graph = model
        .graph
        .as_ref()
        .ok_or_else(|| Error::new(ErrorKind::ModelCorrupt, "not an ONNX file: it holds no graph"))?;
    let mut importer = Importer {
        graph: Graph { name: graph.name().into(), ..Graph::default() },
        opset: opset(&model)?,
        initializers: HashMap::new(),
        operands: HashMap::new(),
        constants: HashMap::new(),
        flattened: HashMap::new(),
        node_names: HashSet::new(),
        files: ExternalFiles::new(options.folder, options.read),
        unsupported: Vec::new(),
    };
    importer.declare(graph, options.input_size)?;
    importer.translate_nodes(graph)?;
    importer.finish(graph)
}

/// The version of the standard operators that the file asks for.
fn opset(model: &ModelProto) -> Result<i64> {
    let standard = model.opset_import.iter().find(|set| is_standard(set.domain()));
    let version = standard.ok_or_else(|| invalid("it names no version of the standard operators"))?.version();
    match OPSETS.contains(&version) {
        true => Ok(version),
        false => Err(unsupported(format!(
            "operator set {version}: versions {} to {} are read; export with one of these (opset_version)",
            OPSETS.start(),
            OPSETS.end()
        ))),
    }
}

fn is_standard(domain: &str) -> bool {
    matches!(domain, "" | "ai.onnx")
}

/// A file that is being translated.
pub(super) struct Importer<'m> {
    graph: Graph,
    pub(super) opset: i64,
    initializers: HashMap<&'m str, &'m TensorProto>,
    operands: HashMap<&'m str, Operand>,
    /// Constants of the graph by the name of their operand.
    constants: HashMap<String, ValueId>,
    /// Values that have been flattened, so that each is once.
    flattened: HashMap<ValueId, ValueId>,
    node_names: HashSet<String>,
    pub(super) files: ExternalFiles,
    unsupported: Vec<String>,
}

impl<'m> Importer<'m> {
    /// Notes the initializers and adds the inputs.
    fn declare(&mut self, graph: &'m GraphProto, input_size: Option<[usize; 2]>) -> Result<()> {
        for tensor in &graph.initializer {
            if self.initializers.insert(tensor.name(), tensor).is_some() {
                return Err(invalid(format!("two initializers are named {:?}", tensor.name())));
            }
        }
        for input in &graph.input {
            // Old files list each initializer among the inputs, as a default value.
            if self.initializers.contains_key(input.name()) {
                continue;
            }
            let context = format!("input {:?}", input.name());
            let (shape, limit) = input_shape(input, input_size).map_err(|error| error.context(&context))?;
            match (limit, self.graph.batch_limit) {
                (Some(limit), Some(other)) if limit != other => {
                    return Err(invalid(format!(
                        "{context}: expected the batch of the other inputs, {other}, found {limit}"
                    )));
                }
                (Some(limit), _) => self.graph.batch_limit = Some(limit),
                (None, _) => {}
            }
            let value = self.graph.add_value(Value {
                name: input.name().into(),
                kind: ValueKind::Input,
                dtype: DType::F32,
                shape: Some(shape),
            });
            self.graph.inputs.push(value);
            let view = self.view_of(value);
            if self.operands.insert(input.name(), Operand::Runtime(view)).is_some() {
                return Err(invalid(format!("two inputs are named {:?}", input.name())));
            }
        }
        match self.graph.inputs.is_empty() {
            true => Err(invalid("the graph has no input")),
            false => Ok(()),
        }
    }

    /// Translates the nodes that an output depends on, in the file's order.
    fn translate_nodes(&mut self, graph: &'m GraphProto) -> Result<()> {
        let producers = producers(graph)?;
        let needed = needed_nodes(graph, &producers);
        self.unsupported.extend(needed.second_outputs);
        for (index, node) in graph.node.iter().enumerate() {
            if !needed.nodes[index] {
                continue;
            }
            for name in node.input.iter().filter(|name| !name.is_empty()) {
                let is_later = producers.get(name.as_str()).is_some_and(|&producer| producer >= index);
                if is_later {
                    return Err(invalid(format!(
                        "{} reads {name:?}, which no node before it computes: the nodes are in a wrong order or in a cycle",
                        describe(node, index)
                    )));
                }
            }
            let operand = match self.translate(node) {
                Ok(operand) => operand,
                Err(error) if error.kind() == ErrorKind::OperatorUnsupported => {
                    // Without a message, the cause is an input that has been told already.
                    if !error.message().is_empty() {
                        self.unsupported.push(format!("{}: {error}", describe(node, index)));
                    }
                    Operand::Unknown
                }
                Err(error) => return Err(error.context(describe(node, index))),
            };
            for name in &node.output {
                self.operands.insert(name, Operand::Unknown);
            }
            if let Some(name) = node.output.first() {
                self.operands.insert(name, operand);
            }
        }
        if self.unsupported.is_empty() {
            return Ok(());
        }
        let mut message = self.unsupported[..self.unsupported.len().min(NAMED_NODES)].join("; ");
        if self.unsupported.len() > NAMED_NODES {
            message += &format!("; and {} more nodes", self.unsupported.len() - NAMED_NODES);
        }
        Err(unsupported(message))
    }

    fn translate(&mut self, node: &'m NodeProto) -> Result<Operand> {
        if !is_standard(node.domain()) {
            return Err(unsupported(format!(
                "operators of the domain {:?} are not supported",
                node.domain()
            )));
        }
        let operator = OPERATORS.iter().find(|operator| operator.name == node.op_type());
        let Some(Operator { inputs, attributes, translate, .. }) = operator else {
            return Err(unsupported("the operator is not supported"));
        };
        if !inputs.contains(&node.input.len()) {
            let (least, most, found) = (inputs.start(), inputs.end(), node.input.len());
            return Err(invalid(format!("expected {least} to {most} inputs, found {found}")));
        }
        let attributes = Attributes::new(node, attributes)?;
        translate(&mut NodeReader { importer: self, proto: node, attributes })
    }

    /// Resolves the outputs and checks the whole.
    fn finish(mut self, graph: &'m GraphProto) -> Result<Graph> {
        for output in &graph.output {
            let context = format!("output {:?}", output.name());
            let value = match self.operand(output.name()).map_err(|error| error.context(&context))? {
                Operand::Runtime(view) => self.value_of(&view).map_err(|error| error.context(&context))?,
                Operand::Float(_) | Operand::Integers(_) | Operand::Unknown => {
                    return Err(unsupported(format!("{context} does not depend on the picture")));
                }
            };
            self.graph.outputs.push(Output { name: output.name().into(), value });
        }
        graph::validate(&self.graph)?;
        Ok(self.graph)
    }

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

/// `node "/layer1/Conv" (Conv)`, or its place in the file if it has no name.
fn describe(node: &NodeProto, index: usize) -> String {
    match node.name() {
        "" => format!("node #{index} ({}) of {:?}", node.op_type(), node.output),
        name => format!("node {name:?} ({})", node.op_type()),
    }
}

/// The node that computes each name.
fn producers(graph: &GraphProto) -> Result<HashMap<&str, usize>> {
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
struct Needed {
    nodes: Vec<bool>,
    /// Complaints about nodes of which more than the first output is read.
    second_outputs: Vec<String>,
}

fn needed_nodes(graph: &GraphProto, producers: &HashMap<&str, usize>) -> Needed {
    let mut needed = Needed { nodes: vec![false; graph.node.len()], second_outputs: Vec::new() };
    let mut open: Vec<&str> = graph.output.iter().map(ValueInfoProto::name).collect();
    while let Some(name) = open.pop() {
        let Some(&index) = producers.get(name) else { continue };
        let node = &graph.node[index];
        if node.output.first().is_none_or(|first| first != name) {
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

/// The shape of an input and the batch that the file fixes, if it does.
fn input_shape(input: &ValueInfoProto, input_size: Option<[usize; 2]>) -> Result<(Vec<Dim>, Option<usize>)> {
    let Some(type_proto::Value::TensorType(tensor)) = input.r#type.as_ref().and_then(|t| t.value.as_ref())
    else {
        return Err(unsupported("expected a tensor"));
    };
    if !tensors::is_float(tensor.elem_type()) {
        let found = tensors::type_name(tensor.elem_type());
        return Err(unsupported(format!("expected elements of a floating-point type, found {found}")));
    }
    let dims = &tensor.shape.as_ref().ok_or_else(|| invalid("it has no shape"))?.dim;
    let mut shape = Vec::with_capacity(dims.len());
    let mut limit = None;
    for (axis, dim) in dims.iter().enumerate() {
        let open = match &dim.value {
            Some(dimension::Value::DimValue(size)) => match usize::try_from(*size) {
                Ok(size) if size > 0 => {
                    if axis == 0 {
                        limit = Some(size);
                        shape.push(Dim::Batch);
                    } else {
                        shape.push(Dim::Fixed(size));
                    }
                    continue;
                }
                _ => return Err(invalid(format!("axis {axis} has size {size}"))),
            },
            Some(dimension::Value::DimParam(name)) => format!("{name:?}"),
            None => "nothing".into(),
        };
        match (axis, input_size) {
            (0, _) => shape.push(Dim::Batch),
            (2 | 3, Some(size)) if dims.len() == 4 => shape.push(Dim::Fixed(size[axis - 2])),
            _ => {
                return Err(unsupported(format!(
                    "axis {axis} has no fixed size (the file says {open}); only the first axis, the batch, \
                     may vary: export with a fixed height and width (leave them out of dynamic_axes or \
                     dynamic_shapes), or put the size into a config.json beside the model"
                )));
            }
        }
    }
    match shape.is_empty() {
        true => Err(unsupported("expected at least one axis, the batch, found a scalar")),
        false => Ok((shape, limit)),
    }
}

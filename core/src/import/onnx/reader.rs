//! A whole ONNX file to a graph: names are resolved, nodes translated in order, and whatever is not
//! supported is collected and told at once.

use super::attributes::Attributes;
use super::external::ExternalFiles;
use super::importer::Importer;
use super::inputs::input_shape;
use super::messages::{GraphProto, ModelProto, NodeProto};
use super::node::{NodeReader, invalid, unsupported};
use super::operand::Operand;
use super::ops::{OPERATORS, Operator};
use super::order::{describe, needed_nodes, producers};
use super::wire::check_cost;
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{self, Graph, Output, Value, ValueKind};
use crate::memory::ReadOptions;
use crate::tensor::DType;
use bytes::Bytes;
use prost::Message;
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// Versions of the standard operators that are read.
const OPSETS: std::ops::RangeInclusive<i64> = 7..=28;

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
/// The first axis of each input becomes `Dim::Batch`; a fixed number there becomes the graph's
/// `batch_limit`. Fails with `MODEL_CORRUPT`, `MODEL_INVALID`, `MODEL_TOO_LARGE`, with
/// `OPERATOR_UNSUPPORTED` naming the nodes, or with what reading external data fails with.
pub fn import(file: Bytes, options: OnnxOptions<'_>) -> Result<Graph> {
    check_cost(&file)?;
    let model = ModelProto::decode(file)
        .map_err(|error| Error::new(ErrorKind::ModelCorrupt, format!("not an ONNX file: {error}")))?;
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
}

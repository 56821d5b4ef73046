//! From a graph to steps in order, and the tensors between them.

use super::layout::{self, LayoutRules};
use super::step::{Step, TensorId, Work};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Graph, Op, ValueId, op_details};
use libvision_kernels::cpu::layout::BlockedShape;
use std::collections::{HashMap, HashSet};

/// Nodes of a graph that is planned: placement takes time by the square of it.
const MAX_NODES: usize = 1 << 13;

/// Steps, and the value and layout of each tensor that they name.
pub(super) struct Schedule {
    pub(super) steps: Vec<Step>,
    pub(super) tensors: Vec<(ValueId, BlockedShape)>,
}

/// Loads each input that is used, computes the nodes in the graph's order, and stores each output as soon
/// as it is there. Flattening what is plain already makes no step: both values are one tensor.
pub(super) fn schedule(graph: &Graph, rules: &dyn LayoutRules) -> Result<Schedule> {
    if graph.nodes.len() > MAX_NODES {
        return Err(Error::new(
            ErrorKind::ModelTooLarge,
            format!("the graph has {} nodes, and the limit is {MAX_NODES}", graph.nodes.len()),
        ));
    }
    let layouts = layout::choose(graph, rules)?;
    let mut outputs: HashMap<ValueId, Vec<usize>> = HashMap::new();
    for (index, output) in graph.outputs.iter().enumerate() {
        outputs.entry(output.value).or_default().push(index);
    }
    let tensor_of = vec![None; graph.values.len()];
    let mut builder = Builder { graph, layouts, outputs, steps: vec![], tensors: vec![], tensor_of };
    let read: HashSet<ValueId> = graph.nodes.iter().flat_map(|node| &node.inputs).copied().collect();
    for (input, &id) in graph.inputs.iter().enumerate() {
        if read.contains(&id) || builder.outputs.contains_key(&id) {
            builder.load(input, id)?;
        }
    }
    for node in 0..graph.nodes.len() {
        builder.compute(node)?;
    }
    for output in &graph.outputs {
        builder.tensor(output.value).map_err(|error| error.context(format!("output {:?}", output.name)))?;
    }
    Ok(Schedule { steps: builder.steps, tensors: builder.tensors })
}

struct Builder<'g> {
    graph: &'g Graph,
    layouts: Vec<Option<BlockedShape>>,
    /// The outputs that a value is stored to.
    outputs: HashMap<ValueId, Vec<usize>>,
    steps: Vec<Step>,
    tensors: Vec<(ValueId, BlockedShape)>,
    tensor_of: Vec<Option<TensorId>>,
}

impl Builder<'_> {
    fn load(&mut self, input: usize, id: ValueId) -> Result<()> {
        let name = self.graph.value(id).name.clone();
        let output = self.add_tensor(id)?;
        self.steps.push(Step {
            name,
            operation: "Load".into(),
            work: Work::Load { input },
            inputs: vec![],
            output: Some(output),
            clear_border: false,
        });
        self.store(id, output);
        Ok(())
    }

    fn compute(&mut self, index: usize) -> Result<()> {
        let node = &self.graph.nodes[index];
        let mut inputs = Vec::with_capacity(node.inputs.len());
        for &input in &node.inputs {
            inputs.push(match self.graph.constant(input) {
                Some(_) => None,
                None => Some(self.tensor(input)?),
            });
        }
        if let (Op::Flatten, [Some(input)]) = (&node.op, &inputs[..])
            && self.tensors[*input].1.lanes == 1
        {
            self.tensor_of[node.output.index()] = Some(*input);
            self.store(node.output, *input);
            return Ok(());
        }
        let output = self.add_tensor(node.output)?;
        self.steps.push(Step {
            name: node.name.clone(),
            operation: format!("{}{}", node.op.name(), op_details(&node.op)),
            work: Work::Compute { node: index },
            inputs,
            output: Some(output),
            clear_border: false,
        });
        self.store(node.output, output);
        Ok(())
    }

    /// Stores the value under each of the names it has as an output.
    fn store(&mut self, id: ValueId, tensor: TensorId) {
        for &output in self.outputs.get(&id).into_iter().flatten() {
            self.steps.push(Step {
                name: self.graph.outputs[output].name.clone(),
                operation: "Store".into(),
                work: Work::Store { output },
                inputs: vec![Some(tensor)],
                output: None,
                clear_border: false,
            });
        }
    }

    fn add_tensor(&mut self, id: ValueId) -> Result<TensorId> {
        let layout = self.layouts[id.index()].ok_or_else(|| self.unknown(id))?;
        self.tensors.push((id, layout));
        self.tensor_of[id.index()] = Some(self.tensors.len() - 1);
        Ok(self.tensors.len() - 1)
    }

    fn tensor(&self, id: ValueId) -> Result<TensorId> {
        self.tensor_of[id.index()].ok_or_else(|| self.unknown(id))
    }

    fn unknown(&self, id: ValueId) -> Error {
        let name = &self.graph.value(id).name;
        match self.graph.constant(id) {
            Some(_) => Error::new(
                ErrorKind::OperatorUnsupported,
                format!("value {name:?} is a constant, and does not depend on any input"),
            ),
            None => {
                Error::new(ErrorKind::ModelInvalid, format!("value {name:?} is read before it is computed"))
            }
        }
    }
}

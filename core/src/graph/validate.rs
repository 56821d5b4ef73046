//! Whether a graph fits together: what every pass and backend may rely on.

use super::infer_shapes::{describe, output_shape, show_shape};
use super::{Dim, Graph, Node, Value, ValueId, ValueKind};
use crate::error::{Error, ErrorKind, Result};
use crate::tensor::DType;
use std::collections::HashSet;

/// Checks that every node comes after the producers of its inputs, that each value has one producer,
/// that names are unique, that inputs start with the batch axis, that activations are `f32`, and that
/// all shapes are known and agree with what [`infer_shapes`](super::infer_shapes()) computes. Fails with
/// `MODEL_INVALID` naming the node or value.
pub fn validate(graph: &Graph) -> Result<()> {
    let is_constant = |value: &Value| matches!(value.kind, ValueKind::Constant(_));
    let mut ready: Vec<bool> = graph.values.iter().map(is_constant).collect();
    check_inputs(graph, &mut ready)?;
    let mut names = HashSet::new();
    for node in &graph.nodes {
        if !names.insert(node.name.as_str()) {
            return Err(invalid(format!("two nodes are named {:?}", node.name)));
        }
        check_node(graph, node, &mut ready)?;
    }
    check_outputs(graph, &ready)
}

/// Marks the inputs as ready.
fn check_inputs(graph: &Graph, ready: &mut [bool]) -> Result<()> {
    for &input in &graph.inputs {
        let value = known(graph, input)?;
        if value.kind != ValueKind::Input || std::mem::replace(&mut ready[input.0], true) {
            return Err(invalid(format!("input {:?} is not an input value of its own", value.name)));
        }
        match value.shape.as_deref() {
            Some([Dim::Batch, rest @ ..]) if !rest.contains(&Dim::Batch) => {}
            shape => {
                let shape = shape.map_or("nothing".into(), show_shape);
                return Err(invalid(format!(
                    "input {:?}: expected a shape [N,...], found {shape}",
                    value.name
                )));
            }
        }
    }
    Ok(())
}

/// Marks the node's output as ready.
fn check_node(graph: &Graph, node: &Node, ready: &mut [bool]) -> Result<()> {
    let error = |message: String| Err(invalid(format!("{}{message}", describe(node))));
    for &input in &node.inputs {
        let value = known(graph, input)?;
        if !ready[input.0] {
            return error(format!(" reads {:?} before any node computes it", value.name));
        }
        if value.dtype != DType::F32 {
            return error(format!(": expected input {:?} of f32, found {}", value.name, value.dtype));
        }
    }
    let output = known(graph, node.output)?;
    if output.kind != ValueKind::Produced || std::mem::replace(&mut ready[node.output.0], true) {
        return error(format!(": {:?} has another source already", output.name));
    }
    let shape = output_shape(graph, node)?;
    if output.shape.as_ref() != Some(&shape) || output.dtype != DType::F32 {
        let declared = output.shape.as_deref().map_or("of unknown shape".into(), show_shape);
        return error(format!(
            ": its output {:?} is declared as {} {declared}, and is f32 {}",
            output.name,
            output.dtype,
            show_shape(&shape)
        ));
    }
    Ok(())
}

fn check_outputs(graph: &Graph, ready: &[bool]) -> Result<()> {
    let mut names = HashSet::new();
    for output in &graph.outputs {
        let value = known(graph, output.value)?;
        if !ready[output.value.0] {
            return Err(invalid(format!("no node computes the output {:?} ({:?})", output.name, value.name)));
        }
        if !names.insert(output.name.as_str()) {
            return Err(invalid(format!("two outputs are named {:?}", output.name)));
        }
    }
    match graph.outputs.is_empty() {
        true => Err(invalid("the graph has no output".into())),
        false => Ok(()),
    }
}

fn known(graph: &Graph, id: ValueId) -> Result<&Value> {
    graph.values.get(id.0).ok_or_else(|| invalid(format!("there is no value {}", id.0)))
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::ModelInvalid, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Op, Output, infer_shapes};
    use libvision_kernels::epilogue::Activation;

    const RELU: Op = Op::Activate(Activation::Relu);

    /// `x` through two activations.
    fn graph() -> Graph {
        let mut graph = Graph::default();
        let x = graph.add_value(Value {
            name: "x".into(),
            kind: ValueKind::Input,
            dtype: DType::F32,
            shape: Some(vec![Dim::Batch, Dim::Fixed(3)]),
        });
        graph.inputs.push(x);
        let a = graph.add_node("first", RELU, vec![x], "a");
        let b = graph.add_node("second", RELU, vec![a], "b");
        graph.outputs.push(Output { name: "logits".into(), value: b });
        infer_shapes(&mut graph).unwrap();
        graph
    }

    #[test]
    fn each_contradiction_is_named() {
        validate(&graph()).unwrap();
        type Change = fn(&mut Graph);
        let contradictions: [(Change, &str); 15] = [
            (|g| g.nodes.swap(0, 1), "\"second\" (Activate) reads \"a\" before"),
            (|g| g.nodes[0].inputs[0] = g.nodes[0].output, "\"first\" (Activate) reads \"a\" before"),
            (|g| g.nodes[1].name = "first".into(), "two nodes are named \"first\""),
            (|g| g.nodes[1].output = g.nodes[0].output, "\"a\" has another source"),
            (|g| g.nodes[0].output = g.inputs[0], "\"x\" has another source"),
            (|g| g.nodes[0].inputs.push(g.inputs[0]), "expected 1 inputs, found 2"),
            (|g| g.nodes[0].inputs[0] = ValueId(99), "no value 99"),
            (|g| g.outputs[0].value = ValueId(99), "no value 99"),
            (|g| g.outputs.clear(), "no output"),
            (|g| g.outputs.push(g.outputs[0].clone()), "two outputs are named \"logits\""),
            (|g| drop(g.nodes.pop()), "no node computes the output \"logits\""),
            (|g| g.inputs.push(g.inputs[0]), "\"x\" is not an input value of its own"),
            (
                |g| g.values[0].shape = Some(vec![Dim::Fixed(2), Dim::Fixed(3)]),
                "expected a shape [N,...], found [2,3]",
            ),
            (|g| g.values[0].dtype = DType::I32, "expected input \"x\" of f32, found i32"),
            (
                |g| g.values[1].shape = Some(vec![Dim::Batch, Dim::Fixed(4)]),
                "declared as f32 [N,4], and is f32 [N,3]",
            ),
        ];
        for (change, expected) in contradictions {
            let mut graph = graph();
            change(&mut graph);
            let error = validate(&graph).expect_err(expected);
            assert_eq!(error.kind(), ErrorKind::ModelInvalid);
            assert!(error.message().contains(expected), "{expected}: {error}");
        }
    }
}

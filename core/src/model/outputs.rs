//! Which outputs a model has: the logits, and the feature before the classifier.

use crate::error::Result;
use crate::graph::{Dim, Graph, Node, Op, Output, ValueId, infer_shapes};
use libvision_kernels::epilogue::Activation;

/// What was found at the end of a graph.
pub(super) struct Classifier {
    /// Whether the last step makes scores of the logits: `Softmax` or `Sigmoid`.
    pub(super) scores_by: Option<&'static str>,
    /// Whether the feature before the classifier was found.
    pub(super) has_embedding: bool,
}

/// Names the only output `logits` and adds the output `embedding`: the input `[N,K]` of the last fully
/// connected layer, or of the last 1x1 convolution over a pooled picture.
pub(super) fn name_outputs(graph: &mut Graph) -> Result<Classifier> {
    if let [output] = &mut graph.outputs[..] {
        output.name = "logits".into();
    }
    let Some(output) = graph.outputs.first() else {
        return Ok(Classifier { scores_by: None, has_embedding: false });
    };
    let mut value = output.value;
    let mut scores_by = None;
    let mut embedding = None;
    while let Some(node) = producer(graph, value) {
        match node.op {
            Op::Softmax if scores_by.is_none() => scores_by = Some("Softmax"),
            Op::Activate(Activation::Sigmoid) if scores_by.is_none() => scores_by = Some("Sigmoid"),
            Op::Flatten => {}
            Op::Linear { activation, .. } => {
                note_sigmoid(activation, &mut scores_by);
                embedding = Some(node.inputs[0]);
                break;
            }
            Op::Conv2d { activation, has_residual: false, .. } if is_pooled(graph, node.inputs[0]) => {
                note_sigmoid(activation, &mut scores_by);
                embedding = Some(node.inputs[0]);
                break;
            }
            _ => break,
        }
        value = node.inputs[0];
    }
    let has_name = graph.outputs.iter().any(|output| output.name == "embedding");
    if let Some(value) = embedding.filter(|_| !has_name) {
        let value = flat(graph, value)?;
        graph.outputs.push(Output { name: "embedding".into(), value });
    }
    Ok(Classifier { scores_by, has_embedding: has_name || embedding.is_some() })
}

fn note_sigmoid(activation: Activation, scores_by: &mut Option<&'static str>) {
    if activation == Activation::Sigmoid && scores_by.is_none() {
        *scores_by = Some("Sigmoid");
    }
}

fn producer(graph: &Graph, value: ValueId) -> Option<&Node> {
    graph.nodes.iter().rev().find(|node| node.output == value)
}

/// Whether the value is `[N,C,1,1]`.
fn is_pooled(graph: &Graph, value: ValueId) -> bool {
    let shape = graph.value(value).shape.as_deref();
    matches!(shape, Some([Dim::Batch, Dim::Fixed(_), Dim::Fixed(1), Dim::Fixed(1)]))
}

/// The value as `[N,K]`, by a node at the end if it has other axes.
fn flat(graph: &mut Graph, value: ValueId) -> Result<ValueId> {
    if !is_pooled(graph, value) {
        return Ok(value);
    }
    let mut name = "embedding".to_string();
    while graph.nodes.iter().any(|node| node.name == name) {
        name.push('_');
    }
    let value = graph.add_node(name.clone(), Op::Flatten, vec![value], name);
    infer_shapes(graph)?;
    Ok(value)
}

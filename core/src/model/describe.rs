//! A model in lines for people.

use super::load::class_count;
use super::model::Model;
use crate::graph::show_shape;
use crate::postprocess::Head;
use crate::preprocess::{CropPolicy, PreprocessSpec, ResizeMode};

impl Model {
    /// The model in lines for people: source, input, preprocessing, head, classes, size, passes.
    pub fn describe(&self) -> String {
        let graph = &self.graph;
        let mut lines = vec![format!("model {:?} from {}", self.name, self.path.display())];
        for &input in &graph.inputs {
            let value = graph.value(input);
            let shape = value.shape.as_deref().map(show_shape).unwrap_or_default();
            let limit = match graph.batch_limit {
                Some(limit) => format!(", at most {limit} in a batch"),
                None => String::new(),
            };
            lines.push(format!("input {:?} {shape}{limit}", value.name));
        }
        for output in &graph.outputs {
            let shape = graph.value(output.value).shape.as_deref().map(show_shape).unwrap_or_default();
            lines.push(format!("output {:?} {shape}", output.name));
        }
        lines.push(format!("preprocessing: {}", describe_preprocessing(&self.preprocess)));
        let head = match self.head {
            Head::Softmax => "softmax: classes exclude each other",
            Head::Sigmoid => "sigmoid: each class by itself",
            Head::Identity => "none: outputs are scores",
        };
        lines.push(format!("head: {head}"));
        let labels = if self.labels.is_empty() { "without labels" } else { "with labels" };
        match class_count(graph) {
            Some(classes) => lines.push(format!("classes: {classes}, {labels}")),
            None => lines.push("classes: none, the output is not [N,K]".into()),
        }
        lines.push(format!("nodes: {}, parameters: {}", graph.nodes.len(), graph.parameter_count()));
        lines.extend(self.notes.iter().map(|note| format!("- {note}")));
        lines.join("\n")
    }
}

fn describe_preprocessing(spec: &PreprocessSpec) -> String {
    let filter = spec.filter.name();
    let resize = match spec.resize {
        ResizeMode::None => "no resize".into(),
        ResizeMode::ShorterSide { size } => format!("shorter side to {size} ({filter})"),
        ResizeMode::Exact { height, width } => format!("resize to {width} x {height} ({filter})"),
        ResizeMode::Letterbox { height, width, .. } => format!("letterbox to {width} x {height} ({filter})"),
    };
    let crop = match spec.crop {
        CropPolicy::None => String::new(),
        CropPolicy::Center { height, width } | CropPolicy::CenterFloor { height, width } => {
            format!(", centre crop {width} x {height}")
        }
    };
    format!("{resize}{crop}, scale {}, mean {:?}, std {:?}", spec.scale, spec.mean, spec.std)
}

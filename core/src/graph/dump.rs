//! A graph as text, one line per node, for tests and people.

use super::infer_shapes::show_shape;
use super::{Graph, Op, ValueId, ValueKind};
use libvision_kernels::epilogue::Activation;
use libvision_kernels::geometry::Window;
use std::fmt::Write;

impl Graph {
    /// The graph as text: inputs, one line per node in order, outputs. Two graphs with the same dump
    /// differ at most in names of nodes and in the elements of their constants.
    pub fn dump(&self) -> String {
        let mut text = String::new();
        for &input in &self.inputs {
            line(&mut text, format_args!("input {}", self.show(input)));
        }
        for node in &self.nodes {
            let inputs: Vec<String> = node.inputs.iter().map(|&input| self.show(input)).collect();
            let details = details(&node.op);
            let inputs = inputs.join(", ");
            line(
                &mut text,
                format_args!("{} = {}{details}({inputs})", self.show(node.output), node.op.name()),
            );
        }
        for output in &self.outputs {
            line(&mut text, format_args!("output {} = {}", output.name, self.show(output.value)));
        }
        text
    }

    fn show(&self, id: ValueId) -> String {
        let value = self.value(id);
        let shape = value.shape.as_deref().map_or("[?]".into(), show_shape);
        match value.kind {
            ValueKind::Constant(_) => format!("const {}{shape}", value.name),
            ValueKind::Input | ValueKind::Produced => format!("{}{shape}", value.name),
        }
    }
}

fn line(text: &mut String, content: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{content}");
}

/// ` 3x3/2 +bias relu`: what the operator's name does not say.
pub(crate) fn details(op: &Op) -> String {
    let mut parts = Vec::new();
    match op {
        Op::Conv2d { window, groups, has_bias, has_residual, activation } => {
            parts.push(show_window(window));
            if *groups != 1 {
                parts.push(format!("groups {groups}"));
            }
            parts.extend(has_bias.then(|| "+bias".into()));
            parts.extend(has_residual.then(|| "+residual".into()));
            parts.extend(show_activation(*activation));
        }
        Op::BatchNorm { epsilon } => parts.push(format!("epsilon {epsilon}")),
        Op::Activate(activation) => {
            parts.push(show_activation(*activation).unwrap_or_else(|| "identity".into()));
        }
        Op::Add { activation } => parts.extend(show_activation(*activation)),
        Op::MaxPool { window } => parts.push(show_window(window)),
        Op::AveragePool { window, count_include_pad } => {
            parts.push(show_window(window));
            parts.extend(count_include_pad.then(|| "border counts".into()));
        }
        Op::GlobalAveragePool { keep_dims } => parts.extend(keep_dims.then(|| "keep_dims".into())),
        Op::Linear { has_bias, activation } => {
            parts.extend(has_bias.then(|| "+bias".into()));
            parts.extend(show_activation(*activation));
        }
        Op::Mul | Op::Flatten | Op::Softmax => {}
    }
    parts.iter().map(|part: &String| format!(" {part}")).collect()
}

fn show_activation(activation: Activation) -> Option<String> {
    Some(match activation {
        Activation::Identity => return None,
        Activation::Relu => "relu".into(),
        Activation::Clip { low, high } => format!("clip {low} to {high}"),
        Activation::Sigmoid => "sigmoid".into(),
        Activation::Silu => "silu".into(),
        Activation::HardSigmoid { alpha, beta } => format!("hard_sigmoid {alpha} {beta}"),
        Activation::HardSwish => "hard_swish".into(),
    })
}

/// `7x7 stride 2x2 border 3,3,3,3` (top, left, bottom, right), defaults left out.
fn show_window(window: &Window) -> String {
    let pair = |[a, b]: [usize; 2]| format!("{a}x{b}");
    let mut text = pair(window.size);
    if window.stride != [1, 1] {
        text += &format!(" stride {}", pair(window.stride));
    }
    if window.dilation != [1, 1] {
        text += &format!(" dilation {}", pair(window.dilation));
    }
    let p = window.padding;
    let border = [p.top, p.left, p.bottom, p.right];
    if border != [0; 4] {
        text += &format!(" border {},{},{},{}", border[0], border[1], border[2], border[3]);
    }
    text
}

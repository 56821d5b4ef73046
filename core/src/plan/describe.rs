//! A plan as text for people.

use super::plan::Plan;
use crate::graph::show_shape;
use libvision_kernels::geometry::Padding;
use std::fmt::Write;

impl Plan {
    /// One line per step: number, operator with what is fused into it, name, output shape, algorithm, place
    /// in the arena; then totals. `algorithms` has one entry per step.
    pub fn describe(&self, algorithms: &[&str]) -> String {
        let mut text = String::new();
        let (images, replicas) = (self.images, self.replicas);
        line(
            &mut text,
            format_args!(
                "{} steps, each on at most {images} images at a time, in {replicas} replicas",
                self.steps.len()
            ),
        );
        for (index, (step, algorithm)) in self.steps.iter().zip(algorithms).enumerate() {
            let mut words = format!("{index:>4}  {} {:?}", step.operation, step.name);
            if let Some(id) = step.output {
                let tensor = &self.tensors[id];
                words += &format!(" -> {}", show_shape(&tensor.shape));
                if !algorithm.is_empty() {
                    words += &format!(", {algorithm}");
                }
                let range = self.range(id, 0, images);
                words += &format!(", arena {}..{} bytes", range.start * 4, range.end * 4);
                let Padding { top, left, bottom, right } = tensor.layout.border;
                if tensor.layout.border != Padding::default() {
                    let cleared = if step.clear_border { "cleared" } else { "clean" };
                    words += &format!(", border {top},{left},{bottom},{right} {cleared}");
                }
            } else if let Some(Some(input)) = step.inputs.first() {
                words += &format!(" <- {}", show_shape(&self.tensors[*input].shape));
            }
            line(&mut text, format_args!("{words}"));
        }
        let bytes = |floats: usize| floats * size_of::<f32>();
        line(
            &mut text,
            format_args!(
                "arena: {} bytes, of which tensors {} and workspace {}; a step needs {} at most",
                bytes(self.arena_floats()),
                bytes(self.workspace_start()),
                bytes(self.arena_floats() - self.workspace_start()),
                bytes(self.least_floats()),
            ),
        );
        text
    }
}

fn line(text: &mut String, content: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{content}");
}

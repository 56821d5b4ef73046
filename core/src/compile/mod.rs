//! Passes from graph to graph: what can be computed once is folded, what belongs together is fused.

mod diagnostics;
mod fold_batch_norm;
mod fold_constants;
mod fold_flatten;
mod fuse_activations;
mod fuse_conv_epilogue;
mod pass;
mod pipeline;
mod remove_dead_nodes;

pub use diagnostics::{Diagnostics, Finding};
pub use pass::Pass;
pub use pipeline::Pipeline;

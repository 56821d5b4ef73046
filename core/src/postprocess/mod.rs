//! From a model's scores to labels.

mod head;
mod labels;
mod top_k;

pub use head::Head;
pub use labels::write_label;
pub use top_k::{Ranked, top_k};

//! From a model's scores to labels.

mod head;
mod top_k;

pub use head::Head;
pub use top_k::{Ranked, top_k};

//! Element types, shapes and tensors as the rest of the core passes them round.

mod dtype;
mod tensor;

pub use dtype::DType;
pub(crate) use tensor::element_count;
pub use tensor::{Element, Tensor};

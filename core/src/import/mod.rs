//! Model files to graphs.

pub mod architectures;
pub mod onnx;
pub mod safetensors;

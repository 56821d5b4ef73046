//! Makes the committed generated files: the C header and the ONNX messages.

fn main() {}

//! ONNX files to graphs, for networks as PyTorch exports them.
//!
//! | file | what it does |
//! | --- | --- |
//! | `onnx.proto`, `messages.rs` | the part of the format that is read, and its decoder (generated) |
//! | `wire.rs` | what decoding would allocate, found before it is done |
//! | `tensors.rs`, `external.rs` | constants, in the file and beside it |
//! | `reader.rs` | a whole file to a graph |
//! | `inputs.rs`, `order.rs` | what a file declares, and which of its nodes are needed |
//! | `importer.rs`, `operand.rs` | what names stand for while nodes are translated |
//! | `node.rs`, `attributes.rs` | what a node reads |
//! | `ops.rs` and its folder | one node to the graph's operators |
//! | `symbolic.rs` | integers that exporters compute shapes with, folded while the batch is unknown |

mod attributes;
mod external;
mod importer;
mod inputs;
#[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated")]
#[rustfmt::skip]
mod messages;
mod node;
mod operand;
mod ops;
mod order;
mod reader;
mod symbolic;
mod tensors;
mod wire;

pub use reader::{OnnxOptions, import};

/// The messages themselves, so that tests can build files.
pub mod proto {
    pub use super::messages::*;
}

//! Kinds of devices: from a compiled graph to an executable and its contexts.

mod cpu;
mod traits;

pub use traits::{
    Availability, Backend, CompileOptions, Executable, ExecutionContext, MemoryNeed, TensorSpec,
};

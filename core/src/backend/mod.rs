//! Kinds of devices: from a compiled graph to an executable and its contexts.

pub mod cpu;
pub mod registry;
mod traits;

pub use traits::{
    Availability, Backend, CompileOptions, Executable, ExecutionContext, MemoryNeed, StepDescription,
    TensorSpec,
};

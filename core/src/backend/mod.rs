//! Kinds of devices: from a compiled graph to an executable and its contexts.

mod check_run;
mod constants;
pub mod cpu;
#[cfg(feature = "cuda")]
pub mod cuda;
pub mod registry;
mod traits;

pub use traits::{
    Availability, Backend, CompileOptions, DevicePreprocessing, Executable, ExecutionContext, Forecast,
    Image, MemoryNeed, PictureLoader, Precision, StepDescription, TensorSpec,
};

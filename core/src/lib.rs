//! libvision: from the bytes of a picture and a model file to an answer.
//!
//! ```no_run
//! use libvision::{Engine, EngineOptions, ImageSource, Model, RequestOptions};
//! # fn main() -> libvision::Result<()> {
//! let engine = Engine::new(Model::load("examples/model")?.into(), &EngineOptions::default())?;
//! let answer = engine.classify(ImageSource::Path("cat.jpg".into()), RequestOptions::default())?;
//! println!("{} {:.3}", answer.predictions[0].label, answer.predictions[0].score);
//! # Ok(())
//! # }
//! ```
//!
//! Modules import only from those before them: `error`, `tensor`, `memory`, `image`, `preprocess`,
//! `postprocess`, `graph`, `import`, `compile`, `plan`, `backend`, `model`, `measure`, `engine`.

pub mod error;
pub mod tensor;
pub mod memory;
pub mod image;
pub mod preprocess;
pub mod postprocess;
pub mod graph;
pub mod import;
pub mod compile;
pub mod plan;
pub mod backend;
pub mod model;
pub mod measure;
pub mod engine;

pub use crate::backend::cpu::Tuning;
pub use crate::engine::{
    BatchWindow, Canceller, Engine, EngineOptions, MemoryPlan, ModelId, Pending, Prediction, Priority,
    Readiness, RequestOptions, Response, Task, Tenant, Timing, TraceContext,
};
pub use crate::error::{Error, ErrorKind, Result};
pub use crate::image::{DecodeLimits, ImageSource, PixelFormat, RawPixels};
pub use crate::model::{LoadOptions, Model};
pub use crate::postprocess::Head;
pub use crate::preprocess::PreprocessSpec;
pub use crate::tensor::{DType, Tensor};

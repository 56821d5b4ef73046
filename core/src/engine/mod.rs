//! Requests in, answers out: admission, a bounded queue, decoding, dynamic batches, workers.

mod config;
mod engine;
mod pending;
mod request;

pub use config::EngineOptions;
pub use engine::Engine;
pub use pending::{Canceller, Pending};
pub use request::{Prediction, RequestOptions, Response, Task, Timing};

//! How fast a model runs on a device of this machine: without a queue, whole or step by step.

mod golden;
mod measurement;
mod model;
mod runner;
mod tune;

pub use measurement::{Measurement, Occupancy, StepTime};
pub use model::MeasureOptions;
pub use runner::Runner;

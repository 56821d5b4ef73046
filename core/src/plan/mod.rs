//! The order of steps, the layout of every tensor, lifetimes and places in the arena.

mod borders;
mod describe;
mod layout;
mod lifetimes;
mod place;
#[allow(clippy::module_inception, reason = "the file that makes a plan is named after it")]
mod plan;
mod schedule;
mod step;

pub use layout::{LayoutRules, conv2d_geometry};
pub use lifetimes::Lifetime;
pub use plan::{Plan, PlannedTensor};
pub use step::{Step, TensorId, Work};

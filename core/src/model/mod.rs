//! A model: a network, its preprocessing and its labels, loaded, checked and tied to no device.

mod config;
mod describe;
mod directory;
mod from_graph;
mod golden;
mod load;
mod model;
mod outputs;
mod weights;

pub use golden::{GOLDEN_FILE, GOLDEN_IMAGES, Golden, golden_image};
pub use model::{LoadOptions, Model};

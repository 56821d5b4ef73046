//! A model: a network, its preprocessing and its labels, loaded, checked and tied to no device.

mod config;
mod describe;
mod directory;
mod from_graph;
mod load;
mod model;
mod outputs;
mod weights;

pub use model::{LoadOptions, Model};

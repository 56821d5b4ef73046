//! A model: a network, its preprocessing and its labels, loaded, checked and tied to no device.

mod load;
mod model;
mod outputs;

pub use model::{LoadOptions, Model};

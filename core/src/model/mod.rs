//! A model: a network, its preprocessing and its labels, loaded, checked and tied to no device.

mod model;

pub use model::{LoadOptions, Model};

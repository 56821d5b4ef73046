//! From pixels to a model's input tensor: the steps as data, and their portable implementation.

mod spec;

pub use spec::{CropPolicy, Layout, PreprocessSpec, ResizeFilter, ResizeMode};

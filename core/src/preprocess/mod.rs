//! From pixels to a model's input tensor: the steps as data, and their portable implementation.

mod cpu;
mod geometry;
mod spec;

pub use cpu::CpuPreprocessor;
pub(crate) use geometry::output_size;
pub use spec::{CropPolicy, Layout, PreprocessSpec, ResizeFilter, ResizeMode};

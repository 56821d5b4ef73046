//! From pixels to a model's input tensor: the steps as data, and their portable implementation.

mod by_size;
mod cpu;
mod geometry;
mod spec;

#[cfg(feature = "cuda")]
pub(crate) use by_size::BySize;
pub use cpu::CpuPreprocessor;
#[cfg(feature = "cuda")]
pub(crate) use geometry::Geometry;
pub(crate) use geometry::output_size;
pub use spec::{CropPolicy, Layout, PreprocessSpec, ResizeFilter, ResizeMode};

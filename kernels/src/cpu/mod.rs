//! Vectorised kernels for CPUs, the table that lists them and the choice at run time.

pub mod conv2d;
pub mod elementwise;
pub(crate) mod gemm;
pub mod huge_pages;
pub mod isa;
pub mod layout;
pub mod linear;
pub mod normalize;
pub mod peak;
pub mod pool2d;
pub mod processor;
pub mod resize;
pub mod select;
pub(crate) mod simd;
pub mod softmax;
pub mod variants;
pub mod weight;

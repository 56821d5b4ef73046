//! The obvious, slow truth that every other variant of a kernel is compared with.
//!
//! Everything here takes one plain NCHW image (or plain rows), sums in f64 and gives f64.

pub mod conv2d;
pub mod elementwise;
pub mod linear;
pub mod pool2d;
pub mod softmax;

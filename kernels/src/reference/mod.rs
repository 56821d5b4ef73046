//! The obvious, slow truth that every other variant of a kernel is compared with.
//!
//! What belongs to the network takes one plain NCHW image (or plain rows), sums in f64 and gives f64;
//! `resize` and `normalize` take interleaved bytes and are exact.

pub mod conv2d;
pub mod elementwise;
pub mod linear;
pub mod normalize;
pub mod pool2d;
pub mod resize;
pub mod softmax;

//! Every CUDA kernel of libvision against the CPU. The cases run on whatever launches kernels: the emulator in
//! the tests, a device in the GPU kit.

#![deny(unsafe_code)]

pub mod cases;
pub mod conv;
#[allow(unsafe_code, reason = "calls into the driver")]
pub mod gpu;
pub mod networks;
pub mod numbers;
pub mod pair;
pub mod picture;
pub mod pool;
pub mod scores;

//! Runs libvision's CUDA kernels on the CPU. The `.cu` sources are compiled as they are against the host side
//! of the primitive layer; README.md says what is modelled and what is not.

#![deny(unsafe_code)]

mod compile;
#[allow(unsafe_code, reason = "calls into the library that was compiled")]
mod emulator;
mod memory;

pub use compile::Change;
pub use emulator::{Access, Counts, Device, Emulator};
pub use memory::Memory;

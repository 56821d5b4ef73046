//! The CPU: packed weights, kernels chosen at run time, one pool of threads.

mod backend;
#[cfg(test)]
mod border_tests;
#[allow(unsafe_code, reason = "images of a batch are computed at the same time in one arena")]
mod context;
mod executable;
mod kernel;
mod lower;
mod prepack;
mod thread_count;
#[allow(unsafe_code, reason = "tasks borrow from the caller's stack, which waits for them")]
mod thread_pool;
mod tuning;

pub use backend::CpuBackend;
pub use libvision_kernels::cpu::processor::processor_name;
pub use tuning::{TunedConv2d, Tuning};

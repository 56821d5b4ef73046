//! NVIDIA devices through their driver alone: our own kernels, loaded from images in this library.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`probe`] | whether a driver and a device are here and fit, before anything else is called |
//! | [`device`], [`stream`], [`event`] | a device under its primary context; queues of work; marks in them |
//! | [`device_pool`], [`pinned_pool`] | memory of the device under a hard limit; page-locked memory for copies |
//! | [`module_cache`], [`launch`] | the embedded images, loaded once per device, and their kernels |
//! | `graph_capture` | work recorded once and queued as a whole |
//! | `form`, `lower`, `kernels`, `packed_weights` | a graph as kernels of the device; needs no device |
//! | `preprocess`, `pictures` | from pictures to the network's input; memory for them on both sides |
//! | `resident`, `executable`, `context` | that on a device, and runs of it |
//! | `driver_error` | what the driver's error codes mean for a caller |
//!
//! Everything that was made on a device holds it, makes its context current before each call, and gives itself
//! back when dropped, again if that fails. A stream waits when it is dropped; memory that its work uses is dropped
//! after it.

mod backend;
#[allow(unsafe_code, reason = "work is queued on memory that this workplace keeps")]
mod context;
#[allow(unsafe_code, reason = "the driver's functions are foreign")]
pub mod device;
#[allow(unsafe_code, reason = "the driver's functions are foreign")]
pub mod device_pool;
mod driver_error;
#[allow(unsafe_code, reason = "the driver's functions are foreign")]
pub mod event;
mod executable;
mod form;
#[allow(unsafe_code, reason = "the driver's functions are foreign")]
mod graph_capture;
mod kernels;
#[allow(unsafe_code, reason = "handles of the driver go from thread to thread")]
pub mod launch;
mod lower;
#[allow(unsafe_code, reason = "the driver's functions are foreign")]
pub mod module_cache;
mod packed_weights;
#[allow(unsafe_code, reason = "work is queued on memory that this keeps")]
mod pictures;
#[allow(unsafe_code, reason = "the driver's functions are foreign, and so is page-locked memory")]
pub mod pinned_pool;
#[cfg(test)]
#[allow(unsafe_code, reason = "the mistakes that unsafe code is there to avoid")]
mod planted_tests;
mod preprocess;
#[allow(unsafe_code, reason = "the driver's functions are foreign")]
pub mod probe;
mod resident;
#[allow(unsafe_code, reason = "the driver's functions are foreign")]
pub mod stream;

pub use backend::CudaBackend;
pub use probe::{DeviceFacts, DriverFacts, Missing};

//! The arithmetic of libvision: slices and sizes in, slices out. It knows no graph, file or request.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`geometry`] | checked sizes that every variant of a kernel family shares |
//! | [`epilogue`] | what a convolution does to a value before it stores it |
//! | [`parallel`] | how kernels spread work over threads that somebody else owns |
//! | [`mod@reference`] | the obvious, slow truth that every other variant is compared with |
//! | [`cpu`] | vectorised kernels, the table that lists them and the choice at run time |
//! | [`cuda`] | device kernels as data, and the arithmetic of launching them |

#![deny(unsafe_code)]

#[allow(unsafe_code, reason = "vector instructions, and tensors that threads write parts of")]
pub mod cpu;
pub mod cuda;
pub mod epilogue;
pub mod geometry;
#[allow(unsafe_code, reason = "tensors that threads write parts of")]
pub mod parallel;
pub mod reference;

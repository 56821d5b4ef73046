//! The C ABI of libvision: where C meets Rust. It translates types, checks every argument and holds no
//! logic of its own.
//!
//! Conventions and how to add a function: `ffi/README.md`. `include/libvision.h` is made from this crate.

#![allow(non_camel_case_types, reason = "types carry the names that C sees")]

pub mod abi;
mod boundary;
mod callbacks;
pub mod engine;
pub mod engine_options;
mod handle;
pub mod image;
pub mod load_options;
pub mod metrics;
pub mod model;
pub mod models;
pub mod preprocess;
pub mod request;
pub mod request_options;
pub mod result;
pub mod status;
pub mod tensor;

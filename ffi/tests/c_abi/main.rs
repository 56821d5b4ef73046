//! The C ABI as its users have it: what is exported, how structs lie, and programs in C and C++.

#![cfg(target_os = "linux")]

mod programs;
mod shipped_surface;
mod toolchain;

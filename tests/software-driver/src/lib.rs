//! A CUDA driver without a GPU: `libcuda.so.1` for tests. Streams, events, graphs and memory are simulated and
//! watched; libvision's kernels run in the emulator. README.md has the symbols and the variables.

mod clock;
mod codes;
mod driver;
mod exit;
mod fault_handler;
mod image;
mod interface;
mod kernel;
mod lock;
mod memory;
mod objects;
mod operands;
mod operation;
mod report;
mod schedule;
mod settings;

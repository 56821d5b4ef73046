//! The calls that are exported, by what they are about. Pointers come from the program: each is what the
//! driver's documentation asks for, or null where that is allowed.
#![allow(non_snake_case, reason = "the names are the driver interface's")]

mod control;
mod device;
mod event;
mod graph;
mod memory;
mod module;
mod stream;

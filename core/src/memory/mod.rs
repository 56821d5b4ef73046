//! Arenas, aligned buffers, mapped files and staging buffers.

#[allow(unsafe_code, reason = "the standard collections cannot be told an alignment")]
mod aligned;
#[allow(unsafe_code, reason = "the threads of a run work in different parts of one arena")]
mod arena;
#[allow(unsafe_code, reason = "a memory map is sound only while nobody cuts the file, which callers promise")]
mod mapped;
#[allow(unsafe_code, reason = "several threads fill one buffer at a time, each its own slots")]
mod staging;

pub use aligned::AlignedFloats;
pub use arena::{Arena, Carved, Rest, SharedArena};
pub(crate) use mapped::{MappedFile, read_file_beside};
pub use mapped::{ReadOptions, read_file};
pub use staging::{SlotBuffer, SlotLease};

//! Arenas, aligned buffers, mapped files and byte budgets.

#[allow(unsafe_code, reason = "the standard collections cannot be told an alignment")]
mod aligned;
mod arena;
mod budget;
#[allow(unsafe_code, reason = "a memory map is sound only while nobody cuts the file, which callers promise")]
mod mapped;

pub use aligned::AlignedFloats;
pub use arena::{Arena, Carved, Rest};
pub use budget::{ByteBudget, Charge};
pub(crate) use mapped::read_file_beside;
pub use mapped::{ReadOptions, read_file};

//! Arenas, aligned buffers, mapped files and byte budgets.

mod budget;

pub use budget::{ByteBudget, Charge};

//! Arenas, aligned buffers, mapped files and byte budgets.

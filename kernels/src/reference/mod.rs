//! The obvious, slow truth that every other variant of a kernel is compared with.

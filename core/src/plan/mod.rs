//! The order of steps, lifetimes and places in the arena.

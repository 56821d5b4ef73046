//! `vision`: what a person runs at a shell.

fn main() {}

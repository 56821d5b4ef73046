//! The project's own commands: demo, test, dist and the checks.

fn main() {}

//! `cargo xtask dist`: what people install, under `target/packages/`.

pub mod npm;
pub mod prefix;
pub mod wheel;

use crate::workspace;
use std::path::PathBuf;

/// Where the packages are put.
pub fn folder() -> PathBuf {
    workspace::target().join("packages")
}

/// Makes all three.
pub fn run() -> anyhow::Result<()> {
    let wheel = wheel::build()?;
    let npm = npm::build()?;
    let prefix = prefix::build()?;
    println!("\nwheel   {}\nnpm     {}\nprefix  {}", wheel.display(), npm.display(), prefix.display());
    Ok(())
}

//! The Python wheel.

use crate::command::{program, run};
use crate::{python, workspace};
use anyhow::Context;
use std::path::PathBuf;

/// Builds the wheel with maturin and returns its path.
pub fn build() -> anyhow::Result<PathBuf> {
    let bin = python::environment()?;
    let folder = super::folder().join("wheel");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    let manifest = workspace::root().join("bindings/python/Cargo.toml");
    run(program(bin.join("maturin"), ["build", "--release", "--locked", "--quiet", "--manifest-path"])
        .arg(manifest)
        .arg("--interpreter")
        .arg(bin.join("python"))
        .arg("--out")
        .arg(&folder))?;
    let wheels = workspace::files(&folder, "whl")?;
    wheels.into_iter().next().context("maturin made no wheel")
}

//! Compiles the CUDA kernels to the images that are committed. `--check` compiles them again and compares;
//! `--report` prints what the compiler and a roofline say about each kernel.
//!
//! Needs NVRTC, which `cargo xtask cubins` installs; no driver and no GPU.

mod gates;
mod images;
mod nvrtc;
mod report;
mod roofline;
mod sass;
mod sources;
mod targets;

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

const USAGE: &str = "usage: cubins TOOLCHAIN [--check | --report [--check]]";

/// Where things are.
pub(crate) struct Places {
    /// `kernels/`
    pub(crate) kernels: PathBuf,
    /// The folder that the toolchain's wheels were installed in.
    pub(crate) toolchain: PathBuf,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let toolchain = PathBuf::from(arguments.first().context(USAGE)?);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let places = Places { kernels: root.join("kernels"), toolchain };
    let options: Vec<&str> = arguments[1..].iter().map(String::as_str).collect();
    match options[..] {
        [] => images::make(&places),
        ["--check"] => images::check(&places),
        ["--report"] => report::make(&places, false),
        ["--report", "--check"] => report::make(&places, true),
        _ => bail!(USAGE),
    }
}

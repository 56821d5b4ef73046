//! Makes the committed generated files; `--check` compares with what is committed and writes nothing.

mod dependencies;
mod generated;
mod header;
mod onnx;

use anyhow::{Result, bail};
use generated::Mode;

const USAGE: &str = "usage: generators (header | onnx | dependencies) [--check]";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mode = match arguments.get(1).map(String::as_str) {
        None => Mode::Write,
        Some("--check") => Mode::Check,
        Some(_) => bail!(USAGE),
    };
    match arguments.first().map(String::as_str) {
        Some("header") => header::generate(mode),
        Some("onnx") => onnx::generate(mode),
        Some("dependencies") => dependencies::check(&generated::root()),
        _ => bail!(USAGE),
    }
}

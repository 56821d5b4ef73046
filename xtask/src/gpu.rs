//! `cargo xtask gpu --pack DIR`: what a machine with a GPU needs to check and measure libvision, without Rust.

use crate::command::{cargo, run};
use crate::workspace;
use anyhow::{Context, bail, ensure};
use std::fs;
use std::path::{Path, PathBuf};

/// The most that a kit may hold, in bytes.
const LIMIT: u64 = 60 << 20;

/// Of the shipped model's folder: what a model directory is made of, and the pictures.
const MODEL: [&str; 5] = ["config.json", "golden.json", "labels.txt", "model.safetensors", "pictures"];

/// Lays down the kit in a new folder.
pub fn pack(arguments: &[String]) -> anyhow::Result<()> {
    let [flag, folder] = arguments else { bail!("expected `cargo xtask gpu --pack DIR`") };
    ensure!(flag == "--pack", "expected `--pack DIR`, found {flag:?}");
    let folder = Path::new(folder);
    ensure!(!folder.exists(), "{} is already there; name a new folder", folder.display());
    let root = workspace::root();

    let packages = ["--package", "libvision-apps", "--package", "libvision-kernel-suite"];
    run(cargo().args(["build", "--release", "--locked"]).args(packages))?;
    for binary in ["vision", "gpu-suite"] {
        copy(&workspace::target().join("release").join(binary), &folder.join("bin").join(binary))?;
    }
    for name in MODEL {
        copy(&root.join("examples/model").join(name), &folder.join("model").join(name))?;
    }
    copy(&root.join("benches/gpu"), folder)?;

    let bytes = bytes(folder)?;
    ensure!(bytes <= LIMIT, "the kit holds {bytes} bytes, more than the {LIMIT} that it may");
    println!("{} holds {:.1} MB. On the machine with the GPU:\n", folder.display(), bytes as f64 / 1e6);
    for part in ["goldens", "sanitize", "baseline", "bench"] {
        println!("    python3 {}/run.py --part {part}", folder.display());
    }
    Ok(())
}

/// Copies a file, or a folder with what is in it.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let what = || from.display().to_string();
    if !from.is_dir() {
        fs::create_dir_all(to.parent().unwrap_or(to)).with_context(what)?;
        fs::copy(from, to).with_context(what)?;
        return Ok(());
    }
    for path in entries(from)? {
        let name = path.file_name().unwrap_or_default();
        if name != "__pycache__" {
            copy(&path, &to.join(name))?;
        }
    }
    Ok(())
}

fn bytes(path: &Path) -> anyhow::Result<u64> {
    if !path.is_dir() {
        return Ok(path.metadata().with_context(|| path.display().to_string())?.len());
    }
    entries(path)?.iter().map(|path| bytes(path)).sum()
}

fn entries(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

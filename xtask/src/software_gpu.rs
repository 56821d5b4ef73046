//! `cargo xtask software-gpu`: runs a command on the software CUDA driver.

use crate::command::{cargo, program, run};
use crate::workspace;
use anyhow::{Context, ensure};
use std::path::PathBuf;

/// Builds the driver and lays it down under the names that programs look for. The folder is not the one that
/// cargo builds in: cargo puts that one on the library path of every test.
pub fn install() -> anyhow::Result<PathBuf> {
    run(cargo().args(["build", "--quiet", "--package", "libvision-software-driver", "--lib"]))?;
    let folder = workspace::target().join("software-gpu");
    std::fs::create_dir_all(&folder)?;
    let built = workspace::target().join("debug/libsoftware_cuda.so");
    for name in ["libcuda.so.1", "libcuda.so"] {
        // Programs may have the old one mapped: it is replaced, not written to.
        let new = folder.join(format!("{name}.new"));
        std::fs::copy(&built, &new).with_context(|| built.display().to_string())?;
        std::fs::rename(&new, folder.join(name))?;
    }
    Ok(folder)
}

/// Runs the command after `--`. Fails if it does, or if the driver has something to report.
pub fn run_on_it(arguments: &[String]) -> anyhow::Result<()> {
    let command = arguments.strip_prefix(&["--".to_owned()]).unwrap_or(arguments);
    let (name, rest) = command.split_first().context("usage: cargo xtask software-gpu -- COMMAND")?;
    let folder = install()?;
    let reports = folder.join("reports.txt");
    std::fs::write(&reports, "")?;
    let mut path = vec![folder.clone()];
    path.extend(std::env::var_os("LD_LIBRARY_PATH").iter().flat_map(std::env::split_paths));
    let mut command = program(name, rest);
    command
        .env("LD_LIBRARY_PATH", std::env::join_paths(path)?)
        .env("LIBVISION_SWCUDA_REPORTS", &reports)
        .env("LIBVISION_CUDA_SEPARATE_TENSORS", "1");
    command.current_dir(std::env::current_dir()?);
    run(&mut command)?;
    let found = std::fs::read_to_string(&reports)?;
    ensure!(found.is_empty(), "the software driver reports:\n{found}");
    Ok(())
}

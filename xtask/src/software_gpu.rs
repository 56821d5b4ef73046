//! `cargo xtask software-gpu`: runs a command on the software CUDA driver.

use crate::command::{cargo, output, program, run};
use crate::workspace;
use anyhow::{Context, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

const USAGE: &str = "usage: cargo xtask software-gpu [--seeds N] [--without SYMBOL] -- COMMAND";

/// Builds the driver and lays it down under the names that programs look for, one symbol hidden if asked. The
/// folder is not the one that cargo builds in: cargo puts that one on the library path of every test.
pub fn install(without: Option<&str>) -> anyhow::Result<PathBuf> {
    run(cargo().args(["build", "--quiet", "--package", "libvision-software-driver", "--lib"]))?;
    let name = without.map_or("software-gpu".to_owned(), |symbol| format!("software-gpu-without-{symbol}"));
    let folder = workspace::target().join(name);
    std::fs::create_dir_all(&folder)?;
    let built = workspace::target().join("debug/libsoftware_cuda.so");
    let mut library = std::fs::read(&built).with_context(|| built.display().to_string())?;
    if let Some(symbol) = without {
        hide(&mut library, symbol)?;
    }
    for name in ["libcuda.so.1", "libcuda.so"] {
        // Programs may have the old one mapped: it is replaced, not written to.
        let new = folder.join(format!("{name}.new"));
        std::fs::write(&new, &library)?;
        std::fs::rename(&new, folder.join(name))?;
    }
    Ok(folder)
}

/// Gives the symbol another name.
fn hide(library: &mut [u8], symbol: &str) -> anyhow::Result<()> {
    let name = [b"\0", symbol.as_bytes(), b"\0"].concat();
    let windows = library.windows(name.len()).enumerate();
    let places: Vec<usize> = windows.filter(|(_, window)| *window == name).map(|(at, _)| at).collect();
    ensure!(!places.is_empty(), "the software driver has no symbol {symbol}");
    for at in places {
        library[at + 1] = b'_';
    }
    Ok(())
}

/// Runs the command after `--`, once for each seed. Fails if it does, or if the driver has something to report.
pub fn run_on_it(arguments: &[String]) -> anyhow::Result<()> {
    let (mut seeds, mut without) = (None, None);
    let mut rest = arguments.iter();
    loop {
        match rest.next().context(USAGE)?.as_str() {
            "--" => break,
            "--seeds" => seeds = Some(rest.next().context(USAGE)?.parse::<u64>().context("--seeds")?),
            "--without" => without = rest.next().map(String::as_str),
            _ => bail!(USAGE),
        }
    }
    let (name, words) = rest.as_slice().split_first().context(USAGE)?;
    let folder = install(without)?;
    let Some(seeds) = seeds else { return run_once(&folder, name, words, None) };
    (1..=seeds).try_for_each(|seed| {
        run_once(&folder, name, words, Some(seed)).with_context(|| format!("seed {seed}"))
    })
}

/// Runs the command and gives what it prints. Fails as well if it never called the driver.
pub fn output_on_it(command: &mut Command) -> anyhow::Result<String> {
    let folder = install(None)?;
    let calls = folder.join(format!("calls-{}.txt", std::process::id()));
    let printed = on_it(&folder, command.env("LIBVISION_SWCUDA_TRACE", &calls), output)?;
    let bytes = std::fs::metadata(&calls).map_or(0, |file| file.len());
    ensure!(bytes > 0, "the program answered without the software driver");
    std::fs::remove_file(&calls)?;
    Ok(printed)
}

fn run_once(folder: &Path, name: &str, words: &[String], seed: Option<u64>) -> anyhow::Result<()> {
    let mut command = program(name, words);
    command.current_dir(std::env::current_dir()?);
    if let Some(seed) = seed {
        command.env("LIBVISION_SWCUDA_SEED", seed.to_string());
    }
    on_it(folder, &mut command, run)
}

/// Runs a command with the driver of this folder. Fails if the driver has something to report.
fn on_it<T>(
    folder: &Path,
    command: &mut Command,
    run: impl FnOnce(&mut Command) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let reports = folder.join(format!("reports-{}.txt", std::process::id()));
    std::fs::write(&reports, "")?;
    let mut path = vec![folder.to_owned()];
    path.extend(std::env::var_os("LD_LIBRARY_PATH").iter().flat_map(std::env::split_paths));
    command
        .env("LD_LIBRARY_PATH", std::env::join_paths(path)?)
        .env("LIBVISION_SWCUDA_REPORTS", &reports)
        .env("LIBVISION_CUDA_SEPARATE_TENSORS", "1")
        .env("LIBVISION_REQUIRE_CUDA", "1");
    let outcome = run(command);
    let found = std::fs::read_to_string(&reports)?;
    std::fs::remove_file(&reports)?;
    ensure!(found.is_empty(), "the software driver reports:\n{found}");
    outcome
}

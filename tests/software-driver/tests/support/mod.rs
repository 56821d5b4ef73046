//! Running this test program again as a user of the driver, and a small user.
#![allow(dead_code, reason = "each test file uses a part")]

pub(crate) mod session;

use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Names the scenario that a started program plays.
const SCENARIO: &str = "SOFTWARE_DRIVER_SCENARIO";

/// The scenario to play, in a started program.
pub(crate) fn scenario() -> Option<String> {
    std::env::var(SCENARIO).ok()
}

/// A folder with the driver under both of its names.
pub(crate) fn installed() -> Result<tempfile::TempDir> {
    installed_without(None)
}

/// The same, one symbol hidden.
pub(crate) fn installed_without(symbol: Option<&str>) -> Result<tempfile::TempDir> {
    let program = std::env::current_exe()?;
    let beside = program.parent().context("a folder")?;
    let mut library = std::fs::read(beside.join("libsoftware_cuda.so"))?;
    if let Some(symbol) = symbol {
        let name: Vec<u8> = [b"\0", symbol.as_bytes(), b"\0"].concat();
        let places: Vec<usize> =
            library.windows(name.len()).enumerate().filter(|(_, w)| *w == name).map(|(at, _)| at).collect();
        ensure!(!places.is_empty(), "no symbol {symbol}");
        for at in places {
            library[at + 1] = b'_';
        }
    }
    let folder = tempfile::tempdir()?;
    for name in ["libcuda.so", "libcuda.so.1"] {
        std::fs::write(folder.path().join(name), &library)?;
    }
    Ok(folder)
}

/// Starts this program on the driver in `folder`; its test `program` plays the scenario.
pub(crate) fn start(folder: &Path, scenario: &str, settings: &[(&str, String)]) -> Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--exact", "program", "--nocapture", "--test-threads", "1"]);
    command.env("LD_LIBRARY_PATH", folder).env(SCENARIO, scenario).env("LIBVISION_SWCUDA_STRICT", "1");
    for (name, value) in settings {
        command.env(format!("LIBVISION_SWCUDA_{name}"), value);
    }
    Ok(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?)
}

/// What a program printed, and how it ended. One that does not end within a minute is ended.
pub(crate) fn finish(mut child: Child) -> Result<Output> {
    let limit = Instant::now() + Duration::from_secs(60);
    while child.try_wait()?.is_none() {
        if Instant::now() > limit {
            child.kill()?;
            let output = child.wait_with_output()?;
            anyhow::bail!("it hangs: {}", String::from_utf8_lossy(&output.stderr));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(child.wait_with_output()?)
}

/// The whole life of a program: its exit status and what it printed on standard error.
pub(crate) fn run(
    folder: &Path,
    scenario: &str,
    settings: &[(&str, String)],
) -> Result<(Option<i32>, String)> {
    let output = finish(start(folder, scenario, settings)?)?;
    Ok((output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned()))
}

/// A path that does not exist yet.
pub(crate) fn fresh(folder: &Path, name: &str) -> PathBuf {
    folder.join(name)
}

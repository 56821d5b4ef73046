//! The Python virtual environment of tests and packaging, made under the target folder.

use crate::command::{program, run, succeeds};
use crate::workspace;
use anyhow::bail;
use std::path::PathBuf;

/// Oldest Python that the wheel supports.
const OLDEST: (u32, u32) = (3, 11);

/// Makes the environment if it is not there, installs what the list names, and returns its `bin` folder.
pub fn environment() -> anyhow::Result<PathBuf> {
    let folder = workspace::target().join("xtask/python");
    let bin = folder.join("bin");
    let wanted = std::fs::read_to_string(requirements())?;
    let stamp = folder.join("requirements.txt");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(bin);
    }
    let python = interpreter()?;
    run(&mut program(python, ["-m".as_ref(), "venv".as_ref(), "--clear".as_ref(), folder.as_os_str()]))?;
    run(program(
        bin.join("python"),
        ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"],
    )
    .arg(requirements()))?;
    std::fs::write(stamp, wanted)?;
    Ok(bin)
}

fn requirements() -> PathBuf {
    workspace::root().join("bindings/python/requirements-test.txt")
}

fn interpreter() -> anyhow::Result<&'static str> {
    let (major, minor) = OLDEST;
    let check = format!("import sys, venv; sys.exit(sys.version_info < ({major}, {minor}))");
    for name in ["python3", "python3.13", "python3.12", "python3.11", "python"] {
        if succeeds(&mut program(name, ["-c", &check])) {
            return Ok(name);
        }
    }
    bail!(
        "Python {major}.{minor} or newer with its venv module is needed; on Debian: apt-get install python3-venv"
    )
}

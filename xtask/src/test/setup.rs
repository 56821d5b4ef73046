//! Debian packages that a suite needs and no other registry has.

use crate::command::{program, run, succeeds};
use crate::workspace;
use anyhow::bail;

/// Installs what `xtask/debian-packages.txt` lists and is missing, or names the line that does.
pub fn debian_packages() -> anyhow::Result<()> {
    let list = std::fs::read_to_string(workspace::root().join("xtask/debian-packages.txt"))?;
    let names = list.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    let missing: Vec<&str> =
        names.filter(|name| !name.is_empty() && !succeeds(&mut program("dpkg", ["-s", *name]))).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let line = format!("apt-get install --yes --no-install-recommends {}", missing.join(" "));
    if !succeeds(&mut program("sh", ["-c", "test $(id -u) = 0 && command -v apt-get"])) {
        bail!("please install, as root: {line}");
    }
    run(&mut program("apt-get", ["update", "--quiet=2"]))?;
    run(program("sh", ["-c", &line]).env("DEBIAN_FRONTEND", "noninteractive"))
}

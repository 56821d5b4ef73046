//! The npm package with the addon for this platform inside.

use crate::command::{cargo, output, program, run};
use crate::workspace;
use anyhow::{Context, bail};
use std::path::PathBuf;

/// The addon's file name, as `index.js` looks for it.
fn addon_name() -> anyhow::Result<&'static str> {
    Ok(match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => "libvision.linux-x64-gnu.node",
        ("linux", "aarch64") => "libvision.linux-arm64-gnu.node",
        ("macos", "aarch64") => "libvision.darwin-arm64.node",
        ("macos", "x86_64") => "libvision.darwin-x64.node",
        (os, arch) => bail!("no npm package is made for {os} on {arch}"),
    })
}

/// Builds the addon, puts it beside `index.js`, packs, and returns the tarball's path.
pub fn build() -> anyhow::Result<PathBuf> {
    let package = workspace::root().join("bindings/node");
    run(cargo().args(["build", "--release", "--quiet", "--package", "libvision-node"]))?;
    let library = format!("{}libvision_node{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    std::fs::copy(workspace::target().join("release").join(&library), package.join(addon_name()?))
        .with_context(|| library)?;
    let folder = super::folder().join("npm");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    let printed = output(
        program("npm", ["pack", "--silent", "--pack-destination"]).arg(&folder).current_dir(&package),
    )?;
    let name = printed.lines().last().context("npm pack named no file")?;
    Ok(folder.join(name.trim()))
}

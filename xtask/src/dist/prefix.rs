//! The prefix that C and C++ programs build against: libraries, headers, pkg-config, CMake.

use crate::command::{cargo, run};
use crate::workspace;
use anyhow::Context;
use std::path::{Path, PathBuf};

/// First number of the shared library's name; follows the ABI's major version.
const SONAME: &str = "libvision.so.0";

/// Builds the library and lays out the prefix; it can be moved to any place afterwards.
pub fn build() -> anyhow::Result<PathBuf> {
    run(cargo().args(["build", "--release", "--quiet", "--package", "libvision-ffi"]))?;
    let prefix = super::folder().join("prefix");
    if prefix.exists() {
        std::fs::remove_dir_all(&prefix)?;
    }
    let (root, built) = (workspace::root(), workspace::target().join("release"));
    let version = workspace::version()?;
    let (lib, include) = (prefix.join("lib"), prefix.join("include"));
    let cmake = lib.join("cmake/libvision");
    for folder in [&include, &lib.join("pkgconfig"), &cmake] {
        std::fs::create_dir_all(folder)?;
    }
    for header in ["libvision.h", "libvision.hpp"] {
        copy(&root.join("include").join(header), &include.join(header))?;
    }
    copy(&built.join("libvision.a"), &lib.join("libvision.a"))?;
    let real = format!("libvision.so.{version}");
    copy(&built.join("libvision.so"), &lib.join(&real))?;
    link(&real, &lib.join(SONAME))?;
    link(SONAME, &lib.join("libvision.so"))?;
    let deploy = root.join("deploy");
    for (template, target) in [
        ("libvision.pc.in", lib.join("pkgconfig/libvision.pc")),
        ("libvisionConfig.cmake.in", cmake.join("libvisionConfig.cmake")),
        ("libvisionConfigVersion.cmake.in", cmake.join("libvisionConfigVersion.cmake")),
    ] {
        let path = deploy.join(template);
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        std::fs::write(target, text.replace("@VERSION@", &version))?;
    }
    Ok(prefix)
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::copy(from, to).with_context(|| format!("{} to {}", from.display(), to.display()))?;
    Ok(())
}

#[cfg(unix)]
fn link(original: &str, link: &Path) -> anyhow::Result<()> {
    std::os::unix::fs::symlink(original, link).with_context(|| link.display().to_string())
}

#[cfg(not(unix))]
fn link(original: &str, link: &Path) -> anyhow::Result<()> {
    copy(&link.with_file_name(original), link)
}

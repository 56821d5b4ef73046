//! The packages as their users see them: installed in, or built against from, an empty folder outside
//! the checkout.

use super::empty_folder::EmptyFolder;
use crate::command::{program, run};
use crate::{check, dist, python, workspace};
use anyhow::Context;
use std::path::Path;

/// Builds the C and C++ examples against the moved prefix, with CMake and with pkg-config.
pub fn prefix() -> anyhow::Result<()> {
    let folder = EmptyFolder::new("prefix")?;
    let prefix = folder.path().join("moved");
    run(program("cp", ["-a"]).arg(dist::folder().join("prefix")).arg(&prefix))?;
    let examples = workspace::root().join("examples");
    let build = folder.path().join("build");
    build_examples(&prefix, &build)?;
    let line = format!(
        "c++ -std=c++17 -Wall -Wextra -Werror {}/classify.cpp -o {}/by-pkg-config $(pkg-config --cflags --libs libvision)",
        examples.display(),
        folder.path().display()
    );
    run(program("sh", ["-c", &line]).env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig")))
}

/// Builds the C and C++ examples in `build` against the library under `prefix`, with CMake.
pub fn build_examples(prefix: &Path, build: &Path) -> anyhow::Result<()> {
    let cmake = python::environment()?.join("cmake");
    let found_in = format!("-DCMAKE_PREFIX_PATH={}", prefix.display());
    run(program(&cmake, ["-S"]).arg(workspace::root().join("examples")).arg("-B").arg(build).arg(found_in))?;
    run(program(&cmake, ["--build"]).arg(build))
}

/// Installs the wheel in a fresh environment in an empty folder and runs the Python tests there.
pub fn python() -> anyhow::Result<()> {
    let bin = python::environment()?;
    let wheels = workspace::files(&dist::folder().join("wheel"), "whl")?;
    let wheel = wheels.first().context("no wheel; run the suite `packages` first")?;
    run(program(bin.join("python"), ["-m", "pip", "install", "--quiet", "--force-reinstall", "--no-deps"])
        .arg(wheel))?;
    let folder = EmptyFolder::new("python")?;
    let tests = workspace::root().join("bindings/python/tests");
    run(program(bin.join("python"), ["-m", "pytest", "--quiet", "-p", "no:cacheprovider"])
        .arg(&tests)
        .current_dir(folder.path()))?;
    run(program(bin.join("python"), ["-m", "mypy", "--strict"])
        .arg(tests.join("typed_usage.py"))
        .current_dir(folder.path()))?;
    check::generated::stubs(&["--check".to_owned()])
}

/// Installs the npm package in an empty folder and runs the Node tests there.
pub fn node() -> anyhow::Result<()> {
    let folder = EmptyFolder::new("node")?;
    let packed = workspace::files(&dist::folder().join("npm"), "tgz")?;
    let package = packed.first().context("no npm package; run the suite `packages` first")?;
    install_npm(folder.path(), package)?;
    let tests = workspace::root().join("bindings/node/test");
    run(program("cp", ["-r"]).arg(&tests).arg(folder.path().join("test")))?;
    run(program("npm", ["install", "--silent", "--no-save", "--no-audit", "--no-fund"])
        .args(["typescript@5", "@types/node@20"])
        .current_dir(folder.path()))?;
    run(program("node", ["--test", "test/"])
        .env("LIBVISION_ROOT", workspace::root())
        .current_dir(folder.path()))?;
    run(program("npx", ["--no-install", "tsc", "--project", "test/tsconfig.json"]).current_dir(folder.path()))
}

/// Makes `folder` a project that has installed `package`.
pub fn install_npm(folder: &Path, package: &Path) -> anyhow::Result<()> {
    std::fs::write(folder.join("package.json"), "{\"private\": true}\n")?;
    run(program("npm", ["install", "--silent", "--no-audit", "--no-fund"]).arg(package).current_dir(folder))
}

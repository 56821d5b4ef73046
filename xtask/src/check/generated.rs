//! Generated files that are committed. Their generators live in a crate of their own, so that the demo
//! need not build them.

use crate::command::{cargo, program, run};
use crate::{python, workspace};

/// Runs one generator, or its check.
pub fn generator(name: &str, arguments: &[String]) -> anyhow::Result<()> {
    let mut command = cargo();
    command.args(["run", "--quiet", "--package", "libvision-generators", "--", name]).args(arguments);
    run(&mut command)
}

/// Makes the Python stubs from the module installed in the test environment, or checks them.
pub fn stubs(arguments: &[String]) -> anyhow::Result<()> {
    let bin = python::environment()?;
    let script = workspace::root().join("bindings/python/stubs.py");
    run(program(bin.join("python"), [script]).args(arguments))
}

/// Compiles the CUDA kernels, checks the committed images, or reports on them. Installs the compiler first.
pub fn cubins(arguments: &[String]) -> anyhow::Result<()> {
    let list = workspace::root().join("xtask/cubins/toolchain.txt");
    let folder = workspace::target().join("xtask/cuda");
    let stamp = folder.join("toolchain.txt");
    let wanted = std::fs::read_to_string(&list)?;
    if !std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        let python = python::environment()?.join("python");
        let pip = [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--require-hashes",
        ];
        run(program(python, pip).args(["--upgrade", "--target"]).arg(&folder).arg("-r").arg(&list))?;
        std::fs::write(stamp, wanted)?;
    }
    let mut command = cargo();
    command.args(["run", "--quiet", "--package", "libvision-cubins", "--"]).arg(folder).args(arguments);
    run(&mut command)
}

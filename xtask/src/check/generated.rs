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

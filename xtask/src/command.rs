//! Running other programs: shown before they run, their failure an error that names them.

use anyhow::{Context, bail};
use std::ffi::OsStr;
use std::process::{Command, Stdio};

/// The cargo that runs this.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(crate::workspace::root());
    command
}

/// A program with arguments, in the checkout's root.
pub fn program<S: AsRef<OsStr>>(name: impl AsRef<OsStr>, arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(name);
    command.args(arguments).current_dir(crate::workspace::root());
    command
}

/// Shows the command, runs it, and fails if it does.
pub fn run(command: &mut Command) -> anyhow::Result<()> {
    println!("    $ {}", shown(command));
    let status = command.stdin(Stdio::null()).status().with_context(|| shown(command))?;
    if !status.success() {
        bail!("{status}: {}", shown(command));
    }
    Ok(())
}

/// Runs the command and returns what it prints; standard error passes through.
pub fn output(command: &mut Command) -> anyhow::Result<String> {
    let output =
        command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().with_context(|| shown(command))?;
    if !output.status.success() {
        bail!("{}: {}\n{}", output.status, shown(command), String::from_utf8_lossy(&output.stdout));
    }
    String::from_utf8(output.stdout).with_context(|| shown(command))
}

/// Whether the program starts and succeeds, without a word.
pub fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let root = format!("{}/", crate::workspace::root().display());
    words.map(|word| word.to_string_lossy().replace(&root, "")).collect::<Vec<_>>().join(" ")
}

//! `vision describe`.

use crate::arguments::DescribeArguments;
use crate::session;
use std::io::Write;
use std::process::ExitCode;

/// Loads the model and prints what the engine says of itself.
pub fn run(arguments: &DescribeArguments) -> anyhow::Result<ExitCode> {
    let engine = session::open(&arguments.session)?;
    let text = engine.describe();
    writeln!(std::io::stdout(), "{}", text.trim_end())?;
    Ok(ExitCode::SUCCESS)
}

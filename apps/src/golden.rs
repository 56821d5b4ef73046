//! `vision golden`.

use crate::arguments::GoldenArguments;
use anyhow::Context;
use libvision::Model;
use std::process::ExitCode;

/// Loads the model and writes its answers.
pub fn run(arguments: &GoldenArguments) -> anyhow::Result<ExitCode> {
    let golden = Model::load(&arguments.model)?.compute_golden(arguments.tolerance)?;
    std::fs::write(&arguments.output, golden.to_json())
        .with_context(|| format!("{} cannot be written", arguments.output.display()))?;
    Ok(ExitCode::SUCCESS)
}

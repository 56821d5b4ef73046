//! `vision plan`.

use crate::arguments::PlanArguments;
use crate::session;
use libvision::{EngineOptions, MemoryPlan, Model};
use std::io::Write;
use std::process::ExitCode;

/// Loads the model, and prints what an engine of it would come to, without making one.
pub fn run(arguments: &PlanArguments) -> anyhow::Result<ExitCode> {
    let model = Model::load(&arguments.session.model)?;
    let options = EngineOptions {
        instances: arguments.instances,
        memory_limit: arguments.memory_limit,
        device_memory_limit: arguments.device_memory_limit,
        ..session::options(&arguments.session)?
    };
    let plan = MemoryPlan::of(&model, &options)?;
    let text = if arguments.json { plan.to_json() + "\n" } else { plan.describe() };
    std::io::stdout().write_all(text.as_bytes())?;
    plan.check(&options)?;
    Ok(ExitCode::SUCCESS)
}

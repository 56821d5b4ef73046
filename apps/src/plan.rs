//! `vision plan`.

use crate::arguments::PlanArguments;
use crate::session;
use libvision::{EngineOptions, MemoryPlan, Model};
use std::io::Write;
use std::process::ExitCode;

/// Loads the model, and prints what an engine of it would come to, without making one.
pub fn run(arguments: &PlanArguments) -> anyhow::Result<ExitCode> {
    let model = Model::load(&arguments.session.model)?;
    let options = options(arguments)?;
    let plan = MemoryPlan::of(&model, &options)?;
    let text = if arguments.json { plan.to_json() + "\n" } else { plan.describe() };
    std::io::stdout().write_all(text.as_bytes())?;
    plan.check(&options)?;
    Ok(ExitCode::SUCCESS)
}

fn options(arguments: &PlanArguments) -> libvision::Result<EngineOptions> {
    Ok(EngineOptions {
        instances: arguments.instances,
        memory_limit: arguments.memory_limit,
        ..session::options(&arguments.session)?
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::{Arguments, Command};
    use clap::Parser;
    use libvision::ErrorKind;

    const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/model");

    fn parsed(more: &[&str]) -> PlanArguments {
        let line = [&["vision", "plan", "-m", MODEL], more].concat();
        match Arguments::try_parse_from(line).expect("a good line").command {
            Command::Plan(arguments) => arguments,
            _ => panic!("another command"),
        }
    }

    #[test]
    fn every_option_comes_to_the_plan() {
        let line = [
            "--max-batch-size",
            "16",
            "--instances",
            "2",
            "--memory-limit",
            "7",
            "--device-memory-limit",
            "9",
        ];
        let options = options(&parsed(&line)).expect("good options");
        assert_eq!((options.max_batch_size, options.instances), (16, 2));
        assert_eq!((options.memory_limit, options.device_memory_limit), (Some(7), Some(9)));
    }

    #[test]
    fn a_plan_is_printed_and_one_that_does_not_hold_is_refused() {
        assert!(run(&parsed(&["--device", "cpu", "--json"])).is_ok());
        let error = run(&parsed(&["--device", "cpu", "--memory-limit", "7"])).expect_err("seven bytes");
        let kind = error.downcast_ref::<libvision::Error>().map(libvision::Error::kind);
        assert_eq!(kind, Some(ErrorKind::OutOfMemory));
    }
}

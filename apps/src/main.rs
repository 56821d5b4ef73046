//! `vision`: what a person runs at a shell.

mod arguments;
mod bench;
mod classify;
mod describe;
mod doctor;
mod golden;
mod images;
mod plan;
mod replay;
mod session;
mod tune;

use arguments::{Arguments, Command};
use clap::{CommandFactory, Parser};
use std::process::ExitCode;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// Some of the work failed; the rest was done.
const EXIT_PARTIAL: u8 = 1;
/// Nothing could be done: wrong arguments, or the model did not load.
const EXIT_UNUSABLE: u8 = 2;

fn main() -> ExitCode {
    let Arguments { command, log } = Arguments::parse();
    if let Some(filter) = log {
        write_log(filter);
    }
    let outcome = match command {
        Command::Classify(arguments) => classify::run(&arguments),
        Command::Describe(arguments) => describe::run(&arguments),
        Command::Plan(arguments) => plan::run(&arguments),
        Command::Golden(arguments) => golden::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Explain(arguments) => replay::explain(&arguments),
        Command::Tune(arguments) => tune::run(&arguments),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Arguments::command(), "vision", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
    };
    outcome.unwrap_or_else(|error| {
        // A closed pipe (`vision ... | head`) is the reader's choice, not a failure to report.
        if is_broken_pipe(&error) {
            return ExitCode::SUCCESS;
        }
        eprintln!("vision: {error:#}");
        let hint = error.downcast_ref::<libvision::Error>().map_or("", |e| e.kind().hint());
        if !hint.is_empty() {
            eprintln!("  help: {hint}");
        }
        ExitCode::from(EXIT_UNUSABLE)
    })
}

/// From here on, what the filter lets through goes to standard error: events, and spans once they end.
fn write_log(filter: Targets) {
    let lines =
        tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_span_events(FmtSpan::CLOSE);
    tracing_subscriber::registry().with(lines.with_filter(filter)).init();
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
    })
}

//! `cargo xtask test`: sets up what the tests need, runs every suite, prints the time of each.

mod empty_folder;
mod examples;
mod faces;
mod packages;
mod setup;
mod suites;

use anyhow::bail;
use std::time::{Duration, Instant};
use suites::SUITES;

struct Outcome {
    name: &'static str,
    time: Duration,
    error: Option<anyhow::Error>,
}

/// Runs the suites named by `arguments`, or all.
pub fn run(arguments: &[String]) -> anyhow::Result<()> {
    let mut wanted = Vec::new();
    let mut keep_going = false;
    for argument in arguments {
        match argument.as_str() {
            "--list" => {
                for suite in SUITES {
                    println!("{:<14} {}", suite.name, suite.what);
                }
                return Ok(());
            }
            "--keep-going" => keep_going = true,
            name if SUITES.iter().any(|suite| suite.name == name) => wanted.push(name),
            other => bail!("no suite `{other}`; --list names them"),
        }
    }
    let mut outcomes: Vec<Outcome> = Vec::new();
    for suite in SUITES.iter().filter(|suite| wanted.is_empty() || wanted.contains(&suite.name)) {
        println!("\n=== {}: {}", suite.name, suite.what);
        let started = Instant::now();
        let error = (suite.run)().err();
        let failed = error.is_some();
        if let Some(error) = &error {
            eprintln!("error: {error:#}");
        }
        outcomes.push(Outcome { name: suite.name, time: started.elapsed(), error });
        if failed && !keep_going {
            break;
        }
    }
    summary(&outcomes)
}

fn summary(outcomes: &[Outcome]) -> anyhow::Result<()> {
    println!("\n{:<14} {:>8}", "suite", "seconds");
    for outcome in outcomes {
        let verdict = if outcome.error.is_some() { "FAILED" } else { "" };
        println!("{:<14} {:>8.1} {verdict}", outcome.name, outcome.time.as_secs_f64());
    }
    let total: Duration = outcomes.iter().map(|outcome| outcome.time).sum();
    println!("{:<14} {:>8.1}", "total", total.as_secs_f64());
    let failed = outcomes.iter().filter(|outcome| outcome.error.is_some()).count();
    println!("\n{} passed, {failed} failed", outcomes.len() - failed);
    if failed > 0 {
        bail!("{failed} suites failed");
    }
    Ok(())
}

//! Runs a model on request: `run N` is answered with N times in milliseconds, `logits` with the output of the last run.

use crate::model::Runner;
use crate::{Options, Outcome};
use std::io::{BufRead, Write};

/// Serves standard input until it ends.
pub fn run(options: &Options) -> Outcome {
    let mut runner = Runner::new(options)?;
    runner.time()?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "ready libvision {}", env!("CARGO_PKG_VERSION"))?;
    out.flush()?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let shown: Vec<String> = if line == "logits" {
            runner.output().iter().map(f32::to_string).collect()
        } else {
            let count: usize =
                line.strip_prefix("run ").ok_or("expected `run N` or `logits`")?.trim().parse()?;
            let times = (0..count).map(|_| runner.time()).collect::<libvision::Result<Vec<_>>>()?;
            times.iter().map(|ms| format!("{ms:.4}")).collect()
        };
        writeln!(out, "{}", shown.join(" "))?;
        out.flush()?;
    }
    Ok(())
}

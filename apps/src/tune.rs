//! `vision tune`: which algorithm suits each convolution here, in a file.

use crate::arguments::TuneArguments;
use anyhow::Context;
use libvision::Model;
use libvision::backend::CompileOptions;
use libvision::measure::MeasureOptions;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

/// Measures, writes the file, and prints what it says.
pub fn run(arguments: &TuneArguments) -> anyhow::Result<ExitCode> {
    let model = Model::load(&arguments.model)?;
    let options = MeasureOptions {
        device: "cpu".into(),
        compile: CompileOptions {
            max_batch_size: arguments.batch,
            threads: arguments.threads,
            ..CompileOptions::default()
        },
        least_time: Duration::from_secs_f64(arguments.seconds),
        least_runs: 3,
    };
    let tuning = model.tune(&options)?;
    std::fs::write(&arguments.output, tuning.to_json()).with_context(|| {
        format!("{}: cannot write the tuning; name another file after -o", arguments.output.display())
    })?;
    let mut out = std::io::stdout().lock();
    for choice in &tuning.choices {
        let g = choice.geometry;
        let [[height, width], [rows, columns]] = [g.input, g.window.stride];
        let times = choice.microseconds.iter().map(|(name, time)| format!("{name} {time:.1} us"));
        writeln!(
            out,
            "{:>5}x{height}x{width} to {:>5}, stride {rows}x{columns}: {:<22}  ({})",
            g.in_channels,
            g.out_channels,
            choice.algorithm.name(),
            times.collect::<Vec<_>>().join(", ")
        )?;
    }
    writeln!(out, "wrote {}; use it with --tuning", arguments.output.display())?;
    Ok(ExitCode::SUCCESS)
}

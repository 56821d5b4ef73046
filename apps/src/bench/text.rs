//! What was measured as tables for people.

use super::Report;
use libvision::measure::{Measurement, StepTime};
use std::fmt::Write;

/// A line per measurement, then a table of the steps of each, where they were timed.
pub fn tables(report: &Report) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write(&mut text, report);
    text
}

fn write(text: &mut String, report: &Report) -> std::fmt::Result {
    let precise = if report.precise { ", precise" } else { "" };
    writeln!(text, "{}, {}{precise}", report.model, precision(report))?;
    writeln!(text, "{} on {}", report.device, report.processor)?;
    writeln!(text)?;
    writeln!(
        text,
        "batch  threads  runs   median ms      p99 ms  device ms   images/s   GFLOP/s      peak   of peak   memory"
    )?;
    for m in report.measurements {
        let [median, p99] = [0.5, 0.99].map(|share| milliseconds(m.quantile(share)));
        let memory = (m.memory.weights + m.memory.arena) as f64 / f64::from(1 << 20);
        writeln!(
            text,
            "{:>5}  {:>7}  {:>4}  {median:>10.3}  {p99:>10.3}  {:>9}  {:>9.1}  {:>8.1}  {:>8}  {:>8}  {memory:>5.0} M",
            m.batch,
            m.threads,
            m.times.len(),
            m.device_time.map_or("-".into(), |time| format!("{:.3}", milliseconds(time))),
            m.images_per_second(),
            m.flops() / 1e9,
            m.peak_flops.map_or("?".into(), |peak| format!("{:.1}", peak / 1e9)),
            percent(m.share_of_peak()),
        )?;
    }
    for m in report.measurements.iter().filter(|m| !m.steps.is_empty()) {
        steps(text, m)?;
    }
    Ok(())
}

/// The element type, the same for all.
pub fn precision(report: &Report) -> &'static str {
    report.measurements.first().map_or("", |m| m.precision.name())
}

fn steps(text: &mut String, m: &Measurement) -> std::fmt::Result {
    writeln!(text, "\nbatch {}, {}: median of each step over {} runs\n", m.batch, threads(m), m.times.len())?;
    writeln!(text, "  time ms    time  GFLOP/s  of peak  {:<22}  step", "algorithm")?;
    let total: f64 = m.steps.iter().map(|step| step.time.as_secs_f64()).sum();
    for step in &m.steps {
        let flops = m.step_flops(step);
        let is_counted = step.step.multiplications > 0;
        writeln!(
            text,
            "{:>9.4}  {:>5.1}%  {:>7}  {:>7}  {:<22}  {}",
            milliseconds(step.time),
            100.0 * step.time.as_secs_f64() / total,
            if is_counted { format!("{:.1}", flops / 1e9) } else { String::new() },
            if is_counted { percent(m.peak_flops.map(|peak| flops / peak)) } else { String::new() },
            step.step.algorithm,
            name(step),
        )?;
    }
    writeln!(text, "{:>9.4}  100.0%  sum of the steps", 1e3 * total)?;
    if let Some(occupancy) = m.occupancy() {
        let copying = occupancy.of_copies();
        writeln!(
            text,
            "\none batch at a time: copies {:.1}% of the time, computing {:.1}%\ncopies beside the computing of \
             another: computing {:.1}% at best",
            100.0 * copying,
            100.0 * (1.0 - copying),
            100.0 * occupancy.of_computing_at_best(),
        )?;
    }
    Ok(())
}

/// `Conv2d 3x3 +bias relu "layer1.0.conv1" -> [N,64,56,56]`
pub fn name(step: &StepTime) -> String {
    let shape = libvision::graph::show_shape(&step.step.shape);
    format!("{} {:?} -> {shape}", step.step.operation, step.step.name)
}

pub fn threads(m: &Measurement) -> String {
    format!("{} thread{}", m.threads, if m.threads == 1 { "" } else { "s" })
}

pub fn milliseconds(time: std::time::Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

pub fn percent(share: Option<f64>) -> String {
    share.map_or("?".into(), |share| format!("{:.1}%", 100.0 * share))
}

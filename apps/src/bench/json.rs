//! What was measured as JSON, one object a line, one line a measurement.

use super::Report;
use super::text::milliseconds;
use libvision::measure::Measurement;
use serde::Serialize;

#[derive(Serialize)]
struct Line<'a> {
    model: &'a str,
    device: &'a str,
    processor: &'a str,
    precision: &'static str,
    precise: bool,
    batch: usize,
    threads: usize,
    runs: usize,
    least_ms: f64,
    median_ms: f64,
    p99_ms: f64,
    device_ms: Option<f64>,
    images_per_second: f64,
    gflops: f64,
    peak_gflops: Option<f64>,
    share_of_peak: Option<f64>,
    weight_bytes: usize,
    arena_bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    copies_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    computing_ms: Option<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    steps: Vec<Step<'a>>,
}

#[derive(Serialize)]
struct Step<'a> {
    name: &'a str,
    operation: &'a str,
    shape: String,
    algorithm: &'a str,
    ms: f64,
    gflops: f64,
    share_of_peak: Option<f64>,
}

/// The lines of a report.
pub fn lines(report: &Report) -> serde_json::Result<String> {
    let lines = report.measurements.iter().map(|m| serde_json::to_string(&line(report, m)));
    Ok(lines.collect::<serde_json::Result<Vec<_>>>()?.iter().map(|line| format!("{line}\n")).collect())
}

fn line<'a>(report: &'a Report, m: &'a Measurement) -> Line<'a> {
    let [least_ms, median_ms, p99_ms] = [0.0, 0.5, 0.99].map(|share| milliseconds(m.quantile(share)));
    let step = |step: &'a libvision::measure::StepTime| Step {
        name: &step.step.name,
        operation: &step.step.operation,
        shape: libvision::graph::show_shape(&step.step.shape),
        algorithm: step.step.algorithm,
        ms: milliseconds(step.time),
        gflops: m.step_flops(step) / 1e9,
        share_of_peak: m.peak_flops.map(|peak| m.step_flops(step) / peak),
    };
    Line {
        model: report.model,
        device: &report.device,
        processor: &report.processor,
        precision: m.precision.name(),
        precise: report.precise,
        batch: m.batch,
        threads: m.threads,
        runs: m.times.len(),
        least_ms,
        median_ms,
        p99_ms,
        device_ms: m.device_time.map(milliseconds),
        images_per_second: m.images_per_second(),
        gflops: m.flops() / 1e9,
        peak_gflops: m.peak_flops.map(|peak| peak / 1e9),
        share_of_peak: m.share_of_peak(),
        weight_bytes: m.memory.weights,
        arena_bytes: m.memory.arena,
        copies_ms: m.occupancy().map(|occupancy| milliseconds(occupancy.copies)),
        computing_ms: m.occupancy().map(|occupancy| milliseconds(occupancy.computing)),
        steps: m.steps.iter().map(step).collect(),
    }
}

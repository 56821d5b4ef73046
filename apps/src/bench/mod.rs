//! `vision bench`: how fast a model runs here, whole and layer by layer.

mod json;
mod page;
mod text;

use crate::arguments::BenchArguments;
use crate::session;
use anyhow::Context;
use libvision::Model;
use libvision::backend::{CompileOptions, registry};
use libvision::measure::{MeasureOptions, Measurement};
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

/// What was measured of one model.
struct Report<'a> {
    model: &'a str,
    /// The device, and what it computes with.
    device: String,
    processor: String,
    precise: bool,
    measurements: &'a [Measurement],
}

/// Measures each batch with each number of threads; prints, and writes the page that was asked for.
pub fn run(arguments: &BenchArguments) -> anyhow::Result<ExitCode> {
    let model = Model::load(&arguments.model)?;
    let device = registry::open(&arguments.device)?;
    let tuning = session::read_tuning(arguments.tuning.as_deref())?;
    let mut measurements = Vec::new();
    for &batch in &arguments.batch {
        for &threads in &arguments.threads {
            let options = MeasureOptions {
                device: arguments.device.clone(),
                compile: CompileOptions {
                    max_batch_size: batch,
                    threads,
                    precise: arguments.precise,
                    tuning: tuning.clone(),
                    precision: arguments.precision.into(),
                    ..CompileOptions::default()
                },
                ..repetitions(arguments)
            };
            let measurement = match arguments.profile {
                Some(_) => model.profile(&options)?,
                None => model.measure(&options)?,
            };
            measurements.push(measurement);
        }
    }
    let report = Report {
        model: model.name(),
        device: format!("{}: {}", device.name, device.what),
        processor: libvision::backend::cpu::processor_name(),
        precise: arguments.precise,
        measurements: &measurements,
    };
    let text = if arguments.json { json::lines(&report)? } else { text::tables(&report) };
    std::io::stdout().write_all(text.as_bytes())?;
    if let Some(path) = &arguments.profile {
        std::fs::write(path, page::page(&report)).with_context(|| {
            format!("{}: cannot write the profile; name another file after --profile", path.display())
        })?;
        eprintln!("vision: wrote {}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

fn repetitions(arguments: &BenchArguments) -> MeasureOptions {
    let default = MeasureOptions::default();
    match (arguments.iterations, arguments.seconds) {
        (Some(runs), _) => MeasureOptions { least_time: Duration::ZERO, least_runs: runs, ..default },
        (None, Some(seconds)) => {
            MeasureOptions { least_time: Duration::from_secs_f64(seconds), least_runs: 1, ..default }
        }
        (None, None) => default,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libvision::backend::{MemoryNeed, StepDescription};
    use libvision::graph::Dim;
    use libvision::measure::StepTime;

    fn measurement() -> Measurement {
        let step = |name: &str, algorithm, multiplications, millis| StepTime {
            step: StepDescription {
                name: name.into(),
                operation: "Conv2d 3x3".into(),
                shape: vec![Dim::Batch, Dim::Fixed(8)],
                algorithm,
                multiplications,
                convolution: None,
                is_transfer: name == "<a> & \"b\"",
            },
            time: Duration::from_millis(millis),
        };
        Measurement {
            batch: 1,
            threads: 1,
            times: vec![Duration::from_millis(5)],
            device_time: None,
            precision: libvision::backend::Precision::F32,
            multiplications: 3_000_000,
            peak_flops: Some(2e9),
            memory: MemoryNeed { weights: 100, arena: 200 },
            steps: vec![
                step("<a> & \"b\"", "winograd f4x4", 2_000_000, 1),
                step("c", "direct", 1_000_000, 4),
                step("d", "", 0, 0),
            ],
        }
    }

    fn with_report<T>(look: impl FnOnce(&Report) -> T) -> T {
        let measurements = [measurement()];
        look(&Report {
            model: "<net>",
            device: "cpu".into(),
            processor: "P".into(),
            precise: true,
            measurements: &measurements,
        })
    }

    #[test]
    fn the_page_has_a_bar_for_each_step_and_asks_nobody_for_anything() {
        let page = with_report(page::page);
        assert_eq!(page.matches("class=\"bar\"").count(), 3);
        // 1 ms of the longest, 4 ms; a fifth of the sum.
        assert!(page.contains("width:20.00%\"></div><span>20.0%"), "{page}");
        assert!(page.contains("<td>200.0%<td class=\"bar\"><div class=\"winograd\""), "{page}");
        for forbidden in ["http", "//", "<script", "@import", "url("] {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
    }

    #[test]
    fn names_cannot_break_the_page() {
        let page = with_report(page::page);
        assert!(
            page.contains("&lt;a&gt; &amp; \\&quot;b\\&quot;") && page.contains("<h1>&lt;net&gt;"),
            "{page}"
        );
        assert!(!page.contains("<a>") && !page.contains("<net>"), "{page}");
    }

    #[test]
    fn tables_and_json_say_the_same() {
        let text = with_report(text::tables);
        for expected in [
            "5.000",
            "200.0",
            "60.0%",
            "precise",
            "4.0   200.0%",
            "0.5    25.0%",
            "100.0%  sum",
            "copies 20.0%",
            "computing 80.0%",
            "computing 100.0% at best",
        ] {
            assert!(text.contains(expected), "{expected} in {text}");
        }
        let json = with_report(json::lines).expect("numbers");
        let line: serde_json::Value = serde_json::from_str(&json).expect("one object");
        assert_eq!(line["median_ms"], 5.0);
        assert_eq!(line["share_of_peak"], 0.6);
        assert_eq!((line["copies_ms"].as_f64(), line["computing_ms"].as_f64()), (Some(1.0), Some(4.0)));
        assert_eq!(line["steps"][0]["share_of_peak"], 2.0);
        assert_eq!(line["steps"].as_array().map(Vec::len), Some(3));
    }
}

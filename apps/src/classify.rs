//! `vision classify`: pictures in, labels out, in the order given.

use crate::arguments::ClassifyArguments;
use crate::images::{self, NamedImage};
use crate::{EXIT_PARTIAL, session};
use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use libvision::{DecodeLimits, Engine, Pending, RequestOptions, Response, Task};
use serde::Serialize;
use std::collections::VecDeque;
use std::io::{BufWriter, IsTerminal, StdoutLock, Write};
use std::process::ExitCode;
use std::time::Duration;

/// Requests under way at a time: enough to fill batches, well under any queue's capacity.
const WINDOW: usize = 64;
/// From this many pictures on a progress bar is of use.
const PROGRESS_FROM: usize = 8;

/// Classifies all pictures; a failed one is reported in its place and does not stop the others.
pub fn run(arguments: &ClassifyArguments) -> anyhow::Result<ExitCode> {
    let images = images::expand(&arguments.images, DecodeLimits::default().max_encoded_bytes)?;
    let engine = session::open(&arguments.session)?;
    let options = RequestOptions {
        task: Task::Classify { top_k: arguments.top, min_score: arguments.min_score },
        deadline: arguments.deadline.map(Duration::from_secs_f64),
        ..RequestOptions::default()
    };
    let mut report = Report::new(images.len(), arguments.json);
    let mut waiting: VecDeque<(String, libvision::Result<Pending>)> = VecDeque::new();
    for NamedImage { name, source } in images {
        if waiting.len() == WINDOW {
            report.answer(waiting.pop_front())?;
        }
        waiting.push_back((name, engine.submit(source, options)));
    }
    while !waiting.is_empty() {
        report.answer(waiting.pop_front())?;
    }
    let code = report.finish(&engine)?;
    if let Some(path) = &arguments.metrics {
        std::fs::write(path, engine.metrics().prometheus())
            .with_context(|| format!("{}: cannot write the metrics", path.display()))?;
    }
    Ok(code)
}

/// Writes answers as they come.
struct Report {
    out: BufWriter<StdoutLock<'static>>,
    progress: ProgressBar,
    json: bool,
    failed: usize,
    total: usize,
}

#[derive(Serialize)]
struct JsonAnswer<'a> {
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    predictions: Option<Vec<JsonPrediction<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    batch_size: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timing_ms: Option<JsonTiming>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<JsonError<'a>>,
}

#[derive(Serialize)]
struct JsonPrediction<'a> {
    label: &'a str,
    score: f32,
    class_index: usize,
}

#[derive(Serialize)]
struct JsonTiming {
    queue: f64,
    decode: f64,
    preprocess: f64,
    batch_wait: f64,
    compute: f64,
    postprocess: f64,
    total: f64,
}

#[derive(Serialize)]
struct JsonError<'a> {
    code: &'static str,
    message: &'a str,
    hint: &'static str,
    retryable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<f64>,
}

impl Report {
    fn new(total: usize, json: bool) -> Self {
        let progress = if total >= PROGRESS_FROM && std::io::stderr().is_terminal() {
            let style = ProgressStyle::with_template("{bar:30} {pos}/{len} pictures, {per_sec}, {eta} left")
                .expect("the template is a constant that indicatif accepts");
            ProgressBar::new(total as u64).with_style(style)
        } else {
            ProgressBar::hidden()
        };
        Self { out: BufWriter::new(std::io::stdout().lock()), progress, json, failed: 0, total }
    }

    fn answer(&mut self, waiting: Option<(String, libvision::Result<Pending>)>) -> anyhow::Result<()> {
        let Some((name, pending)) = waiting else { return Ok(()) };
        let answer = pending.and_then(Pending::wait);
        self.failed += usize::from(answer.is_err());
        if self.json {
            self.write_json(&name, &answer)?;
        } else {
            let lines = readable(&name, &answer);
            let out = &mut self.out;
            self.progress.suspend(|| -> std::io::Result<()> {
                out.write_all(lines.as_bytes())?;
                out.flush()
            })?;
        }
        self.progress.inc(1);
        Ok(())
    }

    fn write_json(&mut self, name: &str, answer: &libvision::Result<Response>) -> anyhow::Result<()> {
        let mut line =
            JsonAnswer { path: name, predictions: None, batch_size: None, timing_ms: None, error: None };
        let ms = |d: Duration| d.as_secs_f64() * 1e3;
        match answer {
            Ok(response) => {
                let predictions = response.predictions.iter();
                line.predictions = Some(
                    predictions
                        .map(|p| JsonPrediction {
                            label: &p.label,
                            score: p.score,
                            class_index: p.class_index,
                        })
                        .collect(),
                );
                line.batch_size = Some(response.batch_size);
                let t = &response.timing;
                line.timing_ms = Some(JsonTiming {
                    queue: ms(t.queue),
                    decode: ms(t.decode),
                    preprocess: ms(t.preprocess),
                    batch_wait: ms(t.batch_wait),
                    compute: ms(t.compute),
                    postprocess: ms(t.postprocess),
                    total: ms(t.total),
                });
            }
            Err(error) => {
                line.error = Some(JsonError {
                    code: error.kind().name(),
                    message: error.message(),
                    hint: error.kind().hint(),
                    retryable: error.kind().is_retryable(),
                    retry_after_ms: error.retry_after().map(ms),
                });
            }
        }
        serde_json::to_writer(&mut self.out, &line)?;
        self.out.write_all(b"\n")?;
        Ok(())
    }

    fn finish(mut self, engine: &Engine) -> anyhow::Result<ExitCode> {
        self.out.flush()?;
        self.progress.finish_and_clear();
        engine.close();
        if self.failed > 0 {
            eprintln!("vision: {} of {} pictures failed", self.failed, self.total);
            return Ok(ExitCode::from(EXIT_PARTIAL));
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn readable(name: &str, answer: &libvision::Result<Response>) -> String {
    let mut lines = format!("{name}\n");
    match answer {
        Ok(response) if response.predictions.is_empty() => lines += "  (no label reaches the least score)\n",
        Ok(response) => {
            for p in &response.predictions {
                lines += &format!("  {:6.2} %  {}\n", p.score * 100.0, p.label);
            }
        }
        Err(error) => {
            lines += &format!("  {}: {error}\n", error.kind().name());
            if !error.kind().hint().is_empty() {
                lines += &format!("  help: {}\n", error.kind().hint());
            }
        }
    }
    lines
}

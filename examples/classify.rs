//! Says what is on pictures: `classify [--embed | --run] MODEL PICTURE...`, one line each.
//!
//! The same program exists in C, C++, Python and JavaScript beside this one; all print the same lines.

use libvision::{Engine, EngineOptions, ImageSource, Model, Pending, RequestOptions, Response, Task};
use std::collections::VecDeque;
use std::process::ExitCode;

/// Requests under way at a time, so that they fill batches and never the queue.
const WINDOW: usize = 64;

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let task = match arguments.first().map(String::as_str) {
        Some("--embed") => Task::Embed,
        Some("--run") => Task::Run,
        _ => Task::Classify { top_k: 5, min_score: 0.0 },
    };
    if !matches!(task, Task::Classify { .. }) {
        arguments.remove(0);
    }
    match arguments.as_slice() {
        [model, pictures @ ..] if !pictures.is_empty() => match classify(model, pictures, task) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::from(1),
            Err(error) => {
                eprintln!("{}: {error}", error.kind().name());
                ExitCode::from(2)
            }
        },
        _ => {
            eprintln!("usage: classify [--embed | --run] MODEL PICTURE...");
            ExitCode::from(2)
        }
    }
}

/// Whether every picture was answered.
fn classify(model: &str, pictures: &[String], task: Task) -> libvision::Result<bool> {
    let engine = Engine::new(Model::load(model)?.into(), &EngineOptions::default())?;
    let mut waiting = VecDeque::new();
    let mut all_answered = true;
    for picture in pictures {
        if waiting.len() == WINDOW {
            all_answered &= print_next(&mut waiting);
        }
        let options = RequestOptions { task, ..RequestOptions::default() };
        waiting.push_back((picture, engine.submit(ImageSource::Path(picture.into()), options)));
    }
    while !waiting.is_empty() {
        all_answered &= print_next(&mut waiting);
    }
    Ok(all_answered)
}

fn print_next(waiting: &mut VecDeque<(&String, libvision::Result<Pending>)>) -> bool {
    let Some((picture, pending)) = waiting.pop_front() else { return true };
    let answer = pending.and_then(Pending::wait);
    match &answer {
        Ok(response) => println!("{picture}{}", line(response)),
        Err(error) => println!("{picture} | error {}: {error}", error.kind().name()),
    }
    answer.is_ok()
}

fn line(response: &Response) -> String {
    let labels = response.predictions.iter().map(|p| format!(" | {} {:.6}", p.label, p.score));
    let first_output = response.outputs.first().map(|(_, tensor)| {
        let values = tensor.to_f32().unwrap_or_default();
        let shown: Vec<String> = values.iter().take(4).map(|v| format!("{v:.6}")).collect();
        format!(" | {}: {}", values.len(), shown.join(" "))
    });
    labels.chain(first_output).collect()
}

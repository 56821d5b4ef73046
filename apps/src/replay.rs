//! `vision replay` and `vision explain`: the decisions of a recorded engine, made again.

use crate::arguments::{ExplainArguments, ReplayArguments};
use anyhow::Context;
use libvision::engine::machine::{Action, Event, RequestId};
use libvision::engine::trace::{self, Step};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::process::ExitCode;

fn open(path: &Path) -> anyhow::Result<BufReader<File>> {
    Ok(BufReader::new(File::open(path).with_context(|| format!("trace {}", path.display()))?))
}

/// Replays a whole trace; exit code 1 if a decision differs.
pub fn run(arguments: &ReplayArguments) -> anyhow::Result<ExitCode> {
    let (mut answered, mut refused, mut batches, mut images) = (0, 0, 0, 0);
    let mut first_other = None;
    let steps = trace::replay(open(&arguments.trace)?, |step| {
        for action in &step.actions {
            match action {
                Action::Deliver { .. } => answered += 1,
                Action::Refuse { .. } => refused += 1,
                Action::Run { places, .. } => {
                    batches += 1;
                    images += places.iter().map(|place| place.slots).sum::<usize>();
                }
                _ => {}
            }
        }
        if !step.is_the_same && first_other.is_none() {
            first_other = Some(step);
        }
    })?;
    println!("{steps} events: {answered} answered, {refused} refused, {images} images in {batches} batches");
    match first_other {
        None => {
            println!("every decision is the same");
            Ok(ExitCode::SUCCESS)
        }
        Some(Step { now, event, actions, .. }) => {
            println!("first other decision at {}: {event:?} gives {actions:?}", milliseconds(now.0));
            Ok(ExitCode::from(crate::EXIT_PARTIAL))
        }
    }
}

/// Tells the story of one request.
pub fn explain(arguments: &ExplainArguments) -> anyhow::Result<ExitCode> {
    let mut story = Story { id: arguments.request, lines: Vec::new(), run: None, came: None };
    trace::replay(open(&arguments.trace)?, |step| story.see(&step))?;
    if story.lines.is_empty() {
        println!("request {} is not in the trace", arguments.request);
        return Ok(ExitCode::from(crate::EXIT_PARTIAL));
    }
    story.lines.iter().for_each(|line| println!("{line}"));
    Ok(ExitCode::SUCCESS)
}

struct Story {
    id: RequestId,
    lines: Vec<String>,
    run: Option<u64>,
    /// When it came, and who ran since then while it waited.
    came: Option<u64>,
}

impl Story {
    fn see(&mut self, step: &Step) {
        let now = step.now.0;
        match step.event {
            Event::Arrived { id, tenant, priority, cost, deadline, .. } if id == self.id => {
                self.came = Some(now);
                let deadline = deadline.map_or("none".into(), |at| milliseconds(at.0));
                self.say(
                    now,
                    &format!("came: tenant {tenant}, priority {priority:?}, deadline {deadline}, {cost:?}"),
                );
            }
            Event::RunDone { run, outcome } if self.run == Some(run) => {
                self.say(now, &format!("its batch ended: {outcome:?}"));
            }
            Event::Cancelled { id } if id == self.id => self.say(now, "its caller cancelled"),
            _ => {}
        }
        for action in &step.actions {
            match action {
                Action::Decode { decoder, id } if *id == self.id => {
                    self.say(now, &format!("decoder {decoder} took it"));
                }
                Action::Fill { staging, place, .. } if place.id == self.id => {
                    self.say(now, &format!("got slot {} of buffer {staging}", place.first_slot));
                }
                Action::Run { worker, run, size, places, .. } => {
                    let others: Vec<String> =
                        places.iter().filter(|p| p.id != self.id).map(|p| p.id.to_string()).collect();
                    if others.len() < places.len() {
                        self.run = Some(*run);
                        let others = if others.is_empty() { "nobody".into() } else { others.join(", ") };
                        self.say(now, &format!("worker {worker} runs it, batch of {size}, with {others}"));
                    } else if self.came.is_some() && self.run.is_none() {
                        self.say(now, &format!("worker {worker} runs others: {}", others.join(", ")));
                    }
                }
                Action::Copy { from, to } if *to == self.id => {
                    self.say(now, &format!("has the answer of {from}, for the same picture"));
                }
                Action::Deliver { id } if *id == self.id => self.end(now, "answered"),
                Action::Refuse { id, refusal, .. } if *id == self.id => {
                    self.end(now, &format!("answered without a result: {}", refusal.name()));
                }
                _ => {}
            }
        }
    }

    fn say(&mut self, now: u64, what: &str) {
        self.lines.push(format!("{:>14}  {what}", milliseconds(now)));
    }

    fn end(&mut self, now: u64, how: &str) {
        let waited = milliseconds(now - self.came.unwrap_or(now));
        self.say(now, &format!("{how}, {waited} after it came"));
        self.came = None;
    }
}

fn milliseconds(nanos: u64) -> String {
    format!("{:.3} ms", nanos as f64 / 1e6)
}

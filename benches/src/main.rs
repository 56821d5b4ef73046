//! Speed: measured, never tested. `--help` says how.

mod arrivals;
mod http;
mod model;
mod overhead;
mod overload;
mod serve;
mod stub;

use libvision::backend::{Backend, CompileOptions};
use libvision::{Model, measure};
use std::process::ExitCode;
use std::sync::Arc;

const HELP: &str = "\
libvision-benches COMMAND

  serve MODEL --threads N --batch N [--input FILE] [--precise]   run the model on request (one side of benches/compare/compare.py)
  model MODEL [--threads N] [--batch N] [--runs N]   median and p99 of a run, pictures a second
  overhead MODEL [--threads N] [--batch N] [--runs N]   what the engine adds to a bare call, and takes from full batches
  overload MODEL [--threads N] [--batch N] [--runs N] [--deadline MS] [--json FILE]   ten times what it can do
  http ADDRESS:PORT/PATH --input FILE --rate N [--runs N]   posts a file N times a second for N tenths of one (benches/compare/serving)
  --once                              every bench once on the shipped model, to see that it runs
";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next();
    let rest = arguments.collect::<Vec<_>>();
    let outcome = match command.as_deref() {
        Some("serve") => Options::read(&rest).and_then(|options| serve::run(&options)),
        Some("model") => Options::read(&rest).and_then(|options| model::run(&options)),
        Some("overhead") => Options::read(&rest).and_then(|options| overhead::run(&options)),
        Some("overload") => Options::read(&rest).and_then(|options| overload::run(&options)),
        Some("http") => Options::read(&rest).and_then(|options| http::run(&options)),
        Some("--once") => once(),
        _ => {
            print!("{HELP}");
            return ExitCode::from(u8::from(command.is_some_and(|word| word != "--help")) * 2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whatever goes wrong in a bench ends it.
pub type Outcome = Result<(), Box<dyn std::error::Error>>;

/// What a bench runs, and how.
pub struct Options {
    /// File or directory.
    pub model: String,
    /// Threads of a run.
    pub threads: usize,
    /// Pictures of a run.
    pub batch: usize,
    /// How many runs are measured.
    pub runs: usize,
    /// File of raw float32 pictures, a whole batch; noise if absent.
    pub input: Option<String>,
    /// Only direct convolution.
    pub precise: bool,
    /// Within which an answer is of use.
    pub deadline_ms: u64,
    /// Requests a second.
    pub rate: f64,
    /// Lines are added to this file.
    pub json: Option<String>,
}

impl Options {
    fn of(model: String, batch: usize, runs: usize) -> Self {
        let (input, json) = (None, None);
        Self { model, threads: 1, batch, runs, input, precise: false, deadline_ms: 100, rate: 100.0, json }
    }

    fn read(words: &[String]) -> Result<Self, Box<dyn std::error::Error>> {
        use lexopt::prelude::*;
        let mut options = Self::of(String::new(), 1, 100);
        let mut parser = lexopt::Parser::from_args(words);
        while let Some(argument) = parser.next()? {
            match argument {
                Long("threads") => options.threads = parser.value()?.parse()?,
                Long("batch") => options.batch = parser.value()?.parse()?,
                Long("precise") => options.precise = true,
                Long("deadline") => options.deadline_ms = parser.value()?.parse()?,
                Long("rate") => options.rate = parser.value()?.parse()?,
                Long("json") => options.json = Some(parser.value()?.string()?),
                Long("runs") => options.runs = parser.value()?.parse()?,
                Long("input") => options.input = Some(parser.value()?.string()?),
                Value(model) => options.model = model.string()?,
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(options)
    }
}

/// A model on a backend without the engine, for batches of one size.
pub fn bare(
    model: &Model,
    backend: &Arc<dyn Backend>,
    options: &Options,
    batch: usize,
) -> libvision::Result<measure::Runner> {
    let compile =
        CompileOptions { max_batch_size: batch, threads: options.threads, ..CompileOptions::default() };
    measure::Runner::new(model, &**backend, &compile)
}

fn once() -> Outcome {
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/model");
    let once = |batch| Options::of(shipped.into(), batch, 1);
    for batch in [1, 3] {
        model::run(&once(batch))?;
    }
    overhead::run(&once(4))?;
    overload::run(&once(4))
}

//! Speed: measured, never tested. `--help` says how.

mod model;
mod overhead;
mod serve;
mod stub;

use std::process::ExitCode;

const HELP: &str = "\
libvision-benches COMMAND

  serve MODEL --threads N --batch N [--input FILE] [--precise]   run the model on request (one side of benches/compare/compare.py)
  model MODEL [--threads N] [--batch N] [--runs N]   median and p99 of a run, pictures a second
  overhead MODEL [--threads N] [--batch N] [--runs N]   what the engine adds to a bare call, and takes from full batches
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
}

impl Options {
    fn read(words: &[String]) -> Result<Self, Box<dyn std::error::Error>> {
        use lexopt::prelude::*;
        let mut options =
            Self { model: String::new(), threads: 1, batch: 1, runs: 100, input: None, precise: false };
        let mut parser = lexopt::Parser::from_args(words);
        while let Some(argument) = parser.next()? {
            match argument {
                Long("threads") => options.threads = parser.value()?.parse()?,
                Long("batch") => options.batch = parser.value()?.parse()?,
                Long("precise") => options.precise = true,
                Long("runs") => options.runs = parser.value()?.parse()?,
                Long("input") => options.input = Some(parser.value()?.string()?),
                Value(model) => options.model = model.string()?,
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(options)
    }
}

fn once() -> Outcome {
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/model");
    let once =
        |batch| Options { model: shipped.into(), threads: 1, batch, runs: 1, input: None, precise: false };
    for batch in [1, 3] {
        model::run(&once(batch))?;
    }
    overhead::run(&once(4))
}

//! The project's own commands: demo, test, dist and the checks.

mod check;
mod command;
mod demo;
mod dist;
mod fuzz;
mod gpu;
mod python;
mod software_gpu;
mod test;
mod tsan;
mod workspace;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask COMMAND

  demo [PICTURE...]     build the command line and classify the shipped pictures, or yours
  test [SUITE...]       set up what the tests need and run every suite, or those named
                        (--list names them, --keep-going runs on after a failure)
  dist                  make a wheel, an npm package and a prefix to install, under target/packages/

  fuzz [TARGET...] [--runs N | --seconds N]   mutate pictures and model files

  gpu --pack DIR        what a machine with a GPU needs to check and measure libvision, without Rust

  tsan                  tests of what threads share, under ThreadSanitizer

  software-gpu [--seeds N] [--without SYMBOL] -- COMMAND
                        run a command on a CUDA driver that needs no GPU, under N schedules

  layers [--check]      imports between the core's modules point leftward
  version [--check]     one version in every package
  assembly              machine code of the micro-kernels: multiply-adds per loop, nothing spilled
  sizes                 files and functions that are longer than they should be
  dependencies [--check]  licences, bans and sources of all crates
  header [--check]      make include/libvision.h (needs no installed tool)
  onnx [--check]        make core/src/import/onnx/messages.rs
  cubins [--check | --report]   compile the CUDA kernels; needs no GPU
  stubs [--check]       make the Python stubs from the built module

--check compares with what is committed and fails if it differs.
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let rest = arguments.get(1..).unwrap_or_default();
    let outcome = match arguments.first().map(String::as_str) {
        Some("demo") => demo::run(rest),
        Some("test") => test::run(rest),
        Some("dist") => dist::run(),
        Some("fuzz") => fuzz::run_targets(rest),
        Some("gpu") => gpu::pack(rest),
        Some("software-gpu") => software_gpu::run_on_it(rest),
        Some("tsan") => tsan::run_tests(),
        Some("layers") => check::layers::run(),
        Some("version") => check::version::run(),
        Some("assembly") => check::assembly::check(),
        Some("sizes") => check::sizes::run(),
        Some("cubins") => check::generated::cubins(rest),
        Some("stubs") => check::generated::stubs(rest),
        Some(name @ ("header" | "onnx" | "dependencies")) => check::generated::generator(name, rest),
        None | Some("help" | "--help" | "-h") => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Some(other) => Err(anyhow::anyhow!("no command `{other}`\n\n{HELP}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

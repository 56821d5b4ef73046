//! The command line, as clap reads it.

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use tracing_subscriber::filter::Targets;

/// Image recognition from a shell.
#[derive(Parser)]
#[command(name = "vision", version, about, after_help = EXAMPLES)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
    /// Write what happens to standard error: error, warn, info, debug or trace, or TARGET=LEVEL,... [for
    /// example: info, libvision::engine=info].
    ///
    /// At info there is a line for each request and each run of a batch, with where their time went.
    #[arg(long, global = true, value_name = "FILTER", env = "RUST_LOG", hide_env_values = true)]
    pub log: Option<Targets>,
}

const EXAMPLES: &str = "Examples:
  vision classify -m examples/model picture.jpg
  vision classify -m resnet50.onnx --top 3 --json photos/ > answers.jsonl
  vision describe -m examples/model
  vision bench -m resnet50.onnx --batch 1,8 --threads 1,2";

#[derive(Subcommand)]
pub enum Command {
    /// Say what is on pictures.
    ///
    /// Prints the best labels of each picture, in the order given. Exit code 0: all classified; 1: some
    /// pictures failed; 2: wrong arguments, or the model did not load.
    #[command(after_help = CLASSIFY_EXAMPLES)]
    Classify(ClassifyArguments),
    /// Print what a model is and how it will run here: preprocessing, fusions, plan, memory.
    Describe(DescribeArguments),
    /// Say what of this machine can be used, and what to do about the rest.
    ///
    /// One line per finding: CPU, threads, driver, devices, memory, and with -m the model itself. Exit code 0: all
    /// that was asked for works; 1: something does not.
    #[command(after_help = DOCTOR_EXAMPLES)]
    Doctor(DoctorArguments),
    /// Print the most memory that a model in an engine comes to, before any of it is taken.
    ///
    /// Exit code 2 if it does not hold below the limits.
    #[command(after_help = PLAN_EXAMPLES)]
    Plan(PlanArguments),
    /// Compute a model's answers to known images on the CPU, and write them for engines to prove devices with.
    ///
    /// Named golden.json beside the model, the file is read with it from then on: no engine of the model starts
    /// whose answers differ by more than the tolerance.
    Golden(GoldenArguments),
    /// Measure how fast a model runs here, whole or layer by layer.
    ///
    /// Runs the network alone, without pictures and queue, on seeded noise. Rates count the multiplications
    /// of direct convolution, two operations each, whatever the algorithm; the peak is what a loop of fused
    /// multiply-adds reached on the same threads between the runs.
    #[command(after_help = BENCH_EXAMPLES)]
    Bench(BenchArguments),
    /// Make the decisions of a recorded engine again, and say whether they are the same.
    Replay(ReplayArguments),
    /// Say why a request of a recorded engine waited, and with whom it ran.
    Explain(ExplainArguments),
    /// Measure which algorithm suits each convolution on this CPU, and write a file that others take with --tuning.
    ///
    /// Runs the network with each algorithm that can compute its convolutions, in turns. Nothing is measured
    /// without this command, and nothing else writes such a file.
    #[command(after_help = TUNE_EXAMPLES)]
    Tune(TuneArguments),
    /// Print a completion script for a shell.
    Completions {
        /// For which shell.
        shell: clap_complete::Shell,
    },
}

const CLASSIFY_EXAMPLES: &str = "Examples:
  vision classify -m examples/model cat.jpg dog.png
  vision classify -m resnet50.safetensors --top 1 --min-score 0.5 photos/
  cat cat.jpg | vision classify -m examples/model --json -";

#[derive(Args)]
pub struct ClassifyArguments {
    #[command(flatten)]
    pub session: SessionArguments,
    /// Pictures (JPEG, PNG, WebP, GIF, BMP), folders of pictures, or `-` for one on standard input.
    #[arg(required = true)]
    pub images: Vec<PathBuf>,
    /// At most so many labels a picture.
    #[arg(long, value_name = "K", default_value_t = 5)]
    pub top: usize,
    /// No label below this score.
    #[arg(long, value_name = "S", default_value_t = 0.0)]
    pub min_score: f32,
    /// One JSON object a line, one line a picture.
    #[arg(long)]
    pub json: bool,
    /// Give a picture up that has no answer so long after it was taken in.
    #[arg(long, value_name = "S", value_parser = duration)]
    pub deadline: Option<f64>,
    /// Write what the engine counted and measured, as text for Prometheus, to this file at the end.
    #[arg(long, value_name = "FILE")]
    pub metrics: Option<PathBuf>,
}

const DOCTOR_EXAMPLES: &str = "Examples:
  vision doctor
  vision doctor -m examples/model --device cuda:0 --json";

#[derive(Args)]
pub struct DoctorArguments {
    /// A model to run once and compare with the CPU.
    #[arg(short, long, value_name = "MODEL")]
    pub model: Option<PathBuf>,
    /// auto, cpu or cuda:N; a device that is named must work.
    #[arg(long, default_value = "auto")]
    pub device: String,
    /// One JSON object a line, one line a finding.
    #[arg(long)]
    pub json: bool,
}

const PLAN_EXAMPLES: &str = "Examples:
  vision plan -m examples/model --max-batch-size 32
  vision plan -m resnet50.onnx --instances 2 --memory-limit 1000000000 --json";

#[derive(Args)]
pub struct PlanArguments {
    #[command(flatten)]
    pub session: SessionArguments,
    /// Batches that each device works on at one time; 0 takes as many as keep it busy.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub instances: usize,
    /// Most bytes of this machine's memory, pinned memory included.
    #[arg(long, value_name = "BYTES")]
    pub memory_limit: Option<u64>,
    /// One JSON object.
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct GoldenArguments {
    /// An .onnx or .safetensors file, or a model directory (config.json beside the weights).
    #[arg(short, long, value_name = "MODEL")]
    pub model: PathBuf,
    /// The file to write.
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Largest difference that is none, as a part of each output's largest value; half precision needs about 0.02.
    #[arg(long, value_name = "PART", default_value_t = 0.001)]
    pub tolerance: f32,
}

const BENCH_EXAMPLES: &str = "Examples:
  vision bench -m examples/model
  vision bench -m resnet50.onnx --batch 1,8 --threads 1,2 --json > speed.jsonl
  vision bench -m resnet50.onnx --threads 1 --profile resnet50.html
  LIBVISION_CPU_ISA=avx2 vision bench -m resnet50.onnx --precise --seconds 10";

#[derive(Args)]
pub struct BenchArguments {
    /// An .onnx or .safetensors file, or a model directory (config.json beside the weights).
    #[arg(short, long, value_name = "MODEL")]
    pub model: PathBuf,
    /// auto, cpu or cuda:N.
    #[arg(long, default_value = "auto")]
    pub device: String,
    /// Images of a run; several are measured one after the other.
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_value = "1", value_parser = at_least_one)]
    pub batch: Vec<usize>,
    /// Threads of a run; several are measured one after the other; 0 takes one per available CPU.
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_value = "0")]
    pub threads: Vec<usize>,
    /// Element type that the network is computed in.
    #[arg(long, value_enum, default_value_t = Precision::Auto)]
    pub precision: Precision,
    /// Direct convolution only: slower, with less memory for weights, nearer to exact.
    #[arg(long)]
    pub precise: bool,
    /// A file of `vision tune` for this model and this CPU.
    #[arg(long, value_name = "FILE", conflicts_with = "precise")]
    pub tuning: Option<PathBuf>,
    /// Exactly so many runs of each, after a short warm-up.
    #[arg(long, value_name = "N", conflicts_with = "seconds", value_parser = at_least_one)]
    pub iterations: Option<usize>,
    /// Run each for so long [default: 3].
    #[arg(long, value_name = "S", value_parser = duration)]
    pub seconds: Option<f64>,
    /// One JSON object a line, one line a batch and number of threads.
    #[arg(long)]
    pub json: bool,
    /// Time each layer too, and write a page with a bar for each [default file: vision-profile.html].
    #[arg(long, value_name = "FILE.html", num_args = 0..=1, default_missing_value = "vision-profile.html")]
    pub profile: Option<PathBuf>,
}

const TUNE_EXAMPLES: &str = "Examples:
  vision tune -m resnet50.onnx -o resnet50.tuning.json --threads 2
  vision bench -m resnet50.onnx --tuning resnet50.tuning.json --threads 2
  vision classify -m resnet50.onnx --tuning resnet50.tuning.json picture.jpg";

#[derive(Args)]
pub struct TuneArguments {
    /// An .onnx or .safetensors file, or a model directory (config.json beside the weights).
    #[arg(short, long, value_name = "MODEL")]
    pub model: PathBuf,
    /// The file to write.
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Images of a run.
    #[arg(long, value_name = "N", default_value = "1", value_parser = at_least_one)]
    pub batch: usize,
    /// Threads of a run; 0 takes one per available CPU.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub threads: usize,
    /// Measure for so long.
    #[arg(long, value_name = "S", value_parser = duration, default_value = "10")]
    pub seconds: f64,
}

/// Element types that a network can be computed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Precision {
    /// What suits the device: f32 on the CPU, f16 on CUDA.
    Auto,
    /// 32-bit floating point.
    F32,
    /// Half precision; CUDA only.
    F16,
    /// The upper half of f32; CUDA only.
    Bf16,
}

impl From<Precision> for libvision::backend::Precision {
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::Auto => Self::Auto,
            Precision::F32 => Self::F32,
            Precision::F16 => Self::F16,
            Precision::Bf16 => Self::Bf16,
        }
    }
}

fn at_least_one(word: &str) -> Result<usize, String> {
    match word.parse() {
        Ok(number) if number >= 1 => Ok(number),
        _ => Err("expected a whole number, at least 1".into()),
    }
}

fn duration(word: &str) -> Result<f64, String> {
    match word.parse() {
        Ok(seconds) if (0.0..=86_400.0).contains(&seconds) => Ok(seconds),
        _ => Err("expected seconds, at most 86400".into()),
    }
}

#[derive(Args)]
pub struct DescribeArguments {
    #[command(flatten)]
    pub session: SessionArguments,
}

/// What every command needs that runs a model.
#[derive(Args)]
pub struct SessionArguments {
    /// An .onnx or .safetensors file, or a model directory (config.json beside the weights).
    #[arg(short, long, value_name = "MODEL")]
    pub model: PathBuf,
    /// auto, cpu or cuda:N.
    #[arg(long, default_value = "auto")]
    pub device: String,
    /// Threads that compute one batch; 0 takes one per available CPU.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub threads: usize,
    /// Largest batch, at least 1; the model's own limit may lower it.
    #[arg(long, value_name = "N", default_value_t = libvision::EngineOptions::default().max_batch_size)]
    pub max_batch_size: usize,
    /// How long the first picture of a batch may wait for others.
    #[arg(long, value_name = "S", value_parser = duration, default_value_t = default_queue_delay())]
    pub max_queue_delay: f64,
    /// Whether it does.
    #[arg(long, value_enum, default_value_t = Window::Adaptive)]
    pub window: Window,
    /// Element type that the network is computed in.
    #[arg(long, value_enum, default_value_t = Precision::Auto)]
    pub precision: Precision,
    /// Most bytes of a CUDA device's memory to take.
    #[arg(long, value_name = "BYTES")]
    pub device_memory_limit: Option<u64>,
    /// Direct convolution only: slower, with less memory for weights, nearer to exact.
    #[arg(long)]
    pub precise: bool,
    /// A file of `vision tune` for this model and this CPU.
    #[arg(long, value_name = "FILE", conflicts_with = "precise")]
    pub tuning: Option<PathBuf>,
    /// Record in this file what decides who runs when, for `vision replay` and `vision explain`.
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
}

/// How long a batch waits for others while a worker is idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Window {
    /// Not at all.
    Latency,
    /// For --max-queue-delay, or until it is full.
    Throughput,
    /// As long as that is measured to save more time than it costs.
    Adaptive,
}

fn default_queue_delay() -> f64 {
    libvision::EngineOptions::default().max_queue_delay.as_secs_f64()
}

#[derive(clap::Args, Debug)]
pub struct ReplayArguments {
    /// File that an engine recorded (its option `trace`).
    pub trace: PathBuf,
}

#[derive(clap::Args, Debug)]
pub struct ExplainArguments {
    /// File that an engine recorded (its option `trace`).
    pub trace: PathBuf,
    /// Which request: the first one of the engine is 0.
    #[arg(long)]
    pub request: u64,
}

#[cfg(test)]
mod tests {
    use super::Arguments;
    use clap::CommandFactory;

    #[test]
    fn no_command_has_an_argument_twice() {
        Arguments::command().debug_assert();
    }
}

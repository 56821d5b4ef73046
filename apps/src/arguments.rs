//! The command line, as clap reads it.

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Image recognition from a shell.
#[derive(Parser)]
#[command(name = "vision", version, about, after_help = EXAMPLES)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "Examples:
  vision classify -m examples/model picture.jpg
  vision classify -m resnet50.onnx --top 3 --json photos/ > answers.jsonl
  vision describe -m examples/model";

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
}

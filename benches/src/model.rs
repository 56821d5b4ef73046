//! A model on the CPU backend, without the engine: one context, one batch after the other.

use crate::{Options, Outcome};
use libvision::Model;
use libvision::backend::{CompileOptions, registry};
use libvision::measure;
use std::time::Instant;

/// A compiled model with a context and inputs of its own.
pub struct Runner {
    load_ms: f64,
    runner: measure::Runner,
}

impl Runner {
    /// Loads and compiles. Without an input file the inputs are seeded noise with mean 0 and deviation near 1.
    pub fn new(options: &Options) -> Result<Self, Box<dyn std::error::Error>> {
        let started = Instant::now();
        let model = Model::load(&options.model)?;
        let compile = CompileOptions {
            max_batch_size: options.batch,
            threads: options.threads,
            precise: options.precise,
            ..CompileOptions::default()
        };
        let mut runner = measure::Runner::new(&model, &*registry::open("cpu")?.backend, &compile)?;
        let load_ms = started.elapsed().as_secs_f64() * 1e3;
        if let Some(file) = &options.input {
            let input = &mut runner.inputs_mut()[0];
            *input = read_floats(file, input.len())?;
        }
        Ok(Self { load_ms, runner })
    }

    /// The first output of the last run.
    pub fn output(&self) -> &[f32] {
        &self.runner.outputs()[0]
    }

    /// Milliseconds of one run.
    pub fn time(&mut self) -> libvision::Result<f64> {
        Ok(self.runner.run()?.as_secs_f64() * 1e3)
    }
}

fn read_floats(file: &str, count: usize) -> Result<Vec<f32>, Box<dyn std::error::Error>> {
    let bytes = std::fs::read(file)?;
    let floats: Vec<f32> = bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    if floats.len() != count {
        return Err(format!("{file}: expected {count} floats for this batch, found {}", floats.len()).into());
    }
    Ok(floats)
}

/// Prints one line: median and p99 of the runs, pictures a second, memory.
pub fn run(options: &Options) -> Outcome {
    let mut runner = Runner::new(options)?;
    runner.time()?;
    let mut times = (0..options.runs.max(1)).map(|_| runner.time()).collect::<libvision::Result<Vec<_>>>()?;
    times.sort_by(f64::total_cmp);
    let at = |share: usize| times[(times.len() - 1) * share / 100];
    let memory = runner.runner.executable().memory_need();
    println!(
        "{}: {} threads, batch {}: median {:.3} ms, p99 {:.3} ms, {:.1} pictures/s, loaded in {:.0} ms, \
         weights {} bytes, arena {} bytes",
        options.model,
        options.threads,
        options.batch,
        at(50),
        at(99),
        options.batch as f64 * 1e3 / at(50),
        runner.load_ms,
        memory.weights,
        memory.arena
    );
    Ok(())
}

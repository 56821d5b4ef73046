//! A model on the CPU backend, without the engine: one context, one batch after the other.

use crate::{Options, Outcome};
use libvision::Model;
use libvision::backend::{CompileOptions, Executable, ExecutionContext, registry};
use std::sync::Arc;
use std::time::Instant;

/// A compiled model with a context and inputs of its own.
pub struct Runner {
    load_ms: f64,
    executable: Arc<dyn Executable>,
    context: Box<dyn ExecutionContext>,
    batch: usize,
    inputs: Vec<Vec<f32>>,
    outputs: Vec<Vec<f32>>,
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
        let executable = registry::open("cpu")?.backend.compile(model.graph(), &compile)?;
        let context = Arc::clone(&executable).new_context()?;
        let load_ms = started.elapsed().as_secs_f64() * 1e3;
        let mut seed = 0x2545_f491_u32;
        let mut noise = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) as f32 / (1 << 23) as f32 * 1.7 - 1.7
        };
        let sizes = |specs: &[libvision::backend::TensorSpec]| -> Vec<usize> {
            specs.iter().map(|spec| spec.elements_per_image() * options.batch).collect()
        };
        let input_sizes = sizes(executable.inputs());
        let inputs = match &options.input {
            Some(file) => vec![read_floats(file, input_sizes[0])?],
            None => input_sizes.into_iter().map(|size| (0..size).map(|_| noise()).collect()).collect(),
        };
        let outputs = sizes(executable.outputs()).into_iter().map(|size| vec![0.0; size]).collect();
        Ok(Self { load_ms, executable, context, batch: options.batch, inputs, outputs })
    }

    /// The first output of the last run.
    pub fn output(&self) -> &[f32] {
        &self.outputs[0]
    }

    /// Milliseconds of one run.
    pub fn time(&mut self) -> libvision::Result<f64> {
        let inputs: Vec<&[f32]> = self.inputs.iter().map(Vec::as_slice).collect();
        let mut outputs: Vec<&mut [f32]> = self.outputs.iter_mut().map(Vec::as_mut_slice).collect();
        let started = Instant::now();
        self.context.run(self.batch, &inputs, &mut outputs)?;
        Ok(started.elapsed().as_secs_f64() * 1e3)
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
    let memory = runner.executable.memory_need();
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

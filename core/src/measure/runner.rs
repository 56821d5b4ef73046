//! A compiled model with a context and inputs of its own.

use crate::backend::{Backend, CompileOptions, Executable, ExecutionContext, TensorSpec};
use crate::error::{Error, ErrorKind, Result};
use crate::model::Model;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Runs batches of one size, all of the same images, one after the other on the calling thread.
pub struct Runner {
    executable: Arc<dyn Executable>,
    context: Box<dyn ExecutionContext>,
    batch: usize,
    inputs: Vec<Vec<f32>>,
    outputs: Vec<Vec<f32>>,
}

impl Runner {
    /// Compiles `model` for batches of `options.max_batch_size`. The images are seeded noise with mean 0 and
    /// deviation near 1, as preprocessing makes pictures. Takes all memory.
    pub fn new(model: &Model, backend: &dyn Backend, options: &CompileOptions) -> Result<Self> {
        let batch = options.max_batch_size;
        model.check_file()?;
        let executable = backend.compile(model.graph(), options)?;
        let most = executable.max_batch_size();
        if batch > most {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!(
                    "batch: expected at most {most}, the limit of model {:?}, found {batch}",
                    model.name()
                ),
            ));
        }
        let context = Arc::clone(&executable).new_context()?;
        let mut seed = 1u32;
        let inputs = executable.inputs().iter().map(|spec| noise(elements(spec, batch), &mut seed)).collect();
        let outputs = executable.outputs().iter().map(|spec| vec![0.0; elements(spec, batch)]).collect();
        Ok(Self { executable, context, batch, inputs, outputs })
    }

    /// What runs.
    pub fn executable(&self) -> &dyn Executable {
        &*self.executable
    }

    /// The inputs of all runs, a batch of each, to be overwritten by who wants others than noise.
    pub fn inputs_mut(&mut self) -> &mut [Vec<f32>] {
        &mut self.inputs
    }

    /// The outputs of the last run.
    pub fn outputs(&self) -> &[Vec<f32>] {
        &self.outputs
    }

    /// Runs one batch; how long it took.
    pub fn run(&mut self) -> Result<Duration> {
        self.timed(|context, batch, inputs, outputs| context.run(batch, inputs, outputs))
    }

    /// The same, and how long the device was at it by its own clock, if it has one.
    pub fn run_clocked(&mut self) -> Result<(Duration, Option<Duration>)> {
        let mut on_device = None;
        let time = self.timed(|context, batch, inputs, outputs| {
            on_device = context.run_clocked(batch, inputs, outputs)?;
            Ok(())
        })?;
        Ok((time, on_device))
    }

    /// Runs one batch and adds to `times` what each of the executable's steps took; how long all took.
    pub fn run_timed(&mut self, times: &mut [Duration]) -> Result<Duration> {
        self.timed(|context, batch, inputs, outputs| context.run_timed(batch, inputs, outputs, times))
    }

    fn timed(
        &mut self,
        run: impl FnOnce(&mut dyn ExecutionContext, usize, &[&[f32]], &mut [&mut [f32]]) -> Result<()>,
    ) -> Result<Duration> {
        let inputs: Vec<&[f32]> = self.inputs.iter().map(Vec::as_slice).collect();
        let mut outputs: Vec<&mut [f32]> = self.outputs.iter_mut().map(Vec::as_mut_slice).collect();
        let started = Instant::now();
        run(&mut *self.context, self.batch, &inputs, &mut outputs)?;
        Ok(started.elapsed())
    }
}

fn elements(spec: &TensorSpec, batch: usize) -> usize {
    spec.elements_per_image() * batch
}

/// Evenly spread from -1.7 to 1.7 (the linear congruential generator of Numerical Recipes).
fn noise(count: usize, seed: &mut u32) -> Vec<f32> {
    let mut next = || {
        *seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((*seed >> 8) as f32 / (1 << 23) as f32 - 1.0) * 1.7
    };
    (0..count).map(|_| next()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_spread_around_zero() {
        let values = noise(10_000, &mut 1);
        let mean = values.iter().sum::<f32>() / 1e4;
        let deviation = (values.iter().map(|x| x * x).sum::<f32>() / 1e4).sqrt();
        assert!(mean.abs() < 0.05 && (deviation - 1.0).abs() < 0.05, "{mean} {deviation}");
        assert!(values.iter().all(|x| x.abs() <= 1.7));
    }
}

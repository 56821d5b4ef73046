//! Measuring a model: runs and the device's peak in turns.

use super::measurement::{Measurement, StepTime, quantile};
use super::runner::Runner;
use crate::backend::{CompileOptions, registry};
use crate::error::{Error, ErrorKind, Result};
use crate::model::Model;
use std::time::{Duration, Instant};

/// What to measure, and for how long.
#[derive(Clone, Debug)]
pub struct MeasureOptions {
    /// `auto`, `cpu` or `cuda:N`.
    pub device: String,
    /// How to compile; `max_batch_size` is the batch that runs.
    pub compile: CompileOptions,
    /// Runs go on for at least so long,
    pub least_time: Duration,
    /// and there are at least so many; at least 1.
    pub least_runs: usize,
}

impl Default for MeasureOptions {
    fn default() -> Self {
        Self {
            device: "auto".into(),
            compile: CompileOptions::default(),
            least_time: Duration::from_secs(3),
            least_runs: 10,
        }
    }
}

/// Runs before the first that counts, for a tenth of the time but at least this many.
const WARM_UP: usize = 2;

impl Model {
    /// Compiles and runs the model again and again. Blocks meanwhile. The device's peak is measured between
    /// the runs, so that both see the same clock.
    ///
    /// Fails as [`Engine::new`](crate::Engine::new) does, and with `INVALID_ARGUMENT` for a batch beyond the
    /// model's limit.
    pub fn measure(&self, options: &MeasureOptions) -> Result<Measurement> {
        self.repeat(options, false)
    }

    /// The same with the time of each step, which costs two looks at the clock a step. Fails with
    /// `INVALID_ARGUMENT` for a device that does not time its steps.
    pub fn profile(&self, options: &MeasureOptions) -> Result<Measurement> {
        self.repeat(options, true)
    }

    fn repeat(&self, options: &MeasureOptions, by_step: bool) -> Result<Measurement> {
        let device = registry::open(&options.device)?;
        let mut runner = Runner::new(self, &*device.backend, &options.compile)?;
        let steps = runner.executable().steps();
        if by_step && steps.is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!("device {:?} does not time its steps; profile on \"cpu\"", device.name),
            ));
        }
        let timed = if by_step { steps.len() } else { 0 };
        let warm = Instant::now();
        for run in 0.. {
            if run >= WARM_UP.min(options.least_runs) && warm.elapsed() >= options.least_time / 10 {
                break;
            }
            runner.run()?;
        }
        let (mut times, mut device_times, mut peaks) = (Vec::new(), Vec::new(), Vec::new());
        let mut step_times = vec![Vec::new(); timed];
        let mut of_run = vec![Duration::ZERO; timed];
        let started = Instant::now();
        while times.len() < options.least_runs.max(1) || started.elapsed() < options.least_time {
            peaks.extend(runner.executable().measure_peak());
            if by_step {
                of_run.fill(Duration::ZERO);
                times.push(runner.run_timed(&mut of_run)?);
                step_times.iter_mut().zip(&of_run).for_each(|(times, time)| times.push(*time));
            } else {
                let (time, on_device) = runner.run_clocked()?;
                times.push(time);
                device_times.extend(on_device);
            }
        }
        times.sort_unstable();
        device_times.sort_unstable();
        peaks.sort_unstable_by(f64::total_cmp);
        let multiplications = steps.iter().map(|step| step.multiplications).sum();
        let steps = steps.into_iter().zip(step_times).map(|(step, mut times)| {
            times.sort_unstable();
            StepTime { step, time: quantile(&times, 0.5) }
        });
        Ok(Measurement {
            batch: options.compile.max_batch_size,
            threads: runner.executable().threads(),
            times,
            device_time: (!device_times.is_empty()).then(|| quantile(&device_times, 0.5)),
            precision: runner.executable().precision(),
            multiplications,
            peak_flops: (!peaks.is_empty()).then(|| quantile(&peaks, 0.5)),
            memory: runner.executable().memory_need(),
            steps: steps.collect(),
        })
    }
}

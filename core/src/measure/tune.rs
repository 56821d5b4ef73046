//! The fastest algorithm for each size of convolution, measured where it will run: in the network itself.

use super::measurement::quantile;
use super::model::MeasureOptions;
use super::runner::Runner;
use crate::backend::cpu::{CpuBackend, TunedConv2d, Tuning, processor_name};
use crate::backend::{CompileOptions, StepDescription};
use crate::error::{Error, ErrorKind, Result};
use crate::model::Model;
use libvision_kernels::cpu::conv2d::{Conv2d, ConvAlgorithm};
use libvision_kernels::geometry::Conv2dGeometry;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Another algorithm must take less than this share of the time of the one that would be chosen anyway:
/// chance makes smaller differences.
const WORTH_IT: f64 = 0.97;

/// The network compiled with one algorithm for each size, and the times of its steps.
struct Contestant {
    runner: Runner,
    algorithms: Vec<ConvAlgorithm>,
    /// By step, then by run.
    times: Vec<Vec<Duration>>,
}

impl Model {
    /// Runs the network with each algorithm that can compute its convolutions, in turns so that a noisy machine
    /// treats all alike, and gives the fastest one for each size. Blocks meanwhile; memory for each algorithm's
    /// weights is taken at the same time. Only the CPU can be tuned.
    pub fn tune(&self, options: &MeasureOptions) -> Result<Tuning> {
        if !["auto", "cpu"].contains(&options.device.as_str()) || options.compile.precise {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!(
                    "tune: expected device \"cpu\" and not precise, where there is nothing to choose, found device {:?}",
                    options.device
                ),
            ));
        }
        let backend = CpuBackend::new();
        let plain = CompileOptions { tuning: None, ..options.compile.clone() };
        let own = Runner::new(self, &backend, &plain)?;
        let steps = own.executable().steps();
        let sizes = sizes(&steps);
        let mut tuning = Tuning {
            model: self.name().to_owned(),
            processor: processor_name(),
            isa: backend.isa()?.to_owned(),
            batch: options.compile.max_batch_size,
            threads: own.executable().threads(),
            choices: Vec::new(),
        };
        drop(own);
        let most = sizes.iter().map(|size| size.candidates.len()).max().unwrap_or(0);
        let mut contestants = Vec::with_capacity(most);
        for turn in 0..most {
            let algorithms: Vec<_> =
                sizes.iter().map(|size| size.candidates[turn % size.candidates.len()]).collect();
            let choices = sizes.iter().zip(&algorithms).map(|(size, &algorithm)| TunedConv2d {
                geometry: size.geometry,
                algorithm,
                microseconds: BTreeMap::new(),
            });
            let forced = Arc::new(Tuning { choices: choices.collect(), ..tuning.clone() });
            let runner =
                Runner::new(self, &backend, &CompileOptions { tuning: Some(forced), ..plain.clone() })?;
            contestants.push(Contestant { runner, algorithms, times: vec![Vec::new(); steps.len()] });
        }
        run_in_turns(&mut contestants, options)?;
        tuning.choices =
            sizes.iter().enumerate().map(|(index, size)| size.choose(index, &contestants)).collect();
        Ok(tuning)
    }
}

/// One size of convolution, with a choice of algorithms.
struct Size {
    geometry: Conv2dGeometry,
    candidates: Vec<ConvAlgorithm>,
    /// What is used without tuning.
    own: Option<ConvAlgorithm>,
    /// Which steps are of this size.
    steps: Vec<usize>,
}

fn sizes(steps: &[StepDescription]) -> Vec<Size> {
    let mut sizes: Vec<Size> = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        let Some(geometry) = step.convolution else { continue };
        if let Some(known) = sizes.iter_mut().find(|size| size.geometry == geometry) {
            known.steps.push(index);
            continue;
        }
        let candidates = Conv2d::candidates(&geometry, false);
        if !candidates.is_empty() {
            let own = ConvAlgorithm::by_name(step.algorithm);
            sizes.push(Size { geometry, candidates, own, steps: vec![index] });
        }
    }
    sizes
}

fn run_in_turns(contestants: &mut [Contestant], options: &MeasureOptions) -> Result<()> {
    for contestant in contestants.iter_mut() {
        contestant.runner.run()?;
    }
    let started = Instant::now();
    let mut rounds = 0;
    while rounds < options.least_runs.max(1) || started.elapsed() < options.least_time {
        for contestant in contestants.iter_mut() {
            let mut times = vec![Duration::ZERO; contestant.times.len()];
            contestant.runner.run_timed(&mut times)?;
            contestant.times.iter_mut().zip(times).for_each(|(all, time)| all.push(time));
        }
        rounds += 1;
    }
    for times in contestants.iter_mut().flat_map(|contestant| &mut contestant.times) {
        times.sort_unstable();
    }
    Ok(())
}

impl Size {
    /// The algorithm to use, by the best median of each; `index` is this size's place among all.
    fn choose(&self, index: usize, contestants: &[Contestant]) -> TunedConv2d {
        let mut microseconds = BTreeMap::new();
        for contestant in contestants {
            let algorithm = contestant.algorithms[index];
            let medians = self.steps.iter().map(|step| quantile(&contestant.times[*step], 0.5).as_secs_f64());
            let time = (medians.sum::<f64>() * 1e7).round() / 10.0;
            let best: &mut f64 = microseconds.entry(algorithm.name().to_owned()).or_insert(time);
            *best = best.min(time);
        }
        let algorithm = fastest(&self.candidates, self.own, &microseconds);
        TunedConv2d { geometry: self.geometry, algorithm, microseconds }
    }
}

fn fastest(
    candidates: &[ConvAlgorithm],
    own: Option<ConvAlgorithm>,
    microseconds: &BTreeMap<String, f64>,
) -> ConvAlgorithm {
    let time =
        |algorithm: ConvAlgorithm| microseconds.get(algorithm.name()).copied().unwrap_or(f64::INFINITY);
    // Only sizes with candidates are kept.
    let best = candidates.iter().copied().min_by(|a, b| time(*a).total_cmp(&time(*b)));
    let best = best.unwrap_or(ConvAlgorithm::Direct);
    match own {
        Some(own) if time(best) > time(own) * WORTH_IT => own,
        _ => best,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_algorithm_must_be_clearly_faster() {
        let candidates = [ConvAlgorithm::Direct, ConvAlgorithm::WinogradF2, ConvAlgorithm::WinogradF4];
        for (times, expected) in [
            ([100.0, 200.0, 200.0], ConvAlgorithm::Direct),
            ([100.0, 98.0, 200.0], ConvAlgorithm::Direct),
            ([100.0, 98.0, 90.0], ConvAlgorithm::WinogradF4),
            ([100.0, 50.0, 90.0], ConvAlgorithm::WinogradF2),
        ] {
            let names = candidates.map(|candidate| candidate.name().to_owned());
            let times = names.into_iter().zip(times).collect();
            assert_eq!(fastest(&candidates, Some(ConvAlgorithm::Direct), &times), expected, "{times:?}");
        }
    }
}

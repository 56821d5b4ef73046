//! What was measured, and what follows from it.

use crate::backend::{MemoryNeed, Precision, StepDescription};
use std::time::Duration;

/// Times of many runs of one batch.
#[derive(Clone, Debug)]
pub struct Measurement {
    /// Images of a run.
    pub batch: usize,
    /// Threads of a run.
    pub threads: usize,
    /// How long each run took, ascending; at least one.
    pub times: Vec<Duration>,
    /// The median time of a run by the device's own clock, copies included; `None` where it has none, or if each
    /// step was timed.
    pub device_time: Option<Duration>,
    /// Element type that was computed in.
    pub precision: Precision,
    /// Multiplications per image that direct convolutions and matrix products come to.
    pub multiplications: usize,
    /// The device's floating-point operations per second at best, the median of what was measured between
    /// the runs; `None` where the device does not know.
    pub peak_flops: Option<f64>,
    /// Memory taken.
    pub memory: MemoryNeed,
    /// The median time of each step; empty unless asked for.
    pub steps: Vec<StepTime>,
}

/// One step of a run.
#[derive(Clone, Debug)]
pub struct StepTime {
    /// What it does.
    pub step: StepDescription,
    /// Its median time for the batch.
    pub time: Duration,
}

/// What keeps a device with memory of its own busy in one run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Occupancy {
    /// Copies to and from it.
    pub copies: Duration,
    /// Everything else.
    pub computing: Duration,
}

impl Occupancy {
    /// The share of a run that copies take.
    pub fn of_copies(&self) -> f64 {
        self.copies.as_secs_f64() / (self.copies + self.computing).as_secs_f64().max(1e-9)
    }

    /// The share of the time that the device can compute if other batches are copied meanwhile.
    pub fn of_computing_at_best(&self) -> f64 {
        self.computing.as_secs_f64() / self.copies.max(self.computing).as_secs_f64().max(1e-9)
    }
}

impl Measurement {
    /// Copies and computing, by the times of the steps; `None` if none of them copies.
    pub fn occupancy(&self) -> Option<Occupancy> {
        let sum = |is_transfer: bool| {
            self.steps.iter().filter(|step| step.step.is_transfer == is_transfer).map(|step| step.time).sum()
        };
        let copies = self.steps.iter().any(|step| step.step.is_transfer);
        copies.then(|| Occupancy { copies: sum(true), computing: sum(false) })
    }

    /// The time that `share` of the runs did not exceed: 0.5 is the median.
    pub fn quantile(&self, share: f64) -> Duration {
        quantile(&self.times, share)
    }

    /// Images per second at the median.
    pub fn images_per_second(&self) -> f64 {
        self.batch as f64 / self.quantile(0.5).as_secs_f64()
    }

    /// Floating-point operations per second at the median, two for each multiplication of direct
    /// convolution, whatever the algorithm. One that multiplies less can be above the peak.
    pub fn flops(&self) -> f64 {
        self.rate(self.multiplications, self.quantile(0.5))
    }

    /// [`flops`](Self::flops) as a share of the peak.
    pub fn share_of_peak(&self) -> Option<f64> {
        Some(self.flops() / self.peak_flops?)
    }

    /// Floating-point operations per second of a step; 0 if it does not multiply.
    pub fn step_flops(&self, step: &StepTime) -> f64 {
        self.rate(step.step.multiplications, step.time)
    }

    fn rate(&self, multiplications: usize, time: Duration) -> f64 {
        2.0 * multiplications as f64 * self.batch as f64 / time.as_secs_f64().max(1e-9)
    }
}

/// Of an ascending list that is not empty.
pub(super) fn quantile<T: Copy>(ascending: &[T], share: f64) -> T {
    let last = ascending.len() - 1;
    ascending[((last as f64 * share).ceil() as usize).min(last)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_what_was_measured() {
        let hundred: Vec<u32> = (0..=100).collect();
        for (share, expected) in [(0.0, 0), (0.5, 50), (0.985, 99), (0.99, 99), (1.0, 100)] {
            assert_eq!(quantile(&hundred, share), expected, "{share}");
        }
        assert_eq!(quantile(&[7], 0.5), 7);
        assert_eq!(quantile(&[7, 9], 0.99), 9);
    }

    #[test]
    fn copies_and_computing_are_told_apart() {
        let of = |copies, computing| {
            let [copies, computing] = [copies, computing].map(Duration::from_millis);
            let occupancy = Occupancy { copies, computing };
            (occupancy.of_copies(), occupancy.of_computing_at_best())
        };
        assert_eq!(of(1, 3), (0.25, 1.0));
        assert_eq!(of(4, 1), (0.8, 0.25));
        assert_eq!(of(0, 0), (0.0, 0.0));
    }

    #[test]
    fn rates_follow_from_the_median() {
        let measurement = Measurement {
            batch: 4,
            threads: 1,
            times: [10, 20, 90].map(Duration::from_millis).to_vec(),
            device_time: None,
            precision: Precision::F32,
            multiplications: 1_000_000,
            peak_flops: Some(8e8),
            memory: MemoryNeed::default(),
            steps: Vec::new(),
        };
        assert_eq!(measurement.images_per_second(), 200.0);
        assert_eq!(measurement.flops(), 4e8);
        assert_eq!(measurement.share_of_peak(), Some(0.5));
        assert_eq!(measurement.quantile(0.99), Duration::from_millis(90));
    }
}

//! The service curve: how long a batch of each size takes, and a decoder for its work, as measured.

use std::time::Duration;

/// Durations by batch size, each a running mean of what was measured.
#[derive(Clone, Debug)]
pub struct ServiceCurve {
    /// By batch size; nanoseconds.
    means: Vec<Option<u64>>,
    /// Sizes that have been measured, ascending.
    known: Vec<usize>,
    /// Nanoseconds for 1024 units of decode work.
    decode: Option<u64>,
}

impl ServiceCurve {
    /// Nothing measured yet.
    pub fn new(max_batch_size: usize) -> Self {
        Self { means: vec![None; max_batch_size + 1], known: Vec::new(), decode: None }
    }

    /// A run of `size` images took so long.
    pub fn observe(&mut self, size: usize, took: Duration) {
        let took = super::time::nanos(took);
        let Some(mean) = self.means.get_mut(size) else { return };
        if mean.is_none()
            && let Err(at) = self.known.binary_search(&size)
        {
            self.known.insert(at, size);
        }
        *mean = Some(blend(*mean, took));
    }

    /// A decoder took so long for so much work.
    pub fn observe_decode(&mut self, work: u64, took: Duration) {
        if work > 0 {
            let per_unit = u128::from(super::time::nanos(took)) * 1024 / u128::from(work);
            self.decode = Some(blend(self.decode, u64::try_from(per_unit).unwrap_or(u64::MAX)));
        }
    }

    /// What a run of `size` images is expected to take: measured, or on the line between the sizes nearest to
    /// it that were; zero if nothing was measured.
    pub fn run(&self, size: usize) -> Duration {
        Duration::from_nanos(self.run_nanos(size))
    }

    fn run_nanos(&self, size: usize) -> u64 {
        let above = self.known.partition_point(|&known| known < size);
        let mean = |at: usize| self.known.get(at).and_then(|&size| Some((size as u64, self.means[size]?)));
        let below = above.checked_sub(1).and_then(mean);
        match (below, mean(above)) {
            (_, Some((known, nanos))) if known == size as u64 => nanos,
            (Some((low, least)), Some((high, most))) => {
                let part = (size as u64 - low) as i128 * (i128::from(most) - i128::from(least));
                (i128::from(least) + part / i128::from(high - low)).max(0) as u64
            }
            (Some((low, nanos)), None) => scale(nanos, size as u64, low),
            (None, Some((_, nanos))) => nanos,
            (None, None) => 0,
        }
    }

    /// What decoding is expected to take; zero if none was measured.
    pub fn decoding(&self, work: u64) -> Duration {
        Duration::from_nanos(scale(self.decode.unwrap_or(0), work, 1024))
    }

    /// The expectation for this size refused a request: it counts for less from now on, so that one slow run
    /// does not shut the engine for ever.
    pub fn doubt(&mut self, size: usize) {
        let above = self.known.partition_point(|&known| known < size);
        for at in [above.checked_sub(1), Some(above)].into_iter().flatten() {
            if let Some(&known) = self.known.get(at) {
                self.means[known] = self.means[known].map(|nanos| nanos - nanos.div_ceil(16));
            }
        }
        self.decode = self.decode.map(|nanos| nanos - nanos.div_ceil(64));
    }

    /// Measured sizes and their means.
    pub fn points(&self) -> impl Iterator<Item = (usize, Duration)> + '_ {
        self.known.iter().filter_map(|&size| Some((size, Duration::from_nanos(self.means[size]?))))
    }
}

/// A quarter of the new, three quarters of the old.
fn blend(mean: Option<u64>, new: u64) -> u64 {
    match mean {
        Some(mean) => mean - mean / 4 + new / 4,
        None => new,
    }
}

fn scale(nanos: u64, by: u64, of: u64) -> u64 {
    u64::try_from(u128::from(nanos) * u128::from(by) / u128::from(of.max(1))).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn us(us: u64) -> Duration {
        Duration::from_micros(us)
    }

    #[test]
    fn sizes_between_are_on_the_line() {
        let mut curve = ServiceCurve::new(8);
        assert_eq!(curve.run(4), us(0));
        curve.observe(2, us(200));
        assert_eq!([curve.run(1), curve.run(2), curve.run(4)], [us(200), us(200), us(400)]);
        curve.observe(6, us(280));
        assert_eq!(
            [curve.run(4), curve.run(6), curve.run(8)],
            [us(240), us(280), Duration::from_nanos(373_333)]
        );
        curve.observe(9, us(1));
        assert_eq!(curve.points().collect::<Vec<_>>(), [(2, us(200)), (6, us(280))]);
    }

    #[test]
    fn the_mean_follows_and_doubt_wears_it_down() {
        let mut curve = ServiceCurve::new(2);
        curve.observe(2, us(100));
        curve.observe(2, us(200));
        assert_eq!(curve.run(2), us(125));
        let before = curve.run(1);
        for _ in 0..400 {
            curve.doubt(1);
        }
        assert!(before > us(0) && curve.run(1) == us(0));
        curve.observe_decode(2048, us(10));
        assert_eq!(curve.decoding(1024), us(5));
        assert_eq!(curve.decoding(u64::MAX), Duration::from_nanos(u64::MAX));
    }
}

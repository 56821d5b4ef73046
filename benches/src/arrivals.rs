//! When requests come that nobody holds back: at random, or in bursts.

use std::time::{Duration, Instant};

/// How arrivals are spread over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrivals {
    /// Each by itself, exponential gaps.
    Poisson,
    /// Fifty at once, exponential gaps between.
    Bursts,
}

const BURST: u32 = 50;

impl Arrivals {
    /// For people and files.
    pub fn name(self) -> &'static str {
        match self {
            Arrivals::Poisson => "poisson",
            Arrivals::Bursts => "bursts",
        }
    }

    /// Calls `arrive` about `per_second` times a second for as long as that; late ones at once.
    pub fn drive(self, per_second: f64, period: Duration, seed: u64, mut arrive: impl FnMut()) {
        let mut random = Random(seed);
        let at_once = if self == Arrivals::Bursts { BURST } else { 1 };
        let (started, mut due) = (Instant::now(), Duration::ZERO);
        loop {
            due += Duration::from_secs_f64(random.exponential(f64::from(at_once) / per_second));
            if due >= period {
                return std::thread::sleep(period.saturating_sub(started.elapsed()));
            }
            if let Some(wait) = due.checked_sub(started.elapsed()) {
                std::thread::sleep(wait);
            }
            (0..at_once).for_each(|_| arrive());
        }
    }
}

/// splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn exponential(&mut self, mean: f64) -> f64 {
        let unit = ((self.next() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        -unit.ln() * mean
    }
}

//! Gaps between images that take places: what is known of when the next one comes, and for how long it pays to wait
//! for it.

use super::time::nanos;
use std::collections::VecDeque;
use std::time::Duration;

/// How many gaps are remembered.
const REMEMBERED: usize = 16;

/// With fewer nothing is foretold.
const FEWEST: usize = 4;

/// The latest gaps, taken as equally likely to be the next one.
#[derive(Clone, Debug, Default)]
pub(super) struct Gaps {
    /// Nanoseconds, the latest last.
    latest: VecDeque<u64>,
    /// The same, ascending.
    sorted: Vec<u64>,
}

impl Gaps {
    /// So much time passed between two images.
    pub(super) fn add(&mut self, gap: Duration) {
        let gap = nanos(gap);
        if self.latest.len() == REMEMBERED
            && let Some(oldest) = self.latest.pop_front()
            && let Ok(at) = self.sorted.binary_search(&oldest)
        {
            self.sorted.remove(at);
        }
        self.latest.push_back(gap);
        let at = self.sorted.partition_point(|&other| other < gap);
        self.sorted.insert(at, gap);
    }

    /// Nobody came for so long that what was before tells nothing any more.
    pub(super) fn forget(&mut self) {
        self.latest.clear();
        self.sorted.clear();
    }

    /// How long it pays that `images` wait for the next one beside an idle worker, `run` being what a batch of a
    /// size takes; `None` if it does not.
    ///
    /// The next image saves by joining: alone it would wait for their run to end and then take a run of its own.
    /// Those there lose by waiting, whether it comes or not, and by a run that takes longer. Waiting ends at that
    /// one of the gaps with which the mean of gains over all gaps is largest.
    pub(super) fn wait_for_next(&self, images: usize, run: impl Fn(usize) -> Duration) -> Option<Duration> {
        if self.sorted.len() < FEWEST {
            return None;
        }
        let [alone, now, with_it] = [1, images, images + 1].map(|size| i128::from(nanos(run(size))));
        let those_there = images as i128;
        let gain_of = |gap: i128| (now - gap).max(0) + alone - with_it - those_there * (gap + with_it - now);
        let (mut joined, mut best) = (0, None);
        for (at, &gap) in self.sorted.iter().enumerate() {
            joined += gain_of(i128::from(gap));
            let too_late = (self.sorted.len() - at - 1) as i128;
            let gain = joined - too_late * those_there * i128::from(gap);
            if gain > best.map_or(0, |(most, _)| most) {
                best = Some((gain, gap));
            }
        }
        // Gaps are never the same twice.
        best.map(|(_, gap)| Duration::from_nanos(gap.saturating_add(gap / 2)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn us(us: u64) -> Duration {
        Duration::from_micros(us)
    }

    fn gaps(of: &[u64]) -> Gaps {
        let mut gaps = Gaps::default();
        of.iter().for_each(|&gap| gaps.add(us(gap)));
        gaps
    }

    /// A launch of 2 ms and 100 us for each image.
    fn run(images: usize) -> Duration {
        us(2000 + 100 * images as u64)
    }

    #[test]
    fn waiting_is_for_as_long_as_it_pays() {
        let cases: [(&[u64], usize, Option<u64>); 9] = [
            (&[], 1, None),
            (&[20, 20, 20], 1, None),
            (&[20, 20, 20, 20], 1, Some(30)),
            // Most come soon, and who does not is not waited for.
            (&[20, 30, 2500, 10, 40, 20, 30, 2600], 1, Some(60)),
            (&[20, 30, 2500, 10, 40, 20, 30, 2600], 7, Some(60)),
            // Few come soon.
            (&[20, 2500, 2600, 2700, 2800, 2900, 3000, 3100], 8, None),
            (&[2000, 2000, 2000, 2000], 1, None),
            (&[900, 900, 900, 900], 1, Some(1350)),
            // Twelve lose more than one saves.
            (&[900, 900, 900, 900], 12, None),
        ];
        for (of, images, expected) in cases {
            assert_eq!(gaps(of).wait_for_next(images, run), expected.map(us), "{images} beside {of:?}");
        }
        // A batch of two takes twice as long as one: nothing is saved.
        assert_eq!(gaps(&[20; 8]).wait_for_next(1, |images| us(100 * images as u64)), None);
        assert_eq!(gaps(&[20; 8]).wait_for_next(1, |_| Duration::ZERO), None);
    }

    #[test]
    fn the_oldest_gaps_are_forgotten() {
        let mut gaps = gaps(&[3000; REMEMBERED]);
        assert_eq!(gaps.wait_for_next(1, run), None);
        for _ in 0..REMEMBERED {
            gaps.add(us(10));
        }
        assert_eq!(gaps.sorted, [10_000; REMEMBERED]);
        gaps.forget();
        assert_eq!(gaps.wait_for_next(1, run), None);
    }
}

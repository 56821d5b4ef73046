//! The margin that admission leaves before a deadline, learnt from requests that were accepted and came late.

use super::time::nanos;
use std::time::Duration;

/// What is added to an expected time, so that about one in a thousand of the accepted comes late: a late one raises
/// it by a thousand times as much as one in time lowers it (stochastic approximation of a quantile: Robbins and
/// Monro, A stochastic approximation method, 1951).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Margin {
    /// Part of the expected time, of `WHOLE`.
    share: u64,
}

const WHOLE: u64 = 1 << 16;
const RAISED_BY: u64 = 1 << 10;
/// More than twice the expected time is no matter of a margin.
const MOST: u64 = WHOLE;

impl Margin {
    /// A request with a deadline that had been accepted was not answered by it.
    pub(super) fn came_late(&mut self) {
        self.share = (self.share + RAISED_BY).min(MOST);
    }

    /// One was.
    pub(super) fn came_in_time(&mut self) {
        self.share = self.share.saturating_sub(1);
    }

    /// It refused a request though nobody was before it, so that nothing would be learnt any more.
    pub(super) fn doubt(&mut self) {
        self.share -= self.share.div_ceil(16);
    }

    /// The expected time with the margin.
    pub(super) fn added_to(&self, expected: Duration) -> Duration {
        let more = u128::from(nanos(expected)) * u128::from(self.share) / u128::from(WHOLE);
        expected.saturating_add(Duration::from_nanos(u64::try_from(more).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_settles_where_one_in_a_thousand_is_late() {
        let mut margin = Margin::default();
        let expected = Duration::from_micros(1000);
        assert_eq!(margin.added_to(expected), expected);
        // What was to take 1 ms takes up to 1.3 ms, evenly spread, and is late beyond expectation and margin.
        let (mut late, mut state) = (0, 1_u64);
        for request in 0..200_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let took = Duration::from_micros(1000 + (state >> 33) % 300);
            if took > margin.added_to(expected) {
                late += usize::from(request >= 100_000);
                margin.came_late();
            } else {
                margin.came_in_time();
            }
        }
        assert!((50..200).contains(&late), "{late} of 100000");
        let settled = margin.added_to(expected);
        assert!((1285..1330).contains(&settled.as_micros()), "{settled:?}");
    }

    #[test]
    fn it_is_bounded_and_can_be_doubted_away() {
        let mut margin = Margin::default();
        for _ in 0..1000 {
            margin.came_late();
        }
        assert_eq!(margin.added_to(Duration::from_secs(1)), Duration::from_secs(2));
        assert_eq!(margin.added_to(Duration::MAX), Duration::MAX);
        for _ in 0..200 {
            margin.doubt();
        }
        assert_eq!(margin.added_to(Duration::from_secs(1)), Duration::from_secs(1));
    }
}

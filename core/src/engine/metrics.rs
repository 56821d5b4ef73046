//! What an engine counts and measures, as a snapshot and as text for Prometheus.

use super::machine::{Counters, Refusal};
use super::request::Timing;
use std::fmt::Write;
use std::time::Duration;

/// Upper ends of the buckets of a [`Histogram`], in seconds: from 50 us, each about 2.5 times the one before.
pub const SECONDS: [f64; 14] =
    [5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 1.0, 10.0];

/// Upper ends of the buckets for batch sizes.
pub const IMAGES: [f64; 14] =
    [1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 64.0, 128.0, 512.0, 4096.0];

/// How many values fell into each bucket.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// Upper ends, the same for all of a kind; what is larger than the last counts in `count` alone.
    pub ends: &'static [f64; 14],
    /// By bucket, not summed up.
    pub buckets: [u64; 14],
    /// Of all values.
    pub sum: f64,
    /// Of all values.
    pub count: u64,
}

impl Histogram {
    fn new(ends: &'static [f64; 14]) -> Self {
        Self { ends, buckets: [0; 14], sum: 0.0, count: 0 }
    }

    fn add(&mut self, value: f64) {
        if let Some(at) = self.ends.iter().position(|end| value <= *end) {
            self.buckets[at] += 1;
        }
        self.sum += value;
        self.count += 1;
    }

    fn add_duration(&mut self, value: Duration) {
        self.add(value.as_secs_f64());
    }
}

/// What was measured of the requests that have a result.
#[derive(Clone, Debug, PartialEq)]
pub struct Histograms {
    /// Accepted, waiting for a decode thread.
    pub queue: Histogram,
    /// Bytes to pixels.
    pub decode: Histogram,
    /// Pixels to slots.
    pub preprocess: Histogram,
    /// Waiting for the batch and for a worker.
    pub batch_wait: Histogram,
    /// The network, with copies.
    pub compute: Histogram,
    /// Scores to labels.
    pub postprocess: Histogram,
    /// From acceptance to answer.
    pub total: Histogram,
    /// Images of the batch that each request was in.
    pub batch_size: Histogram,
}

impl Default for Histograms {
    fn default() -> Self {
        let seconds = || Histogram::new(&SECONDS);
        Self {
            queue: seconds(),
            decode: seconds(),
            preprocess: seconds(),
            batch_wait: seconds(),
            compute: seconds(),
            postprocess: seconds(),
            total: seconds(),
            batch_size: Histogram::new(&IMAGES),
        }
    }
}

impl Histograms {
    /// One more result.
    pub(super) fn add(&mut self, timing: &Timing, batch_size: usize) {
        self.queue.add_duration(timing.queue);
        self.decode.add_duration(timing.decode);
        self.preprocess.add_duration(timing.preprocess);
        self.batch_wait.add_duration(timing.batch_wait);
        self.compute.add_duration(timing.compute);
        self.postprocess.add_duration(timing.postprocess);
        self.total.add_duration(timing.total);
        self.batch_size.add(batch_size as f64);
    }

    fn named(&self) -> [(&'static str, &Histogram); 8] {
        [
            ("queue_seconds", &self.queue),
            ("decode_seconds", &self.decode),
            ("preprocess_seconds", &self.preprocess),
            ("batch_wait_seconds", &self.batch_wait),
            ("compute_seconds", &self.compute),
            ("postprocess_seconds", &self.postprocess),
            ("total_seconds", &self.total),
            ("batch_size_images", &self.batch_size),
        ]
    }
}

/// An engine at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics {
    /// Totals since the start.
    pub counters: Counters,
    /// Accepted and not yet given to a worker.
    pub queued: usize,
    /// Of those, without a decoder.
    pub waiting: usize,
    /// Accepted and not yet answered.
    pub in_flight: usize,
    /// Bytes of files accepted and not yet decoded.
    pub encoded_bytes: u64,
    /// Bytes that decoders take.
    pub decode_bytes: u64,
    /// Bytes that the engine took at its start: weights, arenas, batches, outputs.
    pub memory_bytes: u64,
    /// Whether requests are accepted and every worker can run them.
    pub is_ready: bool,
    /// Where the time of requests with a result went.
    pub histograms: Histograms,
}

impl Metrics {
    /// The text that Prometheus reads (exposition format 0.0.4); every name begins with `libvision_`.
    pub fn prometheus(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = self.write_to(&mut text);
        text
    }

    fn write_to(&self, text: &mut String) -> std::fmt::Result {
        let Counters { arrived, accepted, delivered, runs, images, padding, splits, .. } = self.counters;
        let Counters { stuck, lost, rebuilt, self_tests, .. } = self.counters;
        let totals = [
            ("requests_arrived_total", arrived),
            ("requests_accepted_total", accepted),
            ("requests_delivered_total", delivered),
            ("batches_total", runs),
            ("images_total", images),
            ("padding_images_total", padding),
            ("batch_splits_total", splits),
            ("workers_stuck_total", stuck),
            ("workers_lost_total", lost),
            ("workers_rebuilt_total", rebuilt),
            ("self_tests_total", self_tests),
        ];
        for (name, value) in totals {
            writeln!(text, "# TYPE libvision_{name} counter\nlibvision_{name} {value}")?;
        }
        writeln!(text, "# TYPE libvision_requests_refused_total counter")?;
        for refusal in Refusal::ALL {
            let (reason, value) = (refusal.name(), self.counters.refused(refusal));
            writeln!(text, "libvision_requests_refused_total{{reason=\"{reason}\"}} {value}")?;
        }
        let gauges = [
            ("queued", self.queued as u64),
            ("waiting", self.waiting as u64),
            ("in_flight", self.in_flight as u64),
            ("encoded_bytes", self.encoded_bytes),
            ("decode_bytes", self.decode_bytes),
            ("memory_bytes", self.memory_bytes),
            ("ready", u64::from(self.is_ready)),
        ];
        for (name, value) in gauges {
            writeln!(text, "# TYPE libvision_{name} gauge\nlibvision_{name} {value}")?;
        }
        for (name, histogram) in self.histograms.named() {
            writeln!(text, "# TYPE libvision_{name} histogram")?;
            let mut below = 0;
            for (end, count) in histogram.ends.iter().zip(histogram.buckets) {
                below += count;
                writeln!(text, "libvision_{name}_bucket{{le=\"{end}\"}} {below}")?;
            }
            let Histogram { sum, count, .. } = histogram;
            writeln!(text, "libvision_{name}_bucket{{le=\"+Inf\"}} {count}")?;
            writeln!(text, "libvision_{name}_sum {sum}\nlibvision_{name}_count {count}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_fall_into_the_first_bucket_that_holds_them() {
        let mut histogram = Histogram::new(&IMAGES);
        for value in [1.0, 1.5, 4096.0, 5000.0] {
            histogram.add(value);
        }
        assert_eq!((histogram.buckets[0], histogram.buckets[1], histogram.buckets[13]), (1, 1, 1));
        assert_eq!((histogram.count, histogram.sum), (4, 9098.5));
    }
}

//! What an engine counts and measures, as a snapshot and as text for Prometheus.

use super::cache::CacheCounters;
use super::machine::{Counters, Refusal};
use super::memory_plan::MemoryPlan;
use super::request::Timing;
use std::fmt;
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

/// One version of one model in an engine, at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics {
    /// The model's name in the engine.
    pub model: String,
    /// Counts the models that had this name, from 1; a new version starts counting anew.
    pub version: u64,
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
    /// Bytes that were taken at the start: weights, arenas, batches, outputs.
    pub memory_bytes: u64,
    /// All that it comes to in the worst case.
    pub memory: MemoryPlan,
    /// See [`Engine::readiness`](super::Engine::readiness).
    pub is_ready: bool,
    /// How often, since the start, memory was taken or something compiled, tuned or captured for a run: 0, unless a
    /// worker had to be replaced.
    pub cold_paths: u64,
    /// What the cache of results did; all 0 without one.
    pub cache: CacheCounters,
    /// Where the time of requests with a result went.
    pub histograms: Histograms,
}

impl Metrics {
    /// The text that Prometheus reads (exposition format 0.0.4); every name begins with `libvision_` and has the
    /// labels `model` and `version`.
    pub fn prometheus(&self) -> String {
        Exposition(std::slice::from_ref(self)).to_string()
    }

    fn totals(&self) -> [(&'static str, u64); 17] {
        let Counters { arrived, accepted, delivered, runs, images, padding, splits, .. } = self.counters;
        let Counters { stuck, lost, rebuilt, self_tests, self_tests_failed, .. } = self.counters;
        [
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
            ("self_tests_failed_total", self_tests_failed),
            ("cold_path_total", self.cold_paths),
            ("cache_hits_total", self.cache.hits),
            ("cache_misses_total", self.cache.misses),
            ("cache_joined_total", self.cache.joined),
            ("cache_evicted_total", self.cache.evicted),
        ]
    }

    fn gauges(&self) -> [(&'static str, u64); 9] {
        [
            ("queued", self.queued as u64),
            ("waiting", self.waiting as u64),
            ("in_flight", self.in_flight as u64),
            ("encoded_bytes", self.encoded_bytes),
            ("decode_bytes", self.decode_bytes),
            ("memory_bytes", self.memory_bytes),
            ("ready", u64::from(self.is_ready)),
            ("cache_entries", self.cache.entries as u64),
            ("cache_bytes", self.cache.bytes),
        ]
    }

    fn labels(&self) -> String {
        let escaped = self.model.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        format!("model=\"{escaped}\",version=\"{}\"", self.version)
    }
}

/// All models of an engine as Prometheus reads them: each name once, with a line for each model.
pub(super) struct Exposition<'a>(pub(super) &'a [Metrics]);

impl fmt::Display for Exposition<'_> {
    fn fmt(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(first) = self.0.first() else { return Ok(()) };
        for (at, (name, _)) in first.totals().iter().enumerate() {
            writeln!(text, "# TYPE libvision_{name} counter")?;
            for metrics in self.0 {
                writeln!(text, "libvision_{name}{{{}}} {}", metrics.labels(), metrics.totals()[at].1)?;
            }
        }
        writeln!(text, "# TYPE libvision_requests_refused_total counter")?;
        for metrics in self.0 {
            for refusal in Refusal::ALL {
                let (reason, value) = (refusal.name(), metrics.counters.refused(refusal));
                let labels = metrics.labels();
                writeln!(text, "libvision_requests_refused_total{{{labels},reason=\"{reason}\"}} {value}")?;
            }
        }
        for (at, (name, _)) in first.gauges().iter().enumerate() {
            writeln!(text, "# TYPE libvision_{name} gauge")?;
            for metrics in self.0 {
                writeln!(text, "libvision_{name}{{{}}} {}", metrics.labels(), metrics.gauges()[at].1)?;
            }
        }
        writeln!(text, "# TYPE libvision_plan_bytes gauge")?;
        for metrics in self.0 {
            for item in &metrics.memory.items {
                let (labels, place, what) = (metrics.labels(), item.place_name(), item.what);
                let bytes = item.bytes();
                writeln!(text, "libvision_plan_bytes{{{labels},place=\"{place}\",what=\"{what}\"}} {bytes}")?;
            }
        }
        for (at, (name, _)) in first.histograms.named().iter().enumerate() {
            writeln!(text, "# TYPE libvision_{name} histogram")?;
            for metrics in self.0 {
                write_histogram(text, name, &metrics.labels(), metrics.histograms.named()[at].1)?;
            }
        }
        Ok(())
    }
}

fn write_histogram(
    text: &mut fmt::Formatter<'_>,
    name: &str,
    labels: &str,
    histogram: &Histogram,
) -> fmt::Result {
    let mut below = 0;
    for (end, count) in histogram.ends.iter().zip(histogram.buckets) {
        below += count;
        writeln!(text, "libvision_{name}_bucket{{{labels},le=\"{end}\"}} {below}")?;
    }
    let Histogram { sum, count, .. } = histogram;
    writeln!(text, "libvision_{name}_bucket{{{labels},le=\"+Inf\"}} {count}")?;
    writeln!(text, "libvision_{name}_sum{{{labels}}} {sum}")?;
    writeln!(text, "libvision_{name}_count{{{labels}}} {count}")
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

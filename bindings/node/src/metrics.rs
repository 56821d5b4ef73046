//! What an engine counts and measures, as JavaScript sees it. Counts are numbers: exact up to 2^53.

use libvision::engine::machine::{Counters, Refusal};
use libvision::engine::{CacheCounters, Histogram, MemoryItem, MemoryPlan, Metrics};
use napi_derive::napi;
use std::collections::HashMap;

/// How many values fell into each bucket.
#[napi(object, object_from_js = false)]
pub struct NativeHistogram {
    /// Upper ends of the buckets.
    pub ends: Vec<f64>,
    /// Values in each.
    pub buckets: Vec<f64>,
    /// Of all values.
    pub sum: f64,
    /// Of all values.
    pub count: f64,
}

impl From<&Histogram> for NativeHistogram {
    fn from(of: &Histogram) -> Self {
        Self {
            ends: of.ends.to_vec(),
            buckets: of.buckets.iter().map(|&count| count as f64).collect(),
            sum: of.sum,
            count: of.count as f64,
        }
    }
}

/// What the cache of results did.
#[napi(object, object_from_js = false)]
pub struct NativeCacheCounters {
    /// Requests answered from it.
    pub hits: f64,
    /// Requests that were not.
    pub misses: f64,
    /// Of those, that waited for another's.
    pub joined: f64,
    /// Results dropped for newer ones.
    pub evicted: f64,
    /// Results in it.
    pub entries: f64,
    /// Bytes of these.
    pub bytes: f64,
}

/// Memory of one kind.
#[napi(object, object_from_js = false)]
pub struct NativeMemoryItem {
    /// What it is for.
    pub what: String,
    /// Where it lies.
    pub place: String,
    /// How many there are.
    pub count: f64,
    /// Bytes of one.
    pub each: f64,
}

/// The most memory that a model comes to.
#[napi(object, object_from_js = false)]
pub struct NativeMemoryPlan {
    /// By what it is for and where it lies.
    pub items: Vec<NativeMemoryItem>,
    /// Bytes of this machine's memory that are not pinned.
    pub host: f64,
    /// Bytes of page-locked memory.
    pub pinned: f64,
    /// Bytes in the memory of all devices.
    pub device: f64,
}

impl From<&CacheCounters> for NativeCacheCounters {
    fn from(of: &CacheCounters) -> Self {
        let CacheCounters { hits, misses, joined, evicted, entries, bytes } = *of;
        let [hits, misses, joined, evicted, entries, bytes] =
            [hits, misses, joined, evicted, entries as u64, bytes].map(|count| count as f64);
        Self { hits, misses, joined, evicted, entries, bytes }
    }
}

impl From<&MemoryPlan> for NativeMemoryPlan {
    fn from(of: &MemoryPlan) -> Self {
        let item = |item: &MemoryItem| NativeMemoryItem {
            what: item.what.to_owned(),
            place: item.place_name().to_owned(),
            count: item.count as f64,
            each: item.each as f64,
        };
        Self {
            items: of.items.iter().map(item).collect(),
            host: of.host() as f64,
            pinned: of.pinned() as f64,
            device: of.device() as f64,
        }
    }
}

/// An engine at one moment.
#[napi(object, object_from_js = false)]
pub struct NativeMetrics {
    /// The model's name in the engine.
    pub model: String,
    /// Counts the models that had it.
    pub version: f64,
    /// Requests that came.
    pub arrived: f64,
    /// Of those, accepted.
    pub accepted: f64,
    /// Accepted and answered by what a thread made.
    pub delivered: f64,
    /// Answered without, by reason.
    pub refused: HashMap<String, f64>,
    /// Batches run.
    pub batches: f64,
    /// Images in them.
    pub images: f64,
    /// Images that filled buckets up.
    pub padding_images: f64,
    /// Batches split for want of memory.
    pub batch_splits: f64,
    /// Workers given up.
    pub workers_stuck: f64,
    /// Workers lost.
    pub workers_lost: f64,
    /// Workers made anew.
    pub workers_rebuilt: f64,
    /// Self-tests begun.
    pub self_tests: f64,
    /// Of those, failed.
    pub self_tests_failed: f64,
    /// Memory taken, things compiled, for a run.
    pub cold_paths: f64,
    /// Accepted and not yet given to a worker.
    pub queued: f64,
    /// Of those, without a decoder.
    pub waiting: f64,
    /// Accepted and not yet answered.
    pub in_flight: f64,
    /// Bytes of files accepted and not yet decoded.
    pub encoded_bytes: f64,
    /// Bytes that decoders take.
    pub decode_bytes: f64,
    /// Bytes taken at the start.
    pub memory_bytes: f64,
    /// Whether requests are accepted and every worker can run them.
    pub is_ready: bool,
    /// What the cache of results did.
    pub cache: NativeCacheCounters,
    /// The most that the model comes to.
    pub memory: NativeMemoryPlan,
    /// Waiting for a decode thread.
    pub queue_seconds: NativeHistogram,
    /// Bytes to pixels.
    pub decode_seconds: NativeHistogram,
    /// Pixels to slots.
    pub preprocess_seconds: NativeHistogram,
    /// Waiting for the batch and for a worker.
    pub batch_wait_seconds: NativeHistogram,
    /// The network.
    pub compute_seconds: NativeHistogram,
    /// Scores to labels.
    pub postprocess_seconds: NativeHistogram,
    /// From acceptance to answer.
    pub total_seconds: NativeHistogram,
    /// Images of the batch that each request was in.
    pub batch_size_images: NativeHistogram,
}

impl From<&Metrics> for NativeMetrics {
    fn from(of: &Metrics) -> Self {
        let Counters { arrived, accepted, delivered, runs, images, padding, splits, .. } = of.counters;
        let Counters { stuck, lost, rebuilt, self_tests, self_tests_failed, .. } = of.counters;
        let refused = |why: &Refusal| (why.name().to_owned(), of.counters.refused(*why) as f64);
        let histograms = &of.histograms;
        Self {
            model: of.model.clone(),
            version: of.version as f64,
            arrived: arrived as f64,
            accepted: accepted as f64,
            delivered: delivered as f64,
            refused: Refusal::ALL.iter().map(refused).collect(),
            batches: runs as f64,
            images: images as f64,
            padding_images: padding as f64,
            batch_splits: splits as f64,
            workers_stuck: stuck as f64,
            workers_lost: lost as f64,
            workers_rebuilt: rebuilt as f64,
            self_tests: self_tests as f64,
            self_tests_failed: self_tests_failed as f64,
            cold_paths: of.cold_paths as f64,
            queued: of.queued as f64,
            waiting: of.waiting as f64,
            in_flight: of.in_flight as f64,
            encoded_bytes: of.encoded_bytes as f64,
            decode_bytes: of.decode_bytes as f64,
            memory_bytes: of.memory_bytes as f64,
            is_ready: of.is_ready,
            cache: (&of.cache).into(),
            memory: (&of.memory).into(),
            queue_seconds: (&histograms.queue).into(),
            decode_seconds: (&histograms.decode).into(),
            preprocess_seconds: (&histograms.preprocess).into(),
            batch_wait_seconds: (&histograms.batch_wait).into(),
            compute_seconds: (&histograms.compute).into(),
            postprocess_seconds: (&histograms.postprocess).into(),
            total_seconds: (&histograms.total).into(),
            batch_size_images: (&histograms.batch_size).into(),
        }
    }
}

//! What an engine counts and measures, as plain Python objects.

use libvision::engine::machine::{Counters, Refusal};
use libvision::engine::{CacheCounters, Histogram, MemoryItem, MemoryPlan, Metrics};
use pyo3::prelude::*;
use std::collections::BTreeMap;

/// The fields of a `Metrics`, as a dictionary; its histograms are dictionaries too.
#[derive(IntoPyObject)]
pub(crate) struct Snapshot {
    model: String,
    version: u64,
    arrived: u64,
    accepted: u64,
    delivered: u64,
    refused: BTreeMap<&'static str, u64>,
    batches: u64,
    images: u64,
    padding_images: u64,
    batch_splits: u64,
    workers_stuck: u64,
    workers_lost: u64,
    workers_rebuilt: u64,
    self_tests: u64,
    self_tests_failed: u64,
    cold_paths: u64,
    queued: usize,
    waiting: usize,
    in_flight: usize,
    encoded_bytes: u64,
    decode_bytes: u64,
    memory_bytes: u64,
    is_ready: bool,
    cache: Cache,
    memory: Memory,
    histograms: BTreeMap<&'static str, Buckets>,
}

/// The fields of a `CacheCounters`.
#[derive(IntoPyObject)]
struct Cache {
    hits: u64,
    misses: u64,
    joined: u64,
    evicted: u64,
    entries: usize,
    bytes: u64,
}

/// The fields of a `MemoryPlan`, and its items: what, place, count, each.
#[derive(IntoPyObject)]
struct Memory {
    items: Vec<(&'static str, String, u64, u64)>,
    host: u64,
    pinned: u64,
    device: u64,
}

/// The fields of a `Histogram`.
#[derive(IntoPyObject)]
struct Buckets {
    ends: Vec<f64>,
    buckets: Vec<u64>,
    sum: f64,
    count: u64,
}

impl From<&Histogram> for Buckets {
    fn from(of: &Histogram) -> Self {
        Self { ends: of.ends.to_vec(), buckets: of.buckets.to_vec(), sum: of.sum, count: of.count }
    }
}

impl From<&MemoryPlan> for Memory {
    fn from(of: &MemoryPlan) -> Self {
        let item = |item: &MemoryItem| (item.what, item.place_name().to_owned(), item.count, item.each);
        Self {
            items: of.items.iter().map(item).collect(),
            host: of.host(),
            pinned: of.pinned(),
            device: of.device(),
        }
    }
}

impl From<&Metrics> for Snapshot {
    fn from(of: &Metrics) -> Self {
        let Counters { arrived, accepted, delivered, runs, images, padding, splits, .. } = of.counters;
        let Counters { stuck, lost, rebuilt, self_tests, self_tests_failed, .. } = of.counters;
        let CacheCounters { hits, misses, joined, evicted, entries, bytes } = of.cache;
        let histograms = &of.histograms;
        Self {
            model: of.model.clone(),
            version: of.version,
            arrived,
            accepted,
            delivered,
            refused: Refusal::ALL.iter().map(|why| (why.name(), of.counters.refused(*why))).collect(),
            batches: runs,
            images,
            padding_images: padding,
            batch_splits: splits,
            workers_stuck: stuck,
            workers_lost: lost,
            workers_rebuilt: rebuilt,
            self_tests,
            self_tests_failed,
            cold_paths: of.cold_paths,
            queued: of.queued,
            waiting: of.waiting,
            in_flight: of.in_flight,
            encoded_bytes: of.encoded_bytes,
            decode_bytes: of.decode_bytes,
            memory_bytes: of.memory_bytes,
            is_ready: of.is_ready,
            cache: Cache { hits, misses, joined, evicted, entries, bytes },
            memory: (&of.memory).into(),
            histograms: [
                ("queue", &histograms.queue),
                ("decode", &histograms.decode),
                ("preprocess", &histograms.preprocess),
                ("batch_wait", &histograms.batch_wait),
                ("compute", &histograms.compute),
                ("postprocess", &histograms.postprocess),
                ("total", &histograms.total),
                ("batch_size", &histograms.batch_size),
            ]
            .map(|(name, histogram)| (name, histogram.into()))
            .into(),
        }
    }
}

//! What an engine counts and measures, for C: one struct that grows, and text for Prometheus.

use crate::abi::write;
use crate::boundary::boundary;
use crate::engine::vision_engine_t;
use crate::handle;
use crate::models::give_text;
use crate::status::vision_status_t;
use libvision::engine::machine::{Counters, Refusal};
use libvision::engine::{CacheCounters, Histogram, Metrics};
use std::ffi::c_char;

/// The number of buckets of a vision_histogram_t.
pub const VISION_HISTOGRAM_BUCKETS: usize = 14;

/// How many values fell into each bucket. This struct never grows.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct vision_histogram_t {
    /// The upper ends of the buckets, ascending.
    pub ends: [f64; VISION_HISTOGRAM_BUCKETS],
    /// Values above the end before and not above this one. What is above the last end is in `count` alone.
    pub buckets: [u64; VISION_HISTOGRAM_BUCKETS],
    /// The sum of all values.
    pub sum: f64,
    /// The number of all values.
    pub count: u64,
}

/// A model of an engine at one moment. What ends in `_total` counts from the start of this version of the model.
/// `arrived_total` is `accepted_total` and what was refused at the door; `accepted_total` is
/// `delivered_total`, what was answered without a result later, and `in_flight`: together,
/// arrived = delivered + the sum of all refused + in flight.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct vision_metrics_t {
    /// Requests that came.
    pub arrived_total: u64,
    /// Of those, accepted.
    pub accepted_total: u64,
    /// Accepted and answered with a result or an error of the request's own, such as a corrupt picture.
    pub delivered_total: u64,
    /// Answered VISION_STATUS_QUEUE_FULL: as many requests wait as the queue, or the tenant's share, allows.
    pub refused_queue_full_total: u64,
    /// Answered VISION_STATUS_QUEUE_FULL: as many bytes of files wait as may.
    pub refused_bytes_full_total: u64,
    /// Answered VISION_STATUS_IMAGE_TOO_COSTLY by one of the budgets.
    pub refused_too_costly_total: u64,
    /// Answered VISION_STATUS_DEADLINE_INFEASIBLE.
    pub refused_deadline_infeasible_total: u64,
    /// Answered VISION_STATUS_ENGINE_CLOSED.
    pub refused_closed_total: u64,
    /// Answered VISION_STATUS_CANCELLED.
    pub refused_cancelled_total: u64,
    /// Answered VISION_STATUS_DEADLINE_EXCEEDED.
    pub refused_deadline_exceeded_total: u64,
    /// Answered VISION_STATUS_BACKEND_STUCK.
    pub refused_backend_stuck_total: u64,
    /// Answered VISION_STATUS_DEVICE_LOST, because no worker could run.
    pub refused_backend_lost_total: u64,
    /// Batches run.
    pub batches_total: u64,
    /// Images in them.
    pub images_total: u64,
    /// Images that filled batches up to a bucket.
    pub padding_images_total: u64,
    /// Batches split for want of memory.
    pub batch_splits_total: u64,
    /// Workers given up because a batch did not end.
    pub workers_stuck_total: u64,
    /// Workers lost.
    pub workers_lost_total: u64,
    /// Workers made anew.
    pub workers_rebuilt_total: u64,
    /// Self-tests begun.
    pub self_tests_total: u64,
    /// Requests accepted and not yet given to a worker.
    pub queued: u64,
    /// Of those, requests that wait for a decoder.
    pub waiting: u64,
    /// Requests accepted and not yet answered.
    pub in_flight: u64,
    /// Bytes of files accepted and not yet decoded.
    pub encoded_bytes: u64,
    /// Bytes that decoders take.
    pub decode_bytes: u64,
    /// Bytes taken at the start: weights, arenas, batches, outputs.
    pub memory_bytes: u64,
    /// 1 if vision_engine_readiness() says so of this model, otherwise 0.
    pub is_ready: u64,
    /// Seconds, of requests with a result: accepted, waiting for a decode thread.
    pub queue_seconds: vision_histogram_t,
    /// Bytes to pixels.
    pub decode_seconds: vision_histogram_t,
    /// Pixels to the place in the batch.
    pub preprocess_seconds: vision_histogram_t,
    /// Waiting for the batch to close and for a worker.
    pub batch_wait_seconds: vision_histogram_t,
    /// The network, with copies to and from the device.
    pub compute_seconds: vision_histogram_t,
    /// Scores to labels.
    pub postprocess_seconds: vision_histogram_t,
    /// From acceptance to the answer.
    pub total_seconds: vision_histogram_t,
    /// Images of the batch that each request was in.
    pub batch_size_images: vision_histogram_t,
    /// Counts the models that had this name, from 1; a new one starts counting anew.
    pub version: u64,
    /// Self-tests that gave other bits than they should.
    pub self_tests_failed_total: u64,
    /// How often memory was taken, or something compiled, tuned or captured, for a run: 0, unless a worker had to
    /// be replaced.
    pub cold_path_total: u64,
    /// Requests answered from the cache of results. All of these are 0 without one.
    pub cache_hits_total: u64,
    /// Requests that were not.
    pub cache_misses_total: u64,
    /// Of those, that waited for the result of another request for the same picture.
    pub cache_joined_total: u64,
    /// Results dropped for newer ones.
    pub cache_evicted_total: u64,
    /// Results in the cache.
    pub cache_entries: u64,
    /// Bytes of these.
    pub cache_bytes: u64,
    /// The most that the model comes to, budgets included: bytes of this machine's memory that are not pinned.
    pub plan_host_bytes: u64,
    /// Bytes of page-locked memory.
    pub plan_pinned_bytes: u64,
    /// Bytes in the memory of all devices. vision_engine_memory_plan() has every part.
    pub plan_device_bytes: u64,
}

fn histogram(of: &Histogram) -> vision_histogram_t {
    vision_histogram_t { ends: *of.ends, buckets: of.buckets, sum: of.sum, count: of.count }
}

pub(crate) fn snapshot(of: &Metrics) -> vision_metrics_t {
    let Counters { arrived, accepted, delivered, runs, images, padding, splits, .. } = of.counters;
    let Counters { stuck, lost, rebuilt, self_tests, self_tests_failed, .. } = of.counters;
    let refused = |refusal| of.counters.refused(refusal);
    let CacheCounters { hits, misses, joined, evicted, entries, bytes } = of.cache;
    let histograms = &of.histograms;
    vision_metrics_t {
        arrived_total: arrived,
        accepted_total: accepted,
        delivered_total: delivered,
        refused_queue_full_total: refused(Refusal::QueueFull),
        refused_bytes_full_total: refused(Refusal::BytesFull),
        refused_too_costly_total: refused(Refusal::TooCostly),
        refused_deadline_infeasible_total: refused(Refusal::DeadlineInfeasible),
        refused_closed_total: refused(Refusal::Closed),
        refused_cancelled_total: refused(Refusal::Cancelled),
        refused_deadline_exceeded_total: refused(Refusal::DeadlineExceeded),
        refused_backend_stuck_total: refused(Refusal::BackendStuck),
        refused_backend_lost_total: refused(Refusal::BackendLost),
        batches_total: runs,
        images_total: images,
        padding_images_total: padding,
        batch_splits_total: splits,
        workers_stuck_total: stuck,
        workers_lost_total: lost,
        workers_rebuilt_total: rebuilt,
        self_tests_total: self_tests,
        queued: of.queued as u64,
        waiting: of.waiting as u64,
        in_flight: of.in_flight as u64,
        encoded_bytes: of.encoded_bytes,
        decode_bytes: of.decode_bytes,
        memory_bytes: of.memory_bytes,
        is_ready: of.is_ready.into(),
        queue_seconds: histogram(&histograms.queue),
        decode_seconds: histogram(&histograms.decode),
        preprocess_seconds: histogram(&histograms.preprocess),
        batch_wait_seconds: histogram(&histograms.batch_wait),
        compute_seconds: histogram(&histograms.compute),
        postprocess_seconds: histogram(&histograms.postprocess),
        total_seconds: histogram(&histograms.total),
        batch_size_images: histogram(&histograms.batch_size),
        version: of.version,
        self_tests_failed_total: self_tests_failed,
        cold_path_total: of.cold_paths,
        cache_hits_total: hits,
        cache_misses_total: misses,
        cache_joined_total: joined,
        cache_evicted_total: evicted,
        cache_entries: entries as u64,
        cache_bytes: bytes,
        plan_host_bytes: of.memory.host(),
        plan_pinned_bytes: of.memory.pinned(),
        plan_device_bytes: of.memory.device(),
    }
}

/// Everything counted and measured so far of the model "default". `metrics_size` is sizeof(vision_metrics_t). Does not wait for
/// requests.
///
/// # Safety
///
/// `metrics` is NULL or writable for `metrics_size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vision_engine_metrics(
    engine: *const vision_engine_t,
    metrics: *mut vision_metrics_t,
    metrics_size: usize,
) -> vision_status_t {
    boundary(|| {
        let engine = handle::get(engine, "engine")?;
        // SAFETY: the caller's promise.
        unsafe { write(metrics, metrics_size, snapshot(&engine.engine.metrics()), "metrics") }
    })
}

/// The same of all models, with the memory they take, as text for Prometheus (exposition format 0.0.4). `length` gets the length of the whole text
/// without its NUL. If `buffer_size` is not larger than that, `buffer`, which may be NULL with a size of 0,
/// is left alone: call again with more, and some to spare, since numbers grow meanwhile.
///
/// # Safety
///
/// `buffer` is NULL or writable for `buffer_size` bytes, `length` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vision_engine_metrics_prometheus(
    engine: *const vision_engine_t,
    buffer: *mut c_char,
    buffer_size: usize,
    length: *mut usize,
) -> vision_status_t {
    boundary(|| {
        let text = handle::get(engine, "engine").map(|engine| engine.engine.prometheus());
        // SAFETY: the caller's promise.
        unsafe { give_text(text, buffer, buffer_size, length) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_its_field() {
        // Each field with a number of its own, whatever their order: none is forgotten and none is there twice.
        let mut counters = Counters::default();
        counters.refused.iter_mut().zip(1..).for_each(|(count, number)| *count = number);
        let metrics = snapshot(&Metrics { counters, ..Metrics::default() });
        let fields = [
            metrics.refused_queue_full_total,
            metrics.refused_bytes_full_total,
            metrics.refused_too_costly_total,
            metrics.refused_deadline_infeasible_total,
            metrics.refused_closed_total,
            metrics.refused_cancelled_total,
            metrics.refused_deadline_exceeded_total,
            metrics.refused_backend_stuck_total,
            metrics.refused_backend_lost_total,
        ];
        let expected: Vec<u64> = (1..=Refusal::ALL.len() as u64).collect();
        assert_eq!(fields.as_slice(), expected);
    }
}

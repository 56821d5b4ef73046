//! How an engine runs. Names and defaults are those of core.

use crate::abi::{init, read};
use crate::boundary::{array, boundary, invalid, optional_text, path, text};
use crate::status::vision_status_t;
use libvision::backend::Precision;
use libvision::{BatchWindow, DecodeLimits, EngineOptions, Result, Tuning};
use std::ffi::c_char;
use std::sync::Arc;
use std::time::Duration;

/// How long a batch waits for others while a worker is idle. A number of `enum vision_window`.
pub type vision_window_t = u32;

/// How long a batch waits for others while a worker is idle.
#[repr(C)]
pub enum vision_window {
    /// Not at all.
    VISION_WINDOW_LATENCY = 0,
    /// For `max_queue_delay_us`, or until it is full.
    VISION_WINDOW_THROUGHPUT = 1,
    /// As long as that is measured to save more time than it costs, at most `max_queue_delay_us`.
    VISION_WINDOW_ADAPTIVE = 2,
}

/// Element type that a network is computed in. A number of `enum vision_precision`.
pub type vision_precision_t = u32;

/// Element type that a network is computed in.
#[repr(C)]
pub enum vision_precision {
    /// What suits the device: F32 on the CPU, F16 on CUDA.
    VISION_PRECISION_AUTO = 0,
    /// Single precision.
    VISION_PRECISION_F32 = 1,
    /// Half precision; sums are F32.
    VISION_PRECISION_F16 = 2,
    /// The upper half of F32; sums are F32.
    VISION_PRECISION_BF16 = 3,
}

/// A tenant's share of an engine beside those of others. This struct never grows.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct vision_tenant_weight_t {
    /// The tenant, as requests name it.
    pub name: *const c_char,
    /// 1 to 1000.
    pub weight: u32,
    /// 0.
    pub reserved: u32,
}

/// How an engine runs. Fill with vision_engine_options_init().
#[derive(Clone, Copy)]
#[repr(C)]
pub struct vision_engine_options_t {
    /// Set by vision_engine_options_init().
    pub struct_size: u32,
    /// Largest batch, at least 1; the model's own limit may lower it.
    pub max_batch_size: u32,
    /// Requests accepted and not yet taken into a batch; one more is VISION_STATUS_QUEUE_FULL.
    pub queue_capacity: u32,
    /// Threads that one batch may compute on; 0 takes one per available CPU.
    pub threads: u32,
    /// Threads that decode and preprocess; 0 takes one per available CPU, at most 8.
    pub decode_threads: u32,
    /// Most scans of a progressive JPEG.
    pub max_progressive_scans: u32,
    /// "auto", "cpu" or "cuda:N", or several with commas between, which share the requests; NULL takes "auto".
    pub device: *const c_char,
    /// How long the first request of a batch may wait for others, in microseconds.
    pub max_queue_delay_us: u64,
    /// Largest width times height of a picture.
    pub max_pixels: u64,
    /// Largest width, and height, of a picture.
    pub max_side: u64,
    /// Largest file of a picture, in bytes.
    pub max_encoded_bytes: u64,
    /// A file of `vision tune` for this model and instruction set; NULL goes without. Not with `precise`.
    pub tuning: *const c_char,
    /// 1: multiply inputs and weights as they are, always; slower, with less memory for weights. 0: also
    /// algorithms that save multiplications at the price of rounding.
    pub precise: u32,
    /// 0.
    pub reserved: u32,
    /// How long a batch waits for others while a worker is idle.
    pub window: vision_window_t,
    /// 1: results are given in order of acceptance, errors that end a request early excepted. 0: as they come.
    pub preserve_order: u32,
    /// Bytes of files and tensors accepted and not yet decoded; one more is VISION_STATUS_QUEUE_FULL.
    pub encoded_budget: u64,
    /// Bytes that all decoders may take at one time.
    pub decode_budget: u64,
    /// After how many microseconds a request rises to the next priority.
    pub ageing_us: u64,
    /// After how many microseconds, and at least eight times what was expected, a batch that does not end is
    /// answered with VISION_STATUS_BACKEND_STUCK and its worker replaced.
    pub stuck_after_us: u64,
    /// For how many microseconds requests wait while the device is lost, before VISION_STATUS_DEVICE_LOST.
    pub outage_patience_us: u64,
    /// For how many microseconds closing waits for what was accepted.
    pub close_timeout_us: u64,
    /// Sizes that batches are run at, `batch_bucket_count` of them: a smaller one is filled up to the next.
    /// NULL leaves them to the backend.
    pub batch_buckets: *const u32,
    /// Tenants with a share of their own, `tenant_weight_count` of them; all others have 1.
    pub tenant_weights: *const vision_tenant_weight_t,
    /// How many there are.
    pub batch_bucket_count: u32,
    /// How many there are.
    pub tenant_weight_count: u32,
    /// File to record in what decides who runs when, for `vision replay`; NULL for none.
    pub trace: *const c_char,
    /// Element type that the network is computed in; results are f32 in any case.
    pub precision: vision_precision_t,
    /// 1: before the engine is there, every worker runs images whose answers are known. 0: it is there sooner and
    /// never says that it is ready.
    pub prove: u32,
    /// Batches that each device works on at one time; 0 takes as many as keep it busy.
    pub instances: u32,
    /// Results that are kept for pictures that come again, byte for byte; 0 keeps none.
    pub cache_entries: u32,
    /// Bytes of such results, at least 1.
    pub cache_bytes: u64,
    /// How often, in microseconds, each worker runs such an image again; 0 for never.
    pub self_test_every_us: u64,
    /// Most bytes of this machine's memory that all models may come to in the worst case, beyond which loading
    /// fails with VISION_STATUS_OUT_OF_MEMORY; 0 for no limit.
    pub memory_limit: u64,
    /// The same for the memory of each device that has its own.
    pub device_memory_limit: u64,
}

const LATENCY: u32 = vision_window::VISION_WINDOW_LATENCY as u32;
const THROUGHPUT: u32 = vision_window::VISION_WINDOW_THROUGHPUT as u32;
const ADAPTIVE: u32 = vision_window::VISION_WINDOW_ADAPTIVE as u32;

/// By their numbers.
const PRECISIONS: [Precision; 4] = [Precision::Auto, Precision::F32, Precision::F16, Precision::Bf16];

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn defaults() -> vision_engine_options_t {
    let options = EngineOptions::default();
    vision_engine_options_t {
        struct_size: size_of::<vision_engine_options_t>() as u32,
        max_batch_size: options.max_batch_size as u32,
        queue_capacity: options.queue_capacity as u32,
        threads: options.threads as u32,
        decode_threads: options.decode_threads as u32,
        max_progressive_scans: options.limits.max_progressive_scans as u32,
        device: std::ptr::null(),
        max_queue_delay_us: options.max_queue_delay.as_micros() as u64,
        max_pixels: options.limits.max_pixels as u64,
        max_side: options.limits.max_side as u64,
        max_encoded_bytes: options.limits.max_encoded_bytes as u64,
        tuning: std::ptr::null(),
        precise: options.precise.into(),
        reserved: 0,
        window: match options.window {
            BatchWindow::Latency => LATENCY,
            BatchWindow::Throughput => THROUGHPUT,
            BatchWindow::Adaptive => ADAPTIVE,
        },
        preserve_order: options.preserve_order.into(),
        encoded_budget: options.encoded_budget,
        decode_budget: options.decode_budget,
        ageing_us: microseconds(options.ageing),
        stuck_after_us: microseconds(options.stuck_after),
        outage_patience_us: microseconds(options.outage_patience),
        close_timeout_us: microseconds(options.close_timeout),
        batch_buckets: std::ptr::null(),
        tenant_weights: std::ptr::null(),
        batch_bucket_count: 0,
        tenant_weight_count: 0,
        trace: std::ptr::null(),
        precision: PRECISIONS.iter().position(|known| *known == options.precision).unwrap_or(0) as u32,
        prove: options.prove.into(),
        instances: options.instances as u32,
        cache_entries: options.cache_entries as u32,
        cache_bytes: options.cache_bytes,
        self_test_every_us: microseconds(options.self_test_every),
        memory_limit: options.memory_limit.unwrap_or(0),
        device_memory_limit: options.device_memory_limit.unwrap_or(0),
    }
}

/// What the caller gave, or the defaults for NULL.
///
/// # Safety
///
/// `pointer` is NULL or a struct of the caller's whose pointers are valid.
pub(crate) unsafe fn engine_options(
    pointer: *const vision_engine_options_t,
    name: &str,
) -> Result<EngineOptions> {
    // SAFETY: the caller's promise.
    let given = unsafe { read(pointer, defaults(), name)? };
    // SAFETY: the caller promises strings and arrays, or NULL.
    let (device, tuning, trace, buckets, weights) = unsafe {
        let trace =
            (!given.trace.is_null()).then(|| path(given.trace, &format!("{name}.trace"))).transpose()?;
        (
            optional_text(given.device, &format!("{name}.device"))?,
            optional_text(given.tuning, &format!("{name}.tuning"))?,
            trace,
            array(given.batch_buckets, given.batch_bucket_count as usize, &format!("{name}.batch_buckets"))?,
            tenant_weights(&given, &format!("{name}.tenant_weights"))?,
        )
    };
    if given.reserved != 0 {
        return Err(invalid(format!("{name}.reserved is {}; expected 0", given.reserved)));
    }
    let window = match given.window {
        LATENCY => BatchWindow::Latency,
        THROUGHPUT => BatchWindow::Throughput,
        ADAPTIVE => BatchWindow::Adaptive,
        other => return Err(invalid(format!("{name}.window is {other}; expected a VISION_WINDOW_..."))),
    };
    let precision = PRECISIONS.get(given.precision as usize).ok_or_else(|| {
        invalid(format!("{name}.precision is {}; expected a VISION_PRECISION_...", given.precision))
    })?;
    let defaults = EngineOptions::default();
    Ok(EngineOptions {
        device: device.map_or(defaults.device, str::to_owned),
        max_batch_size: given.max_batch_size as usize,
        max_queue_delay: Duration::from_micros(given.max_queue_delay_us),
        queue_capacity: given.queue_capacity as usize,
        decode_threads: given.decode_threads as usize,
        threads: given.threads as usize,
        precise: given.precise != 0,
        tuning: tuning.map(Tuning::read).transpose()?.map(Arc::new),
        limits: DecodeLimits {
            max_pixels: given.max_pixels as usize,
            max_side: given.max_side as usize,
            max_encoded_bytes: given.max_encoded_bytes as usize,
            max_progressive_scans: given.max_progressive_scans as usize,
        },
        window,
        preserve_order: given.preserve_order != 0,
        batch_buckets: buckets.iter().map(|size| *size as usize).collect(),
        tenant_weights: weights,
        encoded_budget: given.encoded_budget,
        decode_budget: given.decode_budget,
        ageing: Duration::from_micros(given.ageing_us),
        stuck_after: Duration::from_micros(given.stuck_after_us),
        outage_patience: Duration::from_micros(given.outage_patience_us),
        close_timeout: Duration::from_micros(given.close_timeout_us),
        trace,
        precision: *precision,
        prove: given.prove != 0,
        instances: given.instances as usize,
        cache_entries: given.cache_entries as usize,
        cache_bytes: given.cache_bytes,
        self_test_every: Duration::from_micros(given.self_test_every_us),
        memory_limit: Some(given.memory_limit).filter(|limit| *limit != 0),
        device_memory_limit: Some(given.device_memory_limit).filter(|limit| *limit != 0),
    })
}

/// # Safety
///
/// `tenant_weights` is NULL or an array of `tenant_weight_count`, each with a name that is NULL or a string.
unsafe fn tenant_weights(given: &vision_engine_options_t, name: &str) -> Result<Vec<(String, u32)>> {
    // SAFETY: the caller's promise.
    let weights = unsafe { array(given.tenant_weights, given.tenant_weight_count as usize, name)? };
    let read = |(index, given): (usize, &vision_tenant_weight_t)| {
        if given.reserved != 0 {
            return Err(invalid(format!("{name}[{index}].reserved is {}; expected 0", given.reserved)));
        }
        // SAFETY: as above.
        let tenant = unsafe { text(given.name, &format!("{name}[{index}].name"))? };
        Ok((tenant.to_owned(), given.weight))
    };
    weights.iter().enumerate().map(read).collect()
}

/// Fills `options` with the defaults; `options_size` is sizeof(vision_engine_options_t).
///
/// # Safety
///
/// `options` is NULL or writable for `options_size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vision_engine_options_init(
    options: *mut vision_engine_options_t,
    options_size: usize,
) -> vision_status_t {
    // SAFETY: the caller's promise.
    boundary(|| unsafe { init(options, options_size, defaults(), "options") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ptr::null;

    #[test]
    fn null_and_a_filled_struct_both_mean_core_s_defaults() {
        // SAFETY: NULL, or a struct that lives through the call and whose pointer is NULL.
        let read = unsafe { [engine_options(null(), "options"), engine_options(&defaults(), "options")] };
        assert!(read.into_iter().all(|options| options.unwrap() == EngineOptions::default()));
    }

    #[test]
    fn every_field_arrives() {
        let buckets = [16, 17];
        let weight = vision_tenant_weight_t { name: c"a".as_ptr(), weight: 18, reserved: 0 };
        let given = vision_engine_options_t {
            struct_size: size_of::<vision_engine_options_t>() as u32,
            max_batch_size: 1,
            queue_capacity: 2,
            threads: 3,
            decode_threads: 4,
            max_progressive_scans: 5,
            device: c"cpu".as_ptr(),
            max_queue_delay_us: 6,
            max_pixels: 7,
            max_side: 8,
            max_encoded_bytes: 9,
            tuning: null(),
            precise: 1,
            reserved: 0,
            window: ADAPTIVE,
            preserve_order: 1,
            encoded_budget: 10,
            decode_budget: 11,
            ageing_us: 12,
            stuck_after_us: 13,
            outage_patience_us: 14,
            close_timeout_us: 15,
            batch_buckets: buckets.as_ptr(),
            tenant_weights: &weight,
            batch_bucket_count: 2,
            tenant_weight_count: 1,
            trace: c"trace".as_ptr(),
            precision: vision_precision::VISION_PRECISION_BF16 as u32,
            prove: 0,
            instances: 19,
            cache_entries: 20,
            cache_bytes: 21,
            self_test_every_us: 22,
            memory_limit: 23,
            device_memory_limit: 24,
        };
        let expected = EngineOptions {
            device: "cpu".into(),
            max_batch_size: 1,
            max_queue_delay: Duration::from_micros(6),
            queue_capacity: 2,
            decode_threads: 4,
            threads: 3,
            precise: true,
            limits: DecodeLimits {
                max_pixels: 7,
                max_side: 8,
                max_encoded_bytes: 9,
                max_progressive_scans: 5,
            },
            tuning: None,
            window: BatchWindow::Adaptive,
            preserve_order: true,
            batch_buckets: vec![16, 17],
            tenant_weights: vec![("a".into(), 18)],
            encoded_budget: 10,
            decode_budget: 11,
            ageing: Duration::from_micros(12),
            stuck_after: Duration::from_micros(13),
            outage_patience: Duration::from_micros(14),
            close_timeout: Duration::from_micros(15),
            trace: Some("trace".into()),
            precision: Precision::Bf16,
            prove: false,
            instances: 19,
            cache_entries: 20,
            cache_bytes: 21,
            self_test_every: Duration::from_micros(22),
            memory_limit: Some(23),
            device_memory_limit: Some(24),
        };
        // SAFETY: the struct and its text live through the call.
        assert_eq!(unsafe { engine_options(&given, "options") }.unwrap(), expected);
    }

    #[test]
    fn a_tuning_that_is_none_is_refused() {
        let given = vision_engine_options_t { tuning: c"no/such.json".as_ptr(), ..defaults() };
        // SAFETY: the struct and its text live through the call.
        let error = unsafe { engine_options(&given, "options") }.unwrap_err();
        assert_eq!(error.kind(), libvision::ErrorKind::FileNotFound);
    }

    #[test]
    fn what_means_nothing_is_named() {
        let buckets = vision_engine_options_t { batch_bucket_count: 1, ..defaults() };
        let message = |given: vision_engine_options_t| {
            // SAFETY: the struct and what it points at live through the call.
            unsafe { engine_options(&given, "options") }.unwrap_err().message().to_owned()
        };
        assert_eq!(message(buckets), "options.batch_buckets is NULL");
        let reserved = vision_engine_options_t { reserved: 7, ..defaults() };
        assert_eq!(message(reserved), "options.reserved is 7; expected 0");
        let window = vision_engine_options_t { window: 3, ..defaults() };
        assert_eq!(message(window), "options.window is 3; expected a VISION_WINDOW_...");
        let precision = vision_engine_options_t { precision: 4, ..defaults() };
        assert_eq!(message(precision), "options.precision is 4; expected a VISION_PRECISION_...");
        let weights = [(null(), 0), (c"a".as_ptr(), 7)].map(|(name, reserved)| vision_tenant_weight_t {
            name,
            weight: 1,
            reserved,
        });
        for (at, expected) in ["name is NULL", "reserved is 7; expected 0"].into_iter().enumerate() {
            let given = vision_engine_options_t {
                tenant_weights: &weights[at],
                tenant_weight_count: 1,
                ..defaults()
            };
            assert_eq!(message(given), format!("options.tenant_weights[0].{expected}"));
        }
    }
}

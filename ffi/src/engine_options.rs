//! How an engine runs. Names and defaults are those of core.

use crate::abi::{init, read};
use crate::boundary::{boundary, invalid, optional_text};
use crate::status::vision_status_t;
use libvision::{DecodeLimits, EngineOptions, Result, Tuning};
use std::ffi::c_char;
use std::sync::Arc;
use std::time::Duration;

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
    /// "auto", "cpu" or "cuda:N"; NULL takes "auto".
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
    // SAFETY: the caller promises a string or NULL.
    let device = unsafe { optional_text(given.device, &format!("{name}.device"))? };
    // SAFETY: as above.
    let tuning = unsafe { optional_text(given.tuning, &format!("{name}.tuning"))? };
    if given.reserved != 0 {
        return Err(invalid(format!("{name}.reserved is {}; expected 0", given.reserved)));
    }
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
        ..defaults
    })
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
            ..EngineOptions::default()
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
        let given = vision_engine_options_t { reserved: 7, ..defaults() };
        // SAFETY: as above.
        assert!(unsafe { engine_options(&given, "options") }.is_err());
    }
}

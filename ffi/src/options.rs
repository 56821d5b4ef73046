//! The options of loading, of engines and of requests. Names and defaults are those of core.

use crate::abi::{init, read};
use crate::boundary::{array, boundary, invalid, optional_text, text};
use crate::preprocess::{self, vision_preprocess_t};
use crate::status::vision_status_t;
use libvision::{DecodeLimits, EngineOptions, Head, LoadOptions, RequestOptions, Result, Task};
use std::ffi::c_char;
use std::time::Duration;

/// What turns a model's outputs into scores. A number of `enum vision_head`.
pub type vision_head_t = u32;

/// What turns a model's outputs into scores.
#[repr(C)]
pub enum vision_head {
    /// What the model's files imply.
    VISION_HEAD_FROM_MODEL = 0,
    /// Classes exclude each other; scores sum to 1.
    VISION_HEAD_SOFTMAX = 1,
    /// Each class is judged by itself; scores are between 0 and 1.
    VISION_HEAD_SIGMOID = 2,
    /// The model's outputs are scores already.
    VISION_HEAD_IDENTITY = 3,
}

/// What the caller knows better than a model's files. Fill with vision_load_options_init().
#[derive(Clone, Copy)]
#[repr(C)]
pub struct vision_load_options_t {
    /// Set by vision_load_options_init().
    pub struct_size: u32,
    /// 1: read weights through a memory map, the file must not be cut meanwhile. 0: read them.
    pub memory_map: u32,
    /// In place of what the files imply.
    pub head: vision_head_t,
    /// Length of `labels`.
    pub label_count: u32,
    /// In place of the labels in the files, one per class; NULL takes those.
    pub labels: *const *const c_char,
    /// In place of the preprocessing in the files; NULL takes that.
    pub preprocess: *const vision_preprocess_t,
    /// Largest file that is read.
    pub max_file_bytes: u64,
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
}

/// What is wanted from a picture. A number of `enum vision_task`.
pub type vision_task_t = u32;

/// What is wanted from a picture.
#[repr(C)]
pub enum vision_task {
    /// Labels with scores, best first.
    VISION_TASK_CLASSIFY = 0,
    /// The pooled feature before the classifier.
    VISION_TASK_EMBED = 1,
    /// Every output tensor as it is, without softmax.
    VISION_TASK_RUN = 2,
}

/// One request. Fill with vision_request_options_init().
#[derive(Clone, Copy)]
#[repr(C)]
pub struct vision_request_options_t {
    /// Set by vision_request_options_init().
    pub struct_size: u32,
    /// What is wanted. Functions whose name says it (classify, embed, outputs, run) do not read this.
    pub task: vision_task_t,
    /// At most this many predictions, at least 1.
    pub top_k: u32,
    /// No prediction below this score.
    pub min_score: f32,
    /// Time from acceptance within which the answer is of use, in microseconds; 0 for no limit.
    pub deadline_us: u64,
}

const FROM_MODEL: u32 = vision_head::VISION_HEAD_FROM_MODEL as u32;
const SOFTMAX: u32 = vision_head::VISION_HEAD_SOFTMAX as u32;
const SIGMOID: u32 = vision_head::VISION_HEAD_SIGMOID as u32;
const IDENTITY: u32 = vision_head::VISION_HEAD_IDENTITY as u32;
const CLASSIFY: u32 = vision_task::VISION_TASK_CLASSIFY as u32;
const EMBED: u32 = vision_task::VISION_TASK_EMBED as u32;
const RUN: u32 = vision_task::VISION_TASK_RUN as u32;

fn load_defaults() -> vision_load_options_t {
    let options = LoadOptions::default();
    vision_load_options_t {
        struct_size: size_of::<vision_load_options_t>() as u32,
        memory_map: options.memory_map.into(),
        head: FROM_MODEL,
        label_count: 0,
        labels: std::ptr::null(),
        preprocess: std::ptr::null(),
        max_file_bytes: options.max_file_bytes,
    }
}

fn engine_defaults() -> vision_engine_options_t {
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
    }
}

fn request_defaults() -> vision_request_options_t {
    let Task::Classify { top_k, min_score } = Task::default() else { unreachable!("core's default task") };
    vision_request_options_t {
        struct_size: size_of::<vision_request_options_t>() as u32,
        task: CLASSIFY,
        top_k: top_k as u32,
        min_score,
        deadline_us: 0,
    }
}

/// # Safety
///
/// `pointer` is NULL or a struct of the caller's whose pointers are valid.
pub(crate) unsafe fn load_options(pointer: *const vision_load_options_t, name: &str) -> Result<LoadOptions> {
    // SAFETY: the caller's promise.
    let given = unsafe { read(pointer, load_defaults(), name)? };
    let labels = if given.labels.is_null() && given.label_count == 0 {
        None
    } else {
        let field = format!("{name}.labels");
        // SAFETY: the caller promises `label_count` strings.
        let pointers = unsafe { array(given.labels, given.label_count as usize, &field)? };
        let label = |(i, &pointer): (usize, &*const c_char)| {
            // SAFETY: as above.
            Ok(unsafe { text(pointer, &format!("{field}[{i}]"))? }.to_owned())
        };
        Some(pointers.iter().enumerate().map(label).collect::<Result<_>>()?)
    };
    Ok(LoadOptions {
        // SAFETY: the caller promises a struct or NULL.
        preprocess: unsafe { preprocess::optional(given.preprocess, &format!("{name}.preprocess"))? },
        labels,
        head: match given.head {
            FROM_MODEL => None,
            SOFTMAX => Some(Head::Softmax),
            SIGMOID => Some(Head::Sigmoid),
            IDENTITY => Some(Head::Identity),
            other => return Err(invalid(format!("{name}.head is {other}; expected a VISION_HEAD_..."))),
        },
        memory_map: given.memory_map != 0,
        max_file_bytes: given.max_file_bytes,
    })
}

/// # Safety
///
/// `pointer` is NULL or a struct of the caller's whose pointers are valid.
pub(crate) unsafe fn engine_options(
    pointer: *const vision_engine_options_t,
    name: &str,
) -> Result<EngineOptions> {
    // SAFETY: the caller's promise.
    let given = unsafe { read(pointer, engine_defaults(), name)? };
    // SAFETY: the caller promises a string or NULL.
    let device = unsafe { optional_text(given.device, &format!("{name}.device"))? };
    let defaults = EngineOptions::default();
    Ok(EngineOptions {
        device: device.map_or(defaults.device, str::to_owned),
        max_batch_size: given.max_batch_size as usize,
        max_queue_delay: Duration::from_micros(given.max_queue_delay_us),
        queue_capacity: given.queue_capacity as usize,
        decode_threads: given.decode_threads as usize,
        threads: given.threads as usize,
        limits: DecodeLimits {
            max_pixels: given.max_pixels as usize,
            max_side: given.max_side as usize,
            max_encoded_bytes: given.max_encoded_bytes as usize,
            max_progressive_scans: given.max_progressive_scans as usize,
        },
    })
}

/// # Safety
///
/// `pointer` is NULL or a struct of the caller's.
pub(crate) unsafe fn request_options(
    pointer: *const vision_request_options_t,
    name: &str,
) -> Result<RequestOptions> {
    // SAFETY: the caller's promise.
    let given = unsafe { read(pointer, request_defaults(), name)? };
    let task = match given.task {
        CLASSIFY => classify_task(&given),
        EMBED => Task::Embed,
        RUN => Task::Run,
        other => return Err(invalid(format!("{name}.task is {other}; expected a VISION_TASK_..."))),
    };
    Ok(with_task(&given, task))
}

/// The same for a function whose name says the task; `None` for classify.
///
/// # Safety
///
/// `pointer` is NULL or a struct of the caller's.
pub(crate) unsafe fn request_options_for(
    task: Option<Task>,
    pointer: *const vision_request_options_t,
    name: &str,
) -> Result<RequestOptions> {
    // SAFETY: the caller's promise.
    let given = unsafe { read(pointer, request_defaults(), name)? };
    Ok(with_task(&given, task.unwrap_or(classify_task(&given))))
}

fn classify_task(given: &vision_request_options_t) -> Task {
    Task::Classify { top_k: given.top_k as usize, min_score: given.min_score }
}

fn with_task(given: &vision_request_options_t, task: Task) -> RequestOptions {
    let deadline = (given.deadline_us != 0).then(|| Duration::from_micros(given.deadline_us));
    RequestOptions { task, deadline }
}

/// Fills `options` with the defaults; `options_size` is sizeof(vision_load_options_t).
///
/// # Safety
///
/// `options` is NULL or writable for `options_size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vision_load_options_init(
    options: *mut vision_load_options_t,
    options_size: usize,
) -> vision_status_t {
    // SAFETY: the caller's promise.
    boundary(|| unsafe { init(options, options_size, load_defaults(), "options") })
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
    boundary(|| unsafe { init(options, options_size, engine_defaults(), "options") })
}

/// Fills `options` with the defaults; `options_size` is sizeof(vision_request_options_t).
///
/// # Safety
///
/// `options` is NULL or writable for `options_size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vision_request_options_init(
    options: *mut vision_request_options_t,
    options_size: usize,
) -> vision_status_t {
    // SAFETY: the caller's promise.
    boundary(|| unsafe { init(options, options_size, request_defaults(), "options") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ptr::{from_ref, null};

    #[test]
    fn null_and_filled_structs_both_mean_core_s_defaults() {
        // SAFETY: NULL, or structs that live through the call and whose pointers are NULL.
        unsafe {
            assert_eq!(engine_options(null(), "options").unwrap(), EngineOptions::default());
            let filled = engine_defaults();
            assert_eq!(engine_options(from_ref(&filled), "options").unwrap(), EngineOptions::default());
            assert_eq!(request_options(null(), "options").unwrap(), RequestOptions::default());
            let filled = request_defaults();
            assert_eq!(request_options(from_ref(&filled), "options").unwrap(), RequestOptions::default());
            let loaded = load_options(null(), "options").unwrap();
            assert_eq!(format!("{loaded:?}"), format!("{:?}", LoadOptions::default()));
        }
    }

    #[test]
    fn every_field_arrives() {
        let labels = [c"cat".as_ptr(), c"dog".as_ptr()];
        let mut load = load_defaults();
        load.memory_map = 0;
        load.head = 2;
        load.label_count = 2;
        load.labels = labels.as_ptr();
        load.max_file_bytes = 7;
        let engine = vision_engine_options_t {
            struct_size: 64,
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
        };
        let mut request = request_defaults();
        request.task = 1;
        request.deadline_us = 5;
        // SAFETY: the structs and what they point at live through the calls.
        unsafe {
            let load = load_options(&load, "options").unwrap();
            assert_eq!(load.labels.unwrap(), ["cat", "dog"]);
            assert_eq!((load.memory_map, load.head, load.max_file_bytes), (false, Some(Head::Sigmoid), 7));
            let limits =
                DecodeLimits { max_pixels: 7, max_side: 8, max_encoded_bytes: 9, max_progressive_scans: 5 };
            let expected = EngineOptions {
                device: "cpu".into(),
                max_batch_size: 1,
                max_queue_delay: Duration::from_micros(6),
                queue_capacity: 2,
                decode_threads: 4,
                threads: 3,
                limits,
            };
            assert_eq!(engine_options(&engine, "options").unwrap(), expected);
            let expected = RequestOptions { task: Task::Embed, deadline: Some(Duration::from_micros(5)) };
            assert_eq!(request_options(&request, "options").unwrap(), expected);
            let named = request_options_for(None, &request, "options").unwrap();
            assert_eq!(named.task, Task::default());
        }
    }

    #[test]
    fn numbers_and_labels_that_mean_nothing_are_named() {
        let mut load = load_defaults();
        load.head = 4;
        let mut request = request_defaults();
        request.task = 3;
        let labels = [c"cat".as_ptr(), null()];
        let mut unlabelled = load_defaults();
        unlabelled.label_count = 2;
        let mut half = unlabelled;
        half.labels = labels.as_ptr();
        // SAFETY: the structs and what they point at live through the calls.
        let messages = unsafe {
            [
                load_options(&load, "options").unwrap_err(),
                request_options(&request, "options").unwrap_err(),
                load_options(&unlabelled, "options").unwrap_err(),
                load_options(&half, "options").unwrap_err(),
            ]
        };
        let messages = messages.map(|error| error.message().to_owned());
        assert_eq!(
            messages,
            [
                "options.head is 4; expected a VISION_HEAD_...",
                "options.task is 3; expected a VISION_TASK_...",
                "options.labels is NULL",
                "options.labels[1] is NULL",
            ]
        );
    }
}

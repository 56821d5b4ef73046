//! What one request asks for. Names and defaults are those of core.

use crate::abi::{init, read};
use crate::boundary::{boundary, invalid};
use crate::status::vision_status_t;
use libvision::{RequestOptions, Result, Task};
use std::time::Duration;

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

const CLASSIFY: u32 = vision_task::VISION_TASK_CLASSIFY as u32;
const EMBED: u32 = vision_task::VISION_TASK_EMBED as u32;
const RUN: u32 = vision_task::VISION_TASK_RUN as u32;

fn defaults() -> vision_request_options_t {
    let Task::Classify { top_k, min_score } = Task::default() else { unreachable!("core's default task") };
    vision_request_options_t {
        struct_size: size_of::<vision_request_options_t>() as u32,
        task: CLASSIFY,
        top_k: top_k as u32,
        min_score,
        deadline_us: 0,
    }
}

/// What the caller gave, or the defaults for NULL.
///
/// # Safety
///
/// `pointer` is NULL or a struct of the caller's.
pub(crate) unsafe fn request_options(
    pointer: *const vision_request_options_t,
    name: &str,
) -> Result<RequestOptions> {
    // SAFETY: the caller's promise.
    let given = unsafe { read(pointer, defaults(), name)? };
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
    let given = unsafe { read(pointer, defaults(), name)? };
    Ok(with_task(&given, task.unwrap_or(classify_task(&given))))
}

fn classify_task(given: &vision_request_options_t) -> Task {
    Task::Classify { top_k: given.top_k as usize, min_score: given.min_score }
}

fn with_task(given: &vision_request_options_t, task: Task) -> RequestOptions {
    let deadline = (given.deadline_us != 0).then(|| Duration::from_micros(given.deadline_us));
    RequestOptions { task, deadline, ..RequestOptions::default() }
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
    boundary(|| unsafe { init(options, options_size, defaults(), "options") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ptr::null;

    #[test]
    fn null_and_a_filled_struct_both_mean_core_s_defaults() {
        // SAFETY: NULL, or a struct that lives through the call.
        let read = unsafe { [request_options(null(), "options"), request_options(&defaults(), "options")] };
        assert!(read.into_iter().all(|options| options.unwrap() == RequestOptions::default()));
    }

    #[test]
    fn every_field_arrives() {
        let given = vision_request_options_t {
            struct_size: 24,
            task: CLASSIFY,
            top_k: 3,
            min_score: 0.25,
            deadline_us: 5,
        };
        let deadline = Some(Duration::from_micros(5));
        let classify = Task::Classify { top_k: 3, min_score: 0.25 };
        for (number, task) in [(CLASSIFY, classify), (EMBED, Task::Embed), (RUN, Task::Run)] {
            let given = vision_request_options_t { task: number, ..given };
            // SAFETY: the struct lives through the calls.
            let (read, named, embed) = unsafe {
                (
                    request_options(&given, "options").unwrap(),
                    request_options_for(None, &given, "options").unwrap(),
                    request_options_for(Some(Task::Embed), &given, "options").unwrap(),
                )
            };
            assert_eq!(read, RequestOptions { task, deadline, ..RequestOptions::default() });
            assert_eq!(named, RequestOptions { task: classify, deadline, ..RequestOptions::default() });
            assert_eq!(embed, RequestOptions { task: Task::Embed, deadline, ..RequestOptions::default() });
        }
    }

    #[test]
    fn a_task_that_means_nothing_is_named() {
        let given = vision_request_options_t { task: 3, ..defaults() };
        // SAFETY: the struct lives through the call.
        let error = unsafe { request_options(&given, "options") }.unwrap_err();
        assert_eq!(error.message(), "options.task is 3; expected a VISION_TASK_...");
    }
}

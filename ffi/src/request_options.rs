//! What one request asks for. Names and defaults are those of core.

use crate::abi::{init, read};
use crate::boundary::{boundary, invalid, optional_text};
use crate::status::vision_status_t;
use libvision::{Engine, Priority, RequestOptions, Result, Task, TraceContext};
use std::ffi::c_char;
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

/// How urgent a request is. A number of `enum vision_priority`.
pub type vision_priority_t = u32;

/// How urgent a request is. Urgent ones go first; who has waited for long rises.
#[repr(C)]
pub enum vision_priority {
    /// As requests are that say nothing.
    VISION_PRIORITY_NORMAL = 0,
    /// Before all others.
    VISION_PRIORITY_HIGH = 1,
    /// When nothing else waits.
    VISION_PRIORITY_LOW = 2,
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
    /// Time from acceptance within which the answer is of use, in microseconds; 0 for no limit. What cannot be
    /// kept is refused with VISION_STATUS_DEADLINE_INFEASIBLE, what is not kept is answered with
    /// VISION_STATUS_DEADLINE_EXCEEDED, on time.
    pub deadline_us: u64,
    /// How urgent it is.
    pub priority: vision_priority_t,
    /// 0.
    pub reserved: u32,
    /// Whose it is: tenants share the engine by their weights, whoever sends how much. NULL for everybody who
    /// says nothing.
    pub tenant: *const c_char,
    /// The header `traceparent` of W3C Trace Context, carried to the result and into logs; NULL for none. A
    /// malformed one is ignored, as the specification says.
    pub traceparent: *const c_char,
    /// Which of the engine's models it is for, by the name of vision_engine_load(); NULL for "default".
    pub model: *const c_char,
}

const CLASSIFY: u32 = vision_task::VISION_TASK_CLASSIFY as u32;
const EMBED: u32 = vision_task::VISION_TASK_EMBED as u32;
const RUN: u32 = vision_task::VISION_TASK_RUN as u32;

const NORMAL: u32 = vision_priority::VISION_PRIORITY_NORMAL as u32;
const HIGH: u32 = vision_priority::VISION_PRIORITY_HIGH as u32;
const LOW: u32 = vision_priority::VISION_PRIORITY_LOW as u32;

/// The options with what only an engine makes of them.
#[derive(Debug)]
pub(crate) struct GivenRequest<'a> {
    options: RequestOptions,
    tenant: Option<&'a str>,
    model: Option<&'a str>,
}

impl GivenRequest<'_> {
    /// For this engine, which knows tenants and models by their names.
    pub(crate) fn at(self, engine: &Engine) -> Result<RequestOptions> {
        let tenant = self.tenant.map(|name| engine.tenant(name)).transpose()?.unwrap_or_default();
        let model = self.model.map(|name| engine.model_id(name)).transpose()?.unwrap_or_default();
        Ok(RequestOptions { tenant, model, ..self.options })
    }
}

fn defaults() -> vision_request_options_t {
    let Task::Classify { top_k, min_score } = Task::default() else { unreachable!("core's default task") };
    vision_request_options_t {
        struct_size: size_of::<vision_request_options_t>() as u32,
        task: CLASSIFY,
        top_k: top_k as u32,
        min_score,
        deadline_us: 0,
        priority: NORMAL,
        reserved: 0,
        tenant: std::ptr::null(),
        traceparent: std::ptr::null(),
        model: std::ptr::null(),
    }
}

/// What the caller gave, or the defaults for NULL.
///
/// # Safety
///
/// `pointer` is NULL or a struct of the caller's, whose texts stay as they are for `'a`.
pub(crate) unsafe fn request_options<'a>(
    pointer: *const vision_request_options_t,
    name: &str,
) -> Result<GivenRequest<'a>> {
    // SAFETY: the caller's promise.
    let given = unsafe { read(pointer, defaults(), name)? };
    let task = match given.task {
        CLASSIFY => classify_task(&given),
        EMBED => Task::Embed,
        RUN => Task::Run,
        other => return Err(invalid(format!("{name}.task is {other}; expected a VISION_TASK_..."))),
    };
    // SAFETY: the caller's promise.
    unsafe { with_task(&given, task, name) }
}

/// The same for a function whose name says the task; `None` for classify.
///
/// # Safety
///
/// As for [`request_options`].
pub(crate) unsafe fn request_options_for<'a>(
    task: Option<Task>,
    pointer: *const vision_request_options_t,
    name: &str,
) -> Result<GivenRequest<'a>> {
    // SAFETY: the caller's promise.
    unsafe {
        let given = read(pointer, defaults(), name)?;
        with_task(&given, task.unwrap_or(classify_task(&given)), name)
    }
}

fn classify_task(given: &vision_request_options_t) -> Task {
    Task::Classify { top_k: given.top_k as usize, min_score: given.min_score }
}

/// # Safety
///
/// The texts of `given` are NULL or NUL-terminated, and stay as they are for `'a`.
unsafe fn with_task<'a>(
    given: &vision_request_options_t,
    task: Task,
    name: &str,
) -> Result<GivenRequest<'a>> {
    // SAFETY: the caller's promise.
    let (tenant, model, traceparent) = unsafe {
        (
            optional_text(given.tenant, &format!("{name}.tenant"))?,
            optional_text(given.model, &format!("{name}.model"))?,
            // Not even UTF-8: as malformed as any.
            optional_text(given.traceparent, "").unwrap_or_default(),
        )
    };
    if given.reserved != 0 {
        return Err(invalid(format!("{name}.reserved is {}; expected 0", given.reserved)));
    }
    let priority = match given.priority {
        NORMAL => Priority::Normal,
        HIGH => Priority::High,
        LOW => Priority::Low,
        other => return Err(invalid(format!("{name}.priority is {other}; expected a VISION_PRIORITY_..."))),
    };
    let options = RequestOptions {
        task,
        deadline: (given.deadline_us != 0).then(|| Duration::from_micros(given.deadline_us)),
        priority,
        trace_context: traceparent.and_then(TraceContext::parse),
        ..RequestOptions::default()
    };
    Ok(GivenRequest { options, tenant, model })
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
        // SAFETY: NULL, or a struct that lives through the call and whose texts are NULL.
        let read = unsafe { [request_options(null(), "options"), request_options(&defaults(), "options")] };
        for given in read {
            let given = given.unwrap();
            assert_eq!((given.options, given.tenant, given.model), (RequestOptions::default(), None, None));
        }
    }

    #[test]
    fn every_field_arrives() {
        let text = c"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let given = vision_request_options_t {
            struct_size: 56,
            task: CLASSIFY,
            top_k: 3,
            min_score: 0.25,
            deadline_us: 5,
            priority: HIGH,
            reserved: 0,
            tenant: c"a".as_ptr(),
            traceparent: text.as_ptr(),
            model: c"b".as_ptr(),
        };
        let classify = Task::Classify { top_k: 3, min_score: 0.25 };
        let expected = |task| RequestOptions {
            task,
            deadline: Some(Duration::from_micros(5)),
            priority: Priority::High,
            trace_context: TraceContext::parse(text.to_str().unwrap()),
            ..RequestOptions::default()
        };
        assert!(expected(Task::Run).trace_context.is_some());
        for (number, task) in [(CLASSIFY, classify), (EMBED, Task::Embed), (RUN, Task::Run)] {
            let given = vision_request_options_t { task: number, ..given };
            // SAFETY: the struct and its texts live through the calls.
            let (read, named, embed) = unsafe {
                (
                    request_options(&given, "options").unwrap(),
                    request_options_for(None, &given, "options").unwrap(),
                    request_options_for(Some(Task::Embed), &given, "options").unwrap(),
                )
            };
            assert_eq!((read.options, read.tenant, read.model), (expected(task), Some("a"), Some("b")));
            assert_eq!(named.options, expected(classify));
            assert_eq!(embed.options, expected(Task::Embed));
        }
    }

    #[test]
    fn what_means_nothing_is_named_and_a_malformed_trace_is_ignored() {
        let message = |given: vision_request_options_t| {
            // SAFETY: the struct and its texts live through the call.
            unsafe { request_options(&given, "options") }.unwrap_err().message().to_owned()
        };
        let task = vision_request_options_t { task: 3, ..defaults() };
        assert_eq!(message(task), "options.task is 3; expected a VISION_TASK_...");
        let priority = vision_request_options_t { priority: 3, ..defaults() };
        assert_eq!(message(priority), "options.priority is 3; expected a VISION_PRIORITY_...");
        let reserved = vision_request_options_t { reserved: 3, ..defaults() };
        assert_eq!(message(reserved), "options.reserved is 3; expected 0");
        let tenant = vision_request_options_t { tenant: c"\xe9".as_ptr(), ..defaults() };
        assert!(message(tenant).starts_with("options.tenant is not UTF-8"));
        for text in [c"\xe9", c"00-nonsense", c""] {
            let given = vision_request_options_t { traceparent: text.as_ptr(), ..defaults() };
            // SAFETY: as above.
            let read = unsafe { request_options(&given, "options") }.unwrap();
            assert_eq!(read.options, RequestOptions::default());
        }
    }
}

//! Requests that C submits now and whose answers it takes later, by waiting or by being called back.

use crate::boundary::{boundary, boundary_with, invalid, out};
use crate::callbacks::Callbacks;
use crate::engine::{RunningEngine, vision_engine_t};
use crate::handle::{self, Handle, Kind, Table};
use crate::image::{self, vision_image_t};
use crate::request_options::{request_options, vision_request_options_t};
use crate::result::{Answer, vision_result_t};
use crate::status::{fail, vision_status, vision_status_t};
use crate::tensor::{self, vision_tensor_t};
use libvision::{Canceller, Pending, Response, Result};
use parking_lot::Mutex;
use std::ffi::c_void;
use std::sync::Arc;
use std::time::Duration;

/// A request accepted and not yet answered, or answered and not yet freed.
pub struct vision_pending_t {
    _opaque: (),
}

/// Called with the answer of one request, from the engine's own thread "vision-callback". `status` is
/// VISION_STATUS_OK and `result` the callee's to free, or `status` is the failure, `result` NULL, and
/// vision_last_error_message() says more for as long as the callback lasts. It must not throw or jump out.
/// The engine's other callbacks wait for it, its batches do not.
pub type vision_callback_t = Option<
    unsafe extern "C" fn(user_data: *mut c_void, status: vision_status_t, result: *mut vision_result_t),
>;

/// Waits without limit.
pub const VISION_WAIT_FOREVER: u64 = u64::MAX;

pub(crate) struct SubmittedRequest {
    stage: Mutex<Stage>,
    canceller: Canceller,
    callbacks: Arc<Callbacks>,
}

/// Where the answer of a request is, or went.
enum Stage {
    Pending(Pending),
    WaitedFor,
    Answered,
    CallsBack,
}

impl Handle for vision_pending_t {
    type Object = SubmittedRequest;
    const KIND: Kind = Kind::Pending;

    fn table() -> &'static Table<SubmittedRequest> {
        static TABLE: Table<SubmittedRequest> = Table::new();
        &TABLE
    }
}

impl SubmittedRequest {
    fn insert(engine: &RunningEngine, pending: Pending) -> Result<*mut vision_pending_t> {
        handle::insert(Self {
            canceller: pending.canceller(),
            callbacks: Arc::clone(&engine.callbacks),
            stage: Mutex::new(Stage::Pending(pending)),
        })
    }

    /// Takes the core's side out, so that no lock is held while its answer is waited for.
    fn take(&self, next: Stage) -> Result<Pending> {
        let mut stage = self.stage.lock();
        let message = match &*stage {
            Stage::Pending(_) => {
                let Stage::Pending(pending) = std::mem::replace(&mut *stage, next) else { unreachable!() };
                return Ok(pending);
            }
            Stage::WaitedFor => "pending: another thread waits for this request",
            Stage::Answered => "pending: this request's answer was taken already",
            Stage::CallsBack => "pending: this request's answer goes to its callback",
        };
        Err(invalid(message))
    }

    /// The answer, or `None` if it is not there in time.
    fn wait(&self, timeout_us: u64) -> Result<Option<Response>> {
        let pending = self.take(Stage::WaitedFor)?;
        let answer = if timeout_us == VISION_WAIT_FOREVER {
            Ok(pending.wait())
        } else {
            pending.wait_timeout(Duration::from_micros(timeout_us))
        };
        match answer {
            Ok(answer) => {
                *self.stage.lock() = Stage::Answered;
                answer.map(Some)
            }
            Err(pending) => {
                *self.stage.lock() = Stage::Pending(pending);
                Ok(None)
            }
        }
    }
}

/// The caller's `user_data`, on its way to another thread.
struct UserData(*mut c_void);

// SAFETY: this library never follows the pointer; the caller hands it over for its own function, which
// the header says runs on another thread.
unsafe impl Send for UserData {}

/// Submits a picture and does not wait for its answer. `options` may be NULL. Refused at once with
/// VISION_STATUS_QUEUE_FULL and the like if it cannot be accepted. Free `pending` with
/// vision_pending_free(), before or after the answer.
///
/// # Safety
///
/// Each pointer is NULL or valid: `image` and `options` filled, `pending` writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vision_engine_submit(
    engine: *const vision_engine_t,
    image: *const vision_image_t,
    options: *const vision_request_options_t,
    pending: *mut *mut vision_pending_t,
) -> vision_status_t {
    boundary(|| {
        // SAFETY: the caller's promise.
        let (image, options, place) = unsafe {
            (image::source(image, "image")?, request_options(options, "options")?, out(pending, "pending")?)
        };
        let engine = handle::get(engine, "engine")?;
        let pending = engine.engine.submit(image, options.at(&engine.engine)?)?;
        place.write(SubmittedRequest::insert(&engine, pending)?);
        Ok(())
    })
}

/// The same for preprocessed tensors by name, as in vision_engine_run(); any task will do.
///
/// # Safety
///
/// Each pointer is NULL or valid: `inputs` as long as `input_count`, `options` filled, `pending` writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vision_engine_submit_tensors(
    engine: *const vision_engine_t,
    inputs: *const vision_tensor_t,
    input_count: usize,
    options: *const vision_request_options_t,
    pending: *mut *mut vision_pending_t,
) -> vision_status_t {
    boundary(|| {
        // SAFETY: the caller's promise.
        let (inputs, options, place) = unsafe {
            (
                tensor::inputs(inputs, input_count, "inputs")?,
                request_options(options, "options")?,
                out(pending, "pending")?,
            )
        };
        let engine = handle::get(engine, "engine")?;
        let pending = engine.engine.submit_tensors(inputs, options.at(&engine.engine)?)?;
        place.write(SubmittedRequest::insert(&engine, pending)?);
        Ok(())
    })
}

/// Waits for the answer for at most `timeout_us` microseconds; 0 looks without waiting,
/// VISION_WAIT_FOREVER waits without limit. VISION_STATUS_NOT_READY: wait again. Otherwise the answer is
/// taken, and only vision_pending_free() is left to do. Free the result with vision_result_free().
///
/// # Safety
///
/// `result` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vision_pending_wait(
    pending: *mut vision_pending_t,
    timeout_us: u64,
    result: *mut *mut vision_result_t,
) -> vision_status_t {
    boundary_with(|| {
        // SAFETY: the caller's promise.
        let place = unsafe { out(result, "result")? };
        match handle::get(pending.cast_const(), "pending")?.wait(timeout_us)? {
            None => Ok(vision_status::VISION_STATUS_NOT_READY),
            Some(response) => {
                place.write(handle::insert(Answer::new(&response)?)?);
                Ok(vision_status::VISION_STATUS_OK)
            }
        }
    })
}

/// Has `callback` called with the answer, once, instead of being waited for. It is called even if
/// `pending` is freed first, and never after vision_engine_free() returns. `user_data` is passed on.
///
/// # Safety
///
/// `callback` may be called from another thread with `user_data` until the engine is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vision_pending_on_complete(
    pending: *mut vision_pending_t,
    callback: vision_callback_t,
    user_data: *mut c_void,
) -> vision_status_t {
    boundary(|| {
        let callback = callback.ok_or_else(|| crate::boundary::null("callback"))?;
        let request = handle::get(pending.cast_const(), "pending")?;
        let user_data = UserData(user_data);
        let pending = request.take(Stage::CallsBack)?;
        let promise = request.callbacks.promise(Box::new(move |answer| {
            let UserData(user_data) = { user_data };
            let answer = answer.and_then(|response| handle::insert(Answer::new(&response)?));
            let (status, result) = match answer {
                Ok(result) => (vision_status::VISION_STATUS_OK as vision_status_t, result),
                Err(error) => (fail(&error), std::ptr::null_mut()),
            };
            // SAFETY: the caller promised that its function may be called so.
            unsafe { callback(user_data, status, result) };
        }));
        match promise {
            Ok(promise) => pending.on_complete(move |answer| promise.keep(answer)),
            Err(error) => {
                *request.stage.lock() = Stage::Pending(pending);
                return Err(error);
            }
        }
        Ok(())
    })
}

/// Asks for the request to be dropped. Its answer is then VISION_STATUS_CANCELLED, unless it was ready
/// before.
#[unsafe(no_mangle)]
pub extern "C" fn vision_pending_cancel(pending: *mut vision_pending_t) -> vision_status_t {
    boundary(|| {
        handle::get(pending.cast_const(), "pending")?.canceller.cancel();
        Ok(())
    })
}

/// Gives the answer up, unless a callback gets it. The request itself is not cancelled. NULL is fine.
#[unsafe(no_mangle)]
pub extern "C" fn vision_pending_free(pending: *mut vision_pending_t) -> vision_status_t {
    boundary(|| handle::remove(pending, "pending").map(drop))
}

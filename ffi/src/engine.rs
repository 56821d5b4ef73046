//! An engine, as C holds it, and the calls that submit and wait in one.

use crate::boundary::{boundary, c_string, invalid, out};
use crate::callbacks::Callbacks;
use crate::engine_options::{engine_options, vision_engine_options_t};
use crate::handle::{self, Handle, Kind, Table};
use crate::image::{self, vision_image_t};
use crate::model::vision_model_t;
use crate::request_options::{request_options_for, vision_request_options_t};
use crate::result::{Answer, vision_result_t};
use crate::status::vision_status_t;
use crate::tensor::{self, vision_tensor_t};
use libvision::{Engine, Task};
use std::ffi::{CString, c_char};
use std::sync::{Arc, OnceLock};

/// One model on one device, behind a queue that batches. Any number of threads may use it at once, and
/// two engines in one process do not disturb each other.
pub struct vision_engine_t {
    _opaque: (),
}

/// The engine with what only C needs.
pub(crate) struct RunningEngine {
    pub(crate) engine: Engine,
    pub(crate) callbacks: Arc<Callbacks>,
    device: CString,
    description: OnceLock<CString>,
}

impl Handle for vision_engine_t {
    type Object = RunningEngine;
    const KIND: Kind = Kind::Engine;

    fn table() -> &'static Table<RunningEngine> {
        static TABLE: Table<RunningEngine> = Table::new();
        &TABLE
    }
}

/// Prepares `model` for a device, takes all memory and starts the threads. Blocks meanwhile. `options` may
/// be NULL. The model may be freed afterwards. Free the engine with vision_engine_free().
///
/// # Safety
///
/// Each pointer is NULL or valid: `options` filled, `engine` writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vision_engine_new(
    model: *const vision_model_t,
    options: *const vision_engine_options_t,
    engine: *mut *mut vision_engine_t,
) -> vision_status_t {
    boundary(|| {
        // SAFETY: the caller's promise.
        let (options, place) = unsafe { (engine_options(options, "options")?, out(engine, "engine")?) };
        let model = Arc::clone(&handle::get(model, "model")?.model);
        let engine = Engine::new(model, &options)?;
        place.write(handle::insert(RunningEngine {
            device: c_string(&engine.device()),
            description: OnceLock::new(),
            callbacks: Arc::new(Callbacks::new()),
            engine,
        })?);
        Ok(())
    })
}

/// Closes the engine and frees it with the texts that came from it. Blocks until everything accepted is
/// answered and every callback has returned; none is called afterwards. What is waited for on other
/// threads is answered too, and results and pending requests stay valid. NULL is fine.
///
/// A callback must not free its own engine: that is VISION_STATUS_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn vision_engine_free(engine: *mut vision_engine_t) -> vision_status_t {
    boundary(|| {
        if engine.is_null() {
            return Ok(());
        }
        if handle::get(engine.cast_const(), "engine")?.callbacks.is_current_thread() {
            return Err(invalid("engine: a callback cannot free the engine that called it"));
        }
        if let Some(engine) = handle::remove(engine, "engine")? {
            engine.engine.close();
            engine.callbacks.close();
        }
        Ok(())
    })
}

/// Accepts nothing more, answers what was accepted, then stops the engine's threads. Blocks meanwhile.
/// The handle stays valid until vision_engine_free(). A second call does nothing.
#[unsafe(no_mangle)]
pub extern "C" fn vision_engine_close(engine: *mut vision_engine_t) -> vision_status_t {
    boundary(|| {
        handle::get(engine.cast_const(), "engine")?.engine.close();
        Ok(())
    })
}

/// The device taken, "cpu" or "cuda:N". Lives as long as the engine.
///
/// # Safety
///
/// `device` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vision_engine_device(
    engine: *const vision_engine_t,
    device: *mut *const c_char,
) -> vision_status_t {
    boundary(|| {
        // SAFETY: the caller's promise.
        let place = unsafe { out(device, "device")? };
        place.write(handle::get(engine, "engine")?.device.as_ptr());
        Ok(())
    })
}

/// The largest batch, after the model's own limit.
///
/// # Safety
///
/// `max_batch_size` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vision_engine_max_batch_size(
    engine: *const vision_engine_t,
    max_batch_size: *mut u32,
) -> vision_status_t {
    boundary(|| {
        // SAFETY: the caller's promise.
        let place = unsafe { out(max_batch_size, "max_batch_size")? };
        place.write(handle::get(engine, "engine")?.engine.max_batch_size() as u32);
        Ok(())
    })
}

/// Device and why, options in force, plan and memory, in lines for people, as they are at the first call.
/// Lives as long as the engine.
///
/// # Safety
///
/// `text` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vision_engine_describe(
    engine: *const vision_engine_t,
    text: *mut *const c_char,
) -> vision_status_t {
    boundary(|| {
        // SAFETY: the caller's promise.
        let place = unsafe { out(text, "text")? };
        let engine = handle::get(engine, "engine")?;
        place.write(engine.description.get_or_init(|| c_string(&engine.engine.describe())).as_ptr());
        Ok(())
    })
}

/// Submits a picture, waits, and gives its labels with scores, best first. `options` may be NULL; its
/// `task` is not read. Free the result with vision_result_free().
///
/// # Safety
///
/// Each pointer is NULL or valid: `image` and `options` filled, `result` writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vision_engine_classify(
    engine: *const vision_engine_t,
    image: *const vision_image_t,
    options: *const vision_request_options_t,
    result: *mut *mut vision_result_t,
) -> vision_status_t {
    // SAFETY: the caller's promise is the same.
    unsafe { answer_image(None, engine, image, options, result) }
}

/// Submits a picture, waits, and gives the pooled feature before the classifier. `options` may be NULL;
/// its `task`, `top_k` and `min_score` are not read. Free the result with vision_result_free().
///
/// # Safety
///
/// As for vision_engine_classify().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vision_engine_embed(
    engine: *const vision_engine_t,
    image: *const vision_image_t,
    options: *const vision_request_options_t,
    result: *mut *mut vision_result_t,
) -> vision_status_t {
    // SAFETY: the caller's promise is the same.
    unsafe { answer_image(Some(Task::Embed), engine, image, options, result) }
}

/// Submits a picture, waits, and gives every output tensor of the model as it is, without softmax.
/// `options` may be NULL; its `task`, `top_k` and `min_score` are not read. Free the result with vision_result_free().
///
/// # Safety
///
/// As for vision_engine_classify().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vision_engine_outputs(
    engine: *const vision_engine_t,
    image: *const vision_image_t,
    options: *const vision_request_options_t,
    result: *mut *mut vision_result_t,
) -> vision_status_t {
    // SAFETY: the caller's promise is the same.
    unsafe { answer_image(Some(Task::Run), engine, image, options, result) }
}

/// Submits preprocessed tensors by name, waits, and gives every output tensor as it is. The first axis is
/// the number of images, at most the engine's largest batch. `options` may be NULL; its `task`,
/// `top_k` and `min_score` are not read. Free the result with vision_result_free().
///
/// # Safety
///
/// Each pointer is NULL or valid: `inputs` as long as `input_count`, `options` filled, `result` writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vision_engine_run(
    engine: *const vision_engine_t,
    inputs: *const vision_tensor_t,
    input_count: usize,
    options: *const vision_request_options_t,
    result: *mut *mut vision_result_t,
) -> vision_status_t {
    boundary(|| {
        // SAFETY: the caller's promise.
        let (inputs, options, place) = unsafe {
            (
                tensor::inputs(inputs, input_count, "inputs")?,
                request_options_for(Some(Task::Run), options, "options")?,
                out(result, "result")?,
            )
        };
        let engine = handle::get(engine, "engine")?;
        let options = options.at(&engine.engine)?;
        let response = engine.engine.submit_tensors(inputs, options)?.wait()?;
        place.write(handle::insert(Answer::new(&response)?)?);
        Ok(())
    })
}

unsafe fn answer_image(
    task: Option<Task>,
    engine: *const vision_engine_t,
    image: *const vision_image_t,
    options: *const vision_request_options_t,
    result: *mut *mut vision_result_t,
) -> vision_status_t {
    boundary(|| {
        // SAFETY: the caller's promise.
        let (image, options, place) = unsafe {
            (
                image::source(image, "image")?,
                request_options_for(task, options, "options")?,
                out(result, "result")?,
            )
        };
        let engine = handle::get(engine, "engine")?;
        let options = options.at(&engine.engine)?;
        let response = engine.engine.submit(image, options)?.wait()?;
        place.write(handle::insert(Answer::new(&response)?)?);
        Ok(())
    })
}

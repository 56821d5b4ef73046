//! Several models in one engine, for C, and whether they are ready.

use crate::abi::write;
use crate::boundary::{boundary, null, out, text};
use crate::engine::vision_engine_t;
use crate::engine_options::{engine_options, vision_engine_options_t};
use crate::handle;
use crate::metrics::{snapshot, vision_metrics_t};
use crate::model::vision_model_t;
use crate::status::vision_status_t;
use libvision::Result;
use std::ffi::c_char;
use std::sync::Arc;

/// Loads another model under a name of its own and proves it, while requests go on. Blocks meanwhile. Requests
/// are for it if their options name it; the model that the engine was made with is "default". `options` may be
/// NULL; its memory limits and tenants are not read, they are the engine's.
///
/// # Safety
///
/// Each pointer is NULL or valid: `name` a string, `options` filled.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vision_engine_load(
    engine: *mut vision_engine_t,
    name: *const c_char,
    model: *const vision_model_t,
    options: *const vision_engine_options_t,
) -> vision_status_t {
    boundary(|| {
        // SAFETY: the caller's promise.
        let (name, options) = unsafe { (text(name, "name")?, engine_options(options, "options")?) };
        let model = Arc::clone(&handle::get(model, "model")?.model);
        handle::get(engine.cast_const(), "engine")?.engine.load(name, model, &options).map(drop)
    })
}

/// Prepares and proves a new version of a model; then hands all requests to it that come from that moment on.
/// Those accepted before are answered by the old version, and none is refused for the change. Blocks until the
/// last of them is answered. If the new version fails, the old one goes on.
///
/// # Safety
///
/// `name` is NULL or a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vision_engine_swap(
    engine: *mut vision_engine_t,
    name: *const c_char,
    model: *const vision_model_t,
) -> vision_status_t {
    boundary(|| {
        // SAFETY: the caller's promise.
        let name = unsafe { text(name, "name")? };
        let model = Arc::clone(&handle::get(model, "model")?.model);
        handle::get(engine.cast_const(), "engine")?.engine.swap(name, model)
    })
}

/// Answers what a model has accepted, and gives its memory back. Blocks meanwhile. The model "default" stays
/// until the engine is closed.
///
/// # Safety
///
/// `name` is NULL or a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vision_engine_unload(
    engine: *mut vision_engine_t,
    name: *const c_char,
) -> vision_status_t {
    boundary(|| {
        // SAFETY: the caller's promise.
        let name = unsafe { text(name, "name")? };
        handle::get(engine.cast_const(), "engine")?.engine.unload(name)
    })
}

/// The names of the loaded models, "default" first, one a line. Written as the text of
/// vision_engine_metrics_prometheus() is.
///
/// # Safety
///
/// `buffer` is NULL or writable for `buffer_size` bytes, `length` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vision_engine_models(
    engine: *const vision_engine_t,
    buffer: *mut c_char,
    buffer_size: usize,
    length: *mut usize,
) -> vision_status_t {
    boundary(|| {
        let lines = |engine: &libvision::Engine| engine.models().join("\n");
        let names = handle::get(engine, "engine").map(|engine| lines(&engine.engine));
        // SAFETY: the caller's promise.
        unsafe { give_text(names, buffer, buffer_size, length) }
    })
}

/// The same as vision_engine_metrics() for one of several models.
///
/// # Safety
///
/// `name` is NULL or a string, `metrics` is NULL or writable for `metrics_size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vision_engine_model_metrics(
    engine: *const vision_engine_t,
    name: *const c_char,
    metrics: *mut vision_metrics_t,
    metrics_size: usize,
) -> vision_status_t {
    boundary(|| {
        // SAFETY: the caller's promise.
        let name = unsafe { text(name, "name")? };
        let found = handle::get(engine, "engine")?.engine.metrics_of(name)?;
        // SAFETY: the caller's promise.
        unsafe { write(metrics, metrics_size, snapshot(&found), "metrics") }
    })
}

/// The most memory that a model comes to, by what it is for and where it lies, as one JSON object: `items` with
/// `what`, `place`, `count`, `each` and `bytes`, and the sums `host`, `pinned` and `device`. Written as the text of
/// vision_engine_metrics_prometheus() is.
///
/// # Safety
///
/// `name` is NULL or a string, `buffer` is NULL or writable for `buffer_size` bytes, `length` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vision_engine_memory_plan(
    engine: *const vision_engine_t,
    name: *const c_char,
    buffer: *mut c_char,
    buffer_size: usize,
    length: *mut usize,
) -> vision_status_t {
    boundary(|| {
        // SAFETY: the caller's promise.
        let name = unsafe { text(name, "name")? };
        let found = handle::get(engine, "engine").and_then(|engine| engine.engine.metrics_of(name));
        // SAFETY: the caller's promise.
        unsafe { give_text(found.map(|metrics| metrics.memory.to_json()), buffer, buffer_size, length) }
    })
}

/// Whether requests should be sent to the engine: `is_ready` becomes 1 if every worker of all models has run
/// images whose answers are known, with the same bits, and has done nothing wrong since; otherwise 0. `reason`
/// gets why not, a sentence for people, or "", cut off to fit; it may be NULL with a `reason_size` of 0.
///
/// # Safety
///
/// `is_ready` is NULL or writable, `reason` is NULL or writable for `reason_size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vision_engine_readiness(
    engine: *const vision_engine_t,
    reason: *mut c_char,
    reason_size: usize,
    is_ready: *mut u32,
) -> vision_status_t {
    boundary(|| {
        // SAFETY: the caller's promise.
        let place = unsafe { out(is_ready, "is_ready")? };
        if reason.is_null() && reason_size > 0 {
            return Err(null("reason"));
        }
        let readiness = handle::get(engine, "engine")?.engine.readiness();
        if reason_size > 0 {
            let why = readiness.reason().unwrap_or("");
            let why = &why[..why.floor_char_boundary(reason_size - 1)];
            // SAFETY: not NULL, as it has a size, which the text and its NUL fit into.
            unsafe {
                reason.cast::<u8>().copy_from_nonoverlapping(why.as_ptr(), why.len());
                reason.add(why.len()).write(0);
            }
        }
        place.write(readiness.reason().is_none().into());
        Ok(())
    })
}

/// Writes the whole text and its NUL if there is room, and its length in any case.
///
/// # Safety
///
/// `buffer` is NULL or writable for `buffer_size` bytes, `length` is NULL or writable.
pub(crate) unsafe fn give_text(
    text: Result<String>,
    buffer: *mut c_char,
    buffer_size: usize,
    length: *mut usize,
) -> Result<()> {
    // SAFETY: the caller's promise.
    let length = unsafe { out(length, "length")? };
    if buffer.is_null() && buffer_size > 0 {
        return Err(null("buffer"));
    }
    let text = text?;
    if text.len() < buffer_size {
        // SAFETY: not NULL, as it has a size, which the text and its NUL fit into.
        unsafe {
            buffer.cast::<u8>().copy_from_nonoverlapping(text.as_ptr(), text.len());
            buffer.add(text.len()).write(0);
        }
    }
    length.write(text.len());
    Ok(())
}

//! A loaded model, as C holds it.

use crate::boundary::{self, beyond, boundary, c_string, out};
use crate::handle::{self, Handle, Kind, Table};
use crate::load_options::{load_options, vision_load_options_t};
use crate::status::vision_status_t;
use libvision::Model;
use std::ffi::{CString, c_char};
use std::sync::Arc;

/// A loaded and validated model: network, preprocessing and labels, tied to no device. It never changes;
/// any number of threads and engines may use it, and an engine keeps what it needs of it.
pub struct vision_model_t {
    _opaque: (),
}

/// The model, and its texts in the form that C reads.
pub(crate) struct LoadedModel {
    pub(crate) model: Arc<Model>,
    name: CString,
    description: CString,
    labels: Vec<CString>,
}

impl Handle for vision_model_t {
    type Object = LoadedModel;
    const KIND: Kind = Kind::Model;

    fn table() -> &'static Table<LoadedModel> {
        static TABLE: Table<LoadedModel> = Table::new();
        &TABLE
    }
}

/// Loads an .onnx file, a .safetensors file or a model directory. Blocks while it reads. `options` may be
/// NULL. Free the model with vision_model_free().
///
/// # Safety
///
/// Each pointer is NULL or valid: `path` a string, `options` filled, `model` writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vision_model_load(
    path: *const c_char,
    options: *const vision_load_options_t,
    model: *mut *mut vision_model_t,
) -> vision_status_t {
    boundary(|| {
        // SAFETY: the caller's promise.
        let (path, options, place) = unsafe {
            (boundary::path(path, "path")?, load_options(options, "options")?, out(model, "model")?)
        };
        let loaded = Model::load_with(path, &options)?;
        place.write(handle::insert(LoadedModel {
            name: c_string(loaded.name()),
            description: c_string(&loaded.notes().join("\n")),
            labels: loaded.labels().iter().map(|label| c_string(label)).collect(),
            model: Arc::new(loaded),
        })?);
        Ok(())
    })
}

/// Frees the model and the texts that came from it. Engines made from it go on. NULL is fine.
#[unsafe(no_mangle)]
pub extern "C" fn vision_model_free(model: *mut vision_model_t) -> vision_status_t {
    boundary(|| handle::remove(model, "model").map(drop))
}

/// The model's name, from its configuration or its file. Lives as long as the model.
///
/// # Safety
///
/// `name` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vision_model_name(
    model: *const vision_model_t,
    name: *mut *const c_char,
) -> vision_status_t {
    boundary(|| {
        // SAFETY: the caller's promise.
        let place = unsafe { out(name, "name")? };
        place.write(handle::get(model, "model")?.name.as_ptr());
        Ok(())
    })
}

/// What was read and what was done to the network, in lines for people. Lives as long as the model.
///
/// # Safety
///
/// `text` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vision_model_describe(
    model: *const vision_model_t,
    text: *mut *const c_char,
) -> vision_status_t {
    boundary(|| {
        // SAFETY: the caller's promise.
        let place = unsafe { out(text, "text")? };
        place.write(handle::get(model, "model")?.description.as_ptr());
        Ok(())
    })
}

/// The number of labels: one per class, or 0 if the model names none.
///
/// # Safety
///
/// `count` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vision_model_label_count(
    model: *const vision_model_t,
    count: *mut usize,
) -> vision_status_t {
    boundary(|| {
        // SAFETY: the caller's promise.
        let place = unsafe { out(count, "count")? };
        place.write(handle::get(model, "model")?.labels.len());
        Ok(())
    })
}

/// The label of class `index`. Lives as long as the model.
///
/// # Safety
///
/// `label` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vision_model_label(
    model: *const vision_model_t,
    index: usize,
    label: *mut *const c_char,
) -> vision_status_t {
    boundary(|| {
        // SAFETY: the caller's promise.
        let place = unsafe { out(label, "label")? };
        let model = handle::get(model, "model")?;
        let found = model.labels.get(index);
        place.write(found.ok_or_else(|| beyond(index, model.labels.len(), "labels"))?.as_ptr());
        Ok(())
    })
}

//! Loading a model, away from the event loop.

use crate::error::NativeError;
use libvision::Model;
use napi::Status;
use napi::bindgen_prelude::{JsValuesTupleIntoVec, Unknown};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi_derive::napi;
use std::sync::Arc;

/// A loaded model.
#[napi]
pub struct NativeModel {
    pub(crate) model: Arc<Model>,
}

#[napi]
impl NativeModel {
    /// Name from the configuration, or that of the file.
    #[napi(getter)]
    pub fn name(&self) -> &str {
        self.model.name()
    }

    /// One per class; empty if the files name none.
    #[napi(getter)]
    pub fn labels(&self) -> Vec<String> {
        self.model.labels().to_vec()
    }
}

/// What loading gives: one of the two.
#[napi(object, object_from_js = false)]
pub struct LoadedModel {
    /// The model.
    pub model: Option<NativeModel>,
    /// What went wrong.
    pub error: Option<NativeError>,
}

/// Calls JavaScript from another thread; never gives an error of its own.
pub(crate) type Callback<T> = ThreadsafeFunction<T, Unknown<'static>, T, Status, false>;

/// Runs `work` on a thread of its own and hands what it gives to `callback`.
pub(crate) fn in_background<T: JsValuesTupleIntoVec + Send + 'static>(
    callback: Callback<T>,
    work: impl FnOnce() -> T + Send + 'static,
) -> napi::Result<()> {
    let run = move || {
        // A closing environment takes no more calls; nobody is left to be told.
        callback.call(work(), ThreadsafeFunctionCallMode::NonBlocking);
    };
    std::thread::Builder::new().name("libvision-node".into()).spawn(run)?;
    Ok(())
}

/// Loads a model file or directory.
#[napi]
pub fn load_model(path: String, callback: Callback<LoadedModel>) -> napi::Result<()> {
    in_background(callback, move || match Model::load(path) {
        Ok(model) => LoadedModel { model: Some(NativeModel { model: Arc::new(model) }), error: None },
        Err(error) => LoadedModel { model: None, error: Some(error.into()) },
    })
}

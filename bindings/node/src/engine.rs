//! Engines and requests.

use crate::engine_options::NativeEngineOptions;
use crate::error::NativeError;
use crate::image::{NativeImage, NativeInput};
use crate::metrics::NativeMetrics;
use crate::model::{Callback, NativeModel, in_background};
use crate::request_options::NativeRequest;
use crate::result::NativeAnswer;
use libvision::{Canceller, Engine, Error, ErrorKind, Pending, Result};
use napi::threadsafe_function::ThreadsafeFunctionCallMode;
use napi_derive::napi;
use std::sync::Arc;

/// An engine for one model.
#[napi]
pub struct NativeEngine {
    engine: Option<Arc<Engine>>,
}

/// What making an engine gives: one of the two.
#[napi(object, object_from_js = false)]
pub struct CreatedEngine {
    /// The engine.
    pub engine: Option<NativeEngine>,
    /// What went wrong.
    pub error: Option<NativeError>,
}

/// What a change of models gives.
#[napi(object, object_from_js = false)]
pub struct Changed {
    /// What went wrong.
    pub error: Option<NativeError>,
}

/// What measuring a model gives: one of the two.
#[napi(object, object_from_js = false)]
pub struct MeasuredModel {
    /// The snapshot.
    pub metrics: Option<NativeMetrics>,
    /// What went wrong.
    pub error: Option<NativeError>,
}

/// Makes an engine for a model.
#[napi]
pub fn create_engine(
    model: &NativeModel,
    options: NativeEngineOptions,
    callback: Callback<CreatedEngine>,
) -> napi::Result<()> {
    let (model, options) = (model.model.clone(), options.into_options());
    in_background(callback, move || match options.and_then(|options| Engine::new(model, &options)) {
        Ok(engine) => {
            CreatedEngine { engine: Some(NativeEngine { engine: Some(Arc::new(engine)) }), error: None }
        }
        Err(error) => CreatedEngine { engine: None, error: Some(error.into()) },
    })
}

/// The caller's hold on a request under way.
#[napi]
pub struct NativePending {
    canceller: Option<Canceller>,
}

#[napi]
impl NativePending {
    /// Asks for the request to be dropped.
    #[napi]
    pub fn cancel(&self) {
        if let Some(canceller) = &self.canceller {
            canceller.cancel();
        }
    }
}

#[napi]
impl NativeEngine {
    /// Submits a picture; `callback` gets the answer.
    #[napi]
    pub fn submit(
        &self,
        image: NativeImage,
        request: NativeRequest,
        callback: Callback<NativeAnswer>,
    ) -> NativePending {
        let submit = || {
            let engine = self.engine()?;
            engine.submit(image.into_source()?, request.options(engine)?)
        };
        answer(submit(), callback)
    }

    /// Submits input tensors; `callback` gets the answer.
    #[napi]
    pub fn submit_tensors(
        &self,
        inputs: Vec<NativeInput>,
        request: NativeRequest,
        callback: Callback<NativeAnswer>,
    ) -> NativePending {
        let submit = || {
            let engine = self.engine()?;
            let inputs: Vec<_> = inputs.into_iter().map(NativeInput::into_tensor).collect::<Result<_>>()?;
            engine.submit_tensors(inputs, request.options(engine)?)
        };
        answer(submit(), callback)
    }

    /// The device taken.
    #[napi(getter)]
    pub fn device(&self) -> String {
        self.engine.as_ref().map_or(String::new(), |engine| engine.device())
    }

    /// Largest batch, after the model's own limit.
    #[napi(getter)]
    pub fn max_batch_size(&self) -> u32 {
        self.engine.as_ref().map_or(0, |engine| engine.max_batch_size() as u32)
    }

    /// Device, options, plan and memory, for people.
    #[napi]
    pub fn describe(&self) -> String {
        self.engine.as_ref().map_or_else(String::new, |engine| engine.describe())
    }

    /// Loads another model; `callback` is told when it is there, or what went wrong.
    #[napi]
    pub fn load(
        &self,
        name: String,
        model: &NativeModel,
        options: NativeEngineOptions,
        callback: Callback<Changed>,
    ) -> napi::Result<()> {
        let (model, options) = (model.model.clone(), options.into_options());
        self.change(callback, move |engine| engine.load(&name, model, &options?).map(drop))
    }

    /// Hands all later requests to a new version; `callback` is told when the old one is gone.
    #[napi]
    pub fn swap(&self, name: String, model: &NativeModel, callback: Callback<Changed>) -> napi::Result<()> {
        let model = model.model.clone();
        self.change(callback, move |engine| engine.swap(&name, model))
    }

    /// Gives a model's memory back; `callback` is told when that is done.
    #[napi]
    pub fn unload(&self, name: String, callback: Callback<Changed>) -> napi::Result<()> {
        self.change(callback, move |engine| engine.unload(&name))
    }

    fn change(
        &self,
        callback: Callback<Changed>,
        change: impl FnOnce(&Engine) -> Result<()> + Send + 'static,
    ) -> napi::Result<()> {
        let engine = self.engine().cloned();
        in_background(callback, move || {
            let changed = engine.and_then(|engine| change(&engine));
            Changed { error: changed.err().map(Into::into) }
        })
    }

    /// Names of the loaded models, `default` first.
    #[napi(getter)]
    pub fn models(&self) -> Vec<String> {
        self.engine.as_ref().map_or_else(Vec::new, |engine| engine.models())
    }

    /// Everything counted and measured of a model so far, or what went wrong.
    #[napi]
    pub fn metrics(&self, model: String) -> MeasuredModel {
        match self.engine().and_then(|engine| engine.metrics_of(&model)) {
            Ok(metrics) => MeasuredModel { metrics: Some((&metrics).into()), error: None },
            Err(error) => MeasuredModel { metrics: None, error: Some(error.into()) },
        }
    }

    /// The same of all models as text for Prometheus.
    #[napi]
    pub fn prometheus(&self) -> String {
        self.engine.as_ref().map_or_else(String::new, |engine| engine.prometheus())
    }

    /// Why requests should not be sent here; nothing if they should.
    #[napi]
    pub fn unready_reason(&self) -> Option<String> {
        let readiness = self.engine().map(|engine| engine.readiness());
        match readiness {
            Ok(readiness) => readiness.reason().map(str::to_owned),
            Err(error) => Some(error.message().to_owned()),
        }
    }

    /// Answers what was accepted, then stops; `callback` is told when that is done.
    #[napi]
    pub fn close(&self, callback: Callback<bool>) -> napi::Result<()> {
        let engine = self.engine.clone();
        in_background(callback, move || {
            if let Some(engine) = engine {
                engine.close();
            }
            true
        })
    }

    fn engine(&self) -> Result<&Arc<Engine>> {
        self.engine.as_ref().ok_or_else(|| Error::new(ErrorKind::EngineClosed, "the engine is closed"))
    }
}

impl Drop for NativeEngine {
    /// The garbage collector runs on the event loop, which must not wait for work under way.
    fn drop(&mut self) {
        if let Some(engine) = self.engine.take() {
            let spawned =
                std::thread::Builder::new().name("libvision-close".into()).spawn(move || drop(engine));
            // Without a thread the closure, and the engine in it, was dropped here: slower, but right.
            drop(spawned);
        }
    }
}

fn answer(pending: Result<Pending>, callback: Callback<NativeAnswer>) -> NativePending {
    match pending {
        Ok(pending) => {
            let canceller = Some(pending.canceller());
            pending.on_complete(move |answer| {
                callback.call(answer.into(), ThreadsafeFunctionCallMode::NonBlocking);
            });
            NativePending { canceller }
        }
        Err(error) => {
            callback.call(Err(error).into(), ThreadsafeFunctionCallMode::NonBlocking);
            NativePending { canceller: None }
        }
    }
}

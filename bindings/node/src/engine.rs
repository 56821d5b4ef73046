//! Engines and requests.

use crate::error::NativeError;
use crate::image::{NativeImage, NativeInput, whole_number};
use crate::model::{Callback, NativeModel, in_background};
use crate::result::NativeAnswer;
use libvision::{
    Canceller, Engine, EngineOptions, Error, ErrorKind, Pending, RequestOptions, Result, Task, Tuning,
};
use napi::threadsafe_function::ThreadsafeFunctionCallMode;
use napi_derive::napi;
use std::sync::Arc;
use std::time::Duration;

/// Options of an engine; what is not set keeps the core's default.
#[napi(object, object_to_js = false)]
pub struct NativeEngineOptions {
    /// `auto`, `cpu` or `cuda:N`.
    pub device: Option<String>,
    /// Largest batch.
    pub max_batch_size: Option<f64>,
    /// Milliseconds.
    pub max_queue_delay_ms: Option<f64>,
    /// Requests accepted and not yet dispatched.
    pub queue_capacity: Option<f64>,
    /// Threads that decode.
    pub decode_threads: Option<f64>,
    /// Threads that compute.
    pub threads: Option<f64>,
    /// Direct convolution only.
    pub precise: Option<bool>,
    /// Path of a file of `vision tune`; empty goes without.
    pub tuning: Option<String>,
}

/// The core's defaults, in the same shape.
#[napi(object, object_from_js = false)]
pub struct NativeEngineDefaults {
    /// `auto`, `cpu` or `cuda:N`.
    pub device: String,
    /// Largest batch.
    pub max_batch_size: u32,
    /// Milliseconds.
    pub max_queue_delay_ms: f64,
    /// Requests accepted and not yet dispatched.
    pub queue_capacity: u32,
    /// Threads that decode.
    pub decode_threads: u32,
    /// Threads that compute.
    pub threads: u32,
    /// Direct convolution only.
    pub precise: bool,
    /// Empty: none.
    pub tuning: String,
}

/// The options an engine has if none are given.
#[napi]
pub fn engine_defaults() -> NativeEngineDefaults {
    let options = EngineOptions::default();
    NativeEngineDefaults {
        device: options.device,
        max_batch_size: options.max_batch_size as u32,
        max_queue_delay_ms: options.max_queue_delay.as_secs_f64() * 1e3,
        queue_capacity: options.queue_capacity as u32,
        decode_threads: options.decode_threads as u32,
        threads: options.threads as u32,
        precise: options.precise,
        tuning: String::new(),
    }
}

impl NativeEngineOptions {
    fn into_options(self) -> Result<EngineOptions> {
        let mut options = EngineOptions::default();
        let set = |name: &str, value: Option<f64>, target: &mut usize| -> Result<()> {
            if let Some(value) = value {
                *target = whole_number(name, value)?;
            }
            Ok(())
        };
        set("maxBatchSize", self.max_batch_size, &mut options.max_batch_size)?;
        set("queueCapacity", self.queue_capacity, &mut options.queue_capacity)?;
        set("decodeThreads", self.decode_threads, &mut options.decode_threads)?;
        set("threads", self.threads, &mut options.threads)?;
        if let Some(delay) = self.max_queue_delay_ms {
            options.max_queue_delay = milliseconds("maxQueueDelayMs", delay)?;
        }
        if let Some(precise) = self.precise {
            options.precise = precise;
        }
        if let Some(path) = self.tuning.filter(|path| !path.is_empty()) {
            options.tuning = Some(Arc::new(Tuning::read(path)?));
        }
        if let Some(device) = self.device {
            options.device = device;
        }
        Ok(options)
    }
}

fn milliseconds(name: &str, value: f64) -> Result<Duration> {
    Duration::try_from_secs_f64(value / 1e3).map_err(|_| {
        let message = format!("{name} must be a time in milliseconds that is not negative, found {value}");
        Error::new(ErrorKind::InvalidArgument, message)
    })
}

/// One request.
#[napi(object, object_to_js = false)]
pub struct NativeRequest {
    /// `classify`, `embed` or `run`.
    pub task: String,
    /// For `classify`.
    pub top_k: Option<f64>,
    /// For `classify`.
    pub min_score: Option<f64>,
    /// Milliseconds from acceptance.
    pub deadline_ms: Option<f64>,
}

impl NativeRequest {
    fn options(&self) -> Result<RequestOptions> {
        let task = match self.task.as_str() {
            "embed" => Task::Embed,
            "run" => Task::Run,
            _ => {
                let Task::Classify { mut top_k, mut min_score } = Task::default() else {
                    return Err(Error::new(ErrorKind::Internal, "the default task is not to classify"));
                };
                if let Some(value) = self.top_k {
                    top_k = whole_number("topK", value)?;
                }
                if let Some(value) = self.min_score {
                    min_score = value as f32;
                }
                Task::Classify { top_k, min_score }
            }
        };
        let deadline = self.deadline_ms.map(|value| milliseconds("deadlineMs", value)).transpose()?;
        Ok(RequestOptions { task, deadline, ..RequestOptions::default() })
    }
}

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
        let submit = || self.engine()?.submit(image.into_source()?, request.options()?);
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
            let inputs = inputs.into_iter().map(NativeInput::into_tensor).collect::<Result<_>>()?;
            self.engine()?.submit_tensors(inputs, request.options()?)
        };
        answer(submit(), callback)
    }

    /// The device taken.
    #[napi(getter)]
    pub fn device(&self) -> &str {
        self.engine.as_ref().map_or("", |engine| engine.device())
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

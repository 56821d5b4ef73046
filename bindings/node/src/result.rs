//! Answers as JavaScript sees them.

use crate::error::NativeError;
use libvision::{Response, Result, Tensor, Timing};
use napi::bindgen_prelude::Float32Array;
use napi_derive::napi;
use std::time::Duration;

/// One label with its score.
#[napi(object, object_from_js = false)]
pub struct NativePrediction {
    /// The class's name.
    pub label: String,
    /// Between 0 and 1 for softmax and sigmoid heads.
    pub score: f64,
    /// Position among the model's classes.
    pub class_index: u32,
}

/// One output tensor.
#[napi(object, object_from_js = false)]
pub struct NativeTensor {
    /// Name of the model's output.
    pub name: String,
    /// Sizes of the axes.
    pub shape: Vec<u32>,
    /// Row-major elements.
    pub data: Float32Array,
}

/// Where the time went, in milliseconds.
#[napi(object, object_from_js = false)]
pub struct NativeTiming {
    /// Waiting for a decode thread.
    pub queue: f64,
    /// Bytes to pixels.
    pub decode: f64,
    /// Pixels to the slot of the batch.
    pub preprocess: f64,
    /// Waiting for the batch to close and for a worker.
    pub batch_wait: f64,
    /// The network.
    pub compute: f64,
    /// Scores to labels.
    pub postprocess: f64,
    /// From acceptance to the answer.
    pub total: f64,
}

impl From<&Timing> for NativeTiming {
    fn from(timing: &Timing) -> Self {
        let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
        Self {
            queue: ms(timing.queue),
            decode: ms(timing.decode),
            preprocess: ms(timing.preprocess),
            batch_wait: ms(timing.batch_wait),
            compute: ms(timing.compute),
            postprocess: ms(timing.postprocess),
            total: ms(timing.total),
        }
    }
}

/// An answer: either `error`, or everything else.
#[napi(object, object_from_js = false)]
pub struct NativeAnswer {
    /// What went wrong.
    pub error: Option<NativeError>,
    /// Best first.
    pub predictions: Vec<NativePrediction>,
    /// Output tensors, for the tasks that give some.
    pub outputs: Vec<NativeTensor>,
    /// Images in the same batch.
    pub batch_size: u32,
    /// Where the time went.
    pub timing: Option<NativeTiming>,
    /// As the request had it.
    pub traceparent: Option<String>,
}

impl From<Result<Response>> for NativeAnswer {
    fn from(answer: Result<Response>) -> Self {
        answer.and_then(from_response).unwrap_or_else(|error| Self {
            error: Some(error.into()),
            predictions: Vec::new(),
            outputs: Vec::new(),
            batch_size: 0,
            timing: None,
            traceparent: None,
        })
    }
}

fn from_response(response: Response) -> Result<NativeAnswer> {
    let predictions = response.predictions.into_iter().map(|p| NativePrediction {
        label: p.label,
        score: f64::from(p.score),
        class_index: p.class_index as u32,
    });
    let outputs = response.outputs.into_iter().map(|(name, tensor)| from_tensor(name, &tensor));
    Ok(NativeAnswer {
        error: None,
        predictions: predictions.collect(),
        outputs: outputs.collect::<Result<_>>()?,
        batch_size: response.batch_size as u32,
        timing: Some((&response.timing).into()),
        traceparent: response.trace_context.map(|context| context.to_string()),
    })
}

fn from_tensor(name: String, tensor: &Tensor) -> Result<NativeTensor> {
    let shape = tensor.shape().iter().map(|&size| size as u32).collect();
    Ok(NativeTensor { name, shape, data: Float32Array::new(tensor.to_f32()?.into_owned()) })
}

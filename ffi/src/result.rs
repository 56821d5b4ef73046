//! The answer to one request, read in place.

use crate::abi::write;
use crate::boundary::{beyond, boundary, c_string, out};
use crate::handle::{self, Handle, Kind, Table};
use crate::status::vision_status_t;
use crate::tensor::{OutputTensor, vision_tensor_t};
use libvision::{Error, ErrorKind, Response, Result, Tensor, Timing};
use std::ffi::{CString, c_char};
use std::time::Duration;

/// The answer to one request. It never changes; what is read from it lives until it is freed, longer than
/// the engine if need be.
pub struct vision_result_t {
    _opaque: (),
}

/// One label with its score. This struct never grows.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct vision_prediction_t {
    /// The class's name, or its index in decimal if the model names none. Lives as long as the result.
    pub label: *const c_char,
    /// Position among the model's classes.
    pub class_index: u32,
    /// Between 0 and 1 for softmax and sigmoid heads.
    pub score: f32,
}

/// Where the time of one request went, in nanoseconds. The parts add up to `total_ns`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct vision_timing_t {
    /// Accepted, waiting for a decode thread.
    pub queue_ns: u64,
    /// Bytes to pixels.
    pub decode_ns: u64,
    /// Pixels to the place in the batch.
    pub preprocess_ns: u64,
    /// Waiting for the batch to close and for a worker.
    pub batch_wait_ns: u64,
    /// The network, with copies to and from the device.
    pub compute_ns: u64,
    /// Scores to labels.
    pub postprocess_ns: u64,
    /// From acceptance to the answer.
    pub total_ns: u64,
}

/// Name of the output that holds the pooled feature.
const EMBEDDING: &str = "embedding";

/// A response in the form that C reads.
pub(crate) struct Answer {
    predictions: Vec<(CString, u32, f32)>,
    outputs: Vec<OutputTensor>,
    embedding: Option<Vec<f32>>,
    batch_size: usize,
    timing: Timing,
    traceparent: Option<CString>,
}

impl Answer {
    pub(crate) fn new(response: &Response) -> Result<Self> {
        let embedding = response.outputs.iter().find(|(name, _)| name == EMBEDDING);
        Ok(Self {
            predictions: response
                .predictions
                .iter()
                .map(|p| (c_string(&p.label), p.class_index as u32, p.score))
                .collect(),
            outputs: response
                .outputs
                .iter()
                .map(|(name, tensor)| OutputTensor::new(name, tensor))
                .collect::<Result<_>>()?,
            embedding: embedding.map(|(_, tensor)| floats(tensor)).transpose()?,
            batch_size: response.batch_size,
            timing: response.timing,
            traceparent: response.trace_context.map(|context| c_string(&context.to_string())),
        })
    }
}

fn floats(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(tensor.to_f32()?.into_owned())
}

impl Handle for vision_result_t {
    type Object = Answer;
    const KIND: Kind = Kind::Result;

    fn table() -> &'static Table<Answer> {
        static TABLE: Table<Answer> = Table::new();
        &TABLE
    }
}

/// Frees the result and everything that was read from it. NULL is fine.
#[unsafe(no_mangle)]
pub extern "C" fn vision_result_free(result: *mut vision_result_t) -> vision_status_t {
    boundary(|| handle::remove(result, "result").map(drop))
}

/// The number of predictions; 0 unless labels were asked for.
///
/// # Safety
///
/// `count` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vision_result_prediction_count(
    result: *const vision_result_t,
    count: *mut usize,
) -> vision_status_t {
    boundary(|| {
        // SAFETY: the caller's promise.
        let place = unsafe { out(count, "count")? };
        place.write(handle::get(result, "result")?.predictions.len());
        Ok(())
    })
}

/// The prediction at `index`, 0 being the best.
///
/// # Safety
///
/// `prediction` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vision_result_prediction(
    result: *const vision_result_t,
    index: usize,
    prediction: *mut vision_prediction_t,
) -> vision_status_t {
    boundary(|| {
        // SAFETY: the caller's promise.
        let place = unsafe { out(prediction, "prediction")? };
        let answer = handle::get(result, "result")?;
        let found = answer.predictions.get(index);
        let (label, class_index, score) =
            found.ok_or_else(|| beyond(index, answer.predictions.len(), "predictions"))?;
        place.write(vision_prediction_t { label: label.as_ptr(), class_index: *class_index, score: *score });
        Ok(())
    })
}

/// The pooled feature before the classifier, `length` floats; VISION_STATUS_OUTPUT_MISSING if the request
/// did not ask for it. Lives as long as the result.
///
/// # Safety
///
/// `values` and `length` are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vision_result_embedding(
    result: *const vision_result_t,
    values: *mut *const f32,
    length: *mut usize,
) -> vision_status_t {
    boundary(|| {
        // SAFETY: the caller's promise.
        let (values, length) = unsafe { (out(values, "values")?, out(length, "length")?) };
        let answer = handle::get(result, "result")?;
        let embedding = answer.embedding.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::OutputMissing, "this request did not ask for the embedding")
        })?;
        values.write(embedding.as_ptr());
        length.write(embedding.len());
        Ok(())
    })
}

/// The number of output tensors; 0 unless they, or the embedding, were asked for.
///
/// # Safety
///
/// `count` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vision_result_output_count(
    result: *const vision_result_t,
    count: *mut usize,
) -> vision_status_t {
    boundary(|| {
        // SAFETY: the caller's promise.
        let place = unsafe { out(count, "count")? };
        place.write(handle::get(result, "result")?.outputs.len());
        Ok(())
    })
}

/// The output tensor at `index`, in the model's order. What it points at lives as long as the result.
///
/// # Safety
///
/// `output` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vision_result_output(
    result: *const vision_result_t,
    index: usize,
    output: *mut vision_tensor_t,
) -> vision_status_t {
    boundary(|| {
        // SAFETY: the caller's promise.
        let place = unsafe { out(output, "output")? };
        let answer = handle::get(result, "result")?;
        let found = answer.outputs.get(index);
        place.write(found.ok_or_else(|| beyond(index, answer.outputs.len(), "outputs"))?.view());
        Ok(())
    })
}

/// How many images ran in the same batch, this one included.
///
/// # Safety
///
/// `batch_size` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vision_result_batch_size(
    result: *const vision_result_t,
    batch_size: *mut u32,
) -> vision_status_t {
    boundary(|| {
        // SAFETY: the caller's promise.
        let place = unsafe { out(batch_size, "batch_size")? };
        place.write(handle::get(result, "result")?.batch_size as u32);
        Ok(())
    })
}

/// The `traceparent` that the request came with, NULL if it had none or a malformed one. Lives as long as the
/// result.
///
/// # Safety
///
/// `traceparent` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vision_result_traceparent(
    result: *const vision_result_t,
    traceparent: *mut *const c_char,
) -> vision_status_t {
    boundary(|| {
        // SAFETY: the caller's promise.
        let place = unsafe { out(traceparent, "traceparent")? };
        let answer = handle::get(result, "result")?;
        place.write(answer.traceparent.as_ref().map_or(std::ptr::null(), |text| text.as_ptr()));
        Ok(())
    })
}

/// Where the request's time went. `timing_size` is sizeof(vision_timing_t).
///
/// # Safety
///
/// `timing` is NULL or writable for `timing_size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vision_result_timing(
    result: *const vision_result_t,
    timing: *mut vision_timing_t,
    timing_size: usize,
) -> vision_status_t {
    boundary(|| {
        let given = handle::get(result, "result")?.timing;
        let nanoseconds = |part: Duration| part.as_nanos() as u64;
        let filled = vision_timing_t {
            queue_ns: nanoseconds(given.queue),
            decode_ns: nanoseconds(given.decode),
            preprocess_ns: nanoseconds(given.preprocess),
            batch_wait_ns: nanoseconds(given.batch_wait),
            compute_ns: nanoseconds(given.compute),
            postprocess_ns: nanoseconds(given.postprocess),
            total_ns: nanoseconds(given.total),
        };
        // SAFETY: the caller's promise.
        unsafe { write(timing, timing_size, filled, "timing") }
    })
}

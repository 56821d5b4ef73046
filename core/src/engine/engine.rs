//! The engine: one model on one device, behind a queue that batches.

use super::config::EngineOptions;
use super::pending::Pending;
use super::request::{RequestOptions, Response};
use crate::error::{Error, ErrorKind, Result};
use crate::image::ImageSource;
use crate::model::Model;
use crate::tensor::Tensor;
use std::sync::Arc;

/// Takes pictures or tensors from any number of threads, forms batches, and answers each request once.
///
/// Two engines in one process do not disturb each other. Dropping an engine closes it.
pub struct Engine {
    model: Arc<Model>,
}

impl Engine {
    /// Prepares `model` for the device, takes all memory and starts the threads.
    pub fn new(model: Arc<Model>, _options: &EngineOptions) -> Result<Self> {
        Ok(Self { model })
    }

    /// Accepts a picture, or refuses at once (`QUEUE_FULL`, `IMAGE_TOO_COSTLY`, `ENGINE_CLOSED`, ...).
    /// Never blocks on other requests.
    pub fn submit(&self, _image: ImageSource, _options: RequestOptions) -> Result<Pending> {
        Err(Error::new(ErrorKind::Internal, "no engine"))
    }

    /// Accepts input tensors by name, already preprocessed; the first axis is the number of images, at
    /// most `max_batch_size`. `options.task` may be any task.
    pub fn submit_tensors(
        &self,
        _inputs: Vec<(String, Tensor)>,
        _options: RequestOptions,
    ) -> Result<Pending> {
        Err(Error::new(ErrorKind::Internal, "no engine"))
    }

    /// Submits and waits.
    pub fn classify(&self, image: ImageSource, options: RequestOptions) -> Result<Response> {
        self.submit(image, options)?.wait()
    }

    /// The model.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// The device taken, `cpu` or `cuda:N`.
    pub fn device(&self) -> &str {
        "cpu"
    }

    /// Largest batch, after the model's own limit.
    pub fn max_batch_size(&self) -> usize {
        1
    }

    /// Device and why, options in force, plan, fusions, memory; for people.
    pub fn describe(&self) -> String {
        String::new()
    }

    /// Accepts nothing more, answers what was accepted, then stops the threads. Idempotent.
    pub fn close(&self) {}
}

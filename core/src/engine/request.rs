//! What a caller asks for and what it gets.

use super::machine::Priority;
use super::model_id::ModelId;
use super::tenant::Tenant;
use super::trace_context::TraceContext;
use crate::tensor::Tensor;
use std::time::Duration;

/// What is wanted from a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Task {
    /// Labels with scores, best first.
    Classify {
        /// At most this many, at least 1.
        top_k: usize,
        /// None below this score.
        min_score: f32,
    },
    /// The pooled feature before the classifier.
    Embed,
    /// Every output tensor as it is, without softmax.
    Run,
}

impl Default for Task {
    fn default() -> Self {
        Task::Classify { top_k: 5, min_score: 0.0 }
    }
}

/// One request.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RequestOptions {
    /// What is wanted.
    pub task: Task,
    /// Time from acceptance within which the answer is of use; none by default. What cannot be kept is
    /// refused with `DEADLINE_INFEASIBLE`, what is not kept is answered with `DEADLINE_EXCEEDED`, on time.
    pub deadline: Option<Duration>,
    /// Urgent requests go first; who has waited for long rises.
    pub priority: Priority,
    /// Whose request it is; see [`Engine::tenant`](super::Engine::tenant).
    pub tenant: Tenant,
    /// The distributed trace that it belongs to: carried to the answer and into the request's span.
    pub trace_context: Option<TraceContext>,
    /// Which of the engine's models it is for; see [`Engine::model_id`](super::Engine::model_id). The one that the
    /// engine was made with, if nothing is said.
    pub model: ModelId,
}

/// One label with its score.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prediction {
    /// Position among the model's classes.
    pub class_index: usize,
    /// The class's name, or its index in decimal if the model names none.
    pub label: String,
    /// Between 0 and 1 for softmax and sigmoid heads.
    pub score: f32,
}

/// Where the time of one request went. The parts add up to `total`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// Accepted, waiting for a decode thread.
    pub queue: Duration,
    /// Bytes to pixels.
    pub decode: Duration,
    /// Pixels to the slot of the batch.
    pub preprocess: Duration,
    /// Waiting for the batch to close and for a worker.
    pub batch_wait: Duration,
    /// The network, with copies to and from the device.
    pub compute: Duration,
    /// Scores to labels.
    pub postprocess: Duration,
    /// From acceptance to the answer.
    pub total: Duration,
}

/// The answer to one request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Response {
    /// For [`Task::Classify`], best first; equal scores in order of their class index.
    pub predictions: Vec<Prediction>,
    /// For [`Task::Embed`] the feature under the name `embedding`, for [`Task::Run`] every output; each
    /// with a batch axis of the request's own size (1 for a picture).
    pub outputs: Vec<(String, Tensor)>,
    /// How many images ran in the same batch, this one included.
    pub batch_size: usize,
    /// Where the time went.
    pub timing: Timing,
    /// As the request had it.
    pub trace_context: Option<TraceContext>,
}

//! What the engine's threads hand to each other: each stage takes a value of the last one and owns it.

use super::clock::Time;
use super::machine::{Place, RequestId, RunId};
use super::request::{RequestOptions, Response};
use crate::error::Result;
use crate::image::{ImageSource, Pixels};
use crate::tensor::Tensor;
use smallvec::SmallVec;

/// Input tensors in the executable's order, in place for as many as most models have.
pub(super) type Tensors = SmallVec<[Tensor; 2]>;

/// What a request brings.
pub(super) enum Input {
    /// A picture to decode and preprocess.
    Image(ImageSource),
    /// Already preprocessed.
    Tensors(Tensors),
}

/// Accepted; waits for a decoder.
pub(super) struct Request {
    pub(super) id: RequestId,
    pub(super) input: Input,
    pub(super) options: RequestOptions,
    pub(super) accepted: Time,
}

/// What a request became by decoding.
pub(super) enum Decoded {
    Pixels(Pixels),
    Tensors(Tensors),
}

/// Decoded; waits for a place.
pub(super) struct DecodedRequest {
    pub(super) id: RequestId,
    pub(super) content: Decoded,
    pub(super) options: RequestOptions,
    pub(super) stamps: Stamps,
}

/// Written into its slots; waits for its batch to run, twice if that is split.
#[derive(Clone, Copy)]
pub(super) struct StagedRequest {
    pub(super) id: RequestId,
    pub(super) options: RequestOptions,
    pub(super) stamps: Stamps,
    /// Bytes that it takes in the slot for pictures, where the device is to preprocess it.
    pub(super) picture: Option<usize>,
}

/// Complete; for a worker, and back with its answers.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) run: RunId,
    pub(super) staging: usize,
    /// Images to run: those of the members, filled up to a bucket.
    pub(super) size: usize,
    /// In order of the slots.
    pub(super) members: Vec<(StagedRequest, Place)>,
    /// None before it has run.
    pub(super) answers: Answers,
}

/// What a worker is told.
pub(super) enum WorkerCommand {
    /// A batch will come in a moment.
    LookOut,
    Run(Batch),
    /// Run an image whose answer is known.
    Test(RunId),
}

/// Answers by request.
pub(super) type Answers = Vec<(RequestId, Result<Response>)>;

/// Moments in the life of a request, each after those before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamps {
    pub(super) accepted: Time,
    /// A decoder took it.
    pub(super) taken: Time,
    /// It is pixels.
    pub(super) decoded: Time,
    /// It has a place.
    pub(super) placed: Time,
    /// It is in its slots.
    pub(super) filled: Time,
}

/// A request that has a place, to be written there.
pub(super) struct Fill {
    /// The seat at the machine that it is done for, whichever thread does it.
    pub(super) decoder: usize,
    pub(super) request: DecodedRequest,
    pub(super) staging: usize,
    pub(super) place: Place,
}

/// What a decoder is told.
pub(super) enum DecoderCommand {
    Decode(Request),
    Fill(Fill),
}

//! Decoders: threads that turn a request into pixels, and pixels into the slots of its batch.

use super::hand_over::{Decoded, DecodedRequest, DecoderCommand, Input, Request, StagedRequest, Stamps};
use super::machine::Place;
use super::panic::contained;
use super::scheduler::Scheduler;
use super::staging::Staging;
use crate::error::{Error, ErrorKind, Result};
use crate::image::{self, DecodeLimits};
use crate::preprocess::CpuPreprocessor;
use crossbeam::channel::Receiver;
use std::sync::Arc;

/// One decoder.
pub(super) struct Decoder {
    pub(super) index: usize,
    pub(super) scheduler: Arc<Scheduler>,
    pub(super) commands: Receiver<DecoderCommand>,
    pub(super) stagings: Arc<[Staging]>,
    pub(super) limits: DecodeLimits,
    /// Missing where the model takes no pictures, which admission sees to.
    pub(super) preprocessor: Option<Arc<CpuPreprocessor>>,
}

impl Decoder {
    /// Does as told until the engine has closed.
    pub(super) fn run(self) {
        let mut held = None;
        for command in &self.commands {
            match command {
                DecoderCommand::Decode(request) => {
                    let id = request.id;
                    let outcome = contained("decoding a request", || self.decode(request));
                    let outcome = outcome.map(|decoded| held = Some(decoded));
                    self.scheduler.decoded(self.index, id, outcome);
                }
                DecoderCommand::Fill { staging, place } => {
                    let request = held.take();
                    let outcome = contained("preprocessing a request", || self.fill(request, staging, place));
                    self.scheduler.filled(self.index, place.id, outcome);
                }
                DecoderCommand::Discard => held = None,
            }
        }
    }

    fn decode(&self, request: Request) -> Result<DecodedRequest> {
        let Request { id, input, options, accepted } = request;
        let taken = self.scheduler.now();
        let content = match input {
            Input::Image(source) => {
                let turns = self.preprocessor.as_ref().is_some_and(|p| p.spec().apply_orientation);
                Decoded::Pixels(image::load(&source, &self.limits, turns)?)
            }
            Input::Tensors(tensors) => Decoded::Tensors(tensors),
        };
        let decoded = self.scheduler.now();
        let stamps = Stamps { accepted, taken, decoded, placed: decoded, filled: decoded };
        Ok(DecodedRequest { id, content, options, stamps })
    }

    fn fill(&self, request: Option<DecodedRequest>, staging: usize, place: Place) -> Result<StagedRequest> {
        let placed = self.scheduler.now();
        let request = request.filter(|request| request.id == place.id);
        let Some(DecodedRequest { id, content, options, stamps }) = request else {
            return Err(Error::new(
                ErrorKind::Internal,
                "a decoder was told to fill in what it does not hold",
            ));
        };
        let mut leases = self.stagings[staging].lease(place.first_slot..place.first_slot + place.slots)?;
        match (content, leases.as_mut_slice(), &self.preprocessor) {
            (Decoded::Pixels(pixels), [slot], Some(preprocessor)) => preprocessor.run(&pixels, slot)?,
            (Decoded::Pixels(_), ..) => {
                return Err(Error::new(ErrorKind::Internal, "a picture came to a model that takes none"));
            }
            (Decoded::Tensors(tensors), slots, _) => {
                for (slot, tensor) in slots.iter_mut().zip(&tensors) {
                    slot.copy_from_slice(&tensor.elements::<f32>()?);
                }
            }
        }
        let stamps = Stamps { placed, filled: self.scheduler.now(), ..stamps };
        Ok(StagedRequest { id, options, stamps })
    }
}

//! Decoders: threads that turn a request into pixels, and pixels into the slots of its batch.

use super::clock::Time;
use super::hand_over::{
    Decoded, DecodedRequest, DecoderCommand, Fill, Input, Request, StagedRequest, Stamps,
};
use super::panic::contained;
use super::scheduler::Scheduler;
use super::staging::Staging;
use crate::backend::PictureLoader;
use crate::error::{Error, ErrorKind, Result};
use crate::image::{self, DecodeLimits, Pixels};
use crate::preprocess::CpuPreprocessor;
use crossbeam::channel::Receiver;
use std::ops::Range;
use std::sync::Arc;

/// One decoder.
pub(super) struct Decoder {
    pub(super) index: usize,
    pub(super) scheduler: Arc<Scheduler>,
    pub(super) commands: Receiver<DecoderCommand>,
    pub(super) limits: DecodeLimits,
    pub(super) filler: Arc<Filler>,
}

/// Writes requests into their slots, on whichever thread has one to write.
pub(super) struct Filler {
    pub(super) stagings: Arc<[Staging]>,
    /// Missing where the model takes no pictures, which admission sees to.
    pub(super) preprocessor: Option<CpuPreprocessor>,
    /// Missing where the device preprocesses no pictures.
    pub(super) loader: Option<Arc<dyn PictureLoader>>,
}

impl Decoder {
    /// Does as told until the engine has closed.
    pub(super) fn run(self) {
        for command in &self.commands {
            let fill = match command {
                DecoderCommand::Decode(request) => {
                    let id = request.id;
                    let outcome = contained("decoding a request", || self.decode(request));
                    self.scheduler.decoded(self.index, id, outcome)
                }
                DecoderCommand::Fill(fill) => Some(fill),
            };
            if let Some(fill) = fill {
                self.filler.fill(fill, &self.scheduler);
            }
        }
    }

    fn decode(&self, request: Request) -> Result<DecodedRequest> {
        let Request { id, input, options, accepted } = request;
        let taken = self.scheduler.now();
        let content = match input {
            Input::Image(source) => {
                let preprocessor = self.filler.preprocessor.as_ref();
                let turns = preprocessor.is_some_and(|p| p.spec().apply_orientation);
                Decoded::Pixels(image::load(&source, &self.limits, turns)?)
            }
            Input::Tensors(tensors) => Decoded::Tensors(tensors),
        };
        let decoded = self.scheduler.now();
        let stamps = Stamps { accepted, taken, decoded, placed: decoded, filled: decoded };
        Ok(DecodedRequest { id, content, options, stamps })
    }
}

impl Filler {
    /// Does it and says so; see [`Scheduler::filled`].
    pub(super) fn fill(&self, fill: Fill, scheduler: &Scheduler) -> Option<Time> {
        let (decoder, id) = (fill.decoder, fill.request.id);
        let outcome = contained("preprocessing a request", || self.write(fill, scheduler));
        scheduler.filled(decoder, id, outcome)
    }

    fn write(&self, fill: Fill, scheduler: &Scheduler) -> Result<StagedRequest> {
        let placed = scheduler.now();
        let Fill { request: DecodedRequest { id, content, options, stamps }, staging, place, .. } = fill;
        let (staging, slots) = (&self.stagings[staging], place.first_slot..place.first_slot + place.slots);
        let picture = match &content {
            Decoded::Pixels(pixels) => self.load(pixels, staging, slots.clone())?,
            Decoded::Tensors(_) => None,
        };
        let mut leases = staging.lease(slots)?;
        match (content, leases.as_mut_slice(), &self.preprocessor) {
            (Decoded::Pixels(_), ..) if picture.is_some() => {}
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
        let stamps = Stamps { placed, filled: scheduler.now(), ..stamps };
        Ok(StagedRequest { id, options, stamps, picture })
    }

    /// Puts a picture where the device takes it from and says how many bytes it has there; `None` if the host is to
    /// preprocess it.
    fn load(&self, pixels: &Pixels, staging: &Staging, slots: Range<usize>) -> Result<Option<usize>> {
        match (&self.loader, staging.lease_pictures(slots)?) {
            (Some(loader), Some(mut slots)) => loader.load(pixels, slots.slot_mut(0)),
            _ => Ok(None),
        }
    }
}

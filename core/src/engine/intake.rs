//! Decode threads: from a picture or tensors to the slots of a batch, written once.

use super::shared::{Payload, PrepareJob, Shared, Stamps};
use super::staging::Staging;
use crate::error::{Error, ErrorKind, Result};
use crate::image::{self, DecodeLimits};
use crate::preprocess::CpuPreprocessor;
use crossbeam::channel::Receiver;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// What a decode thread works with.
#[derive(Clone)]
pub(super) struct Intake {
    pub(super) shared: Arc<Shared>,
    pub(super) jobs: Receiver<PrepareJob>,
    pub(super) stagings: Arc<[Staging]>,
    pub(super) limits: DecodeLimits,
    /// Missing where the model takes no pictures, which admission sees to.
    pub(super) preprocessor: Option<Arc<CpuPreprocessor>>,
}

impl Intake {
    /// Prepares requests until the engine has closed.
    pub(super) fn run(self) {
        for job in &self.jobs {
            let id = job.place.id;
            let outcome = catch_unwind(AssertUnwindSafe(|| self.prepare(job)));
            let panicked =
                |_| Err(Error::new(ErrorKind::Internal, "a decode thread panicked on this request"));
            self.shared.prepared(id, outcome.unwrap_or_else(panicked));
        }
    }

    fn prepare(&self, job: PrepareJob) -> Result<Stamps> {
        let mut stamps = Stamps { started: self.shared.now(), ..Stamps::default() };
        let slots = job.place.first_slot..job.place.first_slot + job.place.slots;
        let leases = self.stagings[job.staging].lease(slots);
        let mut leases = leases.ok_or_else(|| Error::new(ErrorKind::Internal, "a slot is in use twice"))?;
        match (job.payload, &self.preprocessor, leases.as_mut_slice()) {
            (Payload::Image(source), Some(preprocessor), [slot]) => {
                let orientation = preprocessor.spec().apply_orientation;
                let pixels = image::load(&source, &self.limits, orientation)?;
                drop(source);
                stamps.decoded = self.shared.now();
                preprocessor.run(&pixels, slot)?;
            }
            (Payload::Tensors(tensors), _, slots) => {
                stamps.decoded = self.shared.now();
                for (slot, tensor) in slots.iter_mut().zip(&tensors) {
                    slot.copy_from_slice(&tensor.elements::<f32>()?);
                }
            }
            _ => return Err(Error::new(ErrorKind::Internal, "a picture for a model that takes none")),
        }
        stamps.prepared = self.shared.now();
        Ok(stamps)
    }
}

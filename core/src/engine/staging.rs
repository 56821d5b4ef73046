//! The buffers that batches are built in, one set for each batch under way; all taken at the start.

use crate::backend::TensorSpec;
use crate::error::{Error, ErrorKind, Result};
use crate::memory::{AlignedFloats, SlotBuffer, SlotLease};
use smallvec::SmallVec;
use std::ops::Range;
use std::sync::Arc;

/// Input slots of one batch: a row of slots for each of the executable's inputs, and one for pictures if the device
/// preprocesses them.
pub(super) struct Staging {
    inputs: Vec<Arc<SlotBuffer>>,
    pictures: Option<Arc<SlotBuffer>>,
}

impl Staging {
    /// Fails with `OUT_OF_MEMORY`. `picture_bytes` is what one picture takes on the way to the device.
    pub(super) fn new(
        inputs: &[TensorSpec],
        picture_bytes: Option<usize>,
        max_batch_size: usize,
    ) -> Result<Self> {
        let buffer = |spec: &TensorSpec| {
            SlotBuffer::new(max_batch_size, spec.elements_per_image())
                .map_err(|error| error.context(format_args!("staging buffer of input {:?}", spec.name)))
        };
        let pictures = picture_bytes.map(|bytes| {
            SlotBuffer::new(max_batch_size, bytes.div_ceil(size_of::<f32>()))
                .map_err(|error| error.context("staging buffer of pictures"))
        });
        Ok(Self {
            inputs: inputs.iter().map(buffer).collect::<Result<_>>()?,
            pictures: pictures.transpose()?,
        })
    }

    /// The slots of each input. Fails if somebody else holds one of them: a defect of the engine.
    pub(super) fn lease(&self, slots: Range<usize>) -> Result<SmallVec<[SlotLease; 2]>> {
        let leases: Option<SmallVec<_>> =
            self.inputs.iter().map(|buffer| buffer.lease(slots.clone())).collect();
        leases.ok_or_else(|| given_out_twice(&slots))
    }

    /// The slots of pictures, in bytes; `None` if the device preprocesses none. Fails as [`Staging::lease`].
    pub(super) fn lease_pictures(&self, slots: Range<usize>) -> Result<Option<PictureSlots>> {
        let Some(buffer) = &self.pictures else { return Ok(None) };
        let lease = buffer.lease(slots.clone()).ok_or_else(|| given_out_twice(&slots))?;
        Ok(Some(PictureSlots { slot_bytes: lease.len() / slots.len().max(1) * size_of::<f32>(), lease }))
    }
}

fn given_out_twice(slots: &Range<usize>) -> Error {
    Error::new(ErrorKind::Internal, format!("slots {slots:?} of a batch were given out twice"))
}

/// Neighbouring slots of pictures, held alone until this is dropped.
pub(super) struct PictureSlots {
    lease: SlotLease,
    slot_bytes: usize,
}

impl PictureSlots {
    /// The slot of this number, counted from the first that is held.
    pub(super) fn slot(&self, slot: usize) -> &[u8] {
        &bytemuck::cast_slice(&self.lease)[slot * self.slot_bytes..][..self.slot_bytes]
    }

    /// As [`PictureSlots::slot`], to write.
    pub(super) fn slot_mut(&mut self, slot: usize) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.lease)[slot * self.slot_bytes..][..self.slot_bytes]
    }
}

/// Buffers for what a batch gives, one for each of the executable's outputs. Fails with `OUT_OF_MEMORY`.
pub(super) fn output_buffers(outputs: &[TensorSpec], max_batch_size: usize) -> Result<Vec<AlignedFloats>> {
    let buffer = |spec: &TensorSpec| {
        AlignedFloats::zeroed(max_batch_size.saturating_mul(spec.elements_per_image()))
            .map_err(|error| error.context(format_args!("buffer of output {:?}", spec.name)))
    };
    outputs.iter().map(buffer).collect()
}

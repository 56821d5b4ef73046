//! The buffers that batches are built in, one set for each batch under way; all taken at the start.

use crate::backend::TensorSpec;
use crate::error::{Error, ErrorKind, Result};
use crate::memory::{AlignedFloats, SlotBuffer, SlotLease};
use std::ops::Range;
use std::sync::Arc;

/// Input slots of one batch: a row of slots for each of the executable's inputs.
pub(super) struct Staging {
    inputs: Vec<Arc<SlotBuffer>>,
}

impl Staging {
    /// Fails with `OUT_OF_MEMORY`.
    pub(super) fn new(inputs: &[TensorSpec], max_batch_size: usize) -> Result<Self> {
        let buffer = |spec: &TensorSpec| {
            SlotBuffer::new(max_batch_size, spec.elements_per_image())
                .map_err(|error| error.context(format_args!("staging buffer of input {:?}", spec.name)))
        };
        Ok(Self { inputs: inputs.iter().map(buffer).collect::<Result<_>>()? })
    }

    /// The slots of each input. Fails if somebody else holds one of them: a defect of the engine.
    pub(super) fn lease(&self, slots: Range<usize>) -> Result<Vec<SlotLease>> {
        let leases: Option<Vec<SlotLease>> =
            self.inputs.iter().map(|buffer| buffer.lease(slots.clone())).collect();
        leases.ok_or_else(|| {
            Error::new(ErrorKind::Internal, format!("slots {slots:?} of a batch were given out twice"))
        })
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

//! The buffers that batches are built in, one set for each batch under way; all taken at the start.

use crate::backend::TensorSpec;
use crate::memory::{SlotBuffer, SlotLease};
use std::ops::Range;
use std::sync::Arc;

/// Input slots of one batch: a row of slots for each of the graph's inputs.
pub(super) struct Staging {
    inputs: Vec<Arc<SlotBuffer>>,
}

impl Staging {
    pub(super) fn new(inputs: &[TensorSpec], max_batch_size: usize) -> Self {
        let buffer = |spec: &TensorSpec| SlotBuffer::new(max_batch_size, spec.elements_per_image());
        Self { inputs: inputs.iter().map(buffer).collect() }
    }

    /// The slots of each input, or `None` if another holds one of them.
    pub(super) fn lease(&self, slots: Range<usize>) -> Option<Vec<SlotLease>> {
        self.inputs.iter().map(|buffer| buffer.lease(slots.clone())).collect()
    }

    pub(super) fn bytes(&self) -> usize {
        self.inputs.iter().map(|buffer| buffer.bytes()).sum()
    }
}

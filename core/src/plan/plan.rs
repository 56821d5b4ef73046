//! A graph as steps over one arena.

use super::borders::{Placed, to_clear};
use super::layout::LayoutRules;
use super::lifetimes::{Lifetime, lifetimes};
use super::place::{Demand, Span, granules, place};
use super::schedule::schedule;
use super::step::{Step, TensorId};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Dim, Graph};
use libvision_kernels::cpu::layout::BlockedShape;
use std::ops::Range;

/// A tensor in the arena.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedTensor {
    /// The value it holds.
    pub name: String,
    /// Sizes of the value's axes.
    pub shape: Vec<Dim>,
    /// How one image of it lies in memory; the images of a batch lie back to back.
    pub layout: BlockedShape,
    /// When it is needed.
    pub lifetime: Lifetime,
    /// Where it starts, in floats.
    pub offset: usize,
}

/// Steps in order, and the place of every tensor between them. Knows no device but through the rules it
/// was made by.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub(super) steps: Vec<Step>,
    pub(super) tensors: Vec<PlannedTensor>,
    pub(super) max_batch_size: usize,
    tensor_floats: usize,
    workspace_floats: usize,
}

impl Plan {
    /// Plans a graph whose shapes are known, for batches of 1 to `max_batch_size` images.
    pub fn new(graph: &Graph, rules: &dyn LayoutRules, max_batch_size: usize) -> Result<Self> {
        let mut scheduled = schedule(graph, rules)?;
        let lifetimes = lifetimes(scheduled.tensors.len(), &scheduled.steps);
        let too_large = || {
            let message = format!("a batch of {max_batch_size} images exceeds what can be addressed");
            Error::new(ErrorKind::OutOfMemory, message)
        };
        let mut demands = Vec::with_capacity(lifetimes.len());
        for (&(_, layout), &lifetime) in scheduled.tensors.iter().zip(&lifetimes) {
            let floats =
                layout.len().checked_mul(max_batch_size).filter(|floats| *floats <= isize::MAX as usize);
            demands.push(Demand { layout, floats: floats.ok_or_else(too_large)?, lifetime });
        }
        let (offsets, tensor_floats) = place(&demands)?;
        let placed = demands.iter().zip(&offsets).map(|(demand, &start)| Placed {
            layout: demand.layout,
            span: Span { start, len: granules(demand.floats) },
            first: demand.lifetime.first,
        });
        let dirty = to_clear(&placed.collect::<Vec<_>>());
        for step in &mut scheduled.steps {
            step.clear_border = step.output.is_some_and(|tensor| dirty[tensor]);
        }
        let tensors = scheduled.tensors.iter().zip(lifetimes).zip(offsets);
        let tensors = tensors.map(|((&(id, layout), lifetime), offset)| {
            let value = graph.value(id);
            let shape = value.shape.clone().unwrap_or_default();
            PlannedTensor { name: value.name.clone(), shape, layout, lifetime, offset }
        });
        Ok(Self {
            tensors: tensors.collect(),
            steps: scheduled.steps,
            max_batch_size,
            tensor_floats,
            workspace_floats: 0,
        })
    }

    /// The same plan with the border of every output cleared: what others are compared with.
    #[cfg(test)]
    pub(crate) fn clearing_all_borders(mut self) -> Self {
        for step in &mut self.steps {
            step.clear_border = step.output.is_some();
        }
        self
    }

    /// Makes room behind the tensors for what kernels need while they run; the largest demand counts.
    pub fn reserve_workspace(&mut self, floats: usize) {
        self.workspace_floats = self.workspace_floats.max(granules(floats));
    }

    /// The steps in order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The tensors, by [`TensorId`].
    pub fn tensors(&self) -> &[PlannedTensor] {
        &self.tensors
    }

    /// Largest batch of a run.
    pub fn max_batch_size(&self) -> usize {
        self.max_batch_size
    }

    /// Floats of the arena: tensors, then workspace.
    pub fn arena_floats(&self) -> usize {
        self.tensor_floats + self.workspace_floats
    }

    /// Where the workspace starts, in floats.
    pub fn workspace_start(&self) -> usize {
        self.tensor_floats
    }

    /// Where a tensor of `batch` images lies, in floats.
    pub fn range(&self, tensor: TensorId, batch: usize) -> Range<usize> {
        let PlannedTensor { offset, layout, .. } = &self.tensors[tensor];
        *offset..offset + batch * layout.len()
    }

    /// Floats that no plan could do without: the most that tensors need in one step.
    pub fn least_floats(&self) -> usize {
        let live = |step: usize| {
            let tensors = self.tensors.iter();
            let live = tensors.filter(|t| t.lifetime.first <= step && step <= t.lifetime.last);
            live.map(|tensor| granules(tensor.layout.len() * self.max_batch_size)).sum()
        };
        (0..self.steps.len()).map(live).max().unwrap_or(0)
    }
}

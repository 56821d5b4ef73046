//! What the machine knows of one request, and of what the threads around it hold.

use super::language::{Cost, Place, Priority, RequestId, RunId, TenantId, TwinId};
use super::time::Time;

/// One request from acceptance to answer.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) tenant: TenantId,
    pub(super) cost: Cost,
    pub(super) deadline: Option<Time>,
    pub(super) weight: u32,
    pub(super) priority: Priority,
    /// When it rises to the next priority, if it waits by then.
    pub(super) rises: Time,
    pub(super) twin: Option<TwinId>,
    pub(super) stage: Stage,
}

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Waits for the answer of another.
    Following,
    Waiting,
    Decoding,
    /// Decoded, in the hands of a decoder, without a place; `turn` is when decoding began.
    Held {
        decoder: usize,
        turn: u64,
    },
    Placed {
        staging: usize,
    },
    Running,
    /// Its answer is there and waits for those of earlier requests.
    Finished,
}

impl Stage {
    /// Whether it is accepted and not yet given to a worker.
    pub(super) fn is_queued(self) -> bool {
        !matches!(self, Stage::Running | Stage::Finished)
    }

    /// Whether it has left the queue for the decoders and batches.
    pub(super) fn is_on_its_way(self) -> bool {
        matches!(self, Stage::Decoding | Stage::Held { .. } | Stage::Placed { .. })
    }
}

/// A new request, as the event says it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub(super) id: RequestId,
    pub(super) tenant: TenantId,
    pub(super) weight: u32,
    pub(super) priority: Priority,
    pub(super) cost: Cost,
    pub(super) deadline: Option<Time>,
    pub(super) twin: Option<TwinId>,
}

/// One decoder, with the cost of what it has.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Decoder {
    pub(super) doing: Doing,
    pub(super) cost: Cost,
    pub(super) since: Time,
    pub(super) turn: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Doing {
    #[default]
    Nothing,
    Decoding(RequestId),
    Holding(RequestId),
    Filling {
        id: RequestId,
        staging: usize,
    },
}

/// One launch under way.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) worker: usize,
    /// Missing for a self-test.
    pub(super) staging: Option<usize>,
    pub(super) size: usize,
    pub(super) members: Vec<Place>,
    /// The other half of a batch that was split; runs after this one.
    pub(super) rest: Vec<Place>,
    pub(super) is_split: bool,
    pub(super) started: Time,
    /// When the worker is given up.
    pub(super) limit: Time,
    /// The worker was given up; only its buffer is waited for.
    pub(super) is_abandoned: bool,
}

/// One worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worker {
    Idle,
    Busy(RunId),
    Rebuilding,
    /// Could not be rebuilt; tries again then.
    Resting {
        until: Time,
    },
    /// Was given up twice; waits until one of the two comes back.
    Blocked,
}

impl Worker {
    pub(super) fn is_usable(self) -> bool {
        matches!(self, Worker::Idle | Worker::Busy(_))
    }
}

//! What the machine is told and what it says: the whole language between it and the engine's threads.

use super::policy::Policy;
use super::time::Time;
use std::time::Duration;

/// Names a request for as long as it is in the engine. A later request has a larger one.
pub type RequestId = u64;

/// Names one launch of one batch. A later one has a larger one.
pub type RunId = u64;

/// Names who a request is for. Tenants share the engine by their weights.
pub type TenantId = u32;

/// Names a picture that several requests under way are for.
pub type TwinId = u64;

/// How urgent a request is. Urgent ones go first; who has waited long enough rises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Before all others.
    High,
    /// What requests have if they say nothing.
    #[default]
    Normal,
    /// When nothing else waits.
    Low,
}

impl Priority {
    /// All, the most urgent first.
    pub const ALL: [Priority; 3] = [Priority::High, Priority::Normal, Priority::Low];
}

/// What a request takes, known before any of its pixels are: from the header of the image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Slots of a batch, 1 to `max_batch_size`.
    pub slots: usize,
    /// Bytes of the file or the tensors, held from acceptance until they are decoded.
    pub encoded_bytes: u64,
    /// Most bytes that decoding takes, held from then until its slots are written.
    pub decode_bytes: u64,
    /// Work of decoding, in pixels of a plain JPEG.
    pub decode_work: u64,
}

impl Cost {
    /// What the fair share is measured in: the network's work on one image counts as a million pixels.
    pub(super) fn share(&self) -> u64 {
        (self.slots as u64).saturating_mul(1 << 20).saturating_add(self.decode_work).min(1 << 32)
    }
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event {
    /// A request asks to be accepted. It is, unless the actions refuse it.
    Arrived {
        /// Larger than any before.
        id: RequestId,
        /// Whose it is.
        tenant: TenantId,
        /// The tenant's share beside those of others, at least 1.
        weight: u32,
        /// How urgent.
        priority: Priority,
        /// What it takes.
        cost: Cost,
        /// From when on its answer is of no use.
        deadline: Option<Time>,
        /// The picture, if another request may be for the same one, with the same answer.
        twin: Option<TwinId>,
    },
    /// A decoder is done with [`Action::Decode`] and holds the result, if it succeeded.
    Decoded {
        /// Which.
        decoder: usize,
        /// Otherwise an error that is the request's answer.
        succeeded: bool,
    },
    /// A decoder is done with [`Action::Fill`] and holds nothing any more.
    Filled {
        /// Which.
        decoder: usize,
        /// Otherwise an error that is the request's answer.
        succeeded: bool,
    },
    /// A worker is done with [`Action::Run`] or [`Action::Test`]; the answers of all its requests are at hand.
    RunDone {
        /// Which.
        run: RunId,
        /// How it went.
        outcome: RunOutcome,
    },
    /// A worker is done with [`Action::Rebuild`].
    Rebuilt {
        /// Which.
        worker: usize,
        /// Whether it can run again.
        succeeded: bool,
    },
    /// The caller does not want the answer any more; it may be there already.
    Cancelled {
        /// Of which request.
        id: RequestId,
    },
    /// Time has passed.
    Tick,
    /// Other limits from now on. What was accepted stays accepted.
    Reload {
        /// All of them.
        policy: Policy,
    },
    /// Nothing more is accepted from now on; what was accepted runs without delay, and is answered by
    /// `until` whatever the backend does.
    Close {
        /// When patience ends.
        until: Time,
    },
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunOutcome {
    /// Each request has its own answer.
    Succeeded,
    /// There was no memory for so many at once.
    OutOfMemory,
    /// The batch failed; the worker is as good as before.
    Failed,
    /// The batch failed, and the worker's state is gone or not to be trusted.
    Lost,
}

/// A request's slots in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// Which request.
    pub id: RequestId,
    /// Its first slot.
    pub first_slot: usize,
    /// How many it has.
    pub slots: usize,
}

/// Why a request is answered without a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
    /// As many requests wait as the queue, or the tenant's share of it, allows.
    QueueFull,
    /// As many bytes of files wait as may.
    BytesFull,
    /// By itself over one of the budgets.
    TooCostly,
    /// It could not be answered by its deadline.
    DeadlineInfeasible,
    /// It came after [`Event::Close`], or patience ended.
    Closed,
    /// The caller cancelled.
    Cancelled,
    /// Its deadline passed, or passes before the batch it is in can be done.
    DeadlineExceeded,
    /// The worker that ran it does not come back.
    BackendStuck,
    /// No worker can run, and none could be made for a long time.
    BackendLost,
}

impl Refusal {
    /// All, in the order of the type.
    pub const ALL: [Refusal; 9] = [
        Refusal::QueueFull,
        Refusal::BytesFull,
        Refusal::TooCostly,
        Refusal::DeadlineInfeasible,
        Refusal::Closed,
        Refusal::Cancelled,
        Refusal::DeadlineExceeded,
        Refusal::BackendStuck,
        Refusal::BackendLost,
    ];

    /// One word for counters and traces.
    pub fn name(self) -> &'static str {
        match self {
            Refusal::QueueFull => "queue_full",
            Refusal::BytesFull => "bytes_full",
            Refusal::TooCostly => "too_costly",
            Refusal::DeadlineInfeasible => "deadline_infeasible",
            Refusal::Closed => "closed",
            Refusal::Cancelled => "cancelled",
            Refusal::DeadlineExceeded => "deadline_exceeded",
            Refusal::BackendStuck => "backend_stuck",
            Refusal::BackendLost => "backend_lost",
        }
    }
}

/// Why requests should go elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unready {
    /// After [`Event::Close`].
    Closed,
    /// Some workers are lost, hang, or failed their test.
    Workers {
        /// How many can run.
        usable: usize,
        /// How many there are.
        of: usize,
    },
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The decoder decodes the request; [`Event::Decoded`] follows.
    Decode {
        /// An idle one.
        decoder: usize,
        /// Which request.
        id: RequestId,
    },
    /// The decoder writes what it decoded; [`Event::Filled`] follows.
    Fill {
        /// The one that holds the request.
        decoder: usize,
        /// Into which buffer.
        staging: usize,
        /// Where in it.
        place: Place,
    },
    /// The decoder drops what it decoded; nothing follows, it is idle.
    Discard {
        /// Which.
        decoder: usize,
    },
    /// The worker moves the slots together to the front of the buffer, in order, and runs them;
    /// [`Event::RunDone`] follows. From then on the slots lie where they were moved to.
    Run {
        /// An idle one.
        worker: usize,
        /// The name of this launch.
        run: RunId,
        /// The buffer it is in.
        staging: usize,
        /// Images to run: the bucket, at least the slots of all places.
        size: usize,
        /// Who is in it, in order of the slots; between them may be slots of nobody.
        places: Vec<Place>,
    },
    /// The worker runs an input whose answer is known; [`Event::RunDone`] follows.
    Test {
        /// An idle one.
        worker: usize,
        /// The name of this launch.
        run: RunId,
    },
    /// Makes the worker anew, beside one that never came back if need be, and proves that it works;
    /// [`Event::Rebuilt`] follows.
    Rebuild {
        /// Which.
        worker: usize,
    },
    /// What came with an event about one request is the answer of another as well: they are for the same picture.
    Copy {
        /// Whose answer it is.
        from: RequestId,
        /// Whose it becomes.
        to: RequestId,
    },
    /// What came with an event about this request is its answer.
    Deliver {
        /// Which request.
        id: RequestId,
    },
    /// The request is answered without a result.
    Refuse {
        /// Which request.
        id: RequestId,
        /// Why.
        refusal: Refusal,
        /// When to try again, if that helps.
        retry_after: Option<Duration>,
    },
}

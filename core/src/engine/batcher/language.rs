//! What the batcher is told and what it says: the whole language between it and the engine's threads.

use crate::engine::clock::Time;

/// Names a request for as long as it is in the engine. A later request has a larger one.
pub type RequestId = u64;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A request asks to be accepted. It is, unless the actions refuse it.
    Arrived {
        /// Larger than any before.
        id: RequestId,
        /// Slots it takes, 1 to `max_batch_size`.
        slots: usize,
        /// From when on its answer is of no use.
        deadline: Option<Time>,
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
    /// A worker is done with [`Action::Run`]; the answers of all its requests are at hand.
    BatchDone {
        /// Which.
        worker: usize,
    },
    /// The caller does not want the answer any more; it may be there already.
    Cancelled {
        /// Of which request.
        id: RequestId,
    },
    /// Time has passed.
    Tick,
    /// Nothing more is accepted from now on; what was accepted runs without delay.
    Close,
}

/// A request's slots in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which request.
    pub id: RequestId,
    /// Its first slot.
    pub first_slot: usize,
    /// How many it has.
    pub slots: usize,
}

/// Why a request is answered without a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// As many requests wait as `queue_capacity` allows.
    QueueFull,
    /// It came after [`Event::Close`].
    Closed,
    /// The caller cancelled.
    Cancelled,
    /// Its deadline passed.
    DeadlineExceeded,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// The worker runs the batch; [`Event::BatchDone`] follows.
    Run {
        /// An idle one.
        worker: usize,
        /// The buffer it is in.
        staging: usize,
        /// Who is in it, in order of the slots; between them may be slots of nobody.
        places: Vec<Place>,
    },
    /// What came with the event is the request's answer.
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
    },
}

//! Work that streams hold: copies, fills, kernels and marks.

use crate::clock::Clock;
use crate::kernel::Kernel;
use std::collections::BTreeSet;

/// Part of a block that an operation uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Access {
    /// Of the block.
    pub(crate) base: u64,
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) write: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// Orders others and does nothing.
    Mark,
    Copy {
        to: u64,
        from: u64,
        bytes: u64,
        /// A copy of pageable memory, taken when the call was made.
        staged: Option<Vec<u8>>,
    },
    Fill {
        to: u64,
        value: u32,
        width: u64,
        count: u64,
    },
    Kernel(Kernel),
    Record {
        event: usize,
    },
    Free {
        base: u64,
    },
}

#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) what: String,
    pub(crate) kind: Kind,
    pub(crate) accesses: Vec<Access>,
    pub(crate) stream: usize,
    pub(crate) sequence: u64,
    pub(crate) clock: Clock,
    /// Operations that must be over first, besides those before it in its stream.
    pub(crate) after: Vec<u64>,
}

impl Operation {
    pub(crate) fn new(what: String, kind: Kind, accesses: Vec<Access>) -> Self {
        Self { what, kind, accesses, stream: 0, sequence: 0, clock: Clock::default(), after: Vec::new() }
    }

    /// Whether it moves or changes bytes: these are what faults, hangs and corruption count.
    pub(crate) fn is_work(&self) -> bool {
        matches!(self.kind, Kind::Copy { .. } | Kind::Fill { .. } | Kind::Kernel(_))
    }
}

/// A node of a graph: an operation, the nodes before it, and the captured stream it came from.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) operation: Operation,
    pub(crate) after: BTreeSet<usize>,
    pub(crate) lane: usize,
}

/// A capture under way or ended.
#[derive(Debug)]
pub(crate) struct Capture {
    pub(crate) mode: i32,
    pub(crate) thread: std::thread::ThreadId,
    pub(crate) origin: usize,
    pub(crate) lanes: usize,
    pub(crate) broken: bool,
    pub(crate) open: bool,
    pub(crate) nodes: Vec<Node>,
}

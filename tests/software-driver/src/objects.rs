//! What handles stand for: streams, events, modules, graphs; and devices.

use crate::clock::Clock;
use crate::codes::Code;
use crate::operation::Node;
use std::collections::{BTreeSet, VecDeque};
use std::time::Instant;

/// The value of a handle, as the program holds it. Never an address of anything.
pub(crate) type Handle = usize;

#[derive(Debug)]
pub(crate) enum Object {
    Stream(usize),
    Event(Event),
    Module(&'static str),
    Function(Function),
    Graph(Graph),
    Executable(Executable),
}

#[derive(Debug, Default)]
pub(crate) struct Event {
    pub(crate) without_time: bool,
    pub(crate) last: Option<u64>,
    pub(crate) clock: Clock,
    /// The capture that recorded it last, and the nodes before it.
    pub(crate) captured: Option<(usize, BTreeSet<usize>)>,
    pub(crate) time: Option<Instant>,
}

#[derive(Clone, Debug)]
pub(crate) struct Function {
    pub(crate) entry_point: &'static str,
    pub(crate) module: Handle,
    pub(crate) shared_limit: i32,
}

#[derive(Clone, Debug)]
pub(crate) struct Graph {
    pub(crate) nodes: Vec<Node>,
    pub(crate) lanes: usize,
}

#[derive(Debug)]
pub(crate) struct Executable {
    pub(crate) graph: Graph,
    /// A stream for each lane.
    pub(crate) lanes: Vec<usize>,
    /// The end of the last launch, and what is known of it.
    pub(crate) end: Option<(u64, Clock)>,
}

/// An object that a handle stands for.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) object: Object,
    pub(crate) device: usize,
    pub(crate) what: String,
}

#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) device: usize,
    /// Whether it and the default stream wait for each other.
    pub(crate) blocking: bool,
    pub(crate) queue: VecDeque<u64>,
    pub(crate) last: Option<u64>,
    pub(crate) clock: Clock,
    pub(crate) sequence: u64,
    pub(crate) capture: Option<usize>,
    /// Nodes that the next captured operation follows.
    pub(crate) tail: BTreeSet<usize>,
    pub(crate) lane: usize,
}

#[derive(Debug)]
pub(crate) struct Device {
    pub(crate) references: usize,
    pub(crate) sticky: Code,
    pub(crate) used: u64,
    /// The default stream.
    pub(crate) legacy: usize,
}

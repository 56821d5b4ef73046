//! Queues and their order. Nothing runs when it is queued: calls that wait run work, in an order drawn from all
//! legal ones. Accesses that no order protects are found when they are queued, whatever order is drawn.

use crate::clock::Clock;
use crate::codes::*;
use crate::driver::Driver;
use crate::kernel;
use crate::lock::Guard;
use crate::operation::{Access, Kind, Node, Operation};
use std::collections::BTreeSet;
use std::time::Instant;

/// An access that the host does not know to be over.
#[derive(Clone, Debug)]
pub(crate) struct Past {
    pub(crate) access: Access,
    pub(crate) stream: usize,
    pub(crate) sequence: u64,
    pub(crate) what: String,
}

impl Driver {
    /// Puts an operation into a stream, or into the graph that the stream captures; its number in the first case.
    pub(crate) fn submit(&mut self, stream: usize, operation: Operation) -> Outcome<Option<u64>> {
        let Some(capture) = self.streams[stream].capture else {
            return Ok(Some(self.enqueue(stream, operation, &[])));
        };
        let Driver { streams, captures, .. } = self;
        let (stream, capture) = (&mut streams[stream], &mut captures[capture]);
        if capture.broken {
            return Err(ERROR_STREAM_CAPTURE_INVALIDATED);
        }
        let after = std::mem::replace(&mut stream.tail, BTreeSet::from([capture.nodes.len()]));
        capture.nodes.push(Node { operation, after, lane: stream.lane });
        Ok(None)
    }

    /// Queues an operation behind the stream's others and behind those of `after`. Its clock holds what else is
    /// known to come before it: operations that have run are not known by number any more.
    pub(crate) fn enqueue(&mut self, stream: usize, mut operation: Operation, after: &[u64]) -> u64 {
        let mut clock = self.streams[stream].clock.clone();
        clock.join(&self.host);
        clock.join(&operation.clock);
        let device = self.streams[stream].device;
        let legacy = self.devices.get(device).map_or(stream, |device| device.legacy);
        operation.after.extend_from_slice(after);
        if stream == legacy {
            for (other, queue) in self.streams.iter().enumerate() {
                if other != stream && queue.device == device && queue.blocking {
                    operation.after.extend(queue.last);
                    clock.join(&queue.clock);
                }
            }
        } else if self.streams[stream].blocking {
            operation.after.extend(self.streams[legacy].last);
            clock.join(&self.streams[legacy].clock);
        }
        for earlier in &operation.after {
            if let Some(earlier) = self.operations.get(earlier) {
                clock.join(&earlier.clock);
            }
        }
        let queue = &mut self.streams[stream];
        queue.sequence += 1;
        clock.set(stream, queue.sequence);
        queue.clock = clock.clone();
        (operation.stream, operation.sequence, operation.clock) = (stream, queue.sequence, clock);
        for access in operation.accesses.clone() {
            self.note_access(&operation, access);
        }
        let number = self.next_operation;
        self.next_operation += 1;
        self.streams[stream].queue.push_back(number);
        self.streams[stream].last = Some(number);
        self.operations.insert(number, operation);
        number
    }

    fn note_access(&mut self, operation: &Operation, access: Access) {
        let unwritten = self.settings.unwritten;
        let Driver { memory: Some(memory), reports, busy, .. } = self else { return };
        let Some(block) = memory.block_mut(access.base).filter(|block| !block.freed) else { return };
        for past in &block.past {
            let overlaps = access.from < past.access.to && past.access.from < access.to;
            let writes = access.write || past.access.write;
            if overlaps && writes && operation.clock.of(past.stream) < past.sequence {
                let text =
                    format!("on {}: [{}] and [{}] are in no order", block.what, past.what, operation.what);
                reports.report("DEVICE RACE", &text);
            }
        }
        let device = matches!(block.place, crate::memory::Place::Device(_));
        if access.write {
            block.note_written(access.from, access.to);
        } else if device && unwritten && !block.is_written(access.from, access.to) {
            let from = access.from - block.base;
            let bytes = access.to - access.from;
            let text = format!(
                "{} reads {bytes} bytes at {from} of {}, not all written",
                operation.what, block.what
            );
            reports.report("UNWRITTEN", &text);
        }
        block.past.retain(|past| {
            let covered = past.access.from >= access.from && past.access.to <= access.to;
            !(past.stream == operation.stream && covered && (access.write || !past.access.write))
        });
        let (stream, sequence) = (operation.stream, operation.sequence);
        block.past.push(Past { access, stream, sequence, what: operation.what.clone() });
        busy.insert(access.base);
        block.protect();
    }

    /// The host has waited for everything that `clock` knows.
    pub(crate) fn host_learns(&mut self, clock: &Clock) {
        self.host.join(clock);
        let Driver { memory: Some(memory), host, busy, .. } = self else { return };
        busy.retain(|base| {
            let Some(block) = memory.block_mut(*base) else { return false };
            let before = block.past.len();
            block.past.retain(|past| host.of(past.stream) < past.sequence);
            if block.past.len() != before {
                block.protect();
            }
            !block.past.is_empty()
        });
    }

    fn is_over(&self, operation: u64) -> bool {
        !self.operations.contains_key(&operation)
    }

    /// Everything that must run before `operation` is over, itself included.
    fn needed_for(&self, operation: u64) -> BTreeSet<u64> {
        let mut needed = BTreeSet::new();
        let mut open = vec![operation];
        while let Some(number) = open.pop() {
            let Some(operation) = self.operations.get(&number) else { continue };
            if needed.insert(number) {
                open.extend(&operation.after);
                let queue = self.streams[operation.stream].queue.iter();
                open.extend(queue.take_while(|earlier| **earlier != number));
            }
        }
        needed
    }

    /// Runs one operation that may run, drawn at random; false if there is none.
    pub(crate) fn run_one(&mut self, only: Option<&BTreeSet<u64>>) -> bool {
        let mut ready = Vec::new();
        for (stream, queue) in self.streams.iter().enumerate() {
            let Some(first) = queue.queue.front() else { continue };
            let wanted = only.is_none_or(|only| only.contains(first)) && self.hung != Some(*first);
            let free = || self.operations[first].after.iter().all(|earlier| self.is_over(*earlier));
            if wanted && free() {
                ready.push(stream);
            }
        }
        if ready.is_empty() {
            return false;
        }
        let stream = ready[self.random(ready.len() as u64) as usize];
        let number = self.streams[stream].queue[0];
        if self.operations[&number].is_work() {
            if self.work_done + 1 == self.settings.hang_operation && !self.released {
                eprintln!("SWCUDA INJECTED: {} hangs", self.operations[&number].what);
                self.hung = Some(number);
                return true;
            }
            self.work_done += 1;
        }
        self.streams[stream].queue.pop_front();
        if let Some(operation) = self.operations.remove(&number) {
            self.run(operation);
        }
        true
    }

    fn run(&mut self, operation: Operation) {
        let device = self.streams[operation.stream].device;
        if operation.is_work() && self.work_done == self.settings.fault_operation {
            let code = self.settings.fail_code;
            eprintln!("SWCUDA INJECTED: {} faults with {code}", operation.what);
            self.devices[device].sticky = code;
        }
        if let Kind::Free { base } = operation.kind {
            self.free(base);
        }
        if self.devices[device].sticky != SUCCESS {
            return;
        }
        let memory = self.memory();
        let stale = |access: &Access| memory.block(access.base).is_none_or(|block| block.freed);
        if !matches!(operation.kind, Kind::Free { .. }) && operation.accesses.iter().any(stale) {
            self.devices[device].sticky = ERROR_ILLEGAL_ADDRESS;
            return;
        }
        match &operation.kind {
            Kind::Mark | Kind::Free { .. } => {}
            Kind::Copy { to, from, bytes, staged } => {
                let target = self.view(*to, *bytes);
                let source = match staged {
                    Some(staged) => staged.as_ptr(),
                    None => self.view(*from, *bytes).cast_const(),
                };
                // SAFETY: both ranges were checked when the copy was queued and their blocks are alive, or they
                // are pageable memory of a call that has not returned; they may overlap.
                unsafe { std::ptr::copy(source, target, *bytes as usize) };
            }
            Kind::Fill { to, value, width, count } => {
                let value = &value.to_le_bytes()[..*width as usize];
                let target = self.view(*to, width * count);
                for (index, byte) in value.repeat(*count as usize).into_iter().enumerate() {
                    // SAFETY: the range was checked when the fill was queued, and its block is alive.
                    unsafe { target.add(index).write(byte) };
                }
            }
            Kind::Kernel(kernel) => {
                let seed = self.random(u64::MAX);
                let started = Instant::now();
                let Some(memory) = &self.memory else { return };
                let outcome = kernel::run(kernel, memory, seed);
                self.kernel_time += started.elapsed();
                if let Err((code, text)) = outcome {
                    self.reports.report("KERNEL FAULT", &format!("{}: {text}", operation.what));
                    self.devices[device].sticky = code;
                }
            }
            Kind::Record { event } => {
                if let Some(event) = self.live_event(*event) {
                    event.time = Some(Instant::now());
                }
            }
        }
        if operation.is_work() && self.work_done == self.settings.corrupt_operation {
            self.corrupt(&operation);
        }
    }

    /// Turns one bit of what the operation wrote.
    fn corrupt(&mut self, operation: &Operation) {
        let Some(written) = operation.accesses.iter().find(|access| access.write).copied() else { return };
        let at = written.from + self.random(written.to - written.from);
        let bit = self.random(8);
        let view = self.view(at, 1);
        eprintln!("SWCUDA INJECTED: {} leaves a wrong bit", operation.what);
        // SAFETY: the byte lies in a live block that the operation has just written.
        unsafe { *view ^= 1 << bit };
    }

    /// The driver's view of checked memory; pageable memory as it is.
    fn view(&mut self, address: u64, bytes: u64) -> *mut u8 {
        let memory = self.memory();
        match memory.nearest(address).filter(|block| block.holds(address, address + bytes)) {
            Some(block) => block.view(address, address + bytes),
            None => address as *mut u8,
        }
    }

    pub(crate) fn free(&mut self, base: u64) {
        let Some(block) = self.memory().block(base) else { return };
        let (bytes, place) = (block.bytes, block.place);
        self.memory().free(base);
        if let crate::memory::Place::Device(device) = place {
            self.devices[device].used -= bytes;
        }
        self.busy.remove(&base);
    }

    /// A query never waits, but time passes: something may run.
    pub(crate) fn let_time_pass(&mut self) {
        if self.random(2) == 0 {
            self.run_one(None);
        }
    }
}

/// Runs until `operation` is over: by chance only what it needs, whatever may run, or all there is. Blocks while
/// something it needs hangs.
pub(crate) fn run_until(guard: &mut Guard, operation: u64) {
    if guard.is_over(operation) {
        return;
    }
    let mode = guard.random(3);
    let needed = (mode == 0).then(|| guard.needed_for(operation));
    while !guard.is_over(operation) {
        if !guard.run_one(needed.as_ref()) {
            wait_for_release(guard, operation);
        }
    }
    while mode == 2 && guard.run_one(None) {}
}

fn wait_for_release(guard: &mut Guard, operation: u64) {
    assert!(guard.hung.is_some(), "nothing can run, but operation {operation} is not over");
    guard.wait();
    if guard.settings.release.as_ref().is_some_and(|file| file.exists()) {
        guard.release_hang();
    }
}

/// What synchronising with a stream does.
pub(crate) fn synchronize_stream(guard: &mut Guard, stream: usize) -> Outcome<()> {
    if let Some(last) = guard.streams[stream].last {
        run_until(guard, last);
    }
    let clock = guard.streams[stream].clock.clone();
    guard.host_learns(&clock);
    guard.check_sticky(guard.streams[stream].device)
}

/// What synchronising with a device does.
pub(crate) fn synchronize_device(guard: &mut Guard, device: usize) -> Outcome<()> {
    for stream in 0..guard.streams.len() {
        if guard.streams[stream].device == device {
            // The error, if there is one, is the same for all.
            let _ = synchronize_stream(guard, stream);
        }
    }
    guard.check_sticky(device)
}

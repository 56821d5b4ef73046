//! The driver's state, and what every call does first: count, inject the asked failure, check the context.

use crate::clock::Clock;
use crate::codes::*;
use crate::fault_handler;
use crate::lock::{Guard, announce};
use crate::memory::Memory;
use crate::objects::{Device, Entry, Event, Handle, Object, Stream};
use crate::operation::{Capture, Operation};
use crate::report::Reports;
use crate::settings::Settings;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// Contexts of devices, then streams and the rest, look like this.
const FIRST_CONTEXT: Handle = 0x5C00_0000;
const FIRST_HANDLE: Handle = 0x5C10_0000;
const STEP: Handle = 0x10;

#[derive(Debug)]
pub(crate) struct Driver {
    pub(crate) settings: Settings,
    pub(crate) reports: Reports,
    pub(crate) initialized: bool,
    pub(crate) memory: Option<Memory>,
    pub(crate) devices: Vec<Device>,
    pub(crate) streams: Vec<Stream>,
    pub(crate) operations: BTreeMap<u64, Operation>,
    pub(crate) next_operation: u64,
    pub(crate) captures: Vec<Capture>,
    /// What the host knows to be over.
    pub(crate) host: Clock,
    /// Blocks with accesses that the host does not know to be over.
    pub(crate) busy: BTreeSet<u64>,
    pub(crate) work_done: u64,
    pub(crate) hung: Option<u64>,
    pub(crate) released: bool,
    handles: BTreeMap<Handle, Entry>,
    next_handle: Handle,
    calls: u64,
    random: u64,
    pub(crate) kernel_time: Duration,
}

thread_local! {
    static CONTEXT: Cell<Handle> = const { Cell::new(0) };
}

/// What a call needs before it does anything.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Not even `cuInit`.
    Nothing,
    Driver,
    Context,
    /// A context, and no capture that forbids such calls.
    NoCapture,
}

/// Does what every call does first, then `body`. Panics become `ERROR_UNKNOWN`.
pub(crate) fn call(name: &str, needs: Needs, body: impl FnOnce(&mut Guard) -> Outcome<()>) -> Code {
    let mut guard = Guard::lock();
    let number = guard.calls + 1;
    guard.calls = number;
    let outcome = guard.enter(name, needs).and_then(|()| {
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| body(&mut guard)));
        caught.unwrap_or_else(|_| {
            guard.reports.report("INTERNAL", &format!("{name} panicked"));
            Err(ERROR_UNKNOWN)
        })
    });
    let code = outcome.err().unwrap_or(SUCCESS);
    guard.reports.trace(&format!("{number} {name} {code}"));
    code
}

/// Stores a result of a call.
///
/// # Safety
/// `target` must be null or valid for a write.
pub(crate) unsafe fn store<T>(target: *mut T, value: T) -> Outcome<()> {
    if target.is_null() {
        return Err(ERROR_INVALID_VALUE);
    }
    // SAFETY: not null, so valid by this function's contract.
    unsafe { target.write(value) };
    Ok(())
}

impl Driver {
    pub(crate) fn new(settings: Settings) -> Self {
        let reports = Reports::new(settings.reports.clone(), settings.trace.clone());
        Self {
            random: settings.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x2545_f491_4f6c_dd1d,
            settings,
            reports,
            initialized: false,
            memory: None,
            devices: Vec::new(),
            streams: Vec::new(),
            operations: BTreeMap::new(),
            next_operation: 1,
            captures: Vec::new(),
            host: Clock::default(),
            busy: BTreeSet::new(),
            work_done: 0,
            hung: None,
            released: false,
            handles: BTreeMap::new(),
            next_handle: FIRST_HANDLE,
            calls: 0,
            kernel_time: Duration::ZERO,
        }
    }

    /// Makes the devices; called once.
    pub(crate) fn initialize(&mut self) -> Outcome<()> {
        if self.initialized {
            return Ok(());
        }
        if self.settings.devices == 0 {
            return Err(ERROR_NO_DEVICE);
        }
        self.memory = Some(Memory::reserve().ok_or(ERROR_OUT_OF_MEMORY)?);
        for device in 0..self.settings.devices {
            let legacy = self.new_stream(device, true);
            self.devices.push(Device { references: 0, sticky: SUCCESS, used: 0, legacy });
        }
        fault_handler::install();
        crate::exit::register();
        self.initialized = true;
        Ok(())
    }

    fn enter(&mut self, name: &str, needs: Needs) -> Outcome<()> {
        if self.calls == self.settings.fail_call {
            let code = self.settings.fail_code;
            eprintln!("SWCUDA INJECTED: call {} {name} returns {code}", self.calls);
            if is_sticky(code)
                && let Ok(device) = self.device()
            {
                self.devices[device].sticky = code;
            }
            return Err(code);
        }
        if needs == Needs::Nothing {
            return Ok(());
        }
        if !self.initialized {
            return Err(ERROR_NOT_INITIALIZED);
        }
        if needs == Needs::Driver {
            return Ok(());
        }
        let Ok(device) = self.device() else {
            self.reports.report("MISUSE", &format!("{name} on a thread without a current context"));
            return Err(ERROR_INVALID_CONTEXT);
        };
        if self.devices[device].references == 0 {
            self.reports.report("MISUSE", &format!("{name} in a context that was released"));
            return Err(ERROR_CONTEXT_IS_DESTROYED);
        }
        self.check_sticky(device)?;
        if needs == Needs::NoCapture {
            let here = std::thread::current().id();
            let forbids = |capture: &&mut Capture| {
                capture.open && (capture.mode == 0 || capture.mode == 1 && capture.thread == here)
            };
            if let Some(capture) = self.captures.iter_mut().find(forbids) {
                capture.broken = true;
                self.reports.report("CAPTURE", &format!("{name} is not allowed while a stream is capturing"));
                return Err(ERROR_STREAM_CAPTURE_UNSUPPORTED);
            }
        }
        Ok(())
    }

    /// The error that ended the device's context, if one did.
    pub(crate) fn check_sticky(&self, device: usize) -> Outcome<()> {
        match self.devices[device].sticky {
            SUCCESS => Ok(()),
            code => Err(code),
        }
    }

    /// The device of the thread's current context.
    pub(crate) fn device(&self) -> Outcome<usize> {
        self.device_of(CONTEXT.get())
    }

    fn device_of(&self, context: Handle) -> Outcome<usize> {
        let index = context.checked_sub(FIRST_CONTEXT).map(|distance| distance / STEP);
        index.filter(|index| *index < self.devices.len()).ok_or(ERROR_INVALID_CONTEXT)
    }

    pub(crate) fn context_of(device: usize) -> Handle {
        FIRST_CONTEXT + device * STEP
    }

    pub(crate) fn current_context() -> Handle {
        CONTEXT.get()
    }

    pub(crate) fn set_context(&self, context: Handle) -> Outcome<()> {
        if context != 0 {
            self.device_of(context)?;
        }
        CONTEXT.set(context);
        Ok(())
    }

    pub(crate) fn memory(&mut self) -> &mut Memory {
        self.memory.as_mut().expect("every call but cuInit checks that cuInit succeeded")
    }

    /// xorshift64 (Marsaglia 2003), below `bound`.
    pub(crate) fn random(&mut self, bound: u64) -> u64 {
        for (left, shift) in [(true, 13), (false, 7), (true, 17)] {
            self.random ^= if left { self.random << shift } else { self.random >> shift };
        }
        (self.random >> 11) % bound
    }

    pub(crate) fn calls(&self) -> u64 {
        self.calls
    }

    pub(crate) fn add(&mut self, object: Object, device: usize, what: String) -> Handle {
        let handle = self.next_handle;
        self.next_handle += STEP;
        self.handles.insert(handle, Entry { object, device, what });
        handle
    }

    pub(crate) fn remove(&mut self, handle: Handle) -> Option<Entry> {
        self.handles.remove(&handle)
    }

    /// A module's functions go with it.
    pub(crate) fn remove_functions(&mut self, of: Handle) {
        let belongs = |object: &Object| matches!(object, Object::Function(function) if function.module == of);
        self.handles.retain(|_, entry| !belongs(&entry.object));
    }

    pub(crate) fn entry(&mut self, handle: Handle, call: &str) -> Outcome<&mut Entry> {
        if !self.handles.contains_key(&handle) {
            self.reports.report("MISUSE", &format!("{call}: a handle that is unknown or was destroyed"));
        }
        self.handles.get_mut(&handle).ok_or(ERROR_INVALID_HANDLE)
    }

    /// An event that may have been destroyed meanwhile.
    pub(crate) fn live_event(&mut self, handle: Handle) -> Option<&mut Event> {
        match self.handles.get_mut(&handle).map(|entry| &mut entry.object) {
            Some(Object::Event(event)) => Some(event),
            _ => None,
        }
    }

    pub(crate) fn event(&mut self, handle: Handle, call: &str) -> Outcome<&mut Event> {
        match &mut self.entry(handle, call)?.object {
            Object::Event(event) => Ok(event),
            _ => Err(ERROR_INVALID_HANDLE),
        }
    }

    /// The number of the stream that a handle means; 0, 1 and 2 mean the default stream.
    pub(crate) fn stream(&mut self, handle: Handle, call: &str) -> Outcome<usize> {
        if handle <= 2 {
            let device = self.device()?;
            return Ok(self.devices[device].legacy);
        }
        match self.entry(handle, call)?.object {
            Object::Stream(stream) => Ok(stream),
            _ => Err(ERROR_INVALID_HANDLE),
        }
    }

    pub(crate) fn new_stream(&mut self, device: usize, blocking: bool) -> usize {
        self.streams.push(Stream {
            device,
            blocking,
            queue: VecDeque::new(),
            last: None,
            clock: Clock::default(),
            sequence: 0,
            capture: None,
            tail: BTreeSet::new(),
            lane: 0,
        });
        self.streams.len() - 1
    }

    /// Reports what a context leaves behind. After a fatal error nothing can be freed, so nothing is missed.
    pub(crate) fn report_leaks(&mut self, device: usize, when: &str) {
        if self.devices[device].sticky != SUCCESS {
            return;
        }
        let mut left: Vec<String> = Vec::new();
        let blocks = self.memory.as_mut().into_iter().flat_map(Memory::blocks_mut);
        left.extend(blocks.filter(|block| block.device == device).map(|block| block.what.clone()));
        let handles = self.handles.values();
        // Functions belong to their module.
        let owned = |entry: &&Entry| entry.device == device && !matches!(entry.object, Object::Function(_));
        left.extend(handles.filter(owned).map(|entry| entry.what.clone()));
        for what in left {
            self.reports.report("LEAK", &format!("{when}: {what}"));
        }
    }

    /// Everything of a context ends with it.
    pub(crate) fn forget(&mut self, device: usize) {
        let memory = self.memory();
        let bases: Vec<u64> =
            memory.blocks_mut().filter(|block| block.device == device).map(|block| block.base).collect();
        for base in bases {
            self.memory().free(base);
        }
        self.handles.retain(|_, entry| entry.device != device);
        let ended: Vec<usize> =
            (0..self.streams.len()).filter(|s| self.streams[*s].device == device).collect();
        for stream in ended {
            let queue = std::mem::take(&mut self.streams[stream].queue);
            for operation in queue {
                self.operations.remove(&operation);
                if self.hung == Some(operation) {
                    self.hung = None;
                }
            }
            self.streams[stream].capture = None;
        }
        self.devices[device].sticky = SUCCESS;
        self.devices[device].used = 0;
    }

    /// Lets an operation that hangs go on.
    pub(crate) fn release_hang(&mut self) {
        self.released = true;
        self.hung = None;
        announce();
    }

    pub(crate) fn statistics(&self) -> String {
        format!(
            "{} calls, {} copies, fills and kernels, {} reports, kernels took {:.3} s",
            self.calls,
            self.work_done,
            self.reports.total(),
            self.kernel_time.as_secs_f64()
        )
    }
}

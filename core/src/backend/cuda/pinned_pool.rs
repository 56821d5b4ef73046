//! Page-locked host memory for copies: written once and read by the device, or written by the device and read here.

use super::device::Device;
use crate::error::{Error, ErrorKind, Result};
use cudarc::driver::{result, sys};
use std::ops::Range;
use std::os::raw::c_uint;
use std::ptr::NonNull;
use std::sync::Arc;

/// Slots start at multiples of this, so that two of them never share a page.
const PAGE: usize = 4096;

/// Which way copies go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To the device: write-combined, which the device reads fast and this side must not read.
    Upload,
    /// From the device: ordinary memory, which this side reads fast.
    Download,
}

/// Slots of page-locked memory, taken together and given back when this is dropped.
///
/// The device copies from and to it while work is queued: nothing here waits for that. Whoever queues copies has
/// waited for them before a slot is touched, and before this is dropped.
pub struct PinnedPool {
    device: Arc<Device>,
    start: NonNull<u8>,
    bytes: usize,
    slots: Vec<Range<usize>>,
}

// SAFETY: it owns its memory; nothing in it belongs to the thread that made it.
unsafe impl Send for PinnedPool {}

impl PinnedPool {
    /// One slot of zeros for each of `sizes`. Fails with `OUT_OF_MEMORY`.
    pub fn new(device: &Arc<Device>, direction: Direction, sizes: &[usize]) -> Result<Self> {
        let mut end = 0;
        let mut slots = Vec::with_capacity(sizes.len());
        for size in sizes {
            slots.push(end..end + size);
            end = (end + size).next_multiple_of(PAGE);
        }
        let bytes = end.max(PAGE);
        let flags: c_uint = match direction {
            Direction::Upload => sys::CU_MEMHOSTALLOC_WRITECOMBINED,
            Direction::Download => 0,
        };
        device.bind()?;
        // SAFETY: the length is not zero; `Drop` frees it.
        let start = device.check(format_args!("taking {bytes} bytes of page-locked memory"), unsafe {
            result::malloc_host(bytes, flags)
        })?;
        let start = NonNull::new(start.cast::<u8>()).ok_or_else(|| {
            Error::new(ErrorKind::OutOfMemory, "CUDA: page-locked memory was granted without an address")
        })?;
        // SAFETY: `bytes` bytes start there, and no copy is queued yet.
        unsafe { start.write_bytes(0, bytes) };
        Ok(Self { device: Arc::clone(device), start, bytes, slots })
    }

    /// Bytes taken.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Where a slot starts and how long it is, for copies.
    pub(super) fn slot(&self, slot: usize) -> (NonNull<u8>, usize) {
        let range = &self.slots[slot];
        // SAFETY: slots lie inside the memory.
        (unsafe { self.start.add(range.start) }, range.len())
    }

    /// A slot to read.
    ///
    /// # Safety
    /// Every copy to it has been waited for.
    pub(super) unsafe fn read(&self, slot: usize) -> &[u8] {
        let (start, bytes) = self.slot(slot);
        // SAFETY: the bytes are initialised since `new`, and by the contract no device writes them now.
        unsafe { NonNull::slice_from_raw_parts(start, bytes).as_ref() }
    }

    /// A slot to write.
    ///
    /// # Safety
    /// Every copy from it has been waited for.
    pub(super) unsafe fn write(&mut self, slot: usize) -> &mut [u8] {
        let (start, bytes) = self.slot(slot);
        // SAFETY: as above, and `self` is borrowed mutably.
        unsafe { NonNull::slice_from_raw_parts(start, bytes).as_mut() }
    }
}

impl Drop for PinnedPool {
    fn drop(&mut self) {
        // SAFETY: it came from `malloc_host` and is freed once.
        self.device.insist(|| unsafe { result::free_host(self.start.as_ptr().cast()) });
    }
}

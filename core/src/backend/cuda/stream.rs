//! A stream: work that the device does in the order in which it was queued.

use super::device::Device;
use super::device_pool::DeviceBuffer;
use super::launch::Kernel;
use super::pinned_pool::{Direction, PinnedPool};
use crate::error::Result;
use cudarc::driver::{result, sys};
use libvision_kernels::cuda::launch::Launch;
use std::ops::Range;
use std::os::raw::c_void;
use std::sync::Arc;

/// Most bytes of page-locked memory that a copy of ordinary memory goes through at a time.
const CHUNK: usize = 8 << 20;

/// A stream of its own, which never waits for the default one.
///
/// Dropping it waits for what is queued: what that uses must be dropped later.
pub struct Stream {
    device: Arc<Device>,
    raw: sys::CUstream,
}

// SAFETY: streams may be used from every thread with their context current.
unsafe impl Send for Stream {}

impl Stream {
    /// An empty stream.
    pub fn new(device: &Arc<Device>) -> Result<Self> {
        device.bind()?;
        let made = result::stream::create(result::stream::StreamKind::NonBlocking);
        Ok(Self { device: Arc::clone(device), raw: device.check("making a stream", made)? })
    }

    /// The device it is on.
    pub fn device(&self) -> &Arc<Device> {
        &self.device
    }

    pub(super) fn raw(&self) -> sys::CUstream {
        self.raw
    }

    /// Blocks until everything queued is done.
    pub fn synchronize(&self) -> Result<()> {
        self.device.bind()?;
        // SAFETY: the stream lives.
        self.device.check("waiting for the stream", unsafe { result::stream::synchronize(self.raw) })
    }

    /// Queues a copy of part of a slot to the device.
    ///
    /// # Safety
    /// `target` has room for it. Until the stream has been waited for, nobody writes or frees the slot.
    pub(super) unsafe fn upload(
        &self,
        target: u64,
        from: (&PinnedPool, usize),
        part: Range<usize>,
    ) -> Result<()> {
        let (source, len) = from.0.slot(from.1);
        let (start, end) = (part.start.min(len), part.end.min(len));
        // SAFETY: the slot goes on at least to `start`.
        let source = unsafe { source.add(start) };
        // SAFETY: the slot holds the part; the rest is the caller's promise.
        let queued = unsafe {
            sys::cuMemcpyHtoDAsync_v2(target, source.as_ptr().cast(), end.saturating_sub(start), self.raw)
        };
        self.device.check("queueing a copy to the device", queued.result())
    }

    /// Queues a copy of `bytes` on the device to a slot.
    ///
    /// # Safety
    /// `source` holds them. Until the stream has been waited for, nobody reads, writes or frees the slot.
    pub(super) unsafe fn download(&self, source: u64, to: (&PinnedPool, usize), bytes: usize) -> Result<()> {
        let (target, len) = to.0.slot(to.1);
        let bytes = bytes.min(len);
        // SAFETY: the target has room for the bytes; the rest is the caller's promise.
        let queued = unsafe { sys::cuMemcpyDtoHAsync_v2(target.as_ptr().cast(), source, bytes, self.raw) };
        self.device.check("queueing a copy from the device", queued.result())
    }

    /// Queues a copy on the device.
    ///
    /// # Safety
    /// `source` holds the bytes and `target` has room for them, apart from each other.
    pub(super) unsafe fn copy(&self, source: u64, target: u64, bytes: usize) -> Result<()> {
        // SAFETY: the caller's promise.
        let queued = unsafe { sys::cuMemcpyDtoDAsync_v2(target, source, bytes, self.raw) };
        self.device.check("queueing a copy on the device", queued.result())
    }

    /// Queues a kernel.
    ///
    /// # Safety
    /// The addresses in the launch's arguments are device memory of the sizes that its kernel expects, which lives
    /// until the stream has been waited for.
    pub unsafe fn launch(&self, kernel: &Kernel, launch: &Launch) -> Result<()> {
        let Launch { entry_point, blocks, threads, shared_bytes, arguments } = launch;
        let mut parameters = [arguments.as_ptr().cast_mut().cast::<c_void>()];
        // SAFETY: the kernel takes one argument block, which the driver copies before it returns and never writes;
        // the rest is the caller's promise.
        let queued = unsafe {
            result::launch_kernel(
                kernel.raw(),
                (*blocks, 1, 1),
                (*threads, 1, 1),
                *shared_bytes,
                self.raw,
                &mut parameters,
            )
        };
        self.device.check(format_args!("queueing {entry_point}"), queued)
    }

    /// Copies bytes to the start of a buffer and waits; for loading, not for running.
    pub fn write(&self, target: &DeviceBuffer, bytes: &[u8]) -> Result<()> {
        assert!(bytes.len() <= target.bytes(), "{} bytes into {}", bytes.len(), target.bytes());
        let mut pool = PinnedPool::new(&self.device, Direction::Upload, &[bytes.len().min(CHUNK)])?;
        for (index, chunk) in bytes.chunks(CHUNK).enumerate() {
            // SAFETY: the stream has been waited for after the last copy from the slot.
            let slot = unsafe { pool.write(0) };
            slot[..chunk.len()].copy_from_slice(chunk);
            let address = target.address() + (index * CHUNK) as u64;
            // SAFETY: the buffer has room, and `settled` waits before the slot is touched again.
            let queued = unsafe { self.upload(address, (&pool, 0), 0..chunk.len()) };
            self.settled(queued)?;
        }
        Ok(())
    }

    /// The first `len` bytes of a buffer; waits.
    pub fn read(&self, source: &DeviceBuffer, len: usize) -> Result<Vec<u8>> {
        assert!(len <= source.bytes(), "{len} bytes of {}", source.bytes());
        let pool = PinnedPool::new(&self.device, Direction::Download, &[len.min(CHUNK)])?;
        let mut bytes = Vec::with_capacity(len);
        while bytes.len() < len {
            let part = (len - bytes.len()).min(CHUNK);
            // SAFETY: the buffer holds the bytes, and `settled` waits before the slot is touched.
            let queued = unsafe { self.download(source.address() + bytes.len() as u64, (&pool, 0), part) };
            self.settled(queued)?;
            // SAFETY: the copy has been waited for.
            bytes.extend_from_slice(&unsafe { pool.read(0) }[..part]);
        }
        Ok(bytes)
    }

    /// Waits for the stream whether `queued` went well or not, and gives the first error.
    pub(super) fn settled(&self, queued: Result<()>) -> Result<()> {
        let waited = self.synchronize();
        if waited.is_err() {
            self.settle();
        }
        queued.and(waited)
    }

    /// Waits until nothing queued can run any more, on error paths: again, if waiting fails.
    pub(super) fn settle(&self) {
        // SAFETY: the stream lives.
        self.device.insist(|| unsafe { result::stream::synchronize(self.raw) });
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.settle();
        // SAFETY: made in `new`, destroyed once.
        self.device.insist(|| unsafe { result::stream::destroy(self.raw) });
    }
}

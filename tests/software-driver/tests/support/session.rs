//! A program as people write it with cudarc: two tensors go up, their sum comes down.

use anyhow::{Context, Result};
use cudarc::driver::{result, sys};
use libvision_kernels::cuda::element::Element;
use libvision_kernels::cuda::images::image_for;
use libvision_kernels::cuda::launch::Launch;
use libvision_kernels::cuda::window::{Operation, Pair};
use libvision_kernels::epilogue::Activation;
use std::ffi::c_void;

/// Elements of a tensor, more than a page of them.
pub(crate) const LENGTH: usize = 2048;
pub(crate) const BYTES: usize = LENGTH * 4;

/// The launch that adds two tensors.
pub(crate) fn sum(elements: usize, operands: [u64; 2], to: u64) -> Result<Launch> {
    let (operation, activation) = (Operation::Add, Activation::Identity);
    let (channels, pixels, element) = (8, elements / 8, Element::F32);
    let sum = Pair { operation, channels, pixels, right_is_whole: true, element, activation };
    Ok(sum.launch(1, operands, to)?)
}

/// A device with all that the program needs. Nothing is freed by itself.
pub(crate) struct Session {
    pub(crate) device: sys::CUdevice,
    pub(crate) streams: [sys::CUstream; 2],
    pub(crate) event: sys::CUevent,
    pub(crate) module: sys::CUmodule,
    pub(crate) function: sys::CUfunction,
    /// Pinned: two that go up, one that comes down.
    pub(crate) host: [*mut f32; 3],
    /// Two operands and their sum.
    pub(crate) tensors: [sys::CUdeviceptr; 3],
}

// Each call below passes live handles and memory that is as long as it says, but where a scenario is to do wrong:
// then the driver under test refuses or reports, and nothing is touched.
impl Session {
    pub(crate) fn open() -> Result<Self> {
        result::init()?;
        let device = result::device::get(0)?;
        // SAFETY: a device that exists.
        let context = unsafe { result::primary_ctx::retain(device)? };
        // SAFETY: the context just retained; flags and sizes as documented.
        unsafe {
            result::ctx::set_current(context)?;
            let image = image_for("window", 9, 0).context("an image")?;
            let image = zstd::bulk::decompress(image.compressed, image.bytes)?;
            let module = result::module::load_data(image.as_ptr().cast())?;
            let function = result::module::get_function(module, c"f32_add".to_owned())?;
            let stream = || result::stream::create(result::stream::StreamKind::NonBlocking);
            let mut host = [std::ptr::null_mut(); 3];
            for (host, flags) in host.iter_mut().zip([4, 4, 0]) {
                *host = result::malloc_host(BYTES, flags)?.cast();
            }
            let mut tensors = [0; 3];
            for tensor in &mut tensors {
                *tensor = result::malloc_sync(BYTES)?;
            }
            Ok(Self {
                device,
                streams: [stream()?, stream()?],
                event: result::event::create(sys::CUevent_flags::CU_EVENT_DEFAULT)?,
                module,
                function,
                host,
                tensors,
            })
        }
    }

    /// Writes to a pinned buffer.
    pub(crate) fn set(&self, buffer: usize, value: f32) {
        for index in 0..LENGTH {
            // SAFETY: the buffer has that many elements.
            unsafe { self.host[buffer].add(index).write_volatile(value + index as f32) };
        }
    }

    /// Whether the result is the sum of what `set` wrote.
    pub(crate) fn sums(&self, left: f32, right: f32) -> bool {
        (0..LENGTH).all(|index| {
            // SAFETY: the buffer has that many elements.
            let found = unsafe { self.host[2].add(index).read_volatile() };
            found == left + right + 2.0 * index as f32
        })
    }

    pub(crate) fn upload(&self, index: usize, stream: usize) -> Result<()> {
        self.upload_bytes(index, stream, BYTES)
    }

    pub(crate) fn upload_bytes(&self, index: usize, stream: usize, bytes: usize) -> Result<()> {
        // SAFETY: see above.
        let code = unsafe {
            sys::cuMemcpyHtoDAsync_v2(
                self.tensors[index],
                self.host[index].cast(),
                bytes,
                self.streams[stream],
            )
        };
        Ok(code.result()?)
    }

    pub(crate) fn add(&self, stream: usize) -> Result<()> {
        self.add_of(stream, LENGTH, self.tensors)
    }

    pub(crate) fn add_of(&self, stream: usize, elements: usize, [a, b, c]: [u64; 3]) -> Result<()> {
        let launch = sum(elements, [a, b], c)?;
        self.launch(stream, &launch, launch.threads)
    }

    pub(crate) fn launch(&self, stream: usize, launch: &Launch, threads: u32) -> Result<()> {
        let mut parameters = [launch.arguments.as_ptr().cast_mut().cast::<c_void>()];
        let (grid, block) = ((launch.blocks, 1, 1), (threads, 1, 1));
        // SAFETY: the one parameter is the argument block; see above.
        unsafe {
            result::launch_kernel(
                self.function,
                grid,
                block,
                launch.shared_bytes,
                self.streams[stream],
                &mut parameters,
            )?;
        }
        Ok(())
    }

    pub(crate) fn download(&self, stream: usize) -> Result<()> {
        self.download_to(self.host[2], stream)
    }

    pub(crate) fn download_to(&self, target: *mut f32, stream: usize) -> Result<()> {
        // SAFETY: see above.
        let code =
            unsafe { sys::cuMemcpyDtoHAsync_v2(target.cast(), self.tensors[2], BYTES, self.streams[stream]) };
        Ok(code.result()?)
    }

    pub(crate) fn record(&self, stream: usize) -> Result<()> {
        // SAFETY: see above.
        unsafe { result::event::record(self.event, self.streams[stream]) }.map_err(Into::into)
    }

    pub(crate) fn wait_for_event(&self) -> Result<()> {
        // SAFETY: see above.
        unsafe { result::event::synchronize(self.event) }.map_err(Into::into)
    }

    /// The stream waits, not the host.
    pub(crate) fn stream_waits(&self, stream: usize) -> Result<()> {
        let flags = sys::CUevent_wait_flags::CU_EVENT_WAIT_DEFAULT;
        // SAFETY: see above.
        unsafe { result::stream::wait_event(self.streams[stream], self.event, flags) }.map_err(Into::into)
    }

    pub(crate) fn synchronize(&self, stream: usize) -> Result<()> {
        // SAFETY: see above.
        unsafe { result::stream::synchronize(self.streams[stream]) }.map_err(Into::into)
    }

    /// Everything on one stream, waited for.
    pub(crate) fn once(&self, left: f32, right: f32) -> Result<()> {
        self.set(0, left);
        self.set(1, right);
        self.queue_all()?;
        self.synchronize(0)?;
        anyhow::ensure!(self.sums(left, right), "wrong sums");
        Ok(())
    }

    /// Uploads, the kernel and the download, on the first stream.
    pub(crate) fn queue_all(&self) -> Result<()> {
        self.upload(0, 0)?;
        self.upload(1, 0)?;
        self.add(0)?;
        self.download(0)
    }

    /// What `queue` puts into the first stream, as an executable graph.
    pub(crate) fn capture(&self, queue: impl FnOnce(&Self) -> Result<()>) -> Result<sys::CUgraphExec> {
        // SAFETY: see above.
        unsafe {
            let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
            result::stream::begin_capture(self.streams[0], mode)?;
            let queued = queue(self);
            let graph = result::stream::end_capture(self.streams[0]);
            queued?;
            let graph = graph?;
            let flags = sys::CUgraphInstantiate_flags::CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH;
            let executable = result::graph::instantiate(graph, flags);
            result::graph::destroy(graph)?;
            Ok(executable?)
        }
    }

    pub(crate) fn launch_graph(&self, graph: sys::CUgraphExec, stream: usize) -> Result<()> {
        // SAFETY: see above.
        unsafe { result::graph::launch(graph, self.streams[stream]) }.map_err(Into::into)
    }

    pub(crate) fn destroy_graph(&self, graph: sys::CUgraphExec) -> Result<()> {
        // SAFETY: see above.
        unsafe { result::graph::exec_destroy(graph) }.map_err(Into::into)
    }

    pub(crate) fn free_tensor(&self, index: usize) -> Result<()> {
        // SAFETY: see above.
        unsafe { result::free_sync(self.tensors[index]) }.map_err(Into::into)
    }

    /// Frees everything; the first error of any kind is returned.
    pub(crate) fn close(&self) -> Result<()> {
        let mut first = self.close_but_memory();
        for index in 0..3 {
            let freed = self.free_tensor(index);
            first = first.and(freed);
        }
        first.and(self.release())
    }

    pub(crate) fn release(&self) -> Result<()> {
        // SAFETY: retained once.
        unsafe { result::primary_ctx::release(self.device) }.map_err(Into::into)
    }

    pub(crate) fn close_but_memory(&self) -> Result<()> {
        let mut first: Result<()> = Ok(());
        // SAFETY: nothing of it is used afterwards.
        unsafe {
            for stream in self.streams {
                first = first.and(result::stream::synchronize(stream).map_err(Into::into));
                first = first.and(result::stream::destroy(stream).map_err(Into::into));
            }
            first = first.and(result::event::destroy(self.event).map_err(Into::into));
            first = first.and(result::module::unload(self.module).map_err(Into::into));
            for host in self.host {
                first = first.and(result::free_host(host.cast()).map_err(Into::into));
            }
        }
        first
    }
}

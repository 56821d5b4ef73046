//! A CUDA graph: work that was recorded from a stream once, and is queued as a whole from then on.

use super::device::Device;
use super::stream::Stream;
use crate::error::{Error, ErrorKind, Result};
use cudarc::driver::{result, sys};
use std::sync::Arc;

/// A recorded graph, ready to be queued. What it was recorded with must outlive it.
pub(super) struct Graph {
    device: Arc<Device>,
    executable: sys::CUgraphExec,
}

// SAFETY: graphs may be used from one thread after another with their context current.
unsafe impl Send for Graph {}

impl Graph {
    /// Records what `queue` queues on the stream, which runs nothing of it.
    ///
    /// # Safety
    /// All memory that `queue` names lives as long as the graph, at the same addresses.
    pub(super) unsafe fn record(stream: &Stream, queue: impl FnOnce() -> Result<()>) -> Result<Self> {
        let device = Arc::clone(stream.device());
        device.bind()?;
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        // SAFETY: the stream lives.
        let begun = unsafe { result::stream::begin_capture(stream.raw(), mode) };
        device.check("starting to record a graph", begun)?;
        let queued = queue();
        let template = Template::end(&device, stream);
        queued?;
        let template = template?;
        // SAFETY: the template lives.
        let made = unsafe { result::graph::instantiate(template.raw, sys::CUgraphInstantiate_flags(0)) };
        let executable = device.check("making a graph ready", made)?;
        let graph = Self { device, executable };
        // SAFETY: both live.
        let uploaded = unsafe { result::graph::upload(graph.executable, stream.raw()) };
        // The upload is work on the stream; the graph may be destroyed only after it.
        stream.settled(graph.device.check("uploading a graph", uploaded))?;
        Ok(graph)
    }

    /// Queues the graph.
    ///
    /// # Safety
    /// As for what was recorded; and the graph is not queued already.
    pub(super) unsafe fn launch(&self, stream: &Stream) -> Result<()> {
        // SAFETY: both live; the rest is the caller's promise.
        let queued = unsafe { result::graph::launch(self.executable, stream.raw()) };
        self.device.check("queueing a graph", queued)
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        // SAFETY: made in `record`, destroyed once.
        self.device.insist(|| unsafe { result::graph::exec_destroy(self.executable) });
    }
}

/// The graph as it was recorded, of which the executable one is made.
struct Template {
    device: Arc<Device>,
    raw: sys::CUgraph,
}

impl Template {
    /// Ends the recording in any case: a stream left recording could not be used again.
    fn end(device: &Arc<Device>, stream: &Stream) -> Result<Self> {
        let end = || {
            // SAFETY: the stream is recording.
            device.check("ending to record a graph", unsafe { result::stream::end_capture(stream.raw()) })
        };
        let raw = end().or_else(|first| end().map_err(|_| first))?;
        if raw.is_null() {
            return Err(Error::new(ErrorKind::Internal, "CUDA: a graph was recorded and came out empty"));
        }
        Ok(Self { device: Arc::clone(device), raw })
    }
}

impl Drop for Template {
    fn drop(&mut self) {
        // SAFETY: made in `end`, destroyed once.
        self.device.insist(|| unsafe { result::graph::destroy(self.raw) });
    }
}

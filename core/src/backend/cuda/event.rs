//! Events: marks in a stream, with the time at which the device reached them.

use super::device::Device;
use super::probe::Missing;
use super::stream::Stream;
use crate::error::Result;
use cudarc::driver::{result, sys};
use std::sync::Arc;
use std::time::Duration;

type ElapsedTime = unsafe extern "C" fn(*mut f32, sys::CUevent, sys::CUevent) -> sys::CUresult;

/// A mark that measures time.
pub struct Event {
    device: Arc<Device>,
    raw: sys::CUevent,
}

// SAFETY: events may be used from every thread with their context current.
unsafe impl Send for Event {}

impl Event {
    /// An event that has not been recorded.
    pub fn new(device: &Arc<Device>) -> Result<Self> {
        device.bind()?;
        let made = result::event::create(sys::CUevent_flags::CU_EVENT_DEFAULT);
        Ok(Self { device: Arc::clone(device), raw: device.check("making an event", made)? })
    }

    /// Marks the end of what has been queued on the stream so far.
    pub fn record(&self, stream: &Stream) -> Result<()> {
        self.device.bind()?;
        // SAFETY: both belong to this device and live.
        self.device.check("recording an event", unsafe { result::event::record(self.raw, stream.raw()) })
    }

    /// Blocks until the device has reached the mark.
    pub fn synchronize(&self) -> Result<()> {
        self.device.bind()?;
        // SAFETY: the event lives.
        self.device.check("waiting for an event", unsafe { result::event::synchronize(self.raw) })
    }

    /// The time from `start` to this one; both have been reached.
    pub fn since(&self, start: &Event) -> Result<Duration> {
        self.device.bind()?;
        let mut milliseconds = 0.0_f32;
        // cudarc knows only `cuEventElapsedTime_v2` at this level, which the oldest driver does not have.
        // SAFETY: the function has had this signature in every CUDA; `probe` found the library and it.
        let function = unsafe { sys::culib().get::<ElapsedTime>(b"cuEventElapsedTime") };
        let function = function.map_err(|_| Missing::Function("cuEventElapsedTime"))?;
        // SAFETY: both events live, and the function writes one number.
        let elapsed = unsafe { function(&mut milliseconds, start.raw, self.raw) }.result();
        self.device.check("reading the time of an event", elapsed)?;
        Ok(Duration::try_from_secs_f32(milliseconds / 1e3).unwrap_or_default())
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: made in `new`, destroyed once.
        self.device.insist(|| unsafe { result::event::destroy(self.raw) });
    }
}

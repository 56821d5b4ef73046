//! A device under its primary context, and what every call to its driver has in common.

use super::device_pool::Ledger;
use super::driver_error::{failed, is_sticky};
use super::probe::{self, DeviceFacts};
use crate::error::Result;
use cudarc::driver::sys::{CUcontext, CUdevice};
use cudarc::driver::{DriverError, result};
use std::fmt;
use std::os::raw::c_int;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a call of the driver gives.
pub(super) type Called<T> = std::result::Result<T, DriverError>;

/// How often a call that frees something is made before it is given up.
const ATTEMPTS: usize = 3;

/// A device, held until the last of what was made on it is gone. Any thread may use it.
pub struct Device {
    facts: DeviceFacts,
    handle: CUdevice,
    context: CUcontext,
    pub(super) ledger: Arc<Ledger>,
    /// A call has failed in a way that nothing recovers from but a new context.
    lost: AtomicBool,
}

// SAFETY: the driver's handles may be used from every thread that has made the context current, see `bind`.
unsafe impl Send for Device {}
// SAFETY: as above; the driver locks its own state.
unsafe impl Sync for Device {}

impl Device {
    /// Retains the primary context of device `ordinal`. Fails as [`probe::device`], or as the driver does.
    pub fn open(ordinal: u32, ledger: Arc<Ledger>) -> Result<Arc<Self>> {
        let facts = probe::device(ordinal)?;
        let refused = |error| failed(format_args!("opening device {ordinal}"), error);
        let handle = result::device::get(ordinal as c_int).map_err(refused)?;
        // SAFETY: `handle` came from the driver; `Drop` releases what is retained here.
        let context = unsafe { result::primary_ctx::retain(handle) }.map_err(refused)?;
        let device = Self { facts, handle, context, ledger, lost: AtomicBool::new(false) };
        device.bind()?;
        Ok(Arc::new(device))
    }

    /// What it is.
    pub fn facts(&self) -> &DeviceFacts {
        &self.facts
    }

    /// Bytes free and in all, on the device, for everybody.
    pub fn memory(&self) -> Result<(usize, usize)> {
        self.bind()?;
        self.check("asking for free memory", result::mem_get_info())
    }

    /// Whether a call has failed in a way that only a new context recovers from.
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// Makes the context current on this thread: every other call needs that, and a thread can come from anywhere.
    pub(super) fn bind(&self) -> Result<()> {
        // SAFETY: the context is retained as long as `self` lives.
        self.check("making the context current", unsafe { result::ctx::set_current(self.context) })
    }

    /// The error of a call, which `what` says in words.
    pub(super) fn check<T>(&self, what: impl fmt::Display, result: Called<T>) -> Result<T> {
        result.map_err(|error| {
            if is_sticky(error.0) {
                self.lost.store(true, Ordering::Relaxed);
            }
            failed(what, error)
        })
    }

    /// Makes a call that gives something back, again if it fails: nobody else would. True if it succeeded.
    pub(super) fn insist(&self, call: impl Fn() -> Called<()>) -> bool {
        for _ in 0..ATTEMPTS {
            if self.bind().is_ok() && self.check("giving back", call()).is_ok() {
                return true;
            }
        }
        false
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        for _ in 0..ATTEMPTS {
            // SAFETY: retained in `open`, and everything made in the context held this device until it was gone.
            if unsafe { result::primary_ctx::release(self.handle) }.is_ok() {
                return;
            }
        }
    }
}

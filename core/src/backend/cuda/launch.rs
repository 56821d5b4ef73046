//! A kernel of a loaded module.

use cudarc::driver::sys::CUfunction;

/// An entry point, good as long as the module cache that it came from.
#[derive(Clone, Copy)]
pub struct Kernel {
    raw: CUfunction,
}

// SAFETY: functions may be launched from every thread with their context current.
unsafe impl Send for Kernel {}
// SAFETY: as above; nothing in it changes.
unsafe impl Sync for Kernel {}

impl Kernel {
    pub(super) fn new(raw: CUfunction) -> Self {
        Self { raw }
    }

    pub(super) fn raw(&self) -> CUfunction {
        self.raw
    }
}

//! Buffers of floats that start at a page, so that no vector straddles a cache line.

use crate::error::{Error, ErrorKind, Result};
use libvision_kernels::cpu::huge_pages::{HUGE_PAGE, prefer_huge_pages};
use std::alloc::{Layout, alloc, dealloc};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// Bytes that every buffer's start is a multiple of; larger ones start at a large page.
const ALIGNMENT: usize = 4096;

/// A fixed number of floats, aligned to `ALIGNMENT` bytes.
pub struct AlignedFloats {
    start: NonNull<f32>,
    len: usize,
}

// SAFETY: it owns its floats, as a `Box<[f32]>` would.
unsafe impl Send for AlignedFloats {}
// SAFETY: shared references give shared access to floats only.
unsafe impl Sync for AlignedFloats {}

impl AlignedFloats {
    /// `len` zeros, written, so that the system has handed out every page. Fails with `OUT_OF_MEMORY`.
    pub fn zeroed(len: usize) -> Result<Self> {
        if len == 0 {
            return Ok(Self { start: NonNull::dangling(), len });
        }
        let refused =
            || Error::new(ErrorKind::OutOfMemory, format!("no memory for a buffer of {len} floats"));
        let layout = layout(len).ok_or_else(refused)?;
        // SAFETY: the layout has a size.
        let start = NonNull::new(unsafe { alloc(layout) }.cast::<f32>()).ok_or_else(refused)?;
        if layout.align() == HUGE_PAGE {
            prefer_huge_pages(start.as_ptr().cast(), layout.size());
        }
        // SAFETY: `start` holds `len` floats, for which all bits zero is a value.
        unsafe { start.write_bytes(0, len) };
        Ok(Self { start, len })
    }

    /// Bytes taken.
    pub fn bytes(&self) -> usize {
        self.len * size_of::<f32>()
    }
}

fn layout(len: usize) -> Option<Layout> {
    let layout = Layout::array::<f32>(len).ok()?;
    layout.align_to(if layout.size() < HUGE_PAGE { ALIGNMENT } else { HUGE_PAGE }).ok()
}

impl Deref for AlignedFloats {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: `start` holds `len` initialised floats, or `len` is 0.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl DerefMut for AlignedFloats {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as above, and the exclusive reference makes the access exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl Drop for AlignedFloats {
    fn drop(&mut self) {
        if let Some(layout) = layout(self.len).filter(|layout| layout.size() > 0) {
            // SAFETY: `start` came from `alloc` with this layout.
            unsafe { dealloc(self.start.as_ptr().cast(), layout) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_aligned_zero_and_writable() {
        for len in [0, 1, 15, 4096, 100_003] {
            let mut floats = AlignedFloats::zeroed(len).expect("memory");
            assert_eq!((floats.len(), floats.bytes()), (len, 4 * len));
            assert!(len == 0 || floats.as_ptr().addr().is_multiple_of(ALIGNMENT));
            assert!(floats.iter().all(|value| value.to_bits() == 0));
            floats.fill(1.0);
            assert_eq!(floats.iter().sum::<f32>(), len as f32);
        }
    }

    #[test]
    fn too_much_is_an_error() {
        for len in [usize::MAX, usize::MAX / 4, usize::MAX / 16] {
            let error = AlignedFloats::zeroed(len).err().expect("no machine has this");
            assert_eq!(error.kind(), ErrorKind::OutOfMemory);
        }
    }
}

//! Floats that start at a cache line, for packed weights.
//!
//! Small arrays share blocks of memory, so that all of a model's weights lie in few large pages.

use crate::cpu::huge_pages::{HUGE_PAGE, prefer_huge_pages};
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Bytes of a block that arrays share.
const SHARED_BLOCK: usize = 4 * HUGE_PAGE;
/// Larger arrays have a block of their own.
const LARGEST_SHARED: usize = 2 * HUGE_PAGE;
/// Bytes that every array starts at a multiple of.
const CACHE_LINE: usize = 64;

/// A fixed number of floats, zero at first, the first of which starts a cache line.
pub(crate) struct AlignedFloats {
    start: NonNull<f32>,
    len: usize,
    /// Holds the floats.
    block: Option<Arc<Block>>,
}

// SAFETY: it owns its part of the block, as a `Box<[f32]>` would.
unsafe impl Send for AlignedFloats {}
// SAFETY: shared references give shared access to floats only.
unsafe impl Sync for AlignedFloats {}

impl AlignedFloats {
    pub(crate) fn zeroed(len: usize) -> Self {
        let layout = Layout::array::<f32>(len).unwrap_or_else(|_| Layout::new::<f32>());
        assert_eq!(layout.size() / size_of::<f32>(), len, "more floats than can be addressed");
        if len == 0 {
            return Self { start: NonNull::dangling(), len, block: None };
        }
        let (block, offset) = place(layout.size());
        // SAFETY: `place` gave these bytes of the block to nobody else.
        let start = unsafe { block.start.add(offset) }.cast::<f32>();
        // SAFETY: as above; all bits zero is a float.
        unsafe { start.write_bytes(0, len) };
        Self { start, len, block: Some(block) }
    }

    /// `values`, if there are any, with zeros behind them up to `len`.
    pub(crate) fn padded(values: Option<&[f32]>, len: usize) -> Self {
        let mut floats = Self::zeroed(len);
        if let Some(values) = values {
            floats[..values.len()].copy_from_slice(values);
        }
        floats
    }

    /// Bytes taken.
    pub(crate) fn bytes(&self) -> usize {
        self.block.as_ref().map_or(0, |_| size_of_val(&**self).next_multiple_of(CACHE_LINE))
    }
}

impl Deref for AlignedFloats {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        // SAFETY: `start` holds `len` initialised floats as long as the block lives, or `len` is 0.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl DerefMut for AlignedFloats {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as above, and the exclusive reference makes the access exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

/// Memory that one array or several lie in, freed with the last of them.
struct Block {
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: it owns its memory and gives no access to it by itself.
unsafe impl Send for Block {}
// SAFETY: as above.
unsafe impl Sync for Block {}

impl Block {
    fn new(bytes: usize) -> Arc<Self> {
        let Ok(layout) = Layout::from_size_align(bytes, HUGE_PAGE) else {
            panic!("a block of {bytes} bytes is more than can be addressed");
        };
        // SAFETY: callers ask for at least one byte.
        let Some(start) = NonNull::new(unsafe { alloc(layout) }) else { handle_alloc_error(layout) };
        prefer_huge_pages(start.as_ptr(), bytes);
        Arc::new(Self { start, layout })
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: `start` came from `alloc` with this layout.
        unsafe { dealloc(self.start.as_ptr(), self.layout) };
    }
}

/// The block that is being filled, and how much of it is taken. It lives as long as an array in it.
static FILLING: Mutex<(Weak<Block>, usize)> = Mutex::new((Weak::new(), 0));

/// A block and the offset in it of `bytes` bytes for one array.
fn place(bytes: usize) -> (Arc<Block>, usize) {
    if bytes > LARGEST_SHARED {
        return (Block::new(bytes), 0);
    }
    let mut filling = FILLING.lock().unwrap_or_else(PoisonError::into_inner);
    let (block, taken) = &mut *filling;
    let found = block.upgrade().filter(|_| *taken + bytes <= SHARED_BLOCK);
    let found = found.unwrap_or_else(|| {
        let fresh = Block::new(SHARED_BLOCK);
        (*block, *taken) = (Arc::downgrade(&fresh), 0);
        fresh
    });
    let offset = *taken;
    *taken = (offset + bytes).next_multiple_of(CACHE_LINE);
    (found, offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_are_aligned_zero_writable_and_apart() {
        let sizes = [0, 1, 15, 16, 17, 1000, LARGEST_SHARED / 4, LARGEST_SHARED / 4 + 1, SHARED_BLOCK / 8, 5];
        let mut arrays: Vec<AlignedFloats> = (0..3).flat_map(|_| sizes).map(AlignedFloats::zeroed).collect();
        for (index, array) in arrays.iter_mut().enumerate() {
            assert_eq!(array.len(), sizes[index % sizes.len()]);
            assert!(array.is_empty() || array.as_ptr().addr().is_multiple_of(CACHE_LINE));
            assert!(array.iter().all(|value| value.to_bits() == 0), "array {index}");
            array.fill(index as f32);
        }
        for (index, array) in arrays.iter().enumerate() {
            assert!(array.iter().all(|value| *value == index as f32), "array {index}");
        }
    }

    #[test]
    fn threads_get_arrays_of_their_own() {
        std::thread::scope(|scope| {
            for thread in 0..8 {
                scope.spawn(move || {
                    for round in 0..100 {
                        let mut array = AlignedFloats::zeroed(1 + round * 97);
                        assert!(array.iter().all(|value| *value == 0.0));
                        array.fill(thread as f32);
                        std::thread::yield_now();
                        assert!(array.iter().all(|value| *value == thread as f32));
                    }
                });
            }
        });
    }
}

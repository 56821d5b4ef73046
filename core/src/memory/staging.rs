//! Buffers that a batch is built in: several threads fill different slots at the same time, then one
//! thread reads them all.

use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut, Range};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A row of equal slots of `f32`, each leased to one holder at a time.
pub struct SlotBuffer {
    data: Box<[UnsafeCell<f32>]>,
    slot_len: usize,
    leased: Box<[AtomicBool]>,
}

// SAFETY: the elements are reached only through a `SlotLease`, and the flags give out each slot to one
// lease at a time.
unsafe impl Sync for SlotBuffer {}

/// Neighbouring slots, held alone until this is dropped. Reads and writes as one slice.
pub struct SlotLease {
    buffer: Arc<SlotBuffer>,
    slots: Range<usize>,
}

impl SlotBuffer {
    /// A buffer of `slots` slots of `slot_len` zeros.
    pub fn new(slots: usize, slot_len: usize) -> Arc<Self> {
        Arc::new(Self {
            data: (0..slots * slot_len).map(|_| UnsafeCell::new(0.0)).collect(),
            slot_len,
            leased: (0..slots).map(|_| AtomicBool::new(false)).collect(),
        })
    }

    /// Bytes of the buffer.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.data)
    }

    /// Leases the slots, or none of them if one is out of range or leased already.
    pub fn lease(self: &Arc<Self>, slots: Range<usize>) -> Option<SlotLease> {
        let flags = self.leased.get(slots.clone())?;
        for (taken, flag) in flags.iter().enumerate() {
            if flag.swap(true, Ordering::Acquire) {
                for flag in &flags[..taken] {
                    flag.store(false, Ordering::Release);
                }
                return None;
            }
        }
        Some(SlotLease { buffer: Arc::clone(self), slots })
    }
}

impl SlotLease {
    fn elements(&self) -> Range<usize> {
        self.slots.start * self.buffer.slot_len..self.slots.end * self.buffer.slot_len
    }
}

impl Deref for SlotLease {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        let cells = &self.buffer.data[self.elements()];
        // SAFETY: the flags of these slots are set for this lease alone, so nobody else reaches the
        // elements; `UnsafeCell<f32>` has the layout of `f32`.
        unsafe { std::slice::from_raw_parts(cells.as_ptr().cast(), cells.len()) }
    }
}

impl DerefMut for SlotLease {
    fn deref_mut(&mut self) -> &mut [f32] {
        let cells = &self.buffer.data[self.elements()];
        // SAFETY: as above, and `self` is borrowed mutably; the cells allow writing through a shared
        // reference to the buffer.
        unsafe { std::slice::from_raw_parts_mut(cells.as_ptr().cast_mut().cast(), cells.len()) }
    }
}

impl Drop for SlotLease {
    fn drop(&mut self) {
        for flag in &self.buffer.leased[self.slots.clone()] {
            flag.store(false, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_has_one_holder_at_a_time() {
        let buffer = SlotBuffer::new(4, 2);
        let mut first = buffer.lease(0..2).expect("free");
        first.copy_from_slice(&[1.0, 2.0, 3.0, 4.0]);
        assert!(buffer.lease(1..3).is_none());
        // The failed lease gave back what it had taken.
        assert!(buffer.lease(2..4).is_some());
        assert!(buffer.lease(3..5).is_none());
        drop(first);
        assert_eq!(buffer.lease(0..4).expect("all free")[..5], [1.0, 2.0, 3.0, 4.0, 0.0]);
    }

    #[test]
    fn threads_fill_different_slots() {
        let buffer = SlotBuffer::new(8, 1000);
        std::thread::scope(|scope| {
            for slot in 0..8 {
                let buffer = &buffer;
                scope.spawn(move || buffer.lease(slot..slot + 1).expect("its own").fill(slot as f32));
            }
        });
        let all = buffer.lease(0..8).expect("all free");
        for (i, value) in all.iter().enumerate() {
            assert_eq!(*value, (i / 1000) as f32);
        }
    }
}

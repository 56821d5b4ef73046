//! Buffers that a batch is built in: several threads fill different slots at the same time, then one
//! thread reads them all.

use super::aligned::AlignedFloats;
use crate::error::Result;
use std::ops::{Deref, DerefMut, Range};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A row of equal slots of floats, each leased to one holder at a time.
pub struct SlotBuffer {
    /// Start of `floats`, which are reached through leases alone.
    start: NonNull<f32>,
    floats: AlignedFloats,
    slot_len: usize,
    leased: Box<[AtomicBool]>,
}

// SAFETY: it owns its floats; nothing in it belongs to the thread that made it.
unsafe impl Send for SlotBuffer {}
// SAFETY: the floats are reached only through a `SlotLease`, and the flags give out each slot to one lease
// at a time, with the order of a lock.
unsafe impl Sync for SlotBuffer {}

/// Neighbouring slots, held alone until this is dropped. Reads and writes as one slice.
pub struct SlotLease {
    buffer: Arc<SlotBuffer>,
    slots: Range<usize>,
}

impl SlotBuffer {
    /// A buffer of `slots` slots of `slot_len` zeros. Fails with `OUT_OF_MEMORY`.
    pub fn new(slots: usize, slot_len: usize) -> Result<Arc<Self>> {
        let mut floats = AlignedFloats::zeroed(slots.saturating_mul(slot_len))?;
        Ok(Arc::new(Self {
            start: NonNull::from(&mut *floats).cast(),
            floats,
            slot_len,
            leased: (0..slots).map(|_| AtomicBool::new(false)).collect(),
        }))
    }

    /// Bytes of the slots.
    pub fn bytes(&self) -> usize {
        self.floats.bytes()
    }

    /// Leases the slots, or none of them if one is out of range or leased already. Never blocks.
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
    fn start(&self) -> NonNull<f32> {
        // SAFETY: `lease` checked that the slots are in the buffer, of `slot_len` floats each.
        unsafe { self.buffer.start.add(self.slots.start * self.buffer.slot_len) }
    }

    fn floats(&self) -> usize {
        self.slots.len() * self.buffer.slot_len
    }
}

impl Deref for SlotLease {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: the slots are in the buffer, which this keeps alive, and their flags are set for this
        // lease alone, so nobody else reaches the floats; they were initialised when the buffer was made.
        unsafe { NonNull::slice_from_raw_parts(self.start(), self.floats()).as_ref() }
    }
}

impl DerefMut for SlotLease {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as above, and `self` is borrowed mutably.
        unsafe { NonNull::slice_from_raw_parts(self.start(), self.floats()).as_mut() }
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
    use crate::error::ErrorKind;

    #[test]
    fn a_slot_has_one_holder_at_a_time() {
        let buffer = SlotBuffer::new(4, 2).expect("memory");
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
        let buffer = SlotBuffer::new(8, 1000).expect("memory");
        std::thread::scope(|scope| {
            for slot in 0..8 {
                let buffer = &buffer;
                scope.spawn(move || buffer.lease(slot..slot + 1).expect("its own").fill(slot as f32));
            }
        });
        let all = buffer.lease(0..8).expect("all free");
        assert!(all.iter().enumerate().all(|(i, value)| *value == (i / 1000) as f32));
    }

    /// Nothing but the flag orders them; ThreadSanitizer sees it if that does not.
    #[test]
    fn a_slot_passes_from_thread_to_thread_with_what_lies_in_it() {
        let buffer = SlotBuffer::new(1, 16).expect("memory");
        std::thread::scope(|scope| {
            for _ in 0..3 {
                let buffer = &buffer;
                scope.spawn(move || {
                    for _ in 0..200 {
                        let mut lease = loop {
                            match buffer.lease(0..1) {
                                Some(lease) => break lease,
                                None => std::thread::yield_now(),
                            }
                        };
                        lease.iter_mut().for_each(|value| *value += 1.0);
                    }
                });
            }
        });
        assert_eq!(buffer.lease(0..1).expect("free")[..], [600.0; 16]);
    }

    #[test]
    fn empty_slots_and_too_many() {
        let buffer = SlotBuffer::new(3, 0).expect("no memory is needed");
        assert!(buffer.lease(0..3).expect("free").is_empty());
        let error = SlotBuffer::new(usize::MAX, 2).err().expect("no machine has this");
        assert_eq!(error.kind(), ErrorKind::OutOfMemory);
    }
}

//! Things whose memory is used again: who needs one takes it, and puts it back for the next.

use parking_lot::Mutex;

/// At most so many of them that nobody uses.
pub(super) struct Pool<T> {
    spare: Mutex<Vec<T>>,
    most: usize,
}

impl<T: Default> Pool<T> {
    pub(super) fn new(most: usize) -> Self {
        Self { spare: Mutex::new(Vec::with_capacity(most)), most }
    }

    /// One that was used before, as it was put back, or a new one.
    pub(super) fn take(&self) -> T {
        let spare = self.spare.lock().pop();
        spare.unwrap_or_default()
    }

    pub(super) fn put(&self, thing: T) {
        let mut spare = self.spare.lock();
        if spare.len() < self.most {
            spare.push(thing);
        }
    }
}

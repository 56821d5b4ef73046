//! A number of bytes that many may charge and give back, never more than the limit in total.

use crate::error::{Error, ErrorKind, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that may be in use at one time. Cloning gives another handle to the same budget.
#[derive(Clone, Debug)]
pub struct ByteBudget {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    limit: usize,
    used: AtomicUsize,
}

/// Bytes taken from a [`ByteBudget`]; given back when dropped.
#[derive(Debug)]
pub struct Charge {
    shared: Arc<Shared>,
    bytes: usize,
}

impl ByteBudget {
    /// A budget of so many bytes.
    pub fn new(limit: usize) -> Self {
        Self { shared: Arc::new(Shared { limit, used: AtomicUsize::new(0) }) }
    }

    /// Takes bytes, to be called before the memory itself is taken. Fails with `OUT_OF_MEMORY`, taking
    /// nothing, if not so many are left; `what` is named in the message. Never blocks.
    pub fn charge(&self, bytes: usize, what: &str) -> Result<Charge> {
        let Shared { limit, used } = &*self.shared;
        let taken = used.try_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(bytes).filter(|total| total <= limit)
        });
        match taken {
            Ok(_) => Ok(Charge { shared: Arc::clone(&self.shared), bytes }),
            Err(used) => {
                let left = limit - used;
                let message = format!("{what} needs {bytes} bytes; of a budget of {limit}, {left} are left");
                Err(Error::new(ErrorKind::OutOfMemory, message))
            }
        }
    }

    /// Bytes in use.
    pub fn used(&self) -> usize {
        self.shared.used.load(Ordering::Relaxed)
    }

    /// Bytes that may be in use.
    pub fn limit(&self) -> usize {
        self.shared.limit
    }
}

impl Charge {
    /// Bytes taken.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.shared.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charges_add_up_and_come_back() {
        let budget = ByteBudget::new(100);
        let first = budget.charge(60, "first").expect("60 of 100");
        let error = budget.charge(41, "second").expect_err("40 are left");
        assert_eq!(error.kind(), ErrorKind::OutOfMemory);
        assert_eq!(error.message(), "second needs 41 bytes; of a budget of 100, 40 are left");
        let second = budget.charge(40, "second").expect("40 are left");
        assert_eq!((budget.used(), first.bytes(), second.bytes()), (100, 60, 40));
        drop(first);
        assert_eq!(budget.used(), 40);
        assert!(budget.charge(usize::MAX, "all").is_err(), "no overflow");
    }

    #[test]
    fn many_threads_never_pass_the_limit() {
        let budget = ByteBudget::new(50);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        if let Ok(charge) = budget.charge(20, "a part") {
                            assert!(budget.used() <= budget.limit());
                            drop(charge);
                        }
                    }
                });
            }
        });
        assert_eq!(budget.used(), 0);
    }
}

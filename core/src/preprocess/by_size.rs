//! What preprocessing needs for pictures of one size, kept for those of the same size that come later.

use crate::error::Result;
use parking_lot::Mutex;
use std::sync::Arc;

/// Sizes that are kept.
const KEPT: usize = 16;

/// Values by height and width, the most recently used last.
pub(crate) struct BySize<T>(Mutex<Vec<([usize; 2], Arc<T>)>>);

impl<T> Default for BySize<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> BySize<T> {
    /// The value for this size, made if it is not kept. What `make` gives as `None` is not kept either.
    pub(crate) fn get(
        &self,
        size: [usize; 2],
        make: impl FnOnce() -> Result<Option<T>>,
    ) -> Result<Option<Arc<T>>> {
        {
            let mut kept = self.0.lock();
            if let Some(found) = kept.iter().position(|(key, _)| *key == size) {
                let entry = kept.remove(found);
                let value = Arc::clone(&entry.1);
                kept.push(entry);
                return Ok(Some(value));
            }
        }
        // Made without the lock: two threads may both make it for the same size.
        let Some(value) = make()?.map(Arc::new) else { return Ok(None) };
        let mut kept = self.0.lock();
        if kept.len() >= KEPT {
            kept.remove(0);
        }
        kept.push((size, Arc::clone(&value)));
        Ok(Some(value))
    }
}

#[cfg(test)]
mod tests {
    use super::{BySize, KEPT};

    #[test]
    fn the_sizes_used_last_are_kept() {
        let values = BySize::default();
        let made = |side: usize| {
            let mut made = false;
            let value = values.get([side, 1], || {
                made = true;
                Ok(Some(side))
            });
            assert_eq!(value.expect("made or kept").as_deref(), Some(&side));
            made
        };
        assert!((0..KEPT).all(made));
        assert!(!made(0));
        assert!(made(KEPT));
        assert!(!made(0) && made(1));
        assert!(values.get([0, 0], || Ok(None)).expect("nothing").is_none());
    }
}

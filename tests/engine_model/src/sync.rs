//! The engine's locks and channels as loom models them, under the names and with the manners of the crates that they
//! stand in for. Time does not pass: what waits for a while waits until it is woken.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

/// As `parking_lot` has it.
pub struct Mutex<T>(loom::sync::Mutex<T>);

pub struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    held: Option<loom::sync::MutexGuard<'a, T>>,
}

impl<T> Mutex<T> {
    pub fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    pub fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard { mutex: self, held: Some(self.held()) }
    }

    fn held(&self) -> loom::sync::MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl<T> MutexGuard<'_, T> {
    pub fn unlocked<U>(guard: &mut Self, act: impl FnOnce() -> U) -> U {
        guard.held = None;
        let done = act();
        guard.held = Some(guard.mutex.held());
        done
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mutex")
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.held.as_ref().expect("held")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.held.as_mut().expect("held")
    }
}

pub struct Condvar(loom::sync::Condvar);

pub struct WaitTimeoutResult;

impl WaitTimeoutResult {
    pub fn timed_out(&self) -> bool {
        false
    }
}

impl Condvar {
    pub fn new() -> Self {
        Self(loom::sync::Condvar::new())
    }

    pub fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let held = guard.held.take().expect("held");
        guard.held = Some(self.0.wait(held).unwrap_or_else(|poisoned| poisoned.into_inner()));
    }

    pub fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, _: Duration) -> WaitTimeoutResult {
        self.wait(guard);
        WaitTimeoutResult
    }

    pub fn wait_until<T>(&self, guard: &mut MutexGuard<'_, T>, _: Instant) -> WaitTimeoutResult {
        self.wait(guard);
        WaitTimeoutResult
    }

    pub fn notify_one(&self) {
        self.0.notify_one();
    }

    pub fn notify_all(&self) {
        self.0.notify_all();
    }
}

impl Default for Condvar {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Condvar")
    }
}

/// Tenants' names are under one; no scenario has any.
pub use parking_lot_stand_in::RwLock;

mod parking_lot_stand_in {
    /// As `parking_lot` has it, over the standard library's.
    #[derive(Default)]
    pub struct RwLock<T>(std::sync::RwLock<T>);

    impl<T> RwLock<T> {
        pub fn read(&self) -> std::sync::RwLockReadGuard<'_, T> {
            self.0.read().expect("nobody panics")
        }

        pub fn write(&self) -> std::sync::RwLockWriteGuard<'_, T> {
            self.0.write().expect("nobody panics")
        }
    }
}

/// As `crossbeam` has them; nothing is ever sent to one that is full.
pub mod channel {
    use super::{Condvar, Mutex};
    use std::collections::VecDeque;
    use std::sync::Arc;

    struct Queue<T> {
        state: Mutex<State<T>>,
        changed: Condvar,
    }

    struct State<T> {
        items: VecDeque<T>,
        senders: usize,
        most: usize,
    }

    pub struct Sender<T>(Arc<Queue<T>>);

    pub struct Receiver<T>(Arc<Queue<T>>);

    pub fn bounded<T>(most: usize) -> (Sender<T>, Receiver<T>) {
        let state = State { items: VecDeque::new(), senders: 1, most };
        let queue = Arc::new(Queue { state: Mutex::new(state), changed: Condvar::new() });
        (Sender(Arc::clone(&queue)), Receiver(queue))
    }

    pub fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
        bounded(usize::MAX)
    }

    impl<T> Sender<T> {
        pub fn send(&self, item: T) -> Result<(), T> {
            let mut state = self.0.state.lock();
            assert!(state.items.len() < state.most, "a send that would block");
            state.items.push_back(item);
            self.0.changed.notify_one();
            Ok(())
        }

        pub fn len(&self) -> usize {
            self.0.state.lock().items.len()
        }

        pub fn is_empty(&self) -> bool {
            self.len() == 0
        }
    }

    impl<T> Clone for Sender<T> {
        fn clone(&self) -> Self {
            self.0.state.lock().senders += 1;
            Self(Arc::clone(&self.0))
        }
    }

    impl<T> Drop for Sender<T> {
        fn drop(&mut self) {
            self.0.state.lock().senders -= 1;
            self.0.changed.notify_one();
        }
    }

    impl<T> Receiver<T> {
        pub fn recv(&self) -> Option<T> {
            let mut state = self.0.state.lock();
            loop {
                if let Some(item) = state.items.pop_front() {
                    return Some(item);
                }
                if state.senders == 0 {
                    return None;
                }
                self.0.changed.wait(&mut state);
            }
        }
    }

    impl<T> Iterator for &Receiver<T> {
        type Item = T;

        fn next(&mut self) -> Option<T> {
            self.recv()
        }
    }
}

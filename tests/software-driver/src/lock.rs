//! The lock around the driver's state.

use crate::driver::Driver;
use crate::settings::Settings;
use std::cell::Cell;
use std::ops::{Deref, DerefMut};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

thread_local! {
    static LOCKED: Cell<bool> = const { Cell::new(false) };
}

fn shared() -> &'static Mutex<Driver> {
    static SHARED: OnceLock<Mutex<Driver>> = OnceLock::new();
    SHARED.get_or_init(|| Mutex::new(Driver::new(Settings::from_environment())))
}

static CHANGED: Condvar = Condvar::new();

/// The state, locked.
pub(crate) struct Guard(Option<MutexGuard<'static, Driver>>);

impl Guard {
    pub(crate) fn lock() -> Self {
        let guard = shared().lock().unwrap_or_else(PoisonError::into_inner);
        LOCKED.set(true);
        Self(Some(guard))
    }

    /// Whether this thread holds the lock; a fault that it meets is then not the program's.
    pub(crate) fn is_held() -> bool {
        LOCKED.get()
    }

    /// Lets others in for a moment.
    pub(crate) fn wait(&mut self) {
        let Some(guard) = self.0.take() else { return };
        LOCKED.set(false);
        let waited = CHANGED.wait_timeout(guard, Duration::from_millis(5));
        let (guard, _) = waited.unwrap_or_else(PoisonError::into_inner);
        LOCKED.set(true);
        self.0 = Some(guard);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        LOCKED.set(false);
    }
}

impl Deref for Guard {
    type Target = Driver;
    fn deref(&self) -> &Driver {
        self.0.as_ref().expect("only `wait` gives it away, and takes it back")
    }
}

impl DerefMut for Guard {
    fn deref_mut(&mut self) -> &mut Driver {
        self.0.as_mut().expect("only `wait` gives it away, and takes it back")
    }
}

/// Wakes those that wait for something to go on.
pub(crate) fn announce() {
    CHANGED.notify_all();
}

//! Where the engine's time comes from, real or moved by a test, and the bell that a thread sleeps beside until
//! a moment comes.

pub use super::machine::Time;
use parking_lot::{Condvar, Mutex};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// Where the engine's time comes from.
pub trait Clock: Send + Sync {
    /// The present moment; never before one that was given out.
    fn now(&self) -> Time;

    /// Blocks until `bell` is rung, or until the moment comes if there is one. May return early.
    fn sleep(&self, bell: &Arc<Bell>, until: Option<Time>);
}

/// Wakes the one thread that sleeps beside it. Rung while nobody sleeps, it keeps the next one awake.
#[derive(Debug, Default)]
pub struct Bell {
    is_rung: Mutex<bool>,
    rung: Condvar,
}

impl Bell {
    /// Wakes the sleeper. Never blocks for long.
    pub fn ring(&self) {
        *self.is_rung.lock() = true;
        self.rung.notify_one();
    }

    fn wait(&self, timeout: Option<Duration>) {
        let mut is_rung = self.is_rung.lock();
        if !*is_rung {
            match timeout {
                Some(timeout) => drop(self.rung.wait_for(&mut is_rung, timeout)),
                None => self.rung.wait(&mut is_rung),
            }
        }
        *is_rung = false;
    }
}

/// The system's monotonic clock.
#[derive(Debug)]
pub struct RealClock(Instant);

impl RealClock {
    /// A clock that starts at zero.
    pub fn new() -> Self {
        Self(Instant::now())
    }
}

impl Default for RealClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for RealClock {
    fn now(&self) -> Time {
        Time::default().after(self.0.elapsed())
    }

    fn sleep(&self, bell: &Arc<Bell>, until: Option<Time>) {
        bell.wait(until.map(|until| until.since(self.now())));
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug, Default)]
pub struct ManualClock(Mutex<Moved>);

#[derive(Debug, Default)]
struct Moved {
    now: Time,
    sleepers: Vec<Weak<Bell>>,
}

impl ManualClock {
    /// Moves the clock forward and wakes whoever sleeps by it.
    pub fn advance(&self, duration: Duration) {
        let mut moved = self.0.lock();
        moved.now = moved.now.after(duration);
        for bell in moved.sleepers.drain(..).filter_map(|bell| bell.upgrade()) {
            bell.ring();
        }
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Time {
        self.0.lock().now
    }

    fn sleep(&self, bell: &Arc<Bell>, until: Option<Time>) {
        {
            let mut moved = self.0.lock();
            if until.is_some_and(|until| until <= moved.now) {
                return;
            }
            moved.sleepers.retain(|sleeper| !std::ptr::eq(sleeper.as_ptr(), Arc::as_ptr(bell)));
            moved.sleepers.push(Arc::downgrade(bell));
        }
        bell.wait(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleeper_wakes_when_the_manual_clock_moves_or_the_bell_rings() {
        let (clock, bell) = (Arc::new(ManualClock::default()), Arc::new(Bell::default()));
        let until = clock.now().after(Duration::from_secs(3600));
        let sleeper = {
            let (clock, bell) = (Arc::clone(&clock), Arc::clone(&bell));
            std::thread::spawn(move || {
                while clock.now() < until {
                    clock.sleep(&bell, Some(until));
                }
            })
        };
        bell.ring();
        clock.advance(Duration::from_secs(1800));
        assert!(!sleeper.is_finished());
        clock.advance(Duration::from_secs(1800));
        sleeper.join().expect("no panic");
    }

    #[test]
    fn a_bell_rung_before_keeps_awake() {
        let (clock, bell) = (RealClock::new(), Arc::new(Bell::default()));
        bell.ring();
        clock.sleep(&bell, None);
        assert!(clock.now() <= clock.now());
    }
}

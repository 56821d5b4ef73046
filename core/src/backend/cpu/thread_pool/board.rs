//! Where news is posted and where workers sleep until there is some.

use super::sync::*;

/// News in the low half (what it means is the owner's), sleepers in the high half.
///
/// Both are one word, so that whoever posts learns in the same step who sleeps, and whoever goes to sleep
/// learns what has been posted: no wake-up can be lost between two words.
pub(super) struct Board(AtomicU64);

const SLEEPER: u64 = 1 << 32;
const NEWS: u64 = SLEEPER - 1;

impl Board {
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    pub(super) fn news(&self) -> u64 {
        self.0.load(Acquire) & NEWS
    }

    /// Adds to the news; whether anybody sleeps.
    pub(super) fn post(&self, news: u64) -> bool {
        self.0.fetch_add(news, AcqRel) >= SLEEPER
    }

    /// Takes from the news.
    pub(super) fn withdraw(&self, news: u64) {
        self.0.fetch_sub(news, AcqRel);
    }

    /// Takes one from the news; whether there was any.
    pub(super) fn take_one(&self) -> bool {
        let less = |word| (word & NEWS > 0).then(|| word - 1);
        self.0.fetch_update(AcqRel, Relaxed, less).is_ok()
    }

    pub(super) fn has_sleepers(&self) -> bool {
        self.0.load(Relaxed) >= SLEEPER
    }

    #[cfg(test)]
    pub(super) fn sleepers(&self) -> usize {
        (self.0.load(Acquire) / SLEEPER) as usize
    }

    fn add_sleeper(&self) {
        self.0.fetch_add(SLEEPER, AcqRel);
    }

    fn remove_sleeper(&self) {
        self.0.fetch_sub(SLEEPER, AcqRel);
    }
}

/// One worker's bed.
#[repr(align(128))]
pub(super) struct Worker {
    /// The place where it sleeps, or `AWAKE`.
    asleep: AtomicUsize,
    thread: Mutex<Option<Thread>>,
}

const AWAKE: usize = usize::MAX;

impl Worker {
    pub(super) fn new() -> Self {
        Self { asleep: AtomicUsize::new(AWAKE), thread: Mutex::new(None) }
    }

    /// Says that it is the calling thread.
    pub(super) fn introduce(&self) {
        *lock(&self.thread) = Some(thread::current());
    }

    /// Sleeps at `place`, whose board is given, until `ready` gives something. Whoever makes it ready posts
    /// on the board and then wakes.
    pub(super) fn sleep<T>(&self, place: usize, board: &Board, ready: impl Fn() -> Option<T>) -> T {
        loop {
            self.asleep.store(place, Relaxed);
            board.add_sleeper();
            let found = ready();
            if found.is_some() {
                self.asleep.store(AWAKE, Relaxed);
            }
            while self.asleep.load(Acquire) != AWAKE {
                thread::park();
            }
            // By itself: whoever wakes it may do so before it has been counted, and must not hide another one.
            board.remove_sleeper();
            if let Some(found) = found.or_else(&ready) {
                return found;
            }
        }
    }

    /// Wakes it if it sleeps at `place`; whether it did.
    pub(super) fn wake(&self, place: usize) -> bool {
        let was_asleep = self.asleep.compare_exchange(place, AWAKE, AcqRel, Relaxed).is_ok();
        if was_asleep && let Some(thread) = &*lock(&self.thread) {
            thread.unpark();
        }
        was_asleep
    }
}

/// The lock, whether or not another holder panicked: nothing is left half done under these.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

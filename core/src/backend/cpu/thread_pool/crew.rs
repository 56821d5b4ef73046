//! One run and the workers that help it: how a loop is announced, shared out and awaited.

use super::board::{Board, lock};
use super::shares::Shares;
use super::sync::*;
use libvision_kernels::parallel::Task;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Belongs to the pool, so that a worker which is late to leave never looks at memory that is gone.
#[repr(align(128))]
pub(super) struct Crew {
    /// Invitations to the current loop that nobody has taken, and the crew's workers that sleep.
    pub(super) board: Board,
    /// The current loop; valid while one of its invitations has not ended.
    job: UnsafeCell<*const Job<'static>>,
    /// `OPEN | places << 16 | joined`; 0 is free. A closed crew keeps `joined` until all have left.
    state: AtomicUsize,
    ending: Ending,
}

/// What the end of each invitation touches, apart from what waiting workers look at.
#[repr(align(128))]
struct Ending {
    /// Invitations that have not ended, times `UNFINISHED`, and whether the caller sleeps.
    unfinished: AtomicUsize,
    caller: Mutex<()>,
    all_finished: Condvar,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

/// One `for_each`.
struct Job<'a> {
    f: &'a (dyn Fn(Task) + Sync),
    shares: Shares,
}

// SAFETY: `job` is written while no invitation is left and read by whoever holds one (see `work`); it points to
// a closure that is `Sync`.
unsafe impl Sync for Crew {}
// SAFETY: as above; nothing in it belongs to a thread.
unsafe impl Send for Crew {}

const JOINED: usize = 0xffff;
const PLACES_SHIFT: u32 = 16;
const PLACES: usize = 0x7fff << PLACES_SHIFT;
const OPEN: usize = 1 << 31;

const UNFINISHED: usize = 2;
const CALLER_SLEEPS: usize = 1;

impl Crew {
    pub(super) fn new() -> Self {
        let ending = Ending {
            unfinished: AtomicUsize::new(0),
            caller: Mutex::new(()),
            all_finished: Condvar::new(),
            panic: Mutex::new(None),
        };
        let job = UnsafeCell::new(std::ptr::null());
        Self { board: Board::new(), job, state: AtomicUsize::new(0), ending }
    }

    /// Takes the crew, if it is free, for a run that wants `places` helpers.
    pub(super) fn open(&self, places: usize) -> bool {
        self.state.compare_exchange(0, OPEN | places << PLACES_SHIFT, AcqRel, Relaxed).is_ok()
    }

    pub(super) fn is_open(&self) -> bool {
        self.state.load(Acquire) & OPEN != 0
    }

    /// Helpers that may still join.
    pub(super) fn room(&self) -> usize {
        let state = self.state.load(Relaxed);
        if state & OPEN == 0 { 0 } else { ((state & PLACES) >> PLACES_SHIFT) - (state & JOINED) }
    }

    /// Joins if there is room; the number of the thread in the crew, from 1.
    pub(super) fn join(&self) -> Option<usize> {
        let admit = |state: usize| {
            let has_room = state & OPEN != 0 && state & JOINED < (state & PLACES) >> PLACES_SHIFT;
            has_room.then_some(state + 1)
        };
        self.state.fetch_update(AcqRel, Relaxed, admit).ok().map(|state| (state & JOINED) + 1)
    }

    /// Lets nobody join any more; whether workers sleep, and have to be woken so that they leave.
    pub(super) fn close(&self) -> bool {
        self.state.fetch_and(JOINED, AcqRel);
        self.board.post(0)
    }

    /// The last one to leave a closed crew makes it free.
    pub(super) fn leave(&self) {
        self.state.fetch_sub(1, AcqRel);
    }

    #[cfg(test)]
    pub(super) fn is_free(&self) -> bool {
        self.state.load(Acquire) == 0
    }

    /// Runs `f` for each of `tasks` tasks, together with at most `helpers` workers of the crew, and blocks until
    /// all have ended; then passes on the panic of one. Calls `call` once the workers can see the invitations,
    /// and says whether some of them sleep. Called by nobody but the one who opened the crew, one at a time.
    pub(super) fn for_each(
        &self,
        tasks: usize,
        helpers: usize,
        f: &(dyn Fn(Task) + Sync),
        call: impl FnOnce(bool),
    ) {
        let job = Job { f, shares: Shares::new(tasks, helpers + 1) };
        // SAFETY: no invitation is left of the loop before, so nobody reads the cell until `post`.
        self.job.with_mut(|cell| unsafe { *cell = std::ptr::from_ref(&job).cast() });
        self.ending.unfinished.store(helpers * UNFINISHED, Relaxed);
        let has_sleepers = self.board.post(helpers as u64);
        call(has_sleepers);
        self.help(&job, 0, || true);
        // Every task has been taken: invitations that are left would be in vain.
        while self.board.take_one() {
            self.end_invitation();
        }
        self.wait_until_finished();
        let panic = lock(&self.ending.panic).take();
        if let Some(payload) = panic {
            resume_unwind(payload);
        }
    }

    /// Takes an invitation, if there is one, and helps until no task is left or `may_go_on` says no between two.
    pub(super) fn work(&self, thread: usize, may_go_on: impl Fn() -> bool) {
        if may_go_on() && self.board.take_one() {
            // SAFETY: an invitation to the current loop has been taken and has not ended, so that `for_each`, on
            // whose stack the job is, has not returned. Taking it synchronised with the `post` that
            // followed the write of the cell.
            let job = self.job.with(|cell| unsafe { &**cell });
            self.help(job, thread, may_go_on);
            self.end_invitation();
        }
    }

    /// Runs tasks until none is left or `may_go_on` says no between two of them. A panic is kept for the caller.
    fn help(&self, job: &Job, thread: usize, may_go_on: impl Fn() -> bool) {
        job.shares.take_all(thread, |index| {
            let task = Task { index, thread };
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| (job.f)(task))) {
                lock(&self.ending.panic).get_or_insert(payload);
            }
            may_go_on()
        });
    }

    /// After the last invitation has ended the job may be gone.
    fn end_invitation(&self) {
        let ending = &self.ending;
        if ending.unfinished.fetch_sub(UNFINISHED, AcqRel) == UNFINISHED | CALLER_SLEEPS {
            let _caller = lock(&ending.caller);
            ending.all_finished.notify_one();
        }
    }

    /// Blocks the caller until invitations that others have taken have ended.
    fn wait_until_finished(&self) {
        let ending = &self.ending;
        let is_finished = || (ending.unfinished.load(Acquire) < UNFINISHED).then_some(());
        if spin(is_finished).is_some() {
            return;
        }
        let mut caller = lock(&ending.caller);
        let mut unfinished = ending.unfinished.fetch_or(CALLER_SLEEPS, AcqRel);
        while unfinished >= UNFINISHED {
            caller = ending.all_finished.wait(caller).unwrap_or_else(|poisoned| poisoned.into_inner());
            unfinished = ending.unfinished.load(Acquire);
        }
    }
}

//! The one pool of compute threads of a process, and the protocol by which they help a run.
//!
//! A run opens a *crew*. Workers that have nothing to do join it, follow it from one `for_each` to the
//! next, and leave when it closes. The calling thread always works too, and waits for tasks that were
//! taken, never for workers: one that comes late, or is busy with the crew of another engine, costs
//! nothing.

use libvision_kernels::parallel::{Parallel, Serial, Task};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};
use sync::*;

/// All that the protocol synchronises with, so that a model checker can take its place.
mod sync {
    pub(super) use std::hint::spin_loop;
    pub(super) use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering::*};
    pub(super) use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
    pub(super) use std::thread::{self, Thread};
}

/// Most threads that one run can use, the calling one included.
pub(crate) const MAX_THREADS: usize = 256;

/// Runs that can have helpers at the same time; one more runs on its own thread alone.
const CREWS: usize = 64;

/// How long a thread looks for work before it sleeps: longer than the pause between two layers.
const SPIN: Duration = Duration::from_micros(30);

/// Looks between two looks at the clock.
const LOOKS: usize = 32;

/// Compute threads for any number of runs at the same time.
pub(crate) struct ThreadPool {
    /// The process that the workers live in.
    pid: u32,
    /// One bit per open crew.
    open: AtomicU64,
    /// Workers asleep that belong to no crew.
    idle_sleepers: AtomicUsize,
    crews: Box<[Crew]>,
    workers: Box<[Worker]>,
    spawned: AtomicUsize,
    /// Set once the system has refused a thread: the pool stays as large as it is.
    is_full: AtomicBool,
    growth: Mutex<()>,
}

#[derive(Default)]
#[repr(align(128))]
struct Worker {
    /// Where the worker sleeps: `AWAKE`, `IDLE` or `crew_place`.
    asleep: AtomicUsize,
    thread: OnceLock<Thread>,
}

const AWAKE: usize = 0;
const IDLE: usize = 1;

const fn crew_place(crew: usize) -> usize {
    crew + 2
}

impl ThreadPool {
    /// The pool of this process, made on first use. After a fork the child makes its own, because its
    /// parent's workers are not in it; the memory of the parent's pool is leaked.
    pub(crate) fn global() -> &'static ThreadPool {
        static POOL: AtomicPtr<ThreadPool> = AtomicPtr::new(std::ptr::null_mut());
        let pid = std::process::id();
        loop {
            let current = POOL.load(Acquire);
            // SAFETY: `POOL` is null or came from `Box::into_raw` below and is never freed then.
            if let Some(pool) = unsafe { current.as_ref() }
                && pool.pid == pid
            {
                return pool;
            }
            let fresh = Box::into_raw(Box::new(Self::new(pid)));
            if POOL.compare_exchange(current, fresh, AcqRel, Acquire).is_err() {
                // SAFETY: `fresh` came from `Box::into_raw` and nobody else has seen it.
                drop(unsafe { Box::from_raw(fresh) });
            }
        }
    }

    fn new(pid: u32) -> Self {
        Self {
            pid,
            open: AtomicU64::new(0),
            idle_sleepers: AtomicUsize::new(0),
            crews: (0..CREWS).map(|_| Crew::default()).collect(),
            workers: (1..MAX_THREADS).map(|_| Worker::default()).collect(),
            spawned: AtomicUsize::new(0),
            is_full: AtomicBool::new(false),
            growth: Mutex::new(()),
        }
    }

    /// Starts workers until runs on `threads` threads have all they can use. Takes memory; does nothing
    /// the next time.
    pub(crate) fn reserve(&'static self, threads: usize) {
        let wanted = threads.min(MAX_THREADS).saturating_sub(1);
        if self.spawned.load(Acquire) >= wanted || self.is_full.load(Relaxed) {
            return;
        }
        let _growth = lock(&self.growth);
        for index in self.spawned.load(Acquire)..wanted {
            let name = format!("libvision-cpu-{index}");
            if thread::Builder::new().name(name).spawn(move || self.work(index)).is_err() {
                self.is_full.store(true, Relaxed);
                return;
            }
            self.spawned.store(index + 1, Release);
        }
    }

    /// Calls `f` with a team of at most `threads` threads, the calling one and idle workers, for any
    /// number of `for_each`. Never waits for workers that are busy. Takes memory only if no
    /// [`reserve`](Self::reserve) of as many threads came before, in this process.
    pub(crate) fn run<R>(&'static self, threads: usize, f: impl FnOnce(&Team) -> R) -> R {
        self.reserve(threads);
        f(&Team::new(self, threads.clamp(1, MAX_THREADS)))
    }

    /// The life of worker `index`.
    fn work(&self, index: usize) {
        let worker = &self.workers[index];
        worker.thread.get_or_init(thread::current);
        loop {
            let joined = spin(|| self.join());
            if let Some((crew, thread)) = joined.or_else(|| self.sleep(worker, IDLE, || self.join())) {
                self.follow(worker, crew, thread);
            }
        }
    }

    /// Joins an open crew that has room: its index, and which of its threads the caller is.
    fn join(&self) -> Option<(usize, usize)> {
        let mut open = self.open.load(SeqCst);
        while open != 0 {
            let crew = open.trailing_zeros() as usize;
            if let Some(thread) = self.crews[crew].join() {
                return Some((crew, thread));
            }
            open &= open - 1;
        }
        None
    }

    /// Works for a crew until it closes.
    fn follow(&self, worker: &Worker, index: usize, thread: usize) {
        let crew = &self.crews[index];
        let changed = || (crew.remaining.load(SeqCst) > 0 || !crew.is_open()).then_some(());
        while crew.is_open() {
            crew.work(thread);
            if spin(changed).is_none() {
                self.sleep(worker, crew_place(index), changed);
            }
        }
        crew.leave();
    }

    /// Sleeps until somebody wakes the sleepers of `place`, unless `ready` gives something at the last
    /// moment. Whoever makes `ready` true looks for sleepers afterwards; so one of the two sees the other.
    fn sleep<T>(&self, worker: &Worker, place: usize, ready: impl Fn() -> Option<T>) -> Option<T> {
        self.sleepers(place).fetch_add(1, SeqCst);
        worker.asleep.store(place, SeqCst);
        let found = ready();
        while found.is_none() && worker.asleep.load(SeqCst) != AWAKE {
            thread::park();
        }
        if found.is_some() {
            self.rouse(worker, place);
        }
        found
    }

    fn sleepers(&self, place: usize) -> &AtomicUsize {
        match place {
            IDLE => &self.idle_sleepers,
            crew => &self.crews[crew - crew_place(0)].sleepers,
        }
    }

    /// Marks a worker awake; says whether it was asleep in `place`.
    fn rouse(&self, worker: &Worker, place: usize) -> bool {
        let was_asleep = worker.asleep.compare_exchange(place, AWAKE, SeqCst, SeqCst).is_ok();
        if was_asleep {
            self.sleepers(place).fetch_sub(1, SeqCst);
        }
        was_asleep
    }

    /// Wakes at most `most` workers that sleep in `place`.
    fn wake(&self, place: usize, most: usize) {
        if self.sleepers(place).load(SeqCst) == 0 {
            return;
        }
        let workers = &self.workers[..self.spawned.load(Acquire)];
        for worker in workers.iter().filter(|worker| self.rouse(worker, place)).take(most) {
            if let Some(thread) = worker.thread.get() {
                thread.unpark();
            }
        }
    }
}

/// One run and the workers that help it. Belongs to the pool, so that a worker which is late to leave
/// never looks at memory that is gone.
#[derive(Default)]
#[repr(align(128))]
struct Crew {
    /// `OPEN | places << 16 | joined`; 0 is free. A closed crew keeps `joined` until all have left.
    state: AtomicUsize,
    /// Tasks of the current phase that nobody has taken.
    remaining: AtomicUsize,
    /// Tasks of the current phase that have not ended.
    unfinished: AtomicUsize,
    /// The current phase; valid while `unfinished` is not 0.
    job: AtomicPtr<Job<'static>>,
    /// Workers of this crew that sleep.
    sleepers: AtomicUsize,
    caller_sleeps: AtomicBool,
    caller: Mutex<()>,
    all_finished: Condvar,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

const JOINED: usize = 0xffff;
const PLACES_SHIFT: u32 = 16;
const PLACES: usize = 0x7fff << PLACES_SHIFT;
const OPEN: usize = 1 << 31;

/// One `for_each`.
struct Job<'a> {
    f: &'a (dyn Fn(Task) + Sync),
    tasks: usize,
}

impl Crew {
    /// Takes a free crew for a run that wants `places` helpers.
    fn open(&self, places: usize) -> bool {
        self.state.compare_exchange(0, OPEN | places << PLACES_SHIFT, SeqCst, Relaxed).is_ok()
    }

    fn is_open(&self) -> bool {
        self.state.load(SeqCst) & OPEN != 0
    }

    /// Joins if there is room; the number of the thread in the crew, from 1.
    fn join(&self) -> Option<usize> {
        let admit = |state: usize| {
            let has_room = state & OPEN != 0 && state & JOINED < (state & PLACES) >> PLACES_SHIFT;
            has_room.then_some(state + 1)
        };
        self.state.fetch_update(SeqCst, SeqCst, admit).ok().map(|state| (state & JOINED) + 1)
    }

    fn close(&self) {
        self.state.fetch_and(JOINED, SeqCst);
    }

    /// The last one to leave a closed crew makes it free.
    fn leave(&self) {
        self.state.fetch_sub(1, SeqCst);
    }

    /// Takes tasks and runs them until none is left. A panic is kept for the caller.
    fn work(&self, thread: usize) {
        while let Ok(remaining) = self.remaining.fetch_update(AcqRel, Relaxed, |n| n.checked_sub(1)) {
            // SAFETY: a task of the current phase has been taken and has not ended, so that `for_each`,
            // on whose stack the job is, has not returned. Taking the task synchronised with the store
            // of `remaining` that followed the store of `job`.
            let job = unsafe { &*self.job.load(Relaxed) };
            let task = Task { index: job.tasks - remaining, thread };
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| (job.f)(task))) {
                lock(&self.panic).get_or_insert(payload);
            }
            // After the last task has ended `job` may be gone.
            if self.unfinished.fetch_sub(1, SeqCst) == 1 && self.caller_sleeps.load(SeqCst) {
                let _caller = lock(&self.caller);
                self.all_finished.notify_one();
            }
        }
    }

    /// Blocks the caller until tasks that others have taken have ended.
    fn wait_until_finished(&self) {
        let is_finished = || (self.unfinished.load(SeqCst) == 0).then_some(());
        if spin(is_finished).is_some() {
            return;
        }
        self.caller_sleeps.store(true, SeqCst);
        let mut caller = lock(&self.caller);
        while is_finished().is_none() {
            caller = self.all_finished.wait(caller).unwrap_or_else(PoisonError::into_inner);
        }
        self.caller_sleeps.store(false, SeqCst);
    }
}

/// The calling thread and the workers that help it, for the length of one run.
pub(crate) struct Team {
    pool: &'static ThreadPool,
    /// Which crew; none if the run has one thread.
    crew: Option<usize>,
    threads: usize,
    is_in_use: AtomicBool,
}

impl Team {
    fn new(pool: &'static ThreadPool, threads: usize) -> Self {
        let crew = (threads > 1).then(|| pool.crews.iter().position(|crew| crew.open(threads - 1))).flatten();
        if let Some(crew) = crew {
            pool.open.fetch_or(1 << crew, SeqCst);
            pool.wake(IDLE, threads - 1);
        }
        Self { pool, crew, threads, is_in_use: AtomicBool::new(false) }
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        if let Some(crew) = self.crew {
            self.pool.open.fetch_and(!(1 << crew), SeqCst);
            self.pool.crews[crew].close();
            self.pool.wake(crew_place(crew), usize::MAX);
        }
    }
}

// SAFETY: each task is taken once, by a thread that has its number in the crew to itself until the run is
// over and runs one task at a time; `for_each` returns after `unfinished` has fallen to 0, and refuses to
// be entered while it runs.
unsafe impl Parallel for Team {
    fn threads(&self) -> usize {
        self.threads
    }

    /// Panics if it is called from within one of its own tasks, and passes on the panic of a task after
    /// all tasks have ended.
    fn for_each(&self, tasks: usize, f: &(dyn Fn(Task) + Sync)) {
        assert!(!self.is_in_use.swap(true, Acquire), "a task of a parallel loop started another one");
        let _in_use = InUse(&self.is_in_use);
        let crew = match self.crew {
            Some(crew) if tasks > 1 => crew,
            _ => return Serial.for_each(tasks, f),
        };
        let shared = &self.pool.crews[crew];
        let job = Job { f, tasks };
        shared.job.store(std::ptr::from_ref(&job).cast::<Job<'static>>().cast_mut(), Relaxed);
        shared.unfinished.store(tasks, Relaxed);
        shared.remaining.store(tasks, SeqCst);
        self.pool.wake(crew_place(crew), usize::MAX);
        shared.work(0);
        shared.wait_until_finished();
        let panic = lock(&shared.panic).take();
        if let Some(payload) = panic {
            resume_unwind(payload);
        }
    }
}

/// Clears the mark when a loop ends, by a panic too.
struct InUse<'a>(&'a AtomicBool);

impl Drop for InUse<'_> {
    fn drop(&mut self) {
        self.0.store(false, Release);
    }
}

/// Looks for something for a short time.
fn spin<T>(ready: impl Fn() -> Option<T>) -> Option<T> {
    let mut start = None;
    loop {
        for _ in 0..LOOKS {
            let found = ready();
            if found.is_some() {
                return found;
            }
            spin_loop();
        }
        if start.get_or_insert_with(Instant::now).elapsed() >= SPIN {
            return None;
        }
    }
}

/// The lock, whether or not another holder panicked: nothing is left half done under these.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "thread_pool_tests.rs"]
mod tests;

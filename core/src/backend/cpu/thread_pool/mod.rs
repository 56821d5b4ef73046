//! The one pool of compute threads of a process, and the protocol by which they help a run.
//!
//! A run opens a *crew*. Workers that have nothing to do join it, follow it from one `for_each` to the
//! next, and leave when it closes. The calling thread always works too, and waits for tasks that were
//! taken, never for workers: one that comes late, or is busy with the crew of another engine, costs
//! nothing.

mod board;
mod crew;
mod global;
mod seats;
mod shares;
mod sync;
mod team;

pub(super) use global::usable_cpus;
pub(crate) use team::Team;

use board::{Board, Worker, lock};
use crew::Crew;
use libvision_kernels::parallel::Task;
use seats::{Seat, Seats};
use sync::*;

/// Most threads that one run can use, the calling one included.
pub(crate) const MAX_THREADS: usize = 256;

/// Compute threads for any number of runs at the same time.
pub(crate) struct ThreadPool {
    /// One bit per open crew, and the workers asleep that belong to no crew.
    board: Board,
    seats: Seats,
    crews: Box<[Crew]>,
    workers: Box<[Worker]>,
    spawned: AtomicUsize,
    /// Helpers that contexts have asked for.
    reserved: AtomicUsize,
    /// Set once the system has refused a thread: the pool stays as large as it is.
    is_full: AtomicBool,
    /// Held while workers are started.
    handles: Mutex<Vec<thread::JoinHandle<()>>>,
}

/// Where a worker sleeps that belongs to no crew; a member of crew `i` sleeps at place `i`.
const IDLE: usize = usize::MAX - 1;

impl ThreadPool {
    /// For a machine with `cpus` CPUs: at most `workers` workers and `crews` (at most 31) runs with helpers
    /// at the same time.
    fn new(cpus: usize, workers: usize, crews: usize) -> Self {
        Self {
            board: Board::new(),
            seats: Seats::new(cpus),
            crews: (0..crews).map(|_| Crew::new()).collect(),
            workers: (0..workers).map(|_| Worker::new()).collect(),
            spawned: AtomicUsize::new(0),
            reserved: AtomicUsize::new(0),
            is_full: AtomicBool::new(false),
            handles: Mutex::new(Vec::new()),
        }
    }

    /// Has workers ready for one more run at a time on `threads` threads, as far as there are CPUs for all
    /// such runs together. Takes memory.
    pub(crate) fn reserve(&'static self, threads: usize) -> Reservation {
        let helpers = threads.clamp(1, MAX_THREADS) - 1;
        self.seats.raise(threads.min(MAX_THREADS));
        let reserved = self.reserved.fetch_add(helpers, Relaxed) + helpers;
        self.grow(reserved.min(self.seats.limit() - 1));
        Reservation { pool: self, helpers }
    }

    /// Calls `f` with a team of at most `threads` threads, the calling one and idle workers, for any
    /// number of `for_each`. Never waits for workers that are busy. Takes memory only if no
    /// [`reserve`](Self::reserve) of as many threads came before, in this process.
    pub(crate) fn run<R>(&'static self, threads: usize, f: impl FnOnce(&Team) -> R) -> R {
        let threads = threads.clamp(1, MAX_THREADS);
        self.seats.raise(threads);
        self.grow(threads - 1);
        f(&Team::new(self, threads))
    }

    /// Starts workers until there are `wanted`.
    fn grow(&'static self, wanted: usize) {
        let wanted = wanted.min(self.workers.len());
        if self.spawned.load(Acquire) >= wanted || self.is_full.load(Relaxed) {
            return;
        }
        let mut handles = lock(&self.handles);
        for index in self.spawned.load(Acquire)..wanted {
            let name = format!("libvision-cpu-{index}");
            let Ok(handle) = thread::Builder::new().name(name).spawn(move || self.work(index)) else {
                self.is_full.store(true, Relaxed);
                return;
            };
            handles.push(handle);
            self.spawned.fetch_max(index + 1, AcqRel);
        }
    }

    /// The life of worker `index`.
    fn work(&self, index: usize) {
        let worker = &self.workers[index];
        worker.introduce();
        // Before it joins a crew: who closes that one must see that there is such a worker to wake.
        self.spawned.fetch_max(index + 1, AcqRel);
        loop {
            let call = spin(|| self.join());
            match call.unwrap_or_else(|| worker.sleep(IDLE, &self.board, || self.join())) {
                Call::Joined { crew, thread, seat } => self.follow(worker, crew, thread, seat),
                #[cfg(test)]
                Call::Retire => return,
            }
        }
    }

    /// Joins an open crew that has room, if there is a seat.
    fn join(&self) -> Option<Call<'_>> {
        let mut open = self.board.news();
        #[cfg(test)]
        if open & tests::RETIRE != 0 {
            return Some(Call::Retire);
        }
        while open != 0 {
            let crew = open.trailing_zeros() as usize;
            if self.crews[crew].room() > 0 {
                let seat = self.seats.take()?;
                if let Some(thread) = self.crews[crew].join() {
                    return Some(Call::Joined { crew, thread, seat });
                }
            }
            open &= open - 1;
        }
        None
    }

    /// Works for a crew until it closes, whenever there is a seat.
    fn follow<'a>(&'a self, worker: &Worker, index: usize, thread: usize, seat: Seat<'a>) {
        let crew = &self.crews[index];
        let has_news = || (crew.board.news() > 0 || !crew.is_open()).then_some(());
        // Something to do: with the seat to do it on, or to leave.
        let resume = || {
            if !crew.is_open() {
                return Some(None);
            }
            (crew.board.news() > 0).then(|| self.seats.take().map(Some)).flatten()
        };
        let mut seat = Some(seat);
        while seat.is_some() {
            crew.work(thread, || !self.seats.is_crowded());
            if self.seats.is_crowded() || spin(has_news).is_none() {
                drop(seat.take());
                seat = worker.sleep(index, &crew.board, resume);
            } else if !crew.is_open() {
                break;
            }
        }
        crew.leave();
    }

    fn open_crew(&self, places: usize) -> Option<usize> {
        let crew = self.crews.iter().position(|crew| crew.open(places))?;
        if self.board.post(1 << crew) {
            self.wake(IDLE, places.min(self.seats.free()));
        }
        Some(crew)
    }

    fn close_crew(&self, crew: usize) {
        self.board.withdraw(1 << crew);
        if self.crews[crew].close() {
            self.wake(crew, usize::MAX);
        }
    }

    /// Runs a loop with an open crew and at most `helpers` of its workers.
    fn for_each(&self, index: usize, tasks: usize, helpers: usize, f: &(dyn Fn(Task) + Sync)) {
        let crew = &self.crews[index];
        crew.for_each(tasks, helpers, f, |has_sleepers| {
            let room = crew.room();
            if has_sleepers || room > 0 && self.board.has_sleepers() {
                let helpers = self.seats.free().min(helpers);
                let woken = self.wake(index, helpers);
                self.wake(IDLE, room.min(helpers - woken));
            }
        });
    }

    /// Wakes at most `most` workers that sleep at `place`; how many.
    fn wake(&self, place: usize, most: usize) -> usize {
        let workers = &self.workers[..self.spawned.load(Acquire).min(self.workers.len())];
        workers.iter().filter(|worker| worker.wake(place)).take(most).count()
    }
}

/// What a worker without a crew is to do.
enum Call<'a> {
    /// Follow the crew, as its thread number `thread`.
    Joined { crew: usize, thread: usize, seat: Seat<'a> },
    /// End, because a test is over.
    #[cfg(test)]
    Retire,
}

/// Workers that are ready for a context.
pub(crate) struct Reservation {
    pool: &'static ThreadPool,
    helpers: usize,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.pool.reserved.fetch_sub(self.helpers, Relaxed);
    }
}

#[cfg(test)]
mod tests;

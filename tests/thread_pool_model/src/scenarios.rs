//! What is played through with every order of events: small runs, and all that can go wrong at their
//! edges. Each ends its pool, so that a worker which is never woken is a deadlock that loom reports.

use super::*;
use libvision_kernels::parallel::Parallel;
use loom::model::Builder;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Posted on the pool's board, it ends the workers.
pub(super) const RETIRE: u64 = 1 << 31;

/// Times that a thread may be interrupted where it need not wait, unless `LOOM_MAX_PREEMPTIONS` says.
const PREEMPTIONS: usize = 1;

pub(crate) const SCENARIOS: crate::Scenarios = &[
    ("loops of one run", loops_of_one_run),
    ("slow tasks", slow_tasks),
    ("a worker that starts late", a_worker_that_starts_late),
    ("runs one after the other", runs_one_after_the_other),
    ("two callers and one worker", two_callers_and_one_worker),
    ("two workers", two_workers),
    ("a caller without a seat for its helper", without_a_seat),
    ("a panic", a_panic),
];

/// A pool of one run; its workers end with it.
struct Pool(&'static ThreadPool);

impl Pool {
    fn new(cpus: usize, workers: usize, crews: usize) -> Self {
        Self(Box::leak(Box::new(ThreadPool::new(cpus, workers, crews))))
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        if self.0.board.post(RETIRE) {
            self.0.wake(IDLE, usize::MAX);
        }
        let handles = std::mem::take(&mut *lock(&self.0.handles));
        for handle in handles {
            handle.join().expect("a worker that does not panic");
        }
        assert!(self.0.seats.free() == self.0.seats.limit(), "all seats are free again");
        assert!(self.0.crews.iter().all(Crew::is_free), "all crews are free again");
        // SAFETY: it came from a box, and its workers, which alone have kept it, have ended.
        drop(unsafe { Box::from_raw(std::ptr::from_ref(self.0).cast_mut()) });
    }
}

fn check(scenario: impl Fn() + Sync + Send + 'static) {
    let mut model = Builder::new();
    model.preemption_bound.get_or_insert(PREEMPTIONS);
    model.max_branches = 100_000;
    model.check(scenario);
}

/// Values that loom watches: two tasks at one of them at the same time, or a look before the write is
/// known to have happened, is an error.
struct Values(Vec<UnsafeCell<usize>>);

// SAFETY: loom reports every access that is not ordered.
unsafe impl Sync for Values {}

impl Values {
    fn new(count: usize) -> Self {
        Self((0..count).map(|_| UnsafeCell::new(0)).collect())
    }

    fn add(&self, index: usize, value: usize) {
        // SAFETY: loom reports it if another access is not ordered before or after.
        self.0[index].with_mut(|cell| unsafe { *cell += value });
    }

    fn get(&self, index: usize) -> usize {
        // SAFETY: as above.
        self.0[index].with(|cell| unsafe { *cell })
    }
}

/// Loops whose tasks write and read what tasks of the loop before wrote.
fn run_loops(pool: &'static ThreadPool, threads: usize, loops: usize, tasks: usize) {
    run_loops_with(pool, threads, loops, tasks, || ());
}

/// The same with something else that each task does.
fn run_loops_with(
    pool: &'static ThreadPool,
    threads: usize,
    loops: usize,
    tasks: usize,
    besides: impl Fn() + Sync,
) {
    let (values, of_threads) = (Values::new(tasks), Values::new(threads));
    pool.run(threads, |team| {
        for round in 0..loops {
            team.for_each(tasks, &|task: Task| {
                besides();
                values.add((task.index + round) % tasks, round + 1);
                of_threads.add(task.thread, 1);
            });
        }
    });
    for index in 0..tasks {
        assert!(values.get(index) == loops * (loops + 1) / 2, "each task ran once");
    }
    let ran: usize = (0..threads).map(|thread| of_threads.get(thread)).sum();
    assert!(ran == loops * tasks, "each task ran once");
}

fn loops_of_one_run() {
    check(|| {
        let pool = Pool::new(2, 1, 1);
        run_loops(pool.0, 2, 2, 2);
    });
}

/// Others run while a task does, without that counting as an interruption.
fn slow_tasks() {
    check(|| {
        let pool = Pool::new(2, 1, 1);
        run_loops_with(pool.0, 2, 1, 2, loom::thread::yield_now);
    });
}

/// It joins a run while its starter is held up before it can say that there is such a worker.
fn a_worker_that_starts_late() {
    check(|| {
        let pool = Pool::new(3, 2, 1);
        let shared = pool.0;
        shared.spawned.store(1, Release);
        lock(&shared.handles).push(loom::thread::spawn(move || shared.work(1)));
        run_loops(shared, 2, 1, 2);
    });
}

fn runs_one_after_the_other() {
    check(|| {
        let pool = Pool::new(2, 1, 1);
        run_loops(pool.0, 2, 1, 2);
        run_loops(pool.0, 2, 1, 2);
    });
}

fn two_callers_and_one_worker() {
    check(|| {
        let pool = Pool::new(3, 1, 2);
        let shared = pool.0;
        let other = loom::thread::spawn(move || run_loops(shared, 2, 1, 2));
        run_loops(shared, 2, 1, 2);
        other.join().expect("the other caller");
    });
}

fn two_workers() {
    check(|| {
        let pool = Pool::new(3, 2, 1);
        run_loops(pool.0, 3, 1, 2);
    });
}

fn without_a_seat() {
    check(|| {
        let pool = Pool::new(2, 1, 1);
        let other = pool.0.seats.insist();
        run_loops(pool.0, 2, 1, 2);
        drop(other);
        run_loops(pool.0, 2, 1, 2);
    });
}

fn a_panic() {
    check(|| {
        let pool = Pool::new(2, 1, 1);
        let values = Values::new(2);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            pool.0.run(2, |team| {
                team.for_each(2, &|task: Task| {
                    values.add(task.index, 1);
                    if task.index == 1 {
                        std::panic::resume_unwind(Box::new("this one"));
                    }
                });
            });
        }));
        let payload = outcome.expect_err("the panic");
        assert!(payload.downcast_ref::<&str>() == Some(&"this one"), "the task's own");
        assert!(values.get(0) + values.get(1) == 2, "each task ran once");
    });
}

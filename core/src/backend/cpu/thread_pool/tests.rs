//! The pool under every kind of use: many callers, late workers, panics, forks, more threads than CPUs.

use super::*;
use libvision_kernels::parallel::Parallel;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

/// Posted on the pool's board, it ends the workers.
pub(super) const RETIRE: u64 = 1 << 31;

const CREWS: usize = 8;

/// A pool that ends with its test.
pub(super) struct TestPool(&'static ThreadPool);

impl TestPool {
    pub(super) fn new(cpus: usize) -> Self {
        Self(Box::leak(Box::new(ThreadPool::new(cpus, MAX_THREADS - 1, CREWS))))
    }
}

impl Deref for TestPool {
    type Target = &'static ThreadPool;
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Drop for TestPool {
    fn drop(&mut self) {
        if self.board.post(RETIRE) {
            self.wake(IDLE, usize::MAX);
        }
        for handle in std::mem::take(&mut *lock(&self.handles)) {
            handle.join().expect("a worker that does not panic");
        }
        // SAFETY: it came from a box, and its workers, which alone have kept it, have ended.
        drop(unsafe { Box::from_raw(std::ptr::from_ref(self.0).cast_mut()) });
    }
}

/// Runs loops of many sizes and checks that each index came once, on a thread of its own.
fn check_loops(pool: &'static ThreadPool, threads: usize, rounds: usize) {
    pool.run(threads, |team| {
        assert_eq!(team.threads(), threads);
        let busy: Vec<AtomicBool> = (0..threads).map(|_| AtomicBool::new(false)).collect();
        for round in 0..rounds {
            let tasks = round % 23 + if round % 3 == 0 { threads * 2 } else { 0 };
            let seen: Vec<AtomicU32> = (0..tasks).map(|_| AtomicU32::new(0)).collect();
            team.for_each(tasks, &|task: Task| {
                assert!(!busy[task.thread].swap(true, SeqCst), "two tasks on thread {}", task.thread);
                seen[task.index].fetch_add(1, Relaxed);
                busy[task.thread].store(false, SeqCst);
            });
            assert!(seen.iter().all(|n| n.load(Relaxed) == 1), "round {round}: {seen:?}");
        }
    });
}

/// A loop whose tasks end only when all of them run at the same time, each on its own thread.
fn meet(team: &Team, threads: usize) {
    let meeting = Barrier::new(threads);
    let seen: Vec<AtomicU32> = (0..threads).map(|_| AtomicU32::new(0)).collect();
    team.for_each(threads, &|task: Task| {
        meeting.wait();
        seen[task.thread].fetch_add(1, Relaxed);
    });
    assert!(seen.iter().all(|tasks| tasks.load(Relaxed) == 1), "{seen:?}");
}

/// Waits for what comes sooner or later, however slow the machine is.
fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let patience = (0..60_000).find(|_| {
        std::thread::sleep(Duration::from_millis(1));
        is_so()
    });
    assert!(patience.is_some(), "{what}");
}

fn sleepers(pool: &ThreadPool) -> usize {
    pool.board.sleepers()
}

#[test]
fn each_task_runs_once_on_1_to_64_threads() {
    let pool = TestPool::new(2);
    for threads in (1..=64).rev() {
        check_loops(&pool, threads, 40);
    }
}

#[test]
fn workers_take_part_each_with_a_number_of_its_own() {
    let pool = TestPool::new(2);
    for threads in [2, 3, 8, 64] {
        for _ in 0..3 {
            pool.run(threads, |team| {
                meet(team, threads);
                meet(team, threads);
            });
        }
    }
}

#[test]
fn many_runs_at_the_same_time() {
    // With CPUs for all of them, and with far fewer.
    for cpus in [1000, 3] {
        let pool = TestPool::new(cpus);
        let shared: &'static ThreadPool = &pool;
        std::thread::scope(|scope| {
            for caller in 0..CREWS + 8 {
                scope.spawn(move || check_loops(shared, 1 + caller % 5, 100));
            }
        });
        eventually("all crews are free again", || shared.crews.iter().all(Crew::is_free));
        let seats = shared.seats.limit();
        assert_eq!(shared.seats.free(), seats, "{cpus} CPUs");
    }
}

#[test]
fn a_helper_gives_way_to_a_caller_and_comes_back() {
    let pool = TestPool::new(2);
    pool.run(2, |team| {
        meet(team, 2);
        // As of another engine on a thread of its own.
        let other = pool.seats.insist();
        eventually("the helper sleeps", || {
            team.for_each(2, &|_| ());
            pool.crews[0].board.sleepers() == 1
        });
        assert_eq!(pool.seats.free(), 0);
        for _ in 0..50 {
            team.for_each(9, &|task: Task| assert_eq!(task.thread, 0, "there is no seat for a helper"));
        }
        drop(other);
        meet(team, 2);
    });
}

#[test]
fn two_engines_with_cpus_for_both_have_a_helper_each() {
    let pool = TestPool::new(4);
    let _reserved = [pool.reserve(2), pool.reserve(2)];
    let shared: &'static ThreadPool = &pool;
    let meeting = Barrier::new(4);
    let meet_all = |_: Task| {
        meeting.wait();
    };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| shared.run(2, |team| team.for_each(2, &meet_all)));
        }
    });
}

#[test]
fn what_is_no_longer_reserved_makes_room_for_others() {
    let pool = TestPool::new(64);
    for _ in 0..50 {
        drop(pool.reserve(3));
    }
    assert_eq!(pool.spawned.load(SeqCst), 2);
    let _reserved = [pool.reserve(3), pool.reserve(3)];
    assert_eq!(pool.spawned.load(SeqCst), 4);
}

#[test]
fn there_are_no_more_workers_than_cpus_for_them() {
    let pool = TestPool::new(3);
    let _reserved = [pool.reserve(3), pool.reserve(3), pool.reserve(2)];
    assert_eq!(pool.spawned.load(SeqCst), 2, "and a caller");
    let _more = pool.reserve(5);
    assert_eq!(pool.spawned.load(SeqCst), 4, "who asks for more threads than CPUs gets them");
}

#[test]
fn idle_workers_sleep() {
    let pool = TestPool::new(2);
    check_loops(&pool, 5, 50);
    eventually("four workers sleep", || sleepers(&pool) == 4);
    pool.run(5, |team| {
        meet(team, 5);
        eventually("four members of the crew sleep", || pool.crews[0].board.sleepers() == 4);
        meet(team, 5);
    });
    eventually("four workers sleep again", || sleepers(&pool) == 4);
}

#[test]
fn a_run_proceeds_while_all_workers_are_busy_elsewhere() {
    let pool = TestPool::new(2);
    let shared: &'static ThreadPool = &pool;
    let (meeting, parting) = (Barrier::new(3), Barrier::new(3));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let hold = |_: Task| {
                meeting.wait();
                parting.wait();
            };
            shared.run(2, |team| team.for_each(2, &hold));
        });
        meeting.wait();
        check_loops(shared, 2, 30);
        parting.wait();
    });
}

#[test]
fn a_worker_helps_after_it_has_slept() {
    let pool = TestPool::new(2);
    for _ in 0..20 {
        pool.run(2, |team| {
            for pause in [0, 3] {
                std::thread::sleep(SPIN * pause);
                meet(team, 2);
            }
        });
        std::thread::sleep(SPIN * 3);
    }
}

#[test]
fn a_panic_reaches_the_caller_and_leaves_the_pool_usable() {
    let pool = TestPool::new(2);
    for bad in [0, 5, 9] {
        let ended = AtomicU32::new(0);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            pool.run(3, |team| {
                team.for_each(10, &|task: Task| {
                    ended.fetch_add(1, Relaxed);
                    assert_ne!(task.index, bad, "this one");
                });
            });
        }));
        let payload = outcome.expect_err("the panic");
        assert!(payload.downcast_ref::<String>().expect("a message").contains("this one"));
        assert_eq!(ended.load(Relaxed), 10);
        check_loops(&pool, 3, 50);
    }
}

#[test]
fn a_loop_within_a_loop_is_refused() {
    let pool = TestPool::new(2);
    for threads in [1, 3] {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            pool.run(threads, |team| team.for_each(2, &|_| team.for_each(1, &|_| ())));
        }));
        let payload = outcome.expect_err("refused");
        let message = payload.downcast_ref::<&str>().expect("a message");
        assert!(message.contains("started another one"), "{message}");
    }
}

#[test]
fn a_run_within_a_task_of_another_run_works() {
    let pool = TestPool::new(2);
    let shared: &'static ThreadPool = &pool;
    pool.run(3, |team| team.for_each(4, &|_| check_loops(shared, 3, 20)));
}

#[cfg(unix)]
#[test]
fn a_forked_child_has_a_pool_of_its_own() {
    check_loops(ThreadPool::global(), 3, 20);
    // SAFETY: the child uses the pool and ends at once without running anything of its parent's.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let passed = catch_unwind(|| ThreadPool::global().run(2, |team| meet(team, 2)));
        // SAFETY: ends the child.
        unsafe { libc::_exit(i32::from(passed.is_err())) };
    }
    let mut status = 0;
    // SAFETY: `child` is a child of this process; the status goes to a local.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert_eq!(status, 0);
    check_loops(ThreadPool::global(), 3, 20);
}

//! The pool under every kind of use: many callers, late workers, panics, forks.

use super::*;
use std::sync::Barrier;
use std::sync::atomic::AtomicU32;

fn pool() -> &'static ThreadPool {
    Box::leak(Box::new(ThreadPool::new(std::process::id())))
}

/// Ends only when as many tasks as the barrier is for run at the same time.
fn meet(barrier: &Barrier) {
    barrier.wait();
}

/// Runs loops of many sizes and checks that each index came once, on a thread of its own.
fn check_loops(pool: &'static ThreadPool, threads: usize, rounds: usize) {
    pool.run(threads, |team| {
        assert_eq!(team.threads(), threads);
        let busy: Vec<AtomicBool> = (0..threads).map(|_| AtomicBool::new(false)).collect();
        for round in 0..rounds {
            let tasks = round % 23;
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

#[test]
fn each_task_runs_once() {
    let pool = pool();
    for threads in [1, 2, 3, 8] {
        check_loops(pool, threads, 400);
    }
}

#[test]
fn workers_take_part_each_with_a_number_of_its_own() {
    let pool = pool();
    for threads in [2, 3, 8] {
        let meeting = Barrier::new(threads);
        let seen: Vec<AtomicU32> = (0..threads).map(|_| AtomicU32::new(0)).collect();
        let task = |task: Task| {
            meet(&meeting);
            seen[task.thread].fetch_add(1, Relaxed);
        };
        pool.run(threads, |team| team.for_each(threads, &task));
        assert!(seen.iter().all(|tasks| tasks.load(Relaxed) == 1), "{seen:?}");
    }
}

#[test]
fn many_runs_at_the_same_time() {
    let pool = pool();
    std::thread::scope(|scope| {
        for caller in 0..CREWS + 8 {
            scope.spawn(move || check_loops(pool, 1 + caller % 5, 60));
        }
    });
    // All crews become free again: workers leave them, and those asleep are woken to leave.
    let all_free = || pool.crews.iter().all(|crew| crew.state.load(SeqCst) == 0);
    let patience = (0..30_000).find(|_| {
        std::thread::sleep(Duration::from_millis(1));
        all_free()
    });
    assert!(patience.is_some(), "a worker has not left its crew");
}

#[test]
fn a_run_proceeds_while_all_workers_are_busy_elsewhere() {
    let pool = pool();
    let (meeting, parting) = (Barrier::new(3), Barrier::new(3));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let hold = |_: Task| {
                meeting.wait();
                parting.wait();
            };
            pool.run(2, |team| team.for_each(2, &hold));
        });
        meeting.wait();
        check_loops(pool, 2, 30);
        parting.wait();
    });
}

#[test]
fn a_worker_helps_after_it_has_slept() {
    let pool = pool();
    for _ in 0..20 {
        pool.run(2, |team| {
            for pause in [0, 3] {
                std::thread::sleep(SPIN * pause);
                let meeting = Barrier::new(2);
                team.for_each(2, &|_| meet(&meeting));
            }
        });
        std::thread::sleep(SPIN * 3);
    }
}

#[test]
fn a_panic_reaches_the_caller_and_leaves_the_pool_usable() {
    let pool = pool();
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
        check_loops(pool, 3, 50);
    }
}

#[test]
fn a_loop_within_a_loop_is_refused() {
    for threads in [1, 3] {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            pool().run(threads, |team| team.for_each(2, &|_| team.for_each(1, &|_| ())));
        }));
        let payload = outcome.expect_err("refused");
        let message = payload.downcast_ref::<&str>().expect("a message");
        assert!(message.contains("started another one"), "{message}");
    }
}

#[test]
fn a_run_within_a_task_of_another_run_works() {
    let pool = pool();
    pool.run(3, |team| team.for_each(4, &|_| check_loops(pool, 3, 20)));
}

#[cfg(unix)]
#[test]
fn a_forked_child_has_a_pool_of_its_own() {
    check_loops(ThreadPool::global(), 3, 20);
    // SAFETY: the child uses the pool and ends at once without running anything of its parent's.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let passed = catch_unwind(|| {
            let meeting = Barrier::new(2);
            ThreadPool::global().run(2, |team| team.for_each(2, &|_| meet(&meeting)));
        });
        // SAFETY: ends the child.
        unsafe { libc::_exit(i32::from(passed.is_err())) };
    }
    let mut status = 0;
    // SAFETY: `child` is a child of this process; the status goes to a local.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert_eq!(status, 0);
    check_loops(ThreadPool::global(), 3, 20);
}

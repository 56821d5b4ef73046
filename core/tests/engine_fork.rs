//! A forked child has its parent's engine and none of its threads: it is told so instead of hanging.
#![cfg(unix)]

mod engine_stub;

use engine_stub::*;
use libvision::{Error, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};

#[test]
fn a_forked_child_is_told_and_does_not_hang() {
    let (engine, control) = engine(&options());
    control.hold();
    let pending = engine.submit(picture(0), classify_all()).expect("accepted");
    let canceller = pending.canceller();
    control.wait_begun(1);
    // SAFETY: the child touches only the engine, which must not rely on other threads, and leaves by `_exit`.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: plain system calls; the alarm ends a child that hangs.
        unsafe { libc::alarm(30) };
        // A panic would end the child's only thread, and with it the process, as if all were well.
        let is_right = catch_unwind(AssertUnwindSafe(|| {
            let is_closed = |error: Option<Error>| error.is_some_and(|e| e.kind() == ErrorKind::EngineClosed);
            let submitted = is_closed(engine.submit(picture(1), classify_all()).err());
            let tensors = is_closed(engine.submit_tensors(tensor_of(&[1]), classify_all()).err());
            canceller.cancel();
            let waited = is_closed(pending.wait().err());
            drop(engine);
            submitted && tensors && waited
        }));
        let status = if matches!(is_right, Ok(true)) { 0 } else { 1 };
        // SAFETY: ends the child without running the test harness a second time.
        unsafe { libc::_exit(status) };
    }
    assert!(child > 0, "fork failed");
    let mut status = 0;
    // SAFETY: waits for the child made above; `status` is writable.
    let waited = unsafe { libc::waitpid(child, &mut status, 0) };
    assert_eq!((waited, status), (child, 0), "the child exits with 0: neither a signal nor another answer");
    control.release();
    assert_eq!(scores(&wait(pending).expect("the parent goes on")), expected_scores(0));
}

//! `cargo xtask tsan`: the tests of what threads share, under ThreadSanitizer. The standard library is used as it
//! comes, without instrumentation: atomics and the code that is inlined from it are seen, what it does inside is not.

use crate::command::{cargo, run};
use crate::workspace;
use anyhow::bail;

/// What rustc calls the instrumentation; the stable compiler has it behind its bootstrap variable.
const FLAGS: &str = "-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer";

/// Of the core: arguments of `cargo test`.
const TESTS: [&[&str]; 5] = [
    &["--lib", "--", "thread_pool", "--skip", "fork", "--nocapture"],
    &["--lib", "--", "memory::staging", "engine::"],
    &["--test", "cpu_backend", "--", "at_the_same_time", "neither_on_the_batch"],
    &[
        "--test",
        "engine",
        "--test",
        "shutdown",
        "--test",
        "batching",
        "--test",
        "overload",
        "--test",
        "engine_answers",
    ],
    &["--test", "engine_cpu"],
];

/// Runs all of them; fails on the first that races.
pub fn run_tests() -> anyhow::Result<()> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        bail!("tsan: expected x86-64 Linux, where the toolchain has the sanitizer's runtime");
    }
    let folder = workspace::target().join("tsan");
    let suppressions = workspace::root().join("xtask/tsan-suppressions.txt");
    for tests in TESTS {
        let mut test = cargo();
        test.args(["test", "--quiet", "--package", "libvision", "--locked"]);
        test.args(["--target", "x86_64-unknown-linux-gnu", "--target-dir"]).arg(&folder).args(tests);
        // To print a backtrace takes locks inside of the standard library.
        test.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", FLAGS).env("RUST_BACKTRACE", "0");
        test.env("TSAN_OPTIONS", format!("halt_on_error=1 suppressions={}", suppressions.display()));
        run(&mut test)?;
    }
    Ok(())
}

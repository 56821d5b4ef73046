//! What the engine's threads share (the scheduler with its machine, answers, the bell and the end), their very source,
//! on loom's model of threads: every order of events up to a number of preemptions.
//!
//! That the check can fail is checked too: with each mistake of `mistakes.rs` planted it must.

#![cfg(test)]

mod sync;

mod error {
    pub use libvision::error::*;
}
mod image {
    pub use libvision::image::*;
}
mod tensor {
    pub use libvision::tensor::*;
}

include!(concat!(env!("OUT_DIR"), "/engines.rs"));
include!("../mistakes.rs");

use std::process::Command;

/// Name and test.
type Scenarios = &'static [(&'static str, fn())];

/// The number of the mistake that a process of its own is to run the scenarios with.
const NUMBER: &str = "LIBVISION_PLANTED_MISTAKE";

#[test]
fn every_order_of_events_is_right() {
    for (name, scenario) in unchanged::scenarios::SCENARIOS {
        let started = std::time::Instant::now();
        scenario();
        println!("{name}: {:?}", started.elapsed());
    }
}

/// Whether a process of its own finds the mistake: what loom does then may end it.
#[test]
fn planted_mistakes_are_found() {
    let program = std::env::current_exe().expect("this test");
    for (number, mistake) in MISTAKES.iter().enumerate() {
        let output = Command::new(&program)
            .args(["--exact", "with_a_planted_mistake", "--ignored", "--nocapture"])
            .env(NUMBER, number.to_string())
            .env("RUST_BACKTRACE", "0")
            .output()
            .expect("the same program again");
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "not found: {}", mistake.what);
        assert!(
            said.contains(mistake.symptom),
            "{}: expected {:?}, found\n{said}",
            mistake.what,
            mistake.symptom
        );
    }
}

#[test]
#[ignore = "run by planted_mistakes_are_found"]
fn with_a_planted_mistake() {
    let number: usize = std::env::var(NUMBER).expect("a number").parse().expect("a number");
    for (name, scenario) in MISTAKEN[number] {
        println!("{name}");
        scenario();
    }
}

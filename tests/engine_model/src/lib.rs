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

use libvision_model_check::{self as check, Scenarios};

#[test]
fn every_order_of_events_is_right() {
    check::run(unchanged::scenarios::SCENARIOS);
}

#[test]
fn planted_mistakes_are_found() {
    check::assert_all_are_found(MISTAKES);
}

#[test]
#[ignore = "run by planted_mistakes_are_found"]
fn with_a_planted_mistake() {
    check::run(check::asked_for(MISTAKEN));
}

//! The core's thread pool, its very source, on loom's model of threads and memory: every order of events
//! up to a number of preemptions, and every value that the memory model lets a thread see.
//!
//! That the check can fail is checked too: with each mistake of `mistakes.rs` planted it must.

#![cfg(test)]

include!(concat!(env!("OUT_DIR"), "/pools.rs"));
include!("../mistakes.rs");

use libvision_model_check::{self as check, Scenarios};

#[test]
fn every_order_of_events_is_right() {
    check::run(unchanged::tests::SCENARIOS);
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

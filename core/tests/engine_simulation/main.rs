//! The machine under random events in virtual time: whatever happens, nothing is lost, doubled, late, unfair or
//! overfull. `SIMULATED_EVENTS` in the environment asks for another number of events, and
//! `SIMULATED_SEED` for other ones.

use libvision::engine::machine;

mod random;
mod scenes;
mod truth;
mod world;

use machine::Refusal;
use world::{World, number, replay, simulate};

/// Events of one world, before the next one has other sizes, limits and faults.
const EVENTS_OF_A_WORLD: u64 = 4000;

fn from_environment(name: &str, otherwise: u64) -> u64 {
    match std::env::var(name) {
        Ok(value) => value.parse().unwrap_or_else(|_| panic!("{name} must be a number, found {value:?}")),
        Err(_) => otherwise,
    }
}

#[test]
fn nothing_is_lost_doubled_late_unfair_or_overfull() {
    let events = from_environment("SIMULATED_EVENTS", 1_000_000);
    let first = from_environment("SIMULATED_SEED", 0);
    let mut refused = [0; Refusal::ALL.len()];
    let (mut done, mut delivered, mut splits, mut stuck, mut tests) = (0, 0, 0, 0, 0);
    for seed in first.. {
        if done >= events {
            break;
        }
        let world = simulate(seed, EVENTS_OF_A_WORLD);
        done += world.events;
        let counters = world.truth.counters();
        delivered += counters.delivered;
        splits += counters.splits;
        stuck += counters.stuck;
        tests += counters.self_tests;
        for (total, count) in refused.iter_mut().zip(counters.refused) {
            *total += count;
        }
    }
    println!(
        "{done} events: {delivered} delivered, refused {refused:?}, {splits} splits, {stuck} stuck, {tests} tests"
    );
    // Each kind of end came often enough to have been tested.
    let least = done / 20_000;
    for refusal in Refusal::ALL {
        assert!(refused[refusal as usize] > least, "{}: {refused:?}", refusal.name());
    }
    assert!(delivered > done / 20 && splits > least && stuck > least && tests > least);
}

#[test]
fn what_was_told_once_gives_the_same_again() {
    for seed in [3, 14, 15, 92] {
        let mut world = World::new(seed);
        world.told = Some(Vec::new());
        let policy = *world.machine.policy();
        while world.events < 3000 {
            world.go_on();
        }
        world.drain();
        assert_eq!(number(&world.trace), number(&replay(&world, policy)));
        assert_eq!(number(&world.trace), number(&simulate(seed, 3000).trace));
        assert_ne!(number(&world.trace), number(&simulate(seed + 1, 3000).trace));
    }
}

//! The machine under random events in virtual time: whatever happens, nothing is lost, doubled, late, unfair or
//! overfull. `SIMULATED_EVENTS` in the environment asks for another number of events, and
//! `SIMULATED_SEED` for other ones.

use libvision::engine::machine;

mod planted;
mod random;
mod scenes;
mod truth;
mod window;
mod world;

use machine::Refusal;
use world::{Totals, World, number, replay, simulate, simulate_many};

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
    let totals = simulate_many(events, first);
    println!("{totals:?}");
    // Each kind of end came often enough to have been tested.
    let least = totals.events / 20_000;
    for refusal in Refusal::ALL {
        assert!(totals.refused[refusal as usize] > least, "{}: {totals:?}", refusal.name());
    }
    let Totals { delivered, joined, splits, stuck, rebuilt, self_tests, .. } = totals;
    assert!(
        delivered > totals.events / 20
            && [joined, splits, stuck, rebuilt, self_tests].iter().all(|&n| n > least)
    );
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

//! The batcher under random events: whatever happens, nothing is lost, doubled or overfull.

use libvision::engine::batcher::{Action, Batcher, BatcherConfig, Event, Place, RequestId};
use libvision::engine::clock::Time;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// splitmix64, so that every run is the same.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}

/// The threads around the batcher, reduced to what they hold.
struct World {
    config: BatcherConfig,
    batcher: Batcher,
    now: Time,
    /// Accepted and not answered, with the deadline.
    open: BTreeMap<RequestId, Option<Time>>,
    accepted: u64,
    answered: u64,
    preparing: BTreeMap<RequestId, (usize, Place)>,
    running: BTreeMap<usize, (usize, Vec<Place>)>,
    last_prepared: Option<RequestId>,
}

impl World {
    fn new(config: BatcherConfig) -> Self {
        Self {
            config,
            batcher: Batcher::new(config),
            now: Time(0),
            open: BTreeMap::new(),
            accepted: 0,
            answered: 0,
            preparing: BTreeMap::new(),
            running: BTreeMap::new(),
            last_prepared: None,
        }
    }

    fn feed(&mut self, event: Event) {
        for action in self.batcher.step(self.now, event) {
            self.carry_out(action);
        }
        for (id, deadline) in &self.open {
            assert!(
                deadline.is_none_or(|deadline| deadline > self.now),
                "request {id} outlived its deadline"
            );
        }
        if let Some(wakeup) = self.batcher.next_wakeup() {
            assert!(wakeup > self.now, "a wakeup in the past would spin");
        }
        let running: usize = self
            .running
            .values()
            .flat_map(|(_, places)| places)
            .map(|place| place.id)
            .filter(|id| self.open.contains_key(id))
            .count();
        assert_eq!(self.batcher.queued(), self.open.len() - running);
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::Prepare { staging, place } => {
                assert!(self.open.contains_key(&place.id), "prepared though answered");
                assert!(self.last_prepared < Some(place.id), "requests are prepared in order");
                self.last_prepared = Some(place.id);
                assert!(place.first_slot + place.slots <= self.config.max_batch_size, "a batch is overfull");
                for (_, other) in self.preparing.values().filter(|(used, _)| *used == staging) {
                    let apart = other.first_slot + other.slots <= place.first_slot
                        || place.first_slot + place.slots <= other.first_slot;
                    assert!(apart, "two requests share a slot");
                }
                assert!(self.running.values().all(|(used, _)| *used != staging), "written while it runs");
                self.preparing.insert(place.id, (staging, place));
                assert!(self.preparing.len() <= self.config.decode_threads, "more work than decode threads");
            }
            Action::Dispatch { worker, staging, places } => {
                assert!(!places.is_empty(), "an empty batch");
                let slots: usize = places.iter().map(|place| place.slots).sum();
                assert!(slots <= self.config.max_batch_size, "a batch is overfull");
                for place in &places {
                    assert!(self.open.contains_key(&place.id), "ran though answered");
                    assert!(!self.preparing.contains_key(&place.id), "ran before it was prepared");
                }
                assert!(self.preparing.values().all(|(used, _)| *used != staging), "ran while it is written");
                assert!(
                    self.running.insert(worker, (staging, places)).is_none(),
                    "a worker runs two batches"
                );
            }
            Action::Deliver { id } | Action::Refuse { id, .. } => {
                assert!(self.open.remove(&id).is_some(), "request {id} was answered twice");
                self.answered += 1;
            }
        }
    }

    fn accept(&mut self, random: &mut Random) {
        let id = self.accepted;
        self.accepted += 1;
        let slots = if random.below(4) == 0 { 1 + random.below(self.config.max_batch_size) } else { 1 };
        let patience = Duration::from_nanos(1 + random.next() % 5000);
        let deadline = (random.below(3) == 0).then(|| self.now.after(patience));
        self.open.insert(id, deadline);
        self.feed(Event::Accepted { id, slots, deadline });
    }

    fn finish_one_preparation(&mut self, random: &mut Random) {
        let at = random.below(self.preparing.len().max(1));
        if let Some(id) = self.preparing.keys().nth(at).copied() {
            self.preparing.remove(&id);
            self.feed(Event::Prepared { id, succeeded: random.below(8) != 0 });
        }
    }

    fn finish_one_batch(&mut self, random: &mut Random) {
        let at = random.below(self.running.len().max(1));
        if let Some(worker) = self.running.keys().nth(at).copied() {
            let (staging, places) = self.running.remove(&worker).expect("it was there");
            let ids = places.iter().map(|place| place.id).collect();
            self.feed(Event::BatchDone { worker, staging, ids });
        }
    }

    /// Ends everything that runs and lets time pass until nothing is left.
    fn drain(&mut self, random: &mut Random) {
        self.feed(Event::Close);
        for _ in 0..100_000 {
            if self.batcher.is_idle() {
                break;
            }
            self.finish_one_preparation(random);
            self.finish_one_batch(random);
            if let Some(wakeup) = self.batcher.next_wakeup() {
                self.now = self.now.max(wakeup);
                self.feed(Event::Tick);
            }
        }
        assert!(self.batcher.is_idle() && self.open.is_empty(), "{} requests hang", self.open.len());
        assert_eq!(self.accepted, self.answered);
    }
}

#[test]
fn nothing_is_lost_doubled_or_overfull() {
    let mut sizes_seen = BTreeSet::new();
    for seed in 0..40 {
        let mut random = Random(seed);
        let config = BatcherConfig {
            max_batch_size: 1 + random.below(9),
            max_queue_delay: Duration::from_nanos(random.next() % 2000),
            decode_threads: 1 + random.below(4),
            workers: 1 + random.below(3),
            stagings: 2 + random.below(4),
        };
        let mut world = World::new(config);
        for _ in 0..2500 {
            match random.below(10) {
                0..=3 => world.accept(&mut random),
                4..=5 => world.finish_one_preparation(&mut random),
                6..=7 => world.finish_one_batch(&mut random),
                8 => {
                    let id = random.next() % (world.accepted + 1);
                    world.feed(Event::Cancelled { id });
                }
                _ => {
                    world.now = world.now.after(Duration::from_nanos(random.next() % 1500));
                    world.feed(Event::Tick);
                }
            }
            sizes_seen.extend(world.running.values().map(|(_, places)| places.len()));
        }
        world.drain(&mut random);
    }
    assert!(sizes_seen.contains(&1) && sizes_seen.iter().any(|&size| size > 4), "{sizes_seen:?}");
}

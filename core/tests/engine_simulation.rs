//! The batcher under random events: whatever happens, nothing is lost, doubled, late or overfull.

use libvision::engine::batcher::{Action, Batcher, BatcherConfig, Event, Place, Refusal, RequestId};
use libvision::engine::clock::Time;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014), so that every run
/// is the same.
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

    fn pick<T: Copy>(&mut self, from: impl IntoIterator<Item = T>) -> Option<T> {
        let all: Vec<T> = from.into_iter().collect();
        (!all.is_empty()).then(|| all[self.below(all.len())])
    }
}

/// What a decoder does, as its thread would see it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Decoder {
    Idle,
    Decoding(RequestId),
    Holding(RequestId),
    Filling { staging: usize, place: Place },
}

/// The threads around the batcher, reduced to what they hold, and everything that must be true of them.
struct World {
    config: BatcherConfig,
    batcher: Batcher,
    now: Time,
    /// Accepted and not answered, with the deadline.
    open: BTreeMap<RequestId, Option<Time>>,
    decoders: Vec<Decoder>,
    /// Requests whose slots are written, by staging buffer.
    written: BTreeMap<usize, Vec<Place>>,
    running: BTreeMap<usize, (usize, Vec<Place>)>,
    next_id: RequestId,
    accepted: usize,
    answered: usize,
    last_decoded: Option<RequestId>,
    /// Dropped by decoders in this step.
    discarded: Vec<RequestId>,
    is_closing: bool,
    refusals: BTreeMap<&'static str, usize>,
    sizes: BTreeMap<usize, usize>,
    /// Hash of all actions, to compare two runs.
    trace: u64,
}

impl World {
    fn new(config: BatcherConfig) -> Self {
        Self {
            config,
            batcher: Batcher::new(config),
            now: Time(0),
            open: BTreeMap::new(),
            decoders: vec![Decoder::Idle; config.decoders],
            written: BTreeMap::new(),
            running: BTreeMap::new(),
            next_id: 0,
            accepted: 0,
            answered: 0,
            last_decoded: None,
            discarded: Vec::new(),
            is_closing: false,
            refusals: BTreeMap::new(),
            sizes: BTreeMap::new(),
            trace: 0,
        }
    }

    fn queued(&self) -> usize {
        let runs =
            |id: &RequestId| self.running.values().any(|(_, places)| places.iter().any(|p| p.id == *id));
        self.open.keys().filter(|id| !runs(id)).count()
    }

    fn feed(&mut self, event: Event) {
        for action in self.batcher.step(self.now, event) {
            for byte in format!("{action:?}").bytes() {
                self.trace = (self.trace ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
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
        assert_eq!(self.batcher.queued(), self.queued());
        assert!(self.batcher.queued() <= self.config.queue_capacity, "the queue is overfull");
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::Decode { decoder, id } => {
                assert_eq!(self.decoders[decoder], Decoder::Idle, "a decoder got two requests");
                assert!(self.open.contains_key(&id), "decoded though answered");
                assert!(self.last_decoded < Some(id), "decoding begins in order of acceptance");
                self.last_decoded = Some(id);
                self.decoders[decoder] = Decoder::Decoding(id);
            }
            Action::Fill { decoder, staging, place } => {
                assert_eq!(self.decoders[decoder], Decoder::Holding(place.id), "it holds another");
                assert!(self.open.contains_key(&place.id), "filled in though answered");
                for other in &self.decoders {
                    if let Decoder::Holding(id) = other {
                        assert!(place.id <= *id || !self.open.contains_key(id), "{id} was overtaken");
                    }
                }
                assert!(place.first_slot + place.slots <= self.config.max_batch_size, "a batch is overfull");
                self.assert_slots_are_free(staging, place);
                self.decoders[decoder] = Decoder::Filling { staging, place };
            }
            Action::Discard { decoder } => {
                let Decoder::Holding(id) = self.decoders[decoder] else { panic!("{decoder} holds nothing") };
                self.discarded.push(id);
                self.decoders[decoder] = Decoder::Idle;
            }
            Action::Run { worker, staging, places } => {
                assert!(!places.is_empty(), "an empty batch");
                let slots: usize = places.iter().map(|place| place.slots).sum();
                assert!(slots <= self.config.max_batch_size, "a batch is overfull");
                let written = self.written.remove(&staging).unwrap_or_default();
                for place in &places {
                    assert!(self.open.contains_key(&place.id), "ran though answered");
                    assert!(written.contains(place), "ran before it was written");
                }
                assert_eq!(written.len(), places.len(), "somebody was left behind");
                assert!(places.windows(2).all(|p| p[0].first_slot + p[0].slots <= p[1].first_slot));
                assert!(!self.is_being_filled(staging), "ran while it is written");
                *self.sizes.entry(slots).or_default() += 1;
                assert!(
                    self.running.insert(worker, (staging, places)).is_none(),
                    "a worker runs two batches"
                );
            }
            Action::Deliver { id } => self.answer(id, "delivered"),
            Action::Refuse { id, refusal } => match refusal {
                Refusal::QueueFull | Refusal::Closed => {
                    assert_eq!(refusal == Refusal::Closed, self.is_closing);
                    assert!(self.is_closing || self.queued() == 1 + self.config.queue_capacity);
                    self.accepted -= 1;
                    assert!(self.open.remove(&id).is_some());
                    *self.refusals.entry("at the door").or_default() += 1;
                }
                Refusal::Cancelled => self.answer(id, "cancelled"),
                Refusal::DeadlineExceeded => self.answer(id, "expired"),
            },
        }
    }

    fn answer(&mut self, id: RequestId, how: &'static str) {
        assert!(self.open.remove(&id).is_some(), "request {id} was answered twice");
        for places in self.written.values_mut() {
            places.retain(|place| place.id != id);
        }
        self.answered += 1;
        *self.refusals.entry(how).or_default() += 1;
    }

    fn is_being_filled(&self, staging: usize) -> bool {
        self.decoders.iter().any(|d| matches!(d, Decoder::Filling { staging: at, .. } if *at == staging))
    }

    fn assert_slots_are_free(&self, staging: usize, place: Place) {
        assert!(self.running.values().all(|(used, _)| *used != staging), "written while it runs");
        let being_filled = self.decoders.iter().filter_map(|decoder| match decoder {
            Decoder::Filling { staging: at, place } if *at == staging => Some(place),
            _ => None,
        });
        for other in being_filled.chain(self.written.get(&staging).into_iter().flatten()) {
            let apart = other.first_slot + other.slots <= place.first_slot
                || place.first_slot + place.slots <= other.first_slot;
            assert!(apart, "{place:?} and {other:?} share a slot");
        }
    }

    fn arrive(&mut self, random: &mut Random) {
        let id = self.next_id;
        self.next_id += 1;
        let slots = if random.below(4) == 0 { 1 + random.below(self.config.max_batch_size) } else { 1 };
        let patience = Duration::from_nanos(1 + random.next() % 5000);
        let deadline = (random.below(3) == 0).then(|| self.now.after(patience));
        self.open.insert(id, deadline);
        self.accepted += 1;
        self.feed(Event::Arrived { id, slots, deadline });
    }

    fn finish_a_decoder(&mut self, random: &mut Random) {
        let busy = |decoder: &usize| {
            matches!(self.decoders[*decoder], Decoder::Decoding(_) | Decoder::Filling { .. })
        };
        let Some(decoder) = random.pick((0..self.decoders.len()).filter(busy)) else { return };
        let succeeded = random.below(8) != 0;
        match self.decoders[decoder] {
            Decoder::Decoding(id) => {
                self.decoders[decoder] = if succeeded { Decoder::Holding(id) } else { Decoder::Idle };
                self.feed(Event::Decoded { decoder, succeeded });
            }
            Decoder::Filling { staging, place } => {
                self.decoders[decoder] = Decoder::Idle;
                if succeeded && self.open.contains_key(&place.id) {
                    self.written.entry(staging).or_default().push(place);
                }
                self.feed(Event::Filled { decoder, succeeded });
            }
            Decoder::Idle | Decoder::Holding(_) => {}
        }
    }

    fn finish_a_batch(&mut self, random: &mut Random) {
        if let Some(worker) = random.pick(self.running.keys().copied()) {
            self.running.remove(&worker);
            self.feed(Event::BatchDone { worker });
        }
    }

    fn one_event(&mut self, random: &mut Random) {
        match random.below(16) {
            0..=4 => self.arrive(random),
            5..=9 => self.finish_a_decoder(random),
            10..=11 => self.finish_a_batch(random),
            12 => {
                let id = self.next_id.saturating_sub(random.next() % 40);
                self.feed(Event::Cancelled { id });
            }
            13 => {
                self.now = self.batcher.next_wakeup().unwrap_or(self.now);
                self.feed(Event::Tick);
            }
            _ => {
                self.now = self.now.after(Duration::from_nanos(random.next() % 1500));
                self.feed(Event::Tick);
            }
        }
    }

    /// Ends everything that runs and lets time pass until nothing is left.
    fn drain(&mut self, random: &mut Random) {
        self.is_closing = true;
        self.feed(Event::Close);
        for _ in 0..100_000 {
            if self.batcher.is_drained() {
                break;
            }
            if random.below(10) == 0 {
                self.arrive(random);
            }
            self.finish_a_decoder(random);
            self.finish_a_batch(random);
        }
        assert!(self.batcher.is_drained() && self.open.is_empty(), "{} requests hang", self.open.len());
        assert_eq!(self.accepted, self.answered);
        assert!(self.decoders.iter().all(|decoder| *decoder == Decoder::Idle) && self.running.is_empty());
    }
}

fn simulate(seed: u64, events: usize) -> World {
    let mut random = Random(seed);
    let workers = 1 + random.below(3);
    let mut world = World::new(BatcherConfig {
        max_batch_size: 1 + random.below(9),
        max_queue_delay: Duration::from_nanos(random.next() % 2000),
        queue_capacity: 1 + random.below(24),
        decoders: 1 + random.below(5),
        workers,
        stagings: workers + random.below(3).max(usize::from(seed.is_multiple_of(2))),
    });
    for _ in 0..events {
        world.one_event(&mut random);
    }
    world.drain(&mut random);
    world
}

#[test]
fn nothing_is_lost_doubled_late_or_overfull() {
    let mut ends: BTreeMap<&str, usize> = BTreeMap::new();
    let mut sizes = BTreeSet::new();
    for seed in 0..50 {
        let world = simulate(seed, 2000);
        for (end, count) in world.refusals {
            *ends.entry(end).or_default() += count;
        }
        sizes.extend(world.sizes.into_keys());
    }
    // Each kind of end came often enough to have been tested.
    for end in ["at the door", "cancelled", "expired", "delivered"] {
        assert!(ends.get(end).is_some_and(|&count| count > 500), "{end}: {ends:?}");
    }
    assert_eq!(sizes, (1..=9).collect());
}

#[test]
fn equal_events_give_equal_actions() {
    for seed in [3, 14] {
        assert_eq!(simulate(seed, 3000).trace, simulate(seed, 3000).trace);
    }
    assert_ne!(simulate(3, 3000).trace, simulate(14, 3000).trace);
}

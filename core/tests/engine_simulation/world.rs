//! A world around the machine: requests that come, threads that take their time, a backend with a set service
//! curve and set faults, and somebody who changes the limits; all by one random seed.

use crate::machine::{
    Action, Cost, Event, Machine, Policy, Priority, Refusal, RequestId, RunId, RunOutcome, Shape, Time,
    Window,
};
use crate::random::Random;
use crate::truth::Truth;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

const US: u64 = 1000;

/// Something that takes its time.
#[derive(Clone, Copy, Debug)]
enum Happening {
    Arrival,
    Decoded(usize),
    Filled(usize),
    RunDone(RunId, RunOutcome),
    Rebuilt(usize, bool),
}

/// What the backend is like, and how often what goes wrong. Chances are of 1000.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    pub lost: u64,
    pub failed: u64,
    pub hangs: u64,
    pub slow: u64,
    pub bad_images: u64,
    pub rebuild_fails: u64,
    pub rebuild_hangs: u64,
    /// Images for which there is memory; zero for all.
    pub memory: usize,
}

pub struct World {
    pub machine: Machine,
    pub truth: Truth,
    pub now: Time,
    random: Random,
    happenings: BTreeMap<(Time, u64), Happening>,
    next_happening: u64,
    next_id: RequestId,
    pub faults: Faults,
    /// Nanoseconds of a run: for the launch, and for each image.
    curve: (u64, u64),
    /// Mean nanoseconds between arrivals.
    interval: u64,
    tenants: u64,
    /// Pictures that come again and again; none if 0.
    pictures: u64,
    /// Hash of all that the machine said.
    pub trace: DefaultHasher,
    /// What the machine was told, if that is to be kept.
    pub told: Option<Vec<(Time, Event)>>,
    pub events: u64,
    /// What the machine said last.
    actions: Vec<Action>,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let workers = random.range(1, 3) as usize;
        let max_batch_size = random.range(1, 9) as usize;
        let shape = Shape {
            max_batch_size,
            buckets: match random.below(2) {
                0 => Vec::new(),
                _ => (1..=max_batch_size).filter(|n| n.is_power_of_two() || *n == max_batch_size).collect(),
            },
            decoders: random.range(1, 4) as usize,
            workers,
            stagings: workers + random.range(1, 2) as usize,
        };
        let ageing = Duration::from_micros(1 << random.range(6, 14));
        let policy = policy(&mut random, ageing);
        let curve = (random.range(20, 400) * US, random.range(1, 100) * US);
        let run = curve.0 + curve.1 * max_batch_size as u64;
        let load = random.pick(&[30, 80, 100, 150, 400]);
        let calm = random.chance(250);
        let rare = |random: &mut Random, most: u64| if calm { 0 } else { random.below(most) };
        let faults = Faults {
            lost: rare(&mut random, 40),
            failed: rare(&mut random, 40),
            hangs: rare(&mut random, 20),
            slow: rare(&mut random, 60),
            bad_images: rare(&mut random, 100),
            rebuild_fails: rare(&mut random, 600),
            rebuild_hangs: rare(&mut random, 60),
            memory: if calm { 0 } else { random.below(max_batch_size as u64 + 1) as usize },
        };
        let mut world = Self {
            machine: Machine::new(shape.clone(), policy),
            truth: Truth::new(shape, policy),
            now: Time(0),
            happenings: BTreeMap::new(),
            next_happening: 0,
            next_id: 0,
            faults,
            curve,
            interval: run * 100 / (max_batch_size as u64 * workers as u64 * load) + 1,
            tenants: random.range(1, 4),
            pictures: random.pick(&[0, 0, 2, 8]),
            trace: DefaultHasher::new(),
            told: None,
            actions: Vec::new(),
            events: 0,
            random,
        };
        world.happens(0, Happening::Arrival);
        world
    }

    fn happens(&mut self, after: u64, happening: Happening) {
        let at = Time(self.now.0.saturating_add(after));
        self.happenings.insert((at, self.next_happening), happening);
        self.next_happening += 1;
    }

    /// Tells the machine, does what it says, and checks the rules.
    pub fn tell(&mut self, event: Event) {
        self.events += 1;
        if let Some(told) = &mut self.told {
            told.push((self.now, event));
        }
        self.truth.happened(self.now, &event);
        let mut actions = std::mem::take(&mut self.actions);
        self.machine.step(self.now, event, &mut actions);
        actions.hash(&mut self.trace);
        for action in &actions {
            self.truth.act(self.now, &self.machine, action);
            self.start(action);
        }
        self.truth.check(self.now, &self.machine);
        self.actions = actions;
    }

    /// What a thread begins to do.
    fn start(&mut self, action: &Action) {
        match *action {
            Action::Decode { decoder, id } => {
                let work = self.truth.open.get(&id).map_or(0, |request| request.cost.decode_work);
                let took = 10 * US + work / 16 + self.random.below(20 * US);
                self.happens(took, Happening::Decoded(decoder));
            }
            Action::Fill { decoder, .. } => {
                let took = self.random.below(30 * US);
                self.happens(took, Happening::Filled(decoder));
            }
            Action::Run { run, size, .. } => self.start_run(run, size),
            Action::Test { run, .. } => self.start_run(run, 1),
            Action::Rebuild { worker } => {
                let succeeded = !self.random.chance(self.faults.rebuild_fails);
                let took = match self.random.chance(self.faults.rebuild_hangs) {
                    true => self.random.below(20_000_000 * US),
                    false => self.random.below(2000 * US),
                };
                self.happens(took, Happening::Rebuilt(worker, succeeded));
            }
            Action::Discard { .. } | Action::Copy { .. } | Action::Deliver { .. } | Action::Refuse { .. } => {
            }
        }
    }

    fn start_run(&mut self, run: RunId, size: usize) {
        let mut took = self.curve.0 + self.curve.1 * size as u64;
        took += self.random.below(took / 8 + 1);
        if self.random.chance(self.faults.slow) {
            took *= self.random.range(2, 12);
        }
        let mut outcome = RunOutcome::Succeeded;
        if self.faults.memory > 0 && size > self.faults.memory {
            outcome = RunOutcome::OutOfMemory;
        }
        if self.random.chance(self.faults.failed) {
            outcome = RunOutcome::Failed;
        }
        if self.random.chance(self.faults.lost) {
            outcome = RunOutcome::Lost;
        }
        if self.random.chance(self.faults.hangs) {
            took = match self.random.below(2) {
                0 => self.random.below(40_000_000 * US),
                // As good as never.
                _ => 1 << 62,
            };
        }
        self.happens(took, Happening::RunDone(run, outcome));
    }

    /// Lets the next thing happen, or somebody interfere.
    pub fn go_on(&mut self) {
        if self.random.chance(60) {
            return self.interfere();
        }
        let wakeup = self.machine.next_wakeup();
        let next = self.happenings.first_key_value().map(|(&(at, _), _)| at);
        match (wakeup, next) {
            (Some(wakeup), next) if next.is_none_or(|next| wakeup < next) => {
                self.now = self.now.max(wakeup);
                self.tell(Event::Tick);
            }
            (_, Some(_)) => {
                let Some(((at, _), happening)) = self.happenings.pop_first() else { return };
                self.now = self.now.max(at);
                self.happen(happening);
            }
            _ => {}
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Arrival => {
                if !self.truth.is_closing || self.random.chance(100) {
                    let after = match self.random.chance(200) {
                        true => 0,
                        false => self.random.exponential(self.interval),
                    };
                    self.happens(after, Happening::Arrival);
                }
                self.arrive();
            }
            Happening::Decoded(decoder) => {
                let succeeded = !self.random.chance(self.faults.bad_images);
                self.tell(Event::Decoded { decoder, succeeded });
            }
            Happening::Filled(decoder) => {
                let succeeded = !self.random.chance(self.faults.bad_images / 4);
                self.tell(Event::Filled { decoder, succeeded });
            }
            Happening::RunDone(run, outcome) => self.tell(Event::RunDone { run, outcome }),
            Happening::Rebuilt(worker, succeeded) => self.tell(Event::Rebuilt { worker, succeeded }),
        }
    }

    fn arrive(&mut self) {
        let id = self.next_id;
        self.next_id += 1;
        let most = self.truth.shape.max_batch_size as u64;
        let slots = match self.random.below(5) {
            0 => self.random.range(1, most + u64::from(self.random.0.is_multiple_of(16))) as usize,
            _ => 1,
        };
        let pixels = match self.random.below(20) {
            0 => self.random.range(1, 9 << 20),
            _ => self.random.range(1, 1 << 18),
        };
        let cost = Cost { slots, encoded_bytes: pixels / 4, decode_bytes: pixels * 3, decode_work: pixels };
        let run = self.curve.0 + self.curve.1 * most;
        let patience = Duration::from_nanos(self.random.range(1, run * 12));
        let deadline = (self.random.below(3) == 0).then(|| self.now.after(patience));
        let tenant = self.random.below(self.tenants) as u32;
        // One tenant floods.
        let tenant = if self.random.chance(300) { 0 } else { tenant };
        let priority = self.random.pick(&[Priority::High, Priority::Normal, Priority::Normal, Priority::Low]);
        let twin =
            (self.pictures > 0 && self.random.below(2) == 0).then(|| self.random.range(1, self.pictures));
        let weight = 1 + tenant % 3;
        self.tell(Event::Arrived { id, tenant, weight, priority, cost, deadline, twin });
    }

    fn interfere(&mut self) {
        match self.random.below(40) {
            0..=29 => {
                let id = self.next_id.saturating_sub(self.random.below(40));
                self.tell(Event::Cancelled { id });
            }
            30 => {
                let policy = policy(&mut self.random, self.truth.policy.ageing);
                self.tell(Event::Reload { policy });
            }
            31 => {
                // The machine slept: everything comes late.
                self.now = self.now.after(Duration::from_nanos(self.random.below(50_000 * US)));
                self.tell(Event::Tick);
            }
            32 => self.faults.memory = self.random.below(self.faults.memory as u64 * 2 + 1) as usize,
            _ => self.tell(Event::Tick),
        }
    }

    /// Closes and sees everything end by the time that is given.
    pub fn drain(&mut self) {
        let patience = Duration::from_nanos(self.random.range(1, 1_000_000 * US));
        let until = self.now.after(patience);
        self.tell(Event::Close { until });
        for _ in 0..100_000 {
            if self.machine.is_drained() {
                break;
            }
            self.go_on();
        }
        assert!(
            self.machine.is_drained() && self.now <= until.after(Duration::from_millis(60)),
            "it does not end"
        );
        assert!(self.truth.open.is_empty(), "{} requests hang", self.truth.open.len());
    }
}

fn policy(random: &mut Random, ageing: Duration) -> Policy {
    Policy {
        max_queue_delay: Duration::from_nanos(random.pick(&[0, 1, 100 * US, 2000 * US])),
        window: random.pick(&[Window::Latency, Window::Throughput, Window::Adaptive]),
        queue_capacity: random.range(1, 60) as usize,
        encoded_bytes: random.range(1 << 18, 16 << 20),
        decode_bytes: random.range(9 << 20, 64 << 20),
        ageing,
        preserve_order: random.below(4) == 0,
        stuck_after: Duration::from_micros(random.range(500, 50_000)),
        outage_patience: Duration::from_micros(random.range(0, 100_000)),
        self_test_every: Duration::from_micros(random.pick(&[0, 0, 3000, 50_000])),
    }
}

/// Runs one seed for so many events and drains it.
pub fn simulate(seed: u64, events: u64) -> World {
    let mut world = World::new(seed);
    while world.events < events {
        world.go_on();
    }
    world.drain();
    world
}

/// Events of one world, before the next one has other sizes, limits and faults.
const EVENTS_OF_A_WORLD: u64 = 4000;

/// What happened in many worlds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    pub events: u64,
    pub delivered: u64,
    pub joined: u64,
    pub refused: [u64; Refusal::ALL.len()],
    pub splits: u64,
    pub stuck: u64,
    pub rebuilt: u64,
    pub self_tests: u64,
}

/// Runs seed after seed until there were so many events.
pub fn simulate_many(events: u64, first_seed: u64) -> Totals {
    let mut totals = Totals::default();
    for seed in first_seed.. {
        if totals.events >= events {
            break;
        }
        let world = simulate(seed, EVENTS_OF_A_WORLD);
        let counters = world.truth.counters();
        totals.events += world.events;
        totals.delivered += counters.delivered;
        totals.joined += counters.joined;
        totals.splits += counters.splits;
        totals.stuck += counters.stuck;
        totals.rebuilt += counters.rebuilt;
        totals.self_tests += counters.self_tests;
        for (total, count) in totals.refused.iter_mut().zip(counters.refused) {
            *total += count;
        }
    }
    totals
}

/// What a machine of the same sizes and limits says when it is told the same.
pub fn replay(world: &World, policy: Policy) -> DefaultHasher {
    let mut machine = Machine::new(world.truth.shape.clone(), policy);
    let (mut trace, mut actions) = (DefaultHasher::new(), Vec::new());
    for &(now, event) in world.told.as_deref().unwrap_or_default() {
        machine.step(now, event, &mut actions);
        actions.hash(&mut trace);
    }
    trace
}

/// The hash as a number.
pub fn number(trace: &DefaultHasher) -> u64 {
    trace.finish()
}

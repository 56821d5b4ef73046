//! Set scenes in virtual time: the incident that bounded batches are for, a tenant that floods, and a backend
//! that fails at every point of a run.

use crate::machine::{
    Action, Cost, Event, Machine, Policy, Priority, Refusal, RequestId, RunId, RunOutcome, Shape, Time,
};
use crate::random::Random;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub const US: u64 = 1000;
pub const MS: u64 = 1000 * US;

/// Requests, decoders and workers that take set times.
pub struct Scene {
    machine: Machine,
    pub now: Time,
    happenings: BTreeMap<(Time, u64), Event>,
    next: u64,
    next_id: RequestId,
    /// Nanoseconds of a launch, and of each image in it.
    curve: (u64, u64),
    decode: u64,
    /// A launch takes up to this part of a thousand longer.
    pub slower: u64,
    random: Random,
    /// What goes wrong with which launch.
    pub faults: BTreeMap<RunId, Fault>,
    pub accepted: BTreeMap<RequestId, (u32, Option<Time>)>,
    pub delivered: BTreeMap<RequestId, Time>,
    pub refused: BTreeMap<RequestId, (Refusal, Time)>,
    pub launches: Vec<usize>,
    /// What the machine said last.
    actions: Vec<Action>,
    pub stagings: BTreeSet<usize>,
    was_unready: bool,
}

/// What a launch does instead of giving results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Hangs,
    Ends(RunOutcome),
}

impl Scene {
    pub fn new(shape: Shape, policy: Policy, curve: (u64, u64), decode: u64) -> Self {
        let mut machine = Machine::new(shape.clone(), policy);
        for size in [1, shape.max_batch_size] {
            machine.observe(size, Duration::from_nanos(curve.0 + curve.1 * size as u64));
        }
        Self {
            machine,
            now: Time(0),
            happenings: BTreeMap::new(),
            next: 0,
            next_id: 0,
            curve,
            decode,
            slower: 0,
            random: Random(1),
            faults: BTreeMap::new(),
            accepted: BTreeMap::new(),
            delivered: BTreeMap::new(),
            refused: BTreeMap::new(),
            launches: Vec::new(),
            actions: Vec::new(),
            stagings: BTreeSet::new(),
            was_unready: false,
        }
    }

    fn happens(&mut self, after: u64, event: Event) {
        self.happenings.insert((Time(self.now.0 + after), self.next), event);
        self.next += 1;
    }

    /// One more request; its number.
    pub fn arrive(&mut self, tenant: u32, cost: Cost, patience: Option<Duration>) -> RequestId {
        let id = self.next_id;
        self.next_id += 1;
        let deadline = patience.map(|patience| self.now.after(patience));
        self.accepted.insert(id, (tenant, deadline));
        let priority = Priority::Normal;
        self.tell(Event::Arrived { id, tenant, weight: 1, priority, cost, deadline, twin: None });
        id
    }

    fn tell(&mut self, event: Event) {
        let mut actions = std::mem::take(&mut self.actions);
        self.machine.step(self.now, event, &mut actions);
        for action in &actions {
            match *action {
                Action::Decode { decoder, .. } => {
                    self.happens(self.decode, Event::Decoded { decoder, succeeded: true });
                }
                Action::Fill { decoder, staging, .. } => {
                    self.stagings.insert(staging);
                    self.happens(10 * US, Event::Filled { decoder, succeeded: true });
                }
                Action::Run { run, size, .. } => {
                    self.launches.push(size);
                    self.launch(run, size);
                }
                Action::Test { run, .. } => self.launch(run, 1),
                Action::Rebuild { worker } => {
                    assert!(!self.machine.is_ready(), "ready without a worker");
                    self.was_unready = true;
                    self.happens(2 * MS, Event::Rebuilt { worker, succeeded: true });
                }
                Action::Deliver { id } => {
                    let &(_, deadline) = self.accepted.get(&id).expect("only what was accepted");
                    assert!(deadline.is_none_or(|deadline| self.now < deadline), "{id} is late");
                    assert!(self.delivered.insert(id, self.now).is_none() && !self.refused.contains_key(&id));
                }
                Action::Refuse { id, refusal, .. } => {
                    assert!(self.refused.insert(id, (refusal, self.now)).is_none());
                    assert!(!self.delivered.contains_key(&id));
                }
                Action::Copy { .. } => unreachable!("no picture comes twice"),
                Action::Discard { .. } => {}
            }
        }
        self.actions = actions;
    }

    fn launch(&mut self, run: RunId, size: usize) {
        let mut took = self.curve.0 + self.curve.1 * size as u64;
        took += took * self.random.below(self.slower + 1) / 1000;
        match self.faults.get(&run) {
            Some(Fault::Hangs) => {}
            Some(Fault::Ends(outcome)) => self.happens(took, Event::RunDone { run, outcome: *outcome }),
            None => self.happens(took, Event::RunDone { run, outcome: RunOutcome::Succeeded }),
        }
    }

    /// Lets everything happen until then.
    pub fn pass(&mut self, until: Time) {
        loop {
            let wakeup = self.machine.next_wakeup().unwrap_or(Time(u64::MAX));
            let next = self.happenings.first_key_value().map_or(Time(u64::MAX), |(&(at, _), _)| at);
            if wakeup.min(next) > until {
                break;
            }
            self.now = wakeup.min(next);
            match wakeup < next {
                true => self.tell(Event::Tick),
                false => {
                    let (_, event) = self.happenings.pop_first().expect("looked at above");
                    self.tell(event);
                }
            }
        }
        self.now = until;
    }

    fn is_ready(&self) -> bool {
        self.machine.is_ready()
    }
}

pub fn shape(max_batch_size: usize) -> Shape {
    Shape { max_batch_size, buckets: Vec::new(), decoders: 4, workers: 1, stagings: 3 }
}

pub fn picture() -> Cost {
    Cost { slots: 1, encoded_bytes: 100 << 10, decode_bytes: 1 << 20, decode_work: 1 << 18 }
}

#[test]
fn the_incident_512_large_images_at_once() {
    let policy = Policy { encoded_bytes: 4 << 30, ..Policy::default() };
    let mut scene = Scene::new(shape(32), policy, (2 * MS, 100 * US), 20 * MS);
    let large = Cost { slots: 1, encoded_bytes: 8 << 20, decode_bytes: 300 << 20, decode_work: 24 << 20 };
    for id in 0..512 {
        scene.arrive(0, large, (id % 2 == 0).then_some(Duration::from_secs(60)));
        assert!(scene.machine.queued() <= 256 && scene.machine.decode_bytes() <= 1 << 30);
    }
    assert_eq!(scene.refused.len(), 256 - scene.launches.iter().sum::<usize>());
    scene.pass(Time(60_000 * MS));
    assert!(scene.launches.iter().all(|size| *size <= 32), "{:?}", scene.launches);
    // The only memory that batches have: as much as there was before the first image.
    assert!(scene.stagings.iter().all(|staging| *staging < 3));
    assert_eq!(scene.delivered.len() + scene.refused.len(), 512);
    assert!(scene.refused.values().all(|(refusal, _)| *refusal == Refusal::QueueFull));
}

#[test]
fn a_tenant_at_twenty_times_the_rate_takes_its_share_and_no_more() {
    // Capacity is 1000 images a second. Five tenants ask for 400 a second each, the sixth for 20 times that.
    let mut scene = Scene::new(shape(8), Policy::default(), (0, MS), 10 * US);
    let mut next = [0_u64; 6];
    let interval = |tenant: usize| if tenant == 5 { 125 * US } else { 2500 * US };
    let end = 20_000 * MS;
    while let Some((tenant, &at)) =
        next.iter().enumerate().min_by_key(|(_, at)| **at).filter(|(_, at)| **at < end)
    {
        scene.pass(Time(at));
        scene.arrive(tenant as u32, picture(), Some(Duration::from_millis(400)));
        next[tenant] = at + interval(tenant);
    }
    scene.pass(Time(end + 1000 * MS));
    let mut served = [0_f64; 6];
    for id in scene.delivered.keys() {
        served[scene.accepted[id].0 as usize] += 1.0;
    }
    let total: f64 = served.iter().sum();
    let jain = total * total / (6.0 * served.iter().map(|x| x * x).sum::<f64>());
    println!("served {served:?}, Jain {jain:.4}");
    assert!(jain >= 0.95, "{served:?}: {jain}");
    assert!(total >= 0.95 * 20_000.0, "capacity is used: {served:?}");
}

/// Capacity is about 770 images a second; ten times as many come, in bursts or not.
pub fn overload_wastes_nothing_and_keeps_deadlines() {
    for burst in [1, 50] {
        let mut scene = Scene::new(shape(8), Policy::default(), (2 * MS, MS), 20 * US);
        scene.slower = 80;
        let (mut random, mut at, end) = (Random(burst), 0, 8_000 * MS);
        while at < end {
            at += random.exponential(burst * 130 * US);
            scene.pass(Time(at));
            for _ in 0..burst {
                scene.arrive(0, picture(), Some(Duration::from_millis(100)));
            }
        }
        scene.pass(Time(end + 1000 * MS));
        // By when they were answered, after a quarter of the time.
        let is_counted = |at: &Time| *at > Time(end / 4) && *at < Time(end);
        let good = scene.delivered.values().filter(|at| is_counted(at)).count();
        let late = scene
            .refused
            .values()
            .filter(|(refusal, at)| is_counted(at) && *refusal == Refusal::DeadlineExceeded);
        let late = late.count() as f64 / good as f64;
        let peak = 8.0 / 0.0104 * 6.0;
        let what = format!("bursts of {burst}: goodput {:.3}, late {late:.5}", good as f64 / peak);
        assert!(good as f64 >= 0.97 * peak && late <= 0.002, "{what}");
    }
}

#[test]
fn ten_times_the_capacity() {
    overload_wastes_nothing_and_keeps_deadlines();
}

#[test]
fn whatever_goes_wrong_with_whichever_launch_everybody_is_answered_in_time() {
    let ends = [RunOutcome::OutOfMemory, RunOutcome::Failed, RunOutcome::Lost].map(Fault::Ends);
    let policy = Policy {
        stuck_after: Duration::from_millis(50),
        self_test_every: Duration::from_millis(20),
        ..Policy::default()
    };
    for fault in [Fault::Hangs].into_iter().chain(ends) {
        for launch in 0..60 {
            for twice in [false, true] {
                let mut scene = Scene::new(shape(8), policy, (MS, 200 * US), 100 * US);
                scene.faults.insert(launch, fault);
                if twice {
                    scene.faults.insert(launch + 1, fault);
                }
                for step in 0..300_u64 {
                    scene.pass(Time(step * 400 * US));
                    let patience = (step % 3 != 0).then_some(Duration::from_millis(step % 7 * 20 + 5));
                    scene.arrive(0, picture(), patience);
                }
                scene.pass(Time(15_000 * MS));
                let what = format!("{fault:?} at launch {launch}");
                assert_eq!(scene.delivered.len() + scene.refused.len(), 300, "{what}");
                for (id, (refusal, at)) in &scene.refused {
                    let late = scene.accepted[id].1.map(|deadline| at.since(deadline));
                    assert!(late.is_none_or(|late| late.is_zero()), "{what}: {id} {refusal:?} {late:?} late");
                }
                let loses = matches!(fault, Fault::Hangs | Fault::Ends(RunOutcome::Lost));
                // One that hangs twice is not made anew: what hangs cannot be taken back.
                let is_gone = fault == Fault::Hangs && twice;
                assert!(scene.was_unready || !loses, "{what}: a worker was lost and nobody noticed");
                assert_eq!(scene.is_ready(), !is_gone, "{what}");
            }
        }
    }
}

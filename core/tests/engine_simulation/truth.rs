//! What must be true of the machine: the threads around it reduced to what they hold, kept by themselves from
//! events and actions, and the rules checked against it after each event.

use crate::machine::{
    Action, Cost, Counters, Event, Machine, Place, Policy, Priority, Refusal, RequestId, RunId, RunOutcome,
    Shape, TenantId, Time, TwinId, Window,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Most that one tenant of weight 1 takes in a round, with room for one request more.
const ROUND: u64 = 2 << 20;

#[derive(Clone, Copy, Debug)]
pub struct Request {
    pub tenant: TenantId,
    pub weight: u32,
    pub priority: Priority,
    pub cost: Cost,
    pub deadline: Option<Time>,
    pub accepted: Time,
    pub twin: Option<TwinId>,
    /// It followed, and leads now.
    is_heir: bool,
    pub at: At,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// For the answer of another, for the same picture.
    Following,
    Waiting,
    Decoder,
    Placed,
    Running(RunId),
    /// A thread has made its answer.
    Answered,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoder {
    Idle,
    Decoding(RequestId, Cost),
    Holding(RequestId, Cost),
    Filling { id: RequestId, cost: Cost, staging: usize, place: Place },
}

/// A buffer that batches are built in.
#[derive(Clone, Debug, Default)]
struct Staging {
    /// Whose data lies in each slot.
    content: Vec<Option<RequestId>>,
    /// Who has a place, since when, and whether it is written.
    members: BTreeMap<RequestId, (Place, Time, bool)>,
    /// A worker has it.
    is_running: bool,
}

#[derive(Clone, Debug)]
pub struct Run {
    pub worker: usize,
    pub staging: Option<usize>,
    pub members: Vec<Place>,
    limit: Time,
    is_half: bool,
    is_given_up: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worker {
    Idle,
    Busy(RunId),
    Rebuilding,
    Out,
}

pub struct Truth {
    pub shape: Shape,
    pub policy: Policy,
    /// Accepted and not answered.
    pub open: BTreeMap<RequestId, Request>,
    deadlines: BTreeSet<(Time, RequestId)>,
    /// Who is computed for a picture.
    leaders: BTreeMap<TwinId, RequestId>,
    pub decoders: Vec<Decoder>,
    stagings: Vec<Staging>,
    pub runs: BTreeMap<RunId, Run>,
    pub workers: Vec<Worker>,
    /// By buffer: halves of a split batch that have not run.
    unrun_halves: BTreeMap<usize, Vec<Place>>,
    counters: Counters,
    queued: usize,
    encoded_bytes: u64,
    decode_bytes: u64,
    last_begun: BTreeMap<(TenantId, Priority), RequestId>,
    /// The order in which decoding began.
    turns: BTreeMap<RequestId, u64>,
    next_turn: u64,
    /// By level and tenant: what others were given while it waited, and the most that they may have been: as many as
    /// there were of them at any time.
    overtaken: BTreeMap<(usize, TenantId), (u64, u64)>,
    outage_since: Option<Time>,
    /// When a worker last became idle beside none that was.
    all_busy_until: Time,
    pub is_closing: bool,
    is_forced: bool,
    last_run: Option<RunId>,
    waiting: usize,
    answered: usize,
    /// When each tenant came last.
    seen: BTreeMap<TenantId, Time>,
    arriving: Option<RequestId>,
    cancelling: Option<RequestId>,
    /// Pictures that decoders let go in this step.
    dropped: Vec<RequestId>,
}

impl Truth {
    pub fn new(shape: Shape, policy: Policy) -> Self {
        let staging = Staging { content: vec![None; shape.max_batch_size], ..Staging::default() };
        Self {
            open: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            leaders: BTreeMap::new(),
            decoders: vec![Decoder::Idle; shape.decoders],
            stagings: vec![staging; shape.stagings],
            runs: BTreeMap::new(),
            workers: vec![Worker::Idle; shape.workers],
            unrun_halves: BTreeMap::new(),
            counters: Counters::default(),
            queued: 0,
            encoded_bytes: 0,
            decode_bytes: 0,
            last_begun: BTreeMap::new(),
            turns: BTreeMap::new(),
            next_turn: 0,
            overtaken: BTreeMap::new(),
            outage_since: None,
            all_busy_until: Time(0),
            is_closing: false,
            is_forced: false,
            last_run: None,
            waiting: 0,
            answered: 0,
            seen: BTreeMap::new(),
            arriving: None,
            cancelling: None,
            dropped: Vec::new(),
            shape,
            policy,
        }
    }

    /// What `event` changes before the machine says anything.
    pub fn happened(&mut self, now: Time, event: &Event) {
        self.arriving = None;
        self.cancelling = None;
        match *event {
            Event::Arrived { id, tenant, weight, priority, cost, deadline, twin } => {
                self.arriving = Some(id);
                self.seen.insert(tenant, now);
                self.counters.arrived += 1;
                let follows = twin.is_some_and(|twin| self.leaders.contains_key(&twin));
                let at = if follows { At::Following } else { At::Waiting };
                if let Some(twin) = twin.filter(|_| !follows) {
                    self.leaders.insert(twin, id);
                }
                let (accepted, is_heir) = (now, false);
                let request =
                    Request { tenant, weight, priority, cost, deadline, accepted, twin, is_heir, at };
                self.counters.joined += u64::from(follows);
                self.open.insert(id, request);
                self.deadlines.extend(deadline.map(|deadline| (deadline, id)));
                self.queued += 1;
                self.waiting += usize::from(!follows);
                self.counters.accepted += 1;
                self.encoded_bytes += cost.encoded_bytes;
            }
            Event::Decoded { decoder, succeeded } => {
                let Decoder::Decoding(id, cost) = self.decoders[decoder] else { panic!("{decoder} is idle") };
                self.encoded_bytes -= cost.encoded_bytes;
                self.decoders[decoder] =
                    if succeeded { Decoder::Holding(id, cost) } else { self.let_go(cost) };
                if !succeeded {
                    self.answer_is_there(id);
                }
            }
            Event::Filled { decoder, succeeded } => {
                let Decoder::Filling { id, cost, staging, place } = self.decoders[decoder] else {
                    panic!("{decoder} fills nothing")
                };
                self.decoders[decoder] = self.let_go(cost);
                let staging = &mut self.stagings[staging];
                if succeeded {
                    staging.content[place.first_slot..place.first_slot + place.slots].fill(Some(id));
                    if let Some(member) = staging.members.get_mut(&id) {
                        member.2 = true;
                    }
                } else {
                    staging.members.remove(&id);
                    self.answer_is_there(id);
                }
            }
            Event::RunDone { run, outcome } => self.run_done(now, run, outcome),
            Event::Rebuilt { worker, succeeded } => {
                assert_eq!(self.workers[worker], Worker::Rebuilding);
                self.workers[worker] = if succeeded { Worker::Idle } else { Worker::Out };
                self.counters.rebuilt += u64::from(succeeded);
            }
            Event::Cancelled { id } => self.cancelling = Some(id),
            Event::Tick => {}
            Event::Reload { policy } => self.policy = policy,
            Event::Close { .. } => self.is_closing = true,
        }
    }

    /// The smallest bucket with room for so many images.
    fn bucket(&self, images: usize) -> usize {
        let roomy = self.shape.buckets.iter().copied().filter(|&bucket| bucket >= images);
        roomy.min().unwrap_or(images)
    }

    fn let_go(&mut self, cost: Cost) -> Decoder {
        self.decode_bytes -= cost.decode_bytes;
        Decoder::Idle
    }

    fn answer_is_there(&mut self, id: RequestId) {
        self.move_to(id, At::Answered);
    }

    fn move_to(&mut self, id: RequestId, at: At) {
        let Some(request) = self.open.get_mut(&id) else { return };
        let is_queued = |at: At| !matches!(at, At::Running(_) | At::Answered);
        self.queued = self.queued + usize::from(is_queued(at)) - usize::from(is_queued(request.at));
        self.waiting += usize::from(at == At::Waiting);
        self.waiting -= usize::from(request.at == At::Waiting);
        self.answered += usize::from(at == At::Answered && request.at != At::Answered);
        request.at = at;
    }

    fn run_done(&mut self, now: Time, id: RunId, outcome: RunOutcome) {
        let run = self.runs.remove(&id).expect("only runs that are under way end");
        if run.is_given_up {
            if let Some(staging) = run.staging {
                self.release(staging);
            }
            return;
        }
        if !self.workers.contains(&Worker::Idle) {
            self.all_busy_until = now;
        }
        self.workers[run.worker] = Worker::Idle;
        let Some(staging) = run.staging else {
            if outcome != RunOutcome::Succeeded {
                self.counters.self_tests_failed += 1;
                self.is_lost(run.worker);
            }
            return;
        };
        let splits = outcome == RunOutcome::OutOfMemory && !run.is_half && run.members.len() > 1;
        if splits {
            self.counters.splits += 1;
            self.unrun_halves.insert(staging, run.members);
            return;
        }
        for place in &run.members {
            self.answer_is_there(place.id);
        }
        if outcome == RunOutcome::Lost {
            self.is_lost(run.worker);
            self.release(staging);
        }
    }

    fn is_lost(&mut self, worker: usize) {
        self.counters.lost += 1;
        self.workers[worker] = Worker::Out;
    }

    fn release(&mut self, staging: usize) {
        self.unrun_halves.remove(&staging);
        let staging = &mut self.stagings[staging];
        staging.is_running = false;
        staging.members.clear();
    }

    /// A buffer is free once no worker has it and nobody whose half has not run is still waiting.
    fn release_unused(&mut self, staging: usize) {
        if !self.stagings[staging].is_running || self.runs.values().any(|run| run.staging == Some(staging)) {
            return;
        }
        for place in self.unrun_halves.get(&staging).into_iter().flatten() {
            assert!(!self.open.contains_key(&place.id), "{} was forgotten in a split batch", place.id);
        }
        self.release(staging);
    }

    /// One thing that the machine said.
    pub fn act(&mut self, now: Time, machine: &Machine, action: &Action) {
        match action {
            Action::Decode { decoder, id } => self.decode(now, *decoder, *id),
            Action::Fill { decoder, staging, place } => self.fill(now, *decoder, *staging, *place),
            Action::Discard { decoder } => {
                let Decoder::Holding(id, cost) = self.decoders[*decoder] else {
                    panic!("{decoder} holds nothing to drop")
                };
                self.dropped.push(id);
                self.decoders[*decoder] = self.let_go(cost);
            }
            Action::Run { worker, run, staging, size, places } => {
                self.run(now, machine, (*worker, *run, *staging, *size), places);
            }
            Action::Test { worker, run } => {
                self.begin(now, machine, *run, (*worker, None, self.bucket(1)), Vec::new(), false);
                self.counters.self_tests += 1;
            }
            Action::Rebuild { worker } => {
                assert!(!matches!(self.workers[*worker], Worker::Idle | Worker::Rebuilding), "it works");
                if let Worker::Busy(run) = self.workers[*worker] {
                    self.give_up(now, run);
                }
                self.workers[*worker] = Worker::Rebuilding;
            }
            Action::Copy { from, to } => {
                let (giver, taker) = (self.open[from], self.open[to]);
                assert_eq!(giver.at, At::Answered, "{from} has no answer to copy");
                assert_eq!((taker.at, taker.twin), (At::Following, giver.twin), "{to} does not follow");
                assert_eq!(giver.twin.and_then(|twin| self.leaders.get(&twin)), Some(from), "who leads");
                self.encoded_bytes -= taker.cost.encoded_bytes;
                self.move_to(*to, At::Answered);
            }
            Action::Deliver { id } => {
                let request = self.leaves(*id, "delivered");
                assert_eq!(request.at, At::Answered, "{id} was delivered without an answer");
                if self.policy.preserve_order {
                    let first = self.open.first_key_value();
                    assert!(first.is_none_or(|(first, _)| first > id), "{id} came before {first:?}");
                }
                self.counters.delivered += 1;
            }
            Action::Refuse { id, refusal, retry_after } => {
                self.refused(now, machine, *id, *refusal, *retry_after)
            }
        }
    }

    fn decode(&mut self, now: Time, decoder: usize, id: RequestId) {
        assert_eq!(self.decoders[decoder], Decoder::Idle, "a decoder got two requests");
        let request = self.open[&id];
        assert_eq!(request.at, At::Waiting, "{id} does not wait");
        let line = (request.tenant, request.priority);
        if !request.is_heir {
            let last = self.last_begun.insert(line, id);
            assert!(last < Some(id), "{id} went after {last:?} of the same tenant and priority");
        }
        assert_eq!(request.twin.map_or(id, |twin| self.leaders[&twin]), id, "a picture is computed twice");
        self.check_turn(now, id, &request);
        self.turns.insert(id, self.next_turn);
        self.next_turn += 1;
        self.decoders[decoder] = Decoder::Decoding(id, request.cost);
        self.move_to(id, At::Decoder);
        self.decode_bytes += request.cost.decode_bytes;
        let is_alone = self.decode_bytes == request.cost.decode_bytes;
        assert!(self.decode_bytes <= self.policy.decode_bytes || is_alone, "decoders take too much");
    }

    /// The level a request has risen to.
    fn level(&self, now: Time, request: &Request) -> usize {
        let risen = now.since(request.accepted).as_nanos() / self.policy.ageing.as_nanos().max(1);
        (request.priority as usize).saturating_sub(usize::try_from(risen).unwrap_or(usize::MAX))
    }

    fn check_turn(&mut self, now: Time, id: RequestId, chosen: &Request) {
        let level = self.level(now, chosen);
        let share = |cost: &Cost| ((cost.slots as u64) << 20) + cost.decode_work;
        let mut waiting: BTreeMap<TenantId, (u32, RequestId)> = BTreeMap::new();
        for (&other, request) in &self.open {
            if request.at == At::Waiting && other != id {
                let theirs = self.level(now, request);
                assert!(theirs >= level, "{id} of level {level} went before {other} of level {theirs}");
                if theirs == level {
                    waiting.entry(request.tenant).or_insert((request.weight, other));
                }
            }
        }
        self.overtaken.retain(|(at, tenant), _| *at != level || waiting.contains_key(tenant));
        self.overtaken.remove(&(level, chosen.tenant));
        let weights: u64 = waiting.values().map(|(weight, _)| u64::from(*weight)).sum();
        for (&tenant, &(weight, first)) in &waiting {
            if tenant == chosen.tenant {
                continue;
            }
            let (overtaken, allowed) = self.overtaken.entry((level, tenant)).or_default();
            *overtaken += share(&chosen.cost);
            let rounds = share(&self.open[&first].cost) / (ROUND * u64::from(weight)) + 2;
            let largest = (self.shape.max_batch_size as u64 + 9) << 20;
            let most =
                rounds * (weights + u64::from(chosen.weight)) * ROUND + largest * (waiting.len() as u64 + 1);
            *allowed = most.max(*allowed);
            assert!(overtaken <= allowed, "tenant {tenant} was overtaken by {overtaken}, {allowed} allowed");
        }
    }

    fn fill(&mut self, now: Time, decoder: usize, staging: usize, place: Place) {
        let Decoder::Holding(id, cost) = self.decoders[decoder] else { panic!("{decoder} holds nothing") };
        assert_eq!((id, cost.slots), (place.id, place.slots), "it holds another");
        assert!(self.open.contains_key(&id), "filled in though answered");
        for other in &self.decoders {
            if let Decoder::Holding(other, _) = other {
                assert!(self.turns[&id] <= self.turns[other], "{id} took a place before {other}");
            }
        }
        let end = place.first_slot + place.slots;
        assert!(end <= self.shape.max_batch_size, "a batch is overfull");
        self.release_unused(staging);
        let buffer = &mut self.stagings[staging];
        assert!(!buffer.is_running, "written while it runs");
        let writers = self.decoders.iter().filter_map(|decoder| match decoder {
            Decoder::Filling { staging: at, place, .. } if *at == staging => Some(*place),
            _ => None,
        });
        for other in writers.chain(buffer.members.values().map(|member| member.0)) {
            let is_apart = other.first_slot + other.slots <= place.first_slot || end <= other.first_slot;
            assert!(is_apart, "{place:?} and {other:?} share a slot");
        }
        buffer.members.insert(id, (place, now, false));
        self.decoders[decoder] = Decoder::Filling { id, cost, staging, place };
        self.move_to(id, At::Placed);
    }

    fn run(
        &mut self,
        now: Time,
        machine: &Machine,
        (worker, run, staging, size): (usize, RunId, usize, usize),
        places: &[Place],
    ) {
        let slots: usize = places.iter().map(|place| place.slots).sum();
        assert!(slots > 0 && slots <= size && size <= self.shape.max_batch_size, "{slots} slots of {size}");
        assert_eq!(size, self.bucket(slots), "another bucket fits better");
        let half = self.unrun_halves.get_mut(&staging);
        let is_half = half.is_some();
        if let Some(half) = half {
            half.retain(|place| places.iter().all(|other| other.id != place.id));
        } else {
            assert!(!self.stagings[staging].is_running, "two batches in one buffer");
            let wanted = self.stagings[staging].members.keys().filter(|id| self.open.contains_key(id));
            assert!(wanted.count() <= places.len(), "somebody was left behind");
            let is_filling =
                |d: &Decoder| matches!(d, Decoder::Filling { staging: at, .. } if *at == staging);
            assert!(!self.decoders.iter().any(is_filling), "ran while it is written");
        }
        let expected = machine.curve().run(size);
        for place in places {
            let request = self.open.get(&place.id).expect("ran though answered");
            assert!(
                request.deadline.is_none_or(|deadline| deadline >= now.after(expected)),
                "{} runs though it will be late",
                place.id
            );
            let content = &self.stagings[staging].content[place.first_slot..place.first_slot + place.slots];
            assert!(content.iter().all(|slot| *slot == Some(place.id)), "{place:?} is not what lies there");
        }
        let mut next = 0;
        let members: Vec<Place> = places
            .iter()
            .map(|place| {
                assert!(place.first_slot >= next, "places out of order");
                self.stagings[staging]
                    .content
                    .copy_within(place.first_slot..place.first_slot + place.slots, next);
                next += place.slots;
                Place { first_slot: next - place.slots, ..*place }
            })
            .collect();
        for place in places {
            self.move_to(place.id, At::Running(run));
        }
        self.stagings[staging].is_running = true;
        self.counters.runs += 1;
        self.counters.images += slots as u64;
        self.counters.padding += (size - slots) as u64;
        self.begin(now, machine, run, (worker, Some(staging), size), members, is_half);
    }

    fn begin(
        &mut self,
        now: Time,
        machine: &Machine,
        id: RunId,
        (worker, staging, size): (usize, Option<usize>, usize),
        members: Vec<Place>,
        is_half: bool,
    ) {
        assert_eq!(self.workers[worker], Worker::Idle, "a worker runs two batches");
        assert!(self.last_run < Some(id));
        self.last_run = Some(id);
        self.workers[worker] = Worker::Busy(id);
        let patience = self.policy.stuck_after.max(machine.curve().run(size) * 8);
        let limit = now.after(patience);
        let run = Run { worker, staging, members, limit, is_half, is_given_up: false };
        self.runs.insert(id, run);
    }

    fn give_up(&mut self, now: Time, id: RunId) {
        let run = self.runs.get_mut(&id).expect("a busy worker runs something");
        assert!(now >= run.limit, "run {id} had time until {:?}", run.limit);
        if !run.is_given_up {
            run.is_given_up = true;
            self.counters.stuck += 1;
            for place in &run.members {
                assert!(!self.open.contains_key(&place.id), "{} hangs with its worker", place.id);
            }
        }
    }

    /// A worker of which two hang is not made anew.
    fn block_who_hangs_twice(&mut self, now: Time) {
        for worker in 0..self.workers.len() {
            let Worker::Busy(id) = self.workers[worker] else { continue };
            let hangs = |run: &Run| run.is_given_up && run.worker == worker;
            if now >= self.runs[&id].limit && self.runs.values().any(hangs) {
                self.give_up(now, id);
                self.workers[worker] = Worker::Out;
            }
        }
    }

    fn leaves(&mut self, id: RequestId, how: &str) -> Request {
        let at = self.open.get(&id).map(|request| request.at);
        assert!(at.is_some(), "request {id} was {how} and is not open");
        self.move_to(id, At::Answered);
        self.answered -= 1;
        let request = self.open.remove(&id).expect("looked up above");
        if let Some(deadline) = request.deadline {
            self.deadlines.remove(&(deadline, id));
        }
        // A decoder may hold it for a while.
        if self.turns.len() > 4 * self.decoders.len() + self.open.len() + 64 {
            let held: BTreeSet<RequestId> = self
                .decoders
                .iter()
                .filter_map(|d| match d {
                    Decoder::Decoding(id, _) | Decoder::Holding(id, _) => Some(*id),
                    _ => None,
                })
                .collect();
            self.turns.retain(|id, _| held.contains(id));
        }
        for staging in &mut self.stagings {
            if !staging.is_running {
                staging.members.remove(&id);
            }
        }
        Request { at: at.unwrap_or(At::Answered), ..request }
    }

    fn refused(
        &mut self,
        now: Time,
        machine: &Machine,
        id: RequestId,
        refusal: Refusal,
        retry_after: Option<Duration>,
    ) {
        let queued = self.queued;
        let finished = self.answered;
        let request = self.leaves(id, refusal.name());
        if matches!(request.at, At::Waiting | At::Following) {
            self.encoded_bytes -= request.cost.encoded_bytes;
        }
        self.lead_on(id, &request, refusal);
        self.counters.refused[refusal as usize] += 1;
        let at_the_door = self.arriving == Some(id);
        let policy = &self.policy;
        let is_late = request.deadline.is_some_and(|deadline| deadline <= now);
        match refusal {
            Refusal::QueueFull | Refusal::BytesFull | Refusal::DeadlineInfeasible | Refusal::TooCostly => {
                assert!(at_the_door, "{id} was refused after it was accepted");
                self.counters.accepted -= 1;
                self.counters.joined -= u64::from(request.at == At::Following);
                assert!(!self.is_closing);
                let is_retried = refusal != Refusal::TooCostly;
                assert_eq!(retry_after.is_some_and(|after| !after.is_zero()), is_retried, "{refusal:?}");
            }
            // Whether it was accepted first makes no difference to who asked.
            _ if at_the_door && machine.counters().accepted < self.counters.accepted => {
                assert!(self.is_closing || is_late || refusal == Refusal::BackendLost);
                self.counters.joined -= u64::from(request.at == At::Following);
                self.counters.accepted -= 1;
            }
            _ => {}
        }
        match refusal {
            Refusal::QueueFull => {
                let is_full = queued - 1 + finished >= policy.queue_capacity;
                let has_others = self.seen.iter().any(|(&tenant, &seen)| {
                    tenant != request.tenant && seen.after(Duration::from_secs(10)) > now
                }) || self.open.values().any(|other| other.tenant != request.tenant);
                let has_some = self.open.values().any(|other| other.tenant == request.tenant);
                assert!(is_full || (has_others && has_some), "refused though there is room");
            }
            Refusal::BytesFull => {
                assert!(request.cost.encoded_bytes <= policy.encoded_bytes, "there will never be room");
                assert!(
                    self.encoded_bytes + request.cost.encoded_bytes > policy.encoded_bytes,
                    "there is room"
                );
            }
            Refusal::TooCostly => assert!(
                request.cost.encoded_bytes > policy.encoded_bytes
                    || request.cost.decode_bytes > policy.decode_bytes
                    || request.cost.slots > self.shape.max_batch_size
            ),
            Refusal::DeadlineInfeasible => assert!(request.deadline.is_some() && !is_late),
            Refusal::DeadlineExceeded => {
                let deadline = request.deadline.expect("only what has a deadline expires");
                let sizes = 1..=self.shape.max_batch_size;
                let slowest = sizes.map(|size| machine.curve().run(size)).max().unwrap_or_default();
                // Before its deadline only as it leaves a batch that would end too late.
                assert!(is_late || deadline < now.after(slowest * 2 + Duration::from_nanos(16)));
                assert!(is_late || matches!(request.at, At::Placed | At::Running(_)), "expired too early");
            }
            Refusal::Closed => {
                assert!(self.is_closing);
                self.is_forced |= !at_the_door;
            }
            Refusal::BackendStuck => {
                if request.at == At::Following {
                    return;
                }
                let At::Running(run) = request.at else { panic!("{id} does not run and is stuck") };
                assert!(self.runs.get(&run).is_none_or(|run| now >= run.limit), "given up too early");
            }
            Refusal::Cancelled => assert_eq!(self.cancelling, Some(id), "nobody cancelled"),
            Refusal::BackendLost => {
                let is_out = self.workers.iter().all(|w| !matches!(w, Worker::Idle | Worker::Busy(_)));
                assert!(
                    is_out || matches!(request.at, At::Running(_) | At::Following),
                    "refused beside a worker that runs"
                );
            }
        }
    }

    /// A request has left without a result: who follows it goes on if that was its own affair.
    fn lead_on(&mut self, id: RequestId, request: &Request, refusal: Refusal) {
        let Some(twin) = request.twin.filter(|twin| self.leaders.get(twin) == Some(&id)) else { return };
        self.leaders.remove(&twin);
        if matches!(refusal, Refusal::Cancelled | Refusal::DeadlineExceeded) {
            let follows =
                |(_, other): &(&RequestId, &Request)| other.twin == Some(twin) && other.at == At::Following;
            let heir = self.open.iter().find(follows).map(|(&heir, _)| heir);
            if let Some(heir) = heir {
                // Who comes in the moment that its leader goes has never followed.
                self.counters.joined -= u64::from(self.arriving == Some(heir));
                self.leaders.insert(twin, heir);
                self.move_to(heir, At::Waiting);
                self.open.get_mut(&heir).expect("found above").is_heir = true;
            }
        }
    }

    /// What must be true of a request that was not refused at the door.
    fn check_accepted(&self, now: Time, machine: &Machine, request: &Request) {
        let Request { cost, deadline, .. } = *request;
        let policy = &self.policy;
        assert!(!self.is_closing, "accepted though closed");
        assert!(self.queued + self.answered <= policy.queue_capacity, "the queue is overfull");
        assert!(cost.encoded_bytes <= policy.encoded_bytes && cost.decode_bytes <= policy.decode_bytes);
        assert!(self.encoded_bytes <= policy.encoded_bytes, "accepted without room for its file");
        if let Some(deadline) = deadline.filter(|_| request.at != At::Following)
            && self.workers.iter().any(|worker| matches!(worker, Worker::Idle | Worker::Busy(_)))
        {
            let quickest = machine.curve().points().map(|(_, took)| took).min().unwrap_or_default();
            assert!(deadline >= now.after(quickest), "accepted though it must be late");
        }
    }

    /// The rules, after everything that the machine said about an event.
    pub fn check(&mut self, now: Time, machine: &Machine) {
        self.block_who_hangs_twice(now);
        for id in self.dropped.drain(..) {
            assert!(!self.open.contains_key(&id), "the picture of {id} was dropped");
        }
        for staging in 0..self.stagings.len() {
            self.release_unused(staging);
        }
        let open = &self.open;
        self.leaders.retain(|_, leader| open.get(leader).is_some_and(|leader| leader.at != At::Answered));
        if machine.counters().joined > 0 {
            for (id, request) in &self.open {
                let leads = request.twin.is_some_and(|twin| self.leaders.contains_key(&twin));
                assert!(request.at != At::Following || leads, "{id} follows nobody");
            }
        }
        if let Some(&(deadline, id)) = self.deadlines.first() {
            assert!(deadline > now, "request {id} outlived its deadline");
            let wakes = machine.next_wakeup().is_some_and(|wakeup| wakeup <= deadline);
            assert!(wakes, "nobody is woken at the deadline of request {id}");
        }
        if let Some(wakeup) = machine.next_wakeup() {
            assert!(wakeup > now, "a wakeup in the past would spin");
        }
        assert_eq!(machine.queued(), self.queued, "queued");
        assert_eq!(machine.in_flight(), self.open.len(), "in flight");
        assert_eq!(machine.encoded_bytes(), self.encoded_bytes, "encoded bytes");
        assert_eq!(machine.decode_bytes(), self.decode_bytes, "decode bytes");
        assert_eq!(*machine.counters(), self.counters, "counters");
        let is_usable = |worker: &Worker| matches!(worker, Worker::Idle | Worker::Busy(_));
        let all_usable = self.workers.iter().all(is_usable);
        assert_eq!(machine.is_ready(), all_usable && !self.is_closing, "readiness");
        self.check_progress(now);
        self.check_outage(now);
        if let Some(request) = self.arriving.and_then(|id| self.open.get(&id)) {
            self.check_accepted(now, machine, request);
        }
        if let Some(id) = self.cancelling {
            assert!(!self.open.contains_key(&id), "{id} was cancelled and is open");
        }
        if self.is_forced {
            assert!(self.open.is_empty() && machine.is_drained(), "patience has ended and somebody is open");
        }
    }

    /// Nobody waits for what is there.
    fn check_progress(&self, now: Time) {
        let idle_workers = self.workers.iter().filter(|worker| **worker == Worker::Idle).count();
        for (id, run) in &self.runs {
            let is_stuck = !run.is_given_up && now >= run.limit;
            assert!(!is_stuck, "run {id} does not come back and nobody minds");
        }
        for (id, request) in self.open.iter().take(if self.answered > 0 { usize::MAX } else { 0 }) {
            if request.at == At::Answered {
                let is_first = self.open.first_key_value().is_some_and(|(first, _)| first == id);
                assert!(self.policy.preserve_order && !is_first, "the answer of {id} was kept back");
            }
        }
        let is_free = |staging: &Staging| !staging.is_running && staging.members.is_empty();
        let is_holding = |decoder: &Decoder| matches!(decoder, Decoder::Holding(..));
        let is_filled_in = |at: usize| {
            let fills = |d: &Decoder| matches!(d, Decoder::Filling { staging, .. } if *staging == at);
            self.decoders.iter().any(fills)
        };
        let is_forming = |(at, staging): &(usize, &Staging)| {
            !staging.is_running && (!staging.members.is_empty() || is_filled_in(*at))
        };
        let forming = self.stagings.iter().enumerate().filter(is_forming).count();
        let some_is_held = self.decoders.iter().any(is_holding);
        for (at, staging) in self.stagings.iter().enumerate() {
            if is_free(staging) && !is_filled_in(at) {
                assert!(!some_is_held, "buffer {at} is free and somebody waits for a place");
            }
            if idle_workers > 0 && !staging.is_running && !staging.members.is_empty() && !is_filled_in(at) {
                let first = staging.members.values().map(|member| member.1).min().unwrap_or(now);
                let slots: usize = staging.members.values().map(|member| member.0.slots).sum();
                assert!(slots < self.shape.max_batch_size, "a full batch waits beside an idle worker");
                let delay = self.policy.max_queue_delay;
                let latest = match self.policy.window {
                    Window::Latency => first,
                    Window::Throughput => first.after(delay),
                    Window::Adaptive => first.max(self.all_busy_until).after(delay),
                };
                // Workers may be kept for batches that are older and not yet written.
                let is_kept_waiting = idle_workers >= forming && now >= latest;
                assert!(!is_kept_waiting, "buffer {at} waits beside an idle worker for too long");
            }
        }
        if self.waiting > 0 && self.decoders.contains(&Decoder::Idle) {
            let fits = |request: &Request| {
                self.decode_bytes == 0
                    || self.decode_bytes + request.cost.decode_bytes <= self.policy.decode_bytes
            };
            let all_fit = self.open.values().filter(|request| request.at == At::Waiting).all(fits);
            assert!(!all_fit, "a decoder is idle and somebody waits");
        }
    }

    fn check_outage(&mut self, now: Time) {
        if self.workers.iter().any(|worker| matches!(worker, Worker::Idle | Worker::Busy(_))) {
            self.outage_since = None;
            return;
        }
        let since = *self.outage_since.get_or_insert(now);
        if now >= since.after(self.policy.outage_patience) {
            let waits = self.open.values().any(|r| !matches!(r.at, At::Running(_) | At::Answered));
            assert!(!waits, "somebody waits for a backend that is gone");
        }
    }

    /// What has happened, for tests that ask whether enough did.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}

//! The machine: who is accepted, who is decoded next, who runs with whom and when, and what becomes of
//! everybody when a worker fails. A pure state machine without thread, clock or picture: the engine's threads
//! feed it events and carry out its actions, a simulation and `vision replay` do the same. Equal events give
//! equal actions.
//!
//! A request is accepted by its cost, waits for a decoder in a fair queue, is decoded, takes its place in the
//! batch that is forming, is written into its slots there, runs, and is answered. Whatever happens it is
//! answered once, and by its deadline.
//!
//! | file | job |
//! | --- | --- |
//! | `language` | events and actions |
//! | `policy` | sizes and limits |
//! | `admission` | who is accepted |
//! | `fair_queue`, `tenants` | who is next, and how much of the queue each tenant may fill |
//! | `twins` | requests for the same picture, computed once |
//! | `decoding` | decoders and what they hold |
//! | `forming`, `placing` | batches that are being built; when one is complete |
//! | `running` | workers: launches, their ends, splits, workers that are lost or never come back |
//! | `curve`, `gaps` | how long things take, and when the next image comes, as measured |
//! | `margin` | how much longer they may take |
//! | `ordered` | sets and maps that take no memory in the long run |
//! | `counters` | what happened so far |

mod admission;
mod counters;
mod curve;
mod decoding;
mod fair_queue;
mod forming;
mod gaps;
mod language;
mod margin;
mod ordered;
mod placing;
mod policy;
mod request;
mod running;
mod tenants;
mod time;
mod twins;

pub use counters::Counters;
pub use curve::ServiceCurve;
pub use language::{
    Action, Cost, Event, Place, Priority, Refusal, RequestId, RunId, RunOutcome, TenantId, TwinId, Unready,
};
pub use policy::{Policy, Shape, Window};
pub use time::Time;

use fair_queue::FairQueue;
use forming::FormingBatch;
use gaps::Gaps;
use margin::Margin;
use ordered::{OrderedMap, OrderedSet};
use request::{Arrival, Decoder, Doing, Entry, Run, Stage, Worker};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use tenants::Tenants;
use twins::Twins;

/// The state. See the module for the rules.
#[derive(Debug)]
pub struct Machine {
    shape: Shape,
    policy: Policy,
    /// Accepted and not answered.
    requests: OrderedMap<RequestId, Entry>,
    deadlines: OrderedSet<(Time, RequestId)>,
    queue: FairQueue,
    /// By picture.
    twins: BTreeMap<TwinId, Twins>,
    tenants: Tenants,
    /// Accepted and not yet given to a worker.
    queued: usize,
    /// Whose answers wait for earlier ones.
    finished: usize,
    /// Slots of those that are decoded or wait in batches.
    slots_on_their_way: usize,
    encoded_bytes: u64,
    /// The same of those who follow others.
    followers_bytes: u64,
    decode_bytes: u64,
    decoders: Vec<Decoder>,
    /// Decoded and without a place, in the order in which they were chosen.
    held: OrderedSet<(u64, RequestId)>,
    next_turn: u64,
    /// Oldest first; all but the last are sealed.
    forming: VecDeque<FormingBatch>,
    free_stagings: OrderedSet<usize>,
    /// Batches and lists of places that nobody uses, for their memory.
    spare_batches: Vec<FormingBatch>,
    spare_places: Vec<Vec<Place>>,
    last_placed: Option<Time>,
    /// When a worker last became idle beside none that was.
    all_busy_until: Option<Time>,
    gaps_after_places: Gaps,
    gaps_after_runs: Gaps,
    workers: Vec<Worker>,
    /// By worker: attempts at rebuilding it that failed.
    failures: Vec<u32>,
    next_tests: Vec<Time>,
    runs: OrderedMap<RunId, Run>,
    next_run: RunId,
    /// Since when no worker can run.
    outage_since: Option<Time>,
    /// Patience with that has ended.
    is_out: bool,
    curve: ServiceCurve,
    margin: Margin,
    counters: Counters,
    closes_at: Option<Time>,
    is_forced: bool,
}

impl Machine {
    /// Everything idle and empty, at moment zero.
    pub fn new(shape: Shape, policy: Policy) -> Self {
        let stagings = shape.stagings;
        let mut machine = Self {
            policy,
            requests: OrderedMap::default(),
            deadlines: OrderedSet::default(),
            queue: FairQueue::default(),
            twins: BTreeMap::new(),
            tenants: Tenants::default(),
            queued: 0,
            finished: 0,
            slots_on_their_way: 0,
            encoded_bytes: 0,
            followers_bytes: 0,
            decode_bytes: 0,
            decoders: vec![Decoder::default(); shape.decoders],
            held: OrderedSet::default(),
            next_turn: 0,
            forming: VecDeque::new(),
            free_stagings: OrderedSet::default(),
            spare_batches: Vec::new(),
            spare_places: Vec::new(),
            last_placed: None,
            all_busy_until: None,
            gaps_after_places: Gaps::default(),
            gaps_after_runs: Gaps::default(),
            workers: vec![Worker::Idle; shape.workers],
            failures: vec![0; shape.workers],
            next_tests: vec![Time(0).after(policy.self_test_every); shape.workers],
            runs: OrderedMap::default(),
            next_run: 0,
            outage_since: None,
            is_out: false,
            curve: ServiceCurve::new(shape.max_batch_size),
            margin: Margin::default(),
            counters: Counters::default(),
            closes_at: None,
            is_forced: false,
            shape,
        };
        machine.free_stagings.extend(0..stagings);
        machine
    }

    /// A measured run, before or beside those that the machine sees itself: from warming up.
    pub fn observe(&mut self, size: usize, took: Duration) {
        self.curve.observe(size, took);
    }

    /// Takes in what happened at `now`, which is never before an earlier one, and puts what is to be done in the
    /// place of what `actions` held. Given the same list each time, with what was in it, it takes no memory in the
    /// long run.
    pub fn step(&mut self, now: Time, event: Event, actions: &mut Vec<Action>) {
        for action in actions.drain(..) {
            if let Action::Run { places, .. } = action {
                self.put_away(places);
            }
        }
        self.expire(now, actions);
        self.queue.rise(now, self.policy.ageing);
        match event {
            Event::Arrived { id, tenant, weight, priority, cost, deadline, twin } => {
                let arrival = Arrival { id, tenant, weight, priority, cost, deadline, twin };
                self.arrived(now, arrival, actions);
            }
            Event::Decoded { decoder, succeeded } => self.decoded(now, decoder, succeeded, actions),
            Event::Filled { decoder, succeeded } => self.filled(decoder, succeeded, actions),
            Event::RunDone { run, outcome } => self.run_done(now, run, outcome, actions),
            Event::Rebuilt { worker, succeeded } => self.rebuilt(now, worker, succeeded),
            Event::Cancelled { id } => self.refuse(id, Refusal::Cancelled, actions),
            Event::Tick => {}
            Event::Reload { policy } => self.policy = policy,
            Event::Close { until } => self.closes_at = Some(self.closes_at.map_or(until, |at| at.min(until))),
        }
        self.give_up_the_stuck(now, actions);
        self.wake_the_resting(now, actions);
        self.watch_the_outage(now, actions);
        self.end_patience(now, actions);
        self.run_tests(now, actions);
        loop {
            self.drop_empty_batches();
            self.give_places(now, actions);
            self.run_batches(now, actions);
            // A batch of which nobody is left gives its buffer to those who wait for a place.
            if self.held.is_empty() || self.free_stagings.is_empty() {
                break;
            }
        }
        self.decode_waiting(now, actions);
        self.deliver_in_order(actions);
    }

    fn put_away(&mut self, mut places: Vec<Place>) {
        // A batch that is split leaves more of them than are needed again.
        let most = 2 * (self.shape.workers + self.shape.stagings);
        if places.capacity() > 0 && self.spare_places.len() < most {
            places.clear();
            self.spare_places.push(places);
        }
    }

    /// When [`Event::Tick`] is due if nothing else happens before; always after the last event. The end of time
    /// never comes.
    pub fn next_wakeup(&self) -> Option<Time> {
        let deadline = self.deadlines.front().map(|&(deadline, _)| deadline);
        let due = self.unclaimed().map(|batch| self.due(batch));
        let outage =
            self.outage_since.filter(|_| !self.is_out).map(|at| at.after(self.policy.outage_patience));
        let closing = self.closes_at.filter(|_| !self.is_forced);
        [deadline, due, outage, closing, self.next_of_workers()]
            .into_iter()
            .flatten()
            .min()
            .filter(|at| at.0 < u64::MAX)
    }

    /// Requests accepted and not yet given to a worker.
    pub fn queued(&self) -> usize {
        self.queued
    }

    /// Of those, requests that wait for a decoder.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Requests accepted and not yet answered.
    pub fn in_flight(&self) -> usize {
        self.requests.len()
    }

    /// Bytes of files accepted and not yet decoded.
    pub fn encoded_bytes(&self) -> u64 {
        self.encoded_bytes + self.followers_bytes
    }

    /// Bytes that decoders take.
    pub fn decode_bytes(&self) -> u64 {
        self.decode_bytes
    }

    /// Totals since the start.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// What was measured so far.
    pub fn curve(&self) -> &ServiceCurve {
        &self.curve
    }

    /// The limits in force.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The sizes.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Whether requests are accepted and every worker can run them, as far as is known.
    pub fn is_ready(&self) -> bool {
        self.unready().is_none()
    }

    /// Why not, if not.
    pub fn unready(&self) -> Option<Unready> {
        let (usable, of) = (self.usable_workers(), self.workers.len());
        match self.closes_at {
            Some(_) => Some(Unready::Closed),
            None => (usable < of).then_some(Unready::Workers { usable, of }),
        }
    }

    /// Whether nothing is accepted any more, every request is answered, and nobody works for one; or patience
    /// with those who do has ended.
    pub fn is_drained(&self) -> bool {
        let is_quiet = || {
            self.decoders.iter().all(|decoder| decoder.doing == Doing::Nothing)
                && self.runs.values().all(|run| run.is_abandoned)
                && !self.workers.contains(&Worker::Rebuilding)
        };
        self.closes_at.is_some() && self.requests.is_empty() && (self.is_forced || is_quiet())
    }

    fn expire(&mut self, now: Time, actions: &mut Vec<Action>) {
        while let Some(&(deadline, id)) = self.deadlines.front()
            && deadline <= now
        {
            self.refuse(id, Refusal::DeadlineExceeded, actions);
        }
    }

    fn end_patience(&mut self, now: Time, actions: &mut Vec<Action>) {
        if !self.is_forced && self.closes_at.is_some_and(|until| until <= now) {
            self.is_forced = true;
            while let Some((id, _)) = self.requests.first() {
                self.refuse(id, Refusal::Closed, actions);
            }
        }
    }

    /// What a thread made is the answer of the request and of those who follow it.
    fn finish(&mut self, id: RequestId, actions: &mut Vec<Action>) {
        let followers = self.share(id, actions);
        self.conclude(id, actions);
        followers.into_iter().for_each(|follower| self.conclude(follower, actions));
    }

    /// The answer is at hand, and is given once those of earlier requests are if order is kept.
    fn conclude(&mut self, id: RequestId, actions: &mut Vec<Action>) {
        if self.requests.get(&id).is_some_and(|entry| entry.deadline.is_some()) {
            self.margin.came_in_time();
        }
        if self.policy.preserve_order {
            self.change_stage(id, Stage::Finished);
        } else if self.remove(id, actions) {
            self.counters.delivered += 1;
            actions.push(Action::Deliver { id });
        }
    }

    fn deliver_in_order(&mut self, actions: &mut Vec<Action>) {
        if self.finished == 0 {
            return;
        }
        let is_due = |(id, entry): (RequestId, &Entry)| (entry.stage == Stage::Finished).then_some(id);
        let is_ordered = self.policy.preserve_order;
        while let Some(id) = match is_ordered {
            true => self.requests.first().and_then(is_due),
            false => self.requests.iter().find_map(is_due),
        } {
            self.remove(id, actions);
            self.counters.delivered += 1;
            actions.push(Action::Deliver { id });
        }
    }

    fn refuse(&mut self, id: RequestId, refusal: Refusal, actions: &mut Vec<Action>) {
        let followers = self.part(id);
        if self.remove(id, actions) {
            if refusal == Refusal::DeadlineExceeded {
                self.margin.came_late();
            }
            self.counters.refused[refusal as usize] += 1;
            let retry_after = (refusal == Refusal::BackendLost).then_some(self.policy.outage_patience);
            actions.push(Action::Refuse { id, refusal, retry_after });
        }
        self.go_on_without(followers, refusal, actions);
    }

    /// Takes a request out wherever it is and frees what it holds. False if it is not there.
    fn remove(&mut self, id: RequestId, actions: &mut Vec<Action>) -> bool {
        let Some(entry) = self.requests.get(&id) else { return false };
        let Entry { cost, stage, deadline, .. } = *entry;
        if let Some(deadline) = deadline {
            self.deadlines.remove(&(deadline, id));
        }
        match stage {
            Stage::Waiting => {
                self.queue.remove(id);
                self.encoded_bytes -= cost.encoded_bytes;
            }
            // Who works for it learns of it when the work is done.
            Stage::Following | Stage::Decoding | Stage::Running | Stage::Finished => {}
            Stage::Held { decoder, .. } => self.discard(decoder, actions),
            Stage::Placed { staging } => {
                if let Some(batch) = self.forming.iter_mut().find(|batch| batch.staging == staging) {
                    batch.leave(id);
                }
            }
        }
        self.leave_stage(id);
        self.requests.remove(&id);
        true
    }

    /// Moves a request on, and with it whatever is counted by stage.
    fn change_stage(&mut self, id: RequestId, stage: Stage) {
        self.leave_stage(id);
        self.enter_stage(id, stage);
    }

    fn enter_stage(&mut self, id: RequestId, stage: Stage) {
        let Some(entry) = self.requests.get_mut(&id) else { return };
        entry.stage = stage;
        if stage.is_queued() {
            self.queued += 1;
            self.tenants.joined(entry.tenant);
        }
        if stage.is_on_its_way() {
            self.slots_on_their_way += entry.cost.slots;
        }
        match stage {
            Stage::Waiting => self.tenants.waits(entry.tenant, entry.cost),
            Stage::Held { turn, .. } => self.held.insert((turn, id)),
            Stage::Finished => self.finished += 1,
            Stage::Following | Stage::Decoding | Stage::Placed { .. } | Stage::Running => {}
        }
    }

    fn leave_stage(&mut self, id: RequestId) {
        let Some(&Entry { tenant, cost, stage, .. }) = self.requests.get(&id) else { return };
        if stage.is_queued() {
            self.queued -= 1;
            self.tenants.left(tenant);
        }
        if stage.is_on_its_way() {
            self.slots_on_their_way -= cost.slots;
        }
        match stage {
            Stage::Waiting => self.tenants.waits_no_more(tenant, cost),
            Stage::Held { turn, .. } => drop(self.held.remove(&(turn, id))),
            Stage::Finished => self.finished -= 1,
            Stage::Following => self.followers_bytes -= cost.encoded_bytes,
            Stage::Decoding | Stage::Placed { .. } | Stage::Running => {}
        }
    }
}

//! Workers: launches and their ends, batches split for want of memory, workers that are lost or never come
//! back, and tests that they still compute what they should.

use super::language::{Action, Place, Refusal, RunId, RunOutcome};
use super::request::{Run, Stage, Worker};
use super::{Machine, Time};
use std::time::Duration;

/// A worker is given up after this many times what its run was expected to take, and `stuck_after`.
const TIMES_EXPECTED: u32 = 8;

const FIRST_REST: Duration = Duration::from_millis(100);
const LONGEST_REST: Duration = Duration::from_secs(10);

impl Machine {
    /// Gives batches that are complete and written to idle workers, the oldest first.
    pub(super) fn run_batches(&mut self, now: Time, actions: &mut Vec<Action>) {
        while let Some(worker) = self.idle_worker() {
            self.seal_what_is_due(now);
            let Some(batch) = self.take_complete() else { return };
            let staging = batch.staging;
            let mut places = self.spare_places.pop().unwrap_or_default();
            batch.list(&mut places);
            self.spare_batches.push(batch);
            if !self.launch(now, worker, (staging, false), (places, Vec::new()), actions) {
                self.free_stagings.insert(staging);
            }
        }
    }

    /// The worker that runs the next batch, if one has nothing to do.
    pub fn idle_worker(&self) -> Option<usize> {
        self.workers.iter().position(|worker| *worker == Worker::Idle)
    }

    /// When the run of the only request in flight is expected to end, if it runs and that is known.
    pub fn lone_end(&self) -> Option<Time> {
        if self.requests.len() != 1 {
            return None;
        }
        let is_awaited = |run: &&Run| run.members.iter().any(|place| self.requests.contains_key(&place.id));
        let run = self.runs.values().find(is_awaited)?;
        let took = self.curve.run(run.size);
        (!took.is_zero()).then(|| run.started.after(took))
    }

    /// Runs those of the places whose answers are still wanted and can be there in time. False if there are
    /// none.
    fn launch(
        &mut self,
        now: Time,
        worker: usize,
        (staging, is_split): (usize, bool),
        (mut places, rest): (Vec<Place>, Vec<Place>),
        actions: &mut Vec<Action>,
    ) -> bool {
        places.retain(|place| self.requests.contains_key(&place.id));
        self.refuse_hopeless(now, &mut places, actions);
        if places.is_empty() {
            self.put_away(places);
            return false;
        }
        let images: usize = places.iter().map(|place| place.slots).sum();
        let size = self.shape.bucket(images);
        for place in &places {
            self.change_stage(place.id, Stage::Running);
        }
        let mut members = self.spare_places.pop().unwrap_or_default();
        members.extend(moved_together(&places));
        let run = self.begin(now, worker, size, |run| Run {
            staging: Some(staging),
            members,
            rest,
            is_split,
            ..run
        });
        self.counters.runs += 1;
        self.counters.images += images as u64;
        self.counters.padding += (size - images) as u64;
        actions.push(Action::Run { worker, run, staging, size, places });
        true
    }

    /// Answers those who cannot be there in time as things were measured. Without them the batch has another
    /// size, so the others are looked at again.
    fn refuse_hopeless(&mut self, now: Time, places: &mut Vec<Place>, actions: &mut Vec<Action>) {
        while !places.is_empty() {
            let size = self.shape.bucket(places.iter().map(|place| place.slots).sum());
            let end = now.after(self.curve.run(size));
            let before = places.len();
            places.retain(|place| {
                let deadline = self.requests.get(&place.id).and_then(|entry| entry.deadline);
                let is_hopeless = deadline.is_some_and(|deadline| deadline < end);
                if is_hopeless {
                    self.refuse(place.id, Refusal::DeadlineExceeded, actions);
                }
                !is_hopeless
            });
            if places.is_empty() {
                self.curve.doubt(size);
            }
            if places.len() == before {
                return;
            }
        }
    }

    fn begin(&mut self, now: Time, worker: usize, size: usize, run: impl FnOnce(Run) -> Run) -> RunId {
        let id = self.next_run;
        self.next_run += 1;
        let patience = self.policy.stuck_after.max(self.curve.run(size).saturating_mul(TIMES_EXPECTED));
        let begun = run(Run {
            worker,
            staging: None,
            size,
            members: Vec::new(),
            rest: Vec::new(),
            is_split: false,
            started: now,
            limit: now.after(patience).max(Time(now.0.saturating_add(1))),
            is_abandoned: false,
        });
        self.runs.insert(id, begun);
        self.workers[worker] = Worker::Busy(id);
        id
    }

    pub(super) fn run_done(&mut self, now: Time, id: RunId, outcome: RunOutcome, actions: &mut Vec<Action>) {
        let Some(run) = self.runs.remove(&id) else { return };
        if run.is_abandoned {
            self.free_stagings.extend(run.staging);
            if self.workers[run.worker] == Worker::Blocked {
                self.rebuild(run.worker, actions);
            }
            return;
        }
        if self.idle_worker().is_none() {
            self.all_busy_until = Some(now);
        }
        self.workers[run.worker] = Worker::Idle;
        let Some(staging) = run.staging else {
            self.tested(now, run.worker, outcome, actions);
            return;
        };
        if outcome == RunOutcome::OutOfMemory && !run.is_split && run.members.len() > 1 {
            self.counters.splits += 1;
            let mut first = run.members;
            let rest = first.split_off(first.len() / 2);
            self.run_half(now, run.worker, staging, (first, rest), actions);
            return;
        }
        if outcome == RunOutcome::Succeeded {
            self.curve.observe(run.size, now.since(run.started));
        }
        for place in &run.members {
            self.finish(place.id, actions);
        }
        self.put_away(run.members);
        if outcome == RunOutcome::Lost {
            for place in &run.rest {
                self.refuse(place.id, Refusal::BackendLost, actions);
            }
            self.free_stagings.insert(staging);
            self.lose(run.worker, actions);
        } else {
            self.run_half(now, run.worker, staging, (run.rest, Vec::new()), actions);
        }
    }

    /// Runs what is left of a batch that was split, in the buffer that it has.
    fn run_half(
        &mut self,
        now: Time,
        worker: usize,
        staging: usize,
        (first, rest): (Vec<Place>, Vec<Place>),
        actions: &mut Vec<Action>,
    ) {
        let is_under_way = self.launch(now, worker, (staging, true), (first, rest.clone()), actions)
            || self.launch(now, worker, (staging, true), (rest, Vec::new()), actions);
        if !is_under_way {
            self.free_stagings.insert(staging);
        }
    }

    fn lose(&mut self, worker: usize, actions: &mut Vec<Action>) {
        self.counters.lost += 1;
        self.rebuild(worker, actions);
    }

    fn rebuild(&mut self, worker: usize, actions: &mut Vec<Action>) {
        self.workers[worker] = Worker::Rebuilding;
        actions.push(Action::Rebuild { worker });
    }

    pub(super) fn rebuilt(&mut self, now: Time, worker: usize, succeeded: bool) {
        if self.workers[worker] != Worker::Rebuilding {
            return;
        }
        if succeeded {
            self.counters.rebuilt += 1;
            self.failures[worker] = 0;
            self.next_tests[worker] = now.after(self.policy.self_test_every);
            self.workers[worker] = Worker::Idle;
        } else {
            let rest = FIRST_REST.saturating_mul(1 << self.failures[worker].min(16)).min(LONGEST_REST);
            self.failures[worker] += 1;
            self.workers[worker] = Worker::Resting { until: now.after(rest) };
        }
    }

    pub(super) fn wake_the_resting(&mut self, now: Time, actions: &mut Vec<Action>) {
        for worker in 0..self.workers.len() {
            if matches!(self.workers[worker], Worker::Resting { until } if until <= now) {
                self.rebuild(worker, actions);
            }
        }
    }

    /// Answers everybody whose worker does not come back, and has the worker made anew. Twice at the most, as
    /// nothing of a worker that hangs can be taken back.
    pub(super) fn give_up_the_stuck(&mut self, now: Time, actions: &mut Vec<Action>) {
        let is_stuck = |(id, run): (RunId, &Run)| (!run.is_abandoned && run.limit <= now).then_some(id);
        loop {
            let stuck = self.runs.iter().find_map(is_stuck);
            let Some(id) = stuck else { return };
            let Some(run) = self.runs.get_mut(&id) else { return };
            run.is_abandoned = true;
            let worker = run.worker;
            let places: Vec<Place> = run.members.drain(..).chain(run.rest.drain(..)).collect();
            self.counters.stuck += 1;
            for place in places {
                self.refuse(place.id, Refusal::BackendStuck, actions);
            }
            let hanging = self.runs.values().filter(|run| run.is_abandoned && run.worker == worker).count();
            if hanging > 1 {
                self.workers[worker] = Worker::Blocked;
            } else {
                self.rebuild(worker, actions);
            }
        }
    }

    /// Answers everybody who waits once no worker could run for long, and whoever comes until one can.
    pub(super) fn watch_the_outage(&mut self, now: Time, actions: &mut Vec<Action>) {
        if self.usable_workers() > 0 {
            self.outage_since = None;
            self.is_out = false;
            return;
        }
        let since = *self.outage_since.get_or_insert(now);
        if !self.is_out && since.after(self.policy.outage_patience) <= now {
            self.is_out = true;
            let queued: Vec<_> =
                self.requests.iter().filter(|(_, entry)| entry.stage.is_queued()).map(|(id, _)| id).collect();
            for id in queued {
                self.refuse(id, Refusal::BackendLost, actions);
            }
        }
    }

    /// Has idle workers prove themselves when it is time.
    pub(super) fn run_tests(&mut self, now: Time, actions: &mut Vec<Action>) {
        if self.policy.self_test_every.is_zero() || self.closes_at.is_some() {
            return;
        }
        for worker in 0..self.workers.len() {
            if self.workers[worker] == Worker::Idle && self.next_tests[worker] <= now {
                self.counters.self_tests += 1;
                let run = self.begin(now, worker, self.shape.bucket(1), |run| run);
                actions.push(Action::Test { worker, run });
            }
        }
    }

    fn tested(&mut self, now: Time, worker: usize, outcome: RunOutcome, actions: &mut Vec<Action>) {
        self.next_tests[worker] = now.after(self.policy.self_test_every).max(Time(now.0.saturating_add(1)));
        if outcome != RunOutcome::Succeeded {
            self.counters.self_tests_failed += 1;
            self.lose(worker, actions);
        }
    }

    /// When the next worker wants to be looked at.
    pub(super) fn next_of_workers(&self) -> Option<Time> {
        let limits = self.runs.values().filter(|run| !run.is_abandoned).map(|run| run.limit);
        let tests = !self.policy.self_test_every.is_zero() && self.closes_at.is_none();
        let wants =
            self.workers.iter().zip(&self.next_tests).filter_map(|(worker, &next_test)| match *worker {
                Worker::Resting { until } => Some(until),
                Worker::Idle if tests => Some(next_test),
                _ => None,
            });
        limits.chain(wants).min()
    }
}

/// Where the places are once they are moved to the front of the buffer.
fn moved_together(places: &[Place]) -> impl Iterator<Item = Place> {
    let mut next = 0;
    let moved = move |&Place { id, slots, .. }: &Place| {
        let first_slot = next;
        next += slots;
        Place { id, first_slot, slots }
    };
    places.iter().map(moved)
}

#[cfg(test)]
mod tests {
    use super::super::{Cost, Event, Machine, Policy, Priority, RunOutcome, Shape, Time};
    use std::time::Duration;

    #[test]
    fn the_end_of_a_run_is_foretold_to_who_is_alone() {
        let shape = Shape { max_batch_size: 1, buckets: Vec::new(), decoders: 2, workers: 1, stagings: 2 };
        let mut machine = Machine::new(shape, Policy::default());
        machine.observe(1, Duration::from_nanos(500));
        let mut after = |ns, event| {
            machine.step(Time(ns), event, &mut Vec::new());
            machine.lone_end()
        };
        let arrived = |id| Event::Arrived {
            id,
            tenant: 0,
            weight: 1,
            priority: Priority::Normal,
            cost: Cost { slots: 1, ..Cost::default() },
            deadline: None,
            twin: None,
        };
        let (decoded, filled) = (
            |decoder| Event::Decoded { decoder, succeeded: true },
            |decoder| Event::Filled { decoder, succeeded: true },
        );
        assert_eq!(after(1, arrived(0)), None);
        assert_eq!(after(2, decoded(0)), None);
        assert_eq!(after(3, filled(0)), Some(Time(503)));
        // Another one comes, and goes.
        assert_eq!(after(4, arrived(1)), None);
        assert_eq!(after(5, Event::Cancelled { id: 1 }), Some(Time(503)));
        assert_eq!(after(6, arrived(2)), None);
        // The run is nobody's any more, then that of the one who is left.
        assert_eq!(after(7, Event::Cancelled { id: 0 }), None);
        assert_eq!(after(8, decoded(1)), None);
        assert_eq!(after(9, filled(1)), None);
        assert_eq!(after(600, Event::RunDone { run: 0, outcome: RunOutcome::Failed }), Some(Time(1100)));
    }

    #[test]
    fn nothing_is_foretold_before_anything_was_measured() {
        let shape = Shape { max_batch_size: 1, buckets: Vec::new(), decoders: 1, workers: 1, stagings: 2 };
        let mut machine = Machine::new(shape, Policy::default());
        let cost = Cost { slots: 1, ..Cost::default() };
        let (tenant, weight, priority) = (0, 1, Priority::Normal);
        let events = [
            Event::Arrived { id: 0, tenant, weight, priority, cost, deadline: None, twin: None },
            Event::Decoded { decoder: 0, succeeded: true },
            Event::Filled { decoder: 0, succeeded: true },
        ];
        for event in events {
            machine.step(Time(1), event, &mut Vec::new());
        }
        assert_eq!((machine.counters().runs, machine.lone_end()), (1, None));
    }
}

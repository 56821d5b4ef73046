//! Places in batches, and when a batch waits for no more of them.

use super::forming::FormingBatch;
use super::language::Action;
use super::policy::Window;
use super::request::{Doing, Stage, Worker};
use super::{Machine, Time};

impl Machine {
    pub(super) fn drop_empty_batches(&mut self) {
        while let Some(at) = self.forming.iter().position(FormingBatch::is_empty)
            && let Some(batch) = self.forming.remove(at)
        {
            self.free_stagings.insert(batch.staging);
            self.spare_batches.push(batch);
        }
    }

    /// Gives places to those that are decoded, in the order in which they were chosen. Stops at the first
    /// that finds none, so that none is overtaken for ever.
    pub(super) fn give_places(&mut self, now: Time, actions: &mut Vec<Action>) {
        while let Some(&(_, id)) = self.held.front() {
            let (Some(entry), Some(decoder)) = (self.requests.get(&id), self.holder(id)) else { return };
            let (slots, deadline) = (entry.cost.slots, entry.deadline);
            let open = self.forming.back_mut().filter(|batch| !batch.is_sealed);
            let mut place = open.and_then(|batch| batch.take(now, id, slots, deadline));
            if place.is_none()
                && let Some(staging) = self.free_stagings.pop_front()
            {
                let spare = self.spare_batches.pop().unwrap_or_default();
                let mut batch = spare.open(staging, self.shape.max_batch_size, now);
                place = batch.take(now, id, slots, deadline);
                if let Some(last) = self.forming.back_mut() {
                    last.is_sealed = true;
                }
                self.forming.push_back(batch);
            }
            let (Some(place), Some(batch)) = (place, self.forming.back()) else { return };
            let staging = batch.staging;
            self.measure_gap(now, slots);
            self.change_stage(id, Stage::Placed { staging });
            self.decoders[decoder].doing = Doing::Filling { id, staging };
            actions.push(Action::Fill { decoder, staging, place });
        }
    }

    fn measure_gap(&mut self, now: Time, images: usize) {
        let busy = self.last_placed.max(self.all_busy_until);
        if busy.is_none_or(|busy| now.since(busy) > self.curve.run(1)) {
            self.gaps_after_places.forget();
            self.gaps_after_runs.forget();
        }
        let last_placed = self.last_placed.replace(now);
        if let Some(last_placed) = last_placed {
            self.gaps_after_places.add(now.since(last_placed) / images as u32);
        }
        if let Some(all_busy_until) = self.all_busy_until.filter(|_| self.all_busy_until > last_placed) {
            self.gaps_after_runs.add(now.since(all_busy_until) / images as u32);
        }
    }

    /// The batch that takes others in, if a worker is idle that no batch before it will take.
    pub(super) fn unclaimed(&self) -> Option<&FormingBatch> {
        let idle = self.workers.iter().filter(|worker| **worker == Worker::Idle).count();
        self.forming.back().filter(|batch| !batch.is_sealed && idle >= self.forming.len())
    }

    /// From when on a batch waits for nobody any more, given an idle worker.
    pub(super) fn due(&self, batch: &FormingBatch) -> Time {
        let latest = |since: Time| since.after(self.policy.max_queue_delay);
        let due = match self.policy.window {
            Window::Latency => batch.opened,
            Window::Throughput => latest(batch.opened),
            Window::Adaptive => {
                // Whoever was answered just now may come again.
                let (since, gaps) = match self.all_busy_until {
                    Some(end) if end > batch.joined => (end, &self.gaps_after_runs),
                    _ => (batch.joined, &self.gaps_after_places),
                };
                let run = |images| self.curve.run(self.shape.bucket(images));
                let latest = latest(self.all_busy_until.map_or(batch.opened, |end| end.max(batch.opened)));
                gaps.wait_for_next(batch.images(), run)
                    .map_or(batch.opened, |wait| since.after(wait).min(latest))
            }
        };
        let run = self.curve.run(self.shape.bucket(batch.images()));
        batch.deadline.map_or(due, |deadline| due.min(deadline.before(run)))
    }

    /// Seals the batch that takes others in if it waits for nobody any more.
    pub(super) fn seal_what_is_due(&mut self, now: Time) {
        let is_due = self.unclaimed().is_some_and(|batch| now >= self.due(batch));
        let seals = is_due || (self.closes_at.is_some() && self.nobody_comes());
        if let Some(last) = self.forming.back_mut() {
            last.is_sealed |= seals;
        }
    }

    /// The first batch that is complete and written. One that somebody found no place in is complete.
    pub(super) fn take_complete(&mut self) -> Option<FormingBatch> {
        let is_crowded = !self.held.is_empty();
        let is_complete =
            |batch: &FormingBatch| batch.is_filled() && (batch.is_sealed || batch.is_full() || is_crowded);
        self.forming.iter().position(is_complete).and_then(|at| self.forming.remove(at))
    }
}

//! Places in batches, and when a batch waits for no more of them.

use super::forming::FormingBatch;
use super::language::Action;
use super::policy::Window;
use super::request::{Doing, Stage, Worker};
use super::{Machine, Time};
use std::time::Duration;

/// Longest pause between two images that counts as a gap; what is longer tells nothing about the next one.
const LONGEST_GAP: u64 = 1_000_000_000;

impl Machine {
    pub(super) fn drop_empty_batches(&mut self) {
        let is_empty = |batch: &&FormingBatch| batch.is_empty();
        self.free_stagings.extend(self.forming.iter().filter(is_empty).map(|batch| batch.staging));
        self.forming.retain(|batch| !batch.is_empty());
    }

    /// Gives places to those that are decoded, in the order in which they were chosen. Stops at the first
    /// that finds none, so that none is overtaken for ever.
    pub(super) fn give_places(&mut self, now: Time, actions: &mut Vec<Action>) {
        while let Some(&(_, id)) = self.held.first() {
            let (Some(entry), Some(decoder)) = (self.requests.get(&id), self.holder(id)) else { return };
            let (slots, deadline) = (entry.cost.slots, entry.deadline);
            let open = self.forming.back_mut().filter(|batch| !batch.is_sealed);
            let mut place = open.and_then(|batch| batch.take(now, id, slots, deadline));
            if place.is_none()
                && let Some(staging) = self.free_stagings.pop_first()
            {
                let mut batch = FormingBatch::new(staging, self.shape.max_batch_size, now);
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
        if let Some(last) = self.last_placed {
            let gap = super::time::nanos(now.since(last)).min(LONGEST_GAP) / images as u64;
            self.gap = Some(self.gap.map_or(gap, |mean| mean - mean / 4 + gap / 4));
        }
        self.last_placed = Some(now);
    }

    /// The batch that takes others in, if a worker is idle that no batch before it will take.
    pub(super) fn unclaimed(&self) -> Option<&FormingBatch> {
        let idle = self.workers.iter().filter(|worker| **worker == Worker::Idle).count();
        self.forming.back().filter(|batch| !batch.is_sealed && idle >= self.forming.len())
    }

    /// From when on a batch waits for nobody any more, given an idle worker.
    pub(super) fn due(&self, batch: &FormingBatch) -> Time {
        let latest = batch.opened.after(self.policy.max_queue_delay);
        let due = match self.policy.window {
            Window::Latency => batch.opened,
            Window::Throughput => latest,
            Window::Adaptive => match self.gap.filter(|gap| self.waiting_pays(batch.images(), *gap)) {
                Some(gap) => batch.joined.after(Duration::from_nanos(2 * gap)).min(latest),
                None => batch.opened,
            },
        };
        let run = self.curve.run(self.shape.bucket(batch.images()));
        batch.deadline.map_or(due, |deadline| due.min(deadline.before(run)))
    }

    /// Whether the next image saves more by joining than the images there lose by waiting for it. Alone it
    /// would wait for their run to end, and then take a run of its own.
    fn waiting_pays(&self, images: usize, gap: u64) -> bool {
        let run = |images| i128::from(super::time::nanos(self.curve.run(self.shape.bucket(images))));
        let (gap, now, with_it) = (i128::from(gap), run(images), run(images + 1));
        let saved = (now - gap).max(0) + run(1) - with_it;
        let lost = images as i128 * (gap + with_it - now);
        saved > lost
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

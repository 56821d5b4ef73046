//! Who is accepted: by what the request costs, what there is room for, and whether its deadline can be kept.

use super::language::{Action, Refusal};
use super::request::{Arrival, Entry, Stage, Worker};
use super::{Machine, Time};
use std::time::Duration;

/// Least time after which it makes sense to try again.
const SHORTEST_RETRY: Duration = Duration::from_millis(1);

impl Machine {
    pub(super) fn arrived(&mut self, now: Time, arrival: Arrival, actions: &mut Vec<Action>) {
        let Arrival { id, tenant, weight, priority, cost, deadline, twin } = arrival;
        self.counters.arrived += 1;
        self.tenants.seen(now, tenant, weight);
        if let Some((refusal, retry_after)) = self.refusal(now, &arrival) {
            self.counters.refused[refusal as usize] += 1;
            actions.push(Action::Refuse { id, refusal, retry_after });
            return;
        }
        self.counters.accepted += 1;
        let rises = now.after(self.policy.ageing);
        let stage = Stage::Waiting;
        self.requests.insert(id, Entry { tenant, cost, deadline, weight, priority, rises, twin, stage });
        self.deadlines.extend(deadline.map(|deadline| (deadline, id)));
        self.line_up(id);
    }

    /// Why the request is refused, and when to try again; nothing if it is not.
    fn refusal(&mut self, now: Time, arrival: &Arrival) -> Option<(Refusal, Option<Duration>)> {
        let Arrival { tenant, cost, deadline, twin, .. } = *arrival;
        let policy = &self.policy;
        if self.closes_at.is_some() {
            return Some((Refusal::Closed, None));
        }
        let fits = (1..=self.shape.max_batch_size).contains(&cost.slots)
            && cost.encoded_bytes <= policy.encoded_bytes
            && cost.decode_bytes <= policy.decode_bytes;
        if !fits {
            return Some((Refusal::TooCostly, None));
        }
        if deadline.is_some_and(|deadline| deadline <= now) {
            return Some((Refusal::DeadlineExceeded, None));
        }
        if self.is_out {
            return Some((Refusal::BackendLost, Some(policy.outage_patience)));
        }
        if !self.tenants.have_room(tenant, policy.queue_capacity, self.queued + self.finished) {
            return Some((Refusal::QueueFull, Some(self.time_of_a_batch())));
        }
        if self.encoded_bytes().saturating_add(cost.encoded_bytes) > policy.encoded_bytes {
            return Some((Refusal::BytesFull, Some(self.time_of_a_batch())));
        }
        // It is computed already, or will be before whoever comes now.
        if self.would_follow(twin) {
            return None;
        }
        let late = deadline.and_then(|deadline| {
            let end = self.expected_end(now, arrival);
            (end > deadline).then(|| end.since(deadline))
        });
        let retry_after = late?;
        if self.runs.is_empty() && self.queued == 0 {
            self.curve.doubt(cost.slots);
            self.margin.doubt();
        }
        Some((Refusal::DeadlineInfeasible, Some(retry_after.max(SHORTEST_RETRY))))
    }

    fn time_of_a_batch(&self) -> Duration {
        let workers = self.usable_workers().max(1) as u32;
        (self.curve.run(self.shape.max_batch_size) / workers).max(SHORTEST_RETRY)
    }

    /// When a request that came now would be answered, as far as was measured: after those before it are
    /// decoded and run, in full batches, with the margin that was found to be needed. The present if no worker can run, as nobody knows then.
    fn expected_end(&self, now: Time, arrival: &Arrival) -> Time {
        let Arrival { tenant, priority, cost, .. } = *arrival;
        let workers = self.usable_workers();
        if workers == 0 {
            return now;
        }
        let (slots_ahead, work_ahead) = self.queue.ahead_of(priority);
        let slots_before = self.slots_on_their_way + slots_ahead.min(self.tenants.slots_before(tenant));
        // Of those ahead, the part that goes before this one has as much work as its part of the slots.
        let work_before = match slots_ahead {
            0 => 0,
            ahead => (u128::from(work_ahead) * slots_before.min(ahead) as u128 / ahead as u128) as u64,
        };
        let decoders = self.shape.decoders as u32;
        let decoded = self.curve.decoding(work_before) / decoders + self.curve.decoding(cost.decode_work);

        let max_batch_size = self.shape.max_batch_size;
        let batches_before = slots_before / max_batch_size;
        let full = self.curve.run(max_batch_size);
        let batches = u32::try_from(batches_before).unwrap_or(u32::MAX);
        let free = self.next_worker_free(now) + full.saturating_mul(batches) / workers as u32;
        let own = match batches_before {
            0 => self.curve.run(self.shape.bucket((slots_before + cost.slots).min(max_batch_size))),
            _ => full,
        };
        now.after(self.margin.added_to(decoded.max(free).saturating_add(own)))
    }

    /// How long the first worker is expected to be busy.
    fn next_worker_free(&self, now: Time) -> Duration {
        let busy = |worker: &Worker| match worker {
            Worker::Idle => Some(Duration::ZERO),
            Worker::Busy(run) => {
                let run = self.runs.get(run)?;
                Some(run.started.after(self.curve.run(run.size)).since(now))
            }
            _ => None,
        };
        self.workers.iter().filter_map(busy).min().unwrap_or_default()
    }

    pub(super) fn usable_workers(&self) -> usize {
        self.workers.iter().filter(|worker| worker.is_usable()).count()
    }
}

//! Who is next among those that wait: by priority, between tenants by deficit round robin, within a tenant by
//! order of acceptance.
//!
//! Deficit round robin: Shreedhar and Varghese, Efficient fair queuing using deficit round robin, SIGCOMM
//! 1995. Whoever has waited for the ageing time rises to the next priority, so that none starves.

use super::language::{Cost, Priority, RequestId, TenantId};
use super::ordered::{OrderedMap, OrderedSet};
use super::time::Time;
use std::collections::VecDeque;
use std::time::Duration;

/// What a tenant of weight 1 may take in one round, in units of [`Cost::share`].
const QUANTUM: u64 = 2 << 20;

/// The requests that wait for a decoder.
#[derive(Debug, Default)]
pub(super) struct FairQueue {
    levels: [Level; Priority::ALL.len()],
    waiting: OrderedMap<RequestId, Waiting>,
    /// When who rises.
    rises: OrderedSet<(Time, RequestId)>,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    tenant: TenantId,
    weight: u32,
    level: usize,
    rises: Option<Time>,
    cost: Cost,
}

/// All tenants' requests of one priority.
#[derive(Debug, Default)]
struct Level {
    /// Tenants with requests here, the next one first.
    ring: VecDeque<TenantId>,
    lines: OrderedMap<TenantId, Line>,
    /// Lines of nobody, for their memory.
    spare: Vec<Line>,
    slots: usize,
    decode_work: u64,
}

#[derive(Debug, Default)]
struct Line {
    ids: OrderedSet<RequestId>,
    deficit: u64,
}

impl FairQueue {
    /// Takes in a request that was accepted now.
    pub(super) fn push(
        &mut self,
        (id, tenant, weight): (RequestId, TenantId, u32),
        priority: Priority,
        cost: Cost,
        rises: Time,
    ) {
        let level = priority as usize;
        let rises = (level > 0).then_some(rises);
        self.waiting.insert(id, Waiting { tenant, weight, level, rises, cost });
        self.rises.extend(rises.map(|at| (at, id)));
        self.levels[level].add(id, tenant, cost);
    }

    /// Lets those rise who have waited long enough.
    pub(super) fn rise(&mut self, now: Time, ageing: Duration) {
        while let Some(&(at, id)) = self.rises.front()
            && at <= now
        {
            self.rises.pop_front();
            let Some(waiting) = self.waiting.get_mut(&id) else { continue };
            self.levels[waiting.level].remove(id, waiting.tenant, waiting.cost);
            waiting.level -= 1;
            self.levels[waiting.level].add(id, waiting.tenant, waiting.cost);
            waiting.rises = (waiting.level > 0).then(|| at.after(ageing));
            self.rises.extend(waiting.rises.map(|at| (at, id)));
        }
    }

    /// Who is next, if anybody waits. Asking again gives the same until somebody comes or goes.
    pub(super) fn next(&mut self) -> Option<RequestId> {
        let waiting = &self.waiting;
        self.levels.iter_mut().find_map(|level| level.next(waiting))
    }

    /// Takes the one that [`FairQueue::next`] gave, at its tenant's expense.
    pub(super) fn take(&mut self, id: RequestId) {
        if let Some(waiting) = self.waiting.get(&id)
            && let Some(line) = self.levels[waiting.level].lines.get_mut(&waiting.tenant)
        {
            line.deficit = line.deficit.saturating_sub(waiting.cost.share());
        }
        self.remove(id);
    }

    /// Takes out somebody who is gone.
    pub(super) fn remove(&mut self, id: RequestId) {
        let Some(waiting) = self.waiting.remove(&id) else { return };
        if let Some(at) = waiting.rises {
            self.rises.remove(&(at, id));
        }
        self.levels[waiting.level].remove(id, waiting.tenant, waiting.cost);
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Slots and decode work of all that have at least this priority by now.
    pub(super) fn ahead_of(&self, priority: Priority) -> (usize, u64) {
        self.levels[..=priority as usize].iter().fold((0, 0), |(slots, work), level| {
            (slots + level.slots, work.saturating_add(level.decode_work))
        })
    }
}

impl Level {
    fn add(&mut self, id: RequestId, tenant: TenantId, cost: Cost) {
        if !self.lines.contains_key(&tenant) {
            self.lines.insert(tenant, self.spare.pop().unwrap_or_default());
            self.ring.push_back(tenant);
        }
        if let Some(line) = self.lines.get_mut(&tenant) {
            line.ids.insert(id);
        }
        self.slots += cost.slots;
        self.decode_work = self.decode_work.saturating_add(cost.decode_work);
    }

    fn remove(&mut self, id: RequestId, tenant: TenantId, cost: Cost) {
        let Some(line) = self.lines.get_mut(&tenant) else { return };
        line.ids.remove(&id);
        self.slots -= cost.slots;
        self.decode_work = self.decode_work.saturating_sub(cost.decode_work);
        if line.ids.is_empty() {
            let line = self.lines.remove(&tenant);
            self.spare.extend(line.map(|line| Line { deficit: 0, ..line }));
            self.ring.retain(|other| *other != tenant);
        }
    }

    fn next(&mut self, waiting: &OrderedMap<RequestId, Waiting>) -> Option<RequestId> {
        loop {
            let tenant = *self.ring.front()?;
            let line = self.lines.get_mut(&tenant)?;
            let id = *line.ids.front()?;
            let Waiting { cost, weight, .. } = waiting.get(&id)?;
            if line.deficit >= cost.share() {
                return Some(id);
            }
            line.deficit = line.deficit.saturating_add(QUANTUM.saturating_mul(u64::from(*weight)));
            self.ring.rotate_left(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(decode_work: u64) -> Cost {
        Cost { slots: 1, decode_work, ..Cost::default() }
    }

    fn order(queue: &mut FairQueue) -> Vec<RequestId> {
        std::iter::from_fn(|| queue.next().inspect(|&id| queue.take(id))).collect()
    }

    #[test]
    fn weights_and_costs_decide_the_shares() {
        let mut queue = FairQueue::default();
        for id in 0..300 {
            // Tenant 1 has twice the weight of 0; the requests of 2 cost twice as much.
            let (tenant, weight) = ((id % 3) as u32, [1, 2, 1][id as usize % 3]);
            let work = if tenant == 2 { 1 << 20 } else { 0 };
            queue.push((id, tenant, weight), Priority::Normal, cost(work), Time(1));
        }
        let mut taken = [0_usize; 3];
        for id in order(&mut queue).into_iter().take(70) {
            taken[id as usize % 3] += 1;
        }
        assert!(
            taken[0].abs_diff(20) <= 2 && taken[1].abs_diff(40) <= 4 && taken[2].abs_diff(10) <= 1,
            "{taken:?}"
        );
        assert!(queue.is_empty());
        assert_eq!(queue.ahead_of(Priority::Low), (0, 0));
    }

    #[test]
    fn priorities_are_strict_until_age_raises_them() {
        let ageing = Duration::from_nanos(10);
        let mut queue = FairQueue::default();
        queue.push((0, 0, 1), Priority::Low, cost(0), Time(10));
        queue.push((1, 0, 1), Priority::Normal, cost(0), Time(15));
        queue.push((2, 0, 1), Priority::High, cost(0), Time(15));
        assert_eq!((queue.next(), queue.ahead_of(Priority::Normal).0), (Some(2), 2));
        queue.rise(Time(14), ageing);
        queue.push((3, 0, 1), Priority::Normal, cost(0), Time(25));
        assert_eq!(queue.next(), Some(2));
        queue.rise(Time(24), ageing);
        assert_eq!(order(&mut queue), [0, 1, 2, 3]);
    }

    #[test]
    fn who_leaves_is_not_served() {
        let mut queue = FairQueue::default();
        for id in 0..4 {
            queue.push((id, id as u32 % 2, 1), Priority::Low, cost(0), Time(1));
        }
        queue.remove(0);
        queue.remove(2);
        queue.remove(2);
        assert_eq!(order(&mut queue), [1, 3]);
        assert!(queue.is_empty());
        queue.rise(Time(9), Duration::ZERO);
    }
}

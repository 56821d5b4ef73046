//! Each tenant's share of the queue, so that one that floods it leaves room for the others.

use super::language::{Cost, TenantId};
use super::time::Time;
use std::collections::BTreeMap;
use std::time::Duration;

/// For how long room is kept for a tenant that sends nothing.
const MEMORY: Duration = Duration::from_secs(10);

/// The tenants seen of late.
#[derive(Debug, Default)]
pub(super) struct Tenants {
    known: BTreeMap<TenantId, Tenant>,
}

#[derive(Debug, Default)]
struct Tenant {
    weight: u32,
    /// Requests accepted and not yet given to a worker.
    queued: usize,
    /// Of those that wait for a decoder.
    waiting_slots: usize,
    last_seen: Time,
}

impl Tenants {
    /// A request of this tenant came. Tenants that have been silent for long are forgotten.
    pub(super) fn seen(&mut self, now: Time, tenant: TenantId, weight: u32) {
        let known = self.known.entry(tenant).or_default();
        known.weight = weight.max(1);
        known.last_seen = now;
        self.known.retain(|_, known| known.queued > 0 || known.last_seen.after(MEMORY) > now);
    }

    /// Whether there is room for one more: in the tenant's own share, or in what no other tenant's share needs.
    pub(super) fn have_room(&self, tenant: TenantId, capacity: usize, queued: usize) -> bool {
        if queued >= capacity {
            return false;
        }
        let weights: u64 = self.known.values().map(|known| u64::from(known.weight)).sum();
        let share = |known: &Tenant| {
            (capacity as u128 * u128::from(known.weight) / u128::from(weights.max(1))).max(1) as usize
        };
        let is_within_its_share = self.known.get(&tenant).is_some_and(|known| known.queued < share(known));
        let others = self.known.iter().filter(|(other, _)| **other != tenant);
        let kept: usize = others.map(|(_, known)| share(known).saturating_sub(known.queued)).sum();
        is_within_its_share || queued.saturating_add(kept) < capacity
    }

    /// A request came into the queue.
    pub(super) fn joined(&mut self, tenant: TenantId) {
        self.known.entry(tenant).or_default().queued += 1;
    }

    /// A request left the queue.
    pub(super) fn left(&mut self, tenant: TenantId) {
        if let Some(known) = self.known.get_mut(&tenant) {
            known.queued -= 1;
        }
    }

    /// A request waits for a decoder.
    pub(super) fn waits(&mut self, tenant: TenantId, cost: Cost) {
        self.known.entry(tenant).or_default().waiting_slots += cost.slots;
    }

    /// It does not any more.
    pub(super) fn waits_no_more(&mut self, tenant: TenantId, cost: Cost) {
        if let Some(known) = self.known.get_mut(&tenant) {
            known.waiting_slots -= cost.slots;
        }
    }

    /// Most slots that are served before a new request of this tenant if all take turns.
    pub(super) fn slots_before(&self, tenant: TenantId) -> usize {
        let busy = |(id, known): &(&TenantId, &Tenant)| **id == tenant || known.waiting_slots > 0;
        let weights: u64 = self.known.iter().filter(busy).map(|(_, known)| u64::from(known.weight)).sum();
        let Some(own) = self.known.get(&tenant) else { return usize::MAX };
        let slots = own.waiting_slots as u128 * u128::from(weights) / u128::from(own.weight.max(1));
        usize::try_from(slots).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COST: Cost = Cost { slots: 1, encoded_bytes: 0, decode_bytes: 0, decode_work: 0 };

    fn fill(tenants: &mut Tenants, tenant: TenantId, capacity: usize, queued: &mut usize) -> usize {
        let before = *queued;
        while tenants.have_room(tenant, capacity, *queued) {
            tenants.joined(tenant);
            tenants.waits(tenant, COST);
            *queued += 1;
        }
        *queued - before
    }

    #[test]
    fn alone_a_tenant_has_everything_and_later_makes_room() {
        let (mut tenants, mut queued) = (Tenants::default(), 0);
        tenants.seen(Time(0), 7, 1);
        assert_eq!(fill(&mut tenants, 7, 12, &mut queued), 12);
        // Another one, of twice the weight, is refused once and has room from then on.
        tenants.seen(Time(1), 8, 2);
        assert!(!tenants.have_room(8, 12, queued));
        for _ in 0..2 {
            tenants.waits_no_more(7, COST);
            tenants.left(7);
            queued -= 1;
        }
        assert!(!tenants.have_room(7, 12, queued) && tenants.have_room(8, 12, queued));
        assert_eq!(fill(&mut tenants, 8, 12, &mut queued), 2);
        assert_eq!((tenants.slots_before(7), tenants.slots_before(8)), (30, 3));
    }

    #[test]
    fn the_silent_are_forgotten() {
        let (mut tenants, mut queued) = (Tenants::default(), 0);
        tenants.seen(Time(0), 1, 1);
        tenants.seen(Time(0), 2, 1);
        assert_eq!(fill(&mut tenants, 2, 10, &mut queued), 5);
        tenants.seen(Time(0).after(MEMORY), 2, 1);
        assert_eq!(fill(&mut tenants, 2, 10, &mut queued), 5);
    }
}

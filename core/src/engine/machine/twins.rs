//! Requests for the same picture: the first leads and is computed, the others follow and are given its answer. If
//! it goes without one of its own accord, the next one leads.

use super::Machine;
use super::language::{Action, Refusal, RequestId, TwinId};
use super::request::{Entry, Stage};
use std::collections::BTreeSet;

/// Those under way for one picture.
#[derive(Debug)]
pub(super) struct Twins {
    leader: RequestId,
    followers: BTreeSet<RequestId>,
}

impl Machine {
    /// Whether a request for this picture would follow another.
    pub(super) fn would_follow(&self, twin: Option<TwinId>) -> bool {
        twin.is_some_and(|twin| self.twins.contains_key(&twin))
    }

    /// Puts a request that was accepted behind the one it follows, else into the queue.
    pub(super) fn line_up(&mut self, id: RequestId) {
        let Some(&Entry { twin, cost, .. }) = self.requests.get(&id) else { return };
        match twin.and_then(|twin| self.twins.get_mut(&twin)) {
            Some(twins) => {
                twins.followers.insert(id);
                self.counters.joined += 1;
                self.enter_stage(id, Stage::Following);
                self.followers_bytes += cost.encoded_bytes;
            }
            None => {
                self.enter_stage(id, Stage::Waiting);
                self.lead(id, BTreeSet::new());
            }
        }
    }

    /// The request waits for a decoder, and the others for its answer.
    fn lead(&mut self, id: RequestId, followers: BTreeSet<RequestId>) {
        let Some(&Entry { tenant, weight, priority, cost, rises, twin, .. }) = self.requests.get(&id) else {
            return;
        };
        if let Some(twin) = twin {
            self.twins.insert(twin, Twins { leader: id, followers });
        }
        self.encoded_bytes += cost.encoded_bytes;
        self.queue.push((id, tenant, weight), priority, cost, rises);
    }

    /// Parts a request from its twins; those who followed it.
    pub(super) fn part(&mut self, id: RequestId) -> BTreeSet<RequestId> {
        let twin = self.requests.get(&id).and_then(|entry| entry.twin);
        let Some(twin) = twin else { return BTreeSet::new() };
        match self.twins.get_mut(&twin) {
            Some(twins) if twins.leader == id => {
                self.twins.remove(&twin).map(|twins| twins.followers).unwrap_or_default()
            }
            Some(twins) => {
                twins.followers.remove(&id);
                BTreeSet::new()
            }
            None => BTreeSet::new(),
        }
    }

    /// The answer of a request is that of those who follow it; who they are.
    pub(super) fn share(&mut self, id: RequestId, actions: &mut Vec<Action>) -> BTreeSet<RequestId> {
        let followers = self.part(id);
        actions.extend(followers.iter().map(|&to| Action::Copy { from: id, to }));
        followers
    }

    /// What becomes of those who followed a request that was answered without a result: one that only it brought
    /// about is nothing to them, one of the backend or of the engine is theirs too.
    pub(super) fn go_on_without(
        &mut self,
        mut followers: BTreeSet<RequestId>,
        refusal: Refusal,
        actions: &mut Vec<Action>,
    ) {
        if !matches!(refusal, Refusal::Cancelled | Refusal::DeadlineExceeded) {
            followers.into_iter().for_each(|id| self.refuse(id, refusal, actions));
        } else if let Some(first) = followers.pop_first() {
            self.change_stage(first, Stage::Waiting);
            self.lead(first, followers);
        }
    }
}

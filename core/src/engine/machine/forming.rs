//! A batch that is being built: which slots are taken, by whom, and which are written already.

use super::language::{Place, RequestId};
use super::time::Time;

/// Slots of one staging buffer on their way to a worker.
#[derive(Debug, Default)]
pub(super) struct FormingBatch {
    pub(super) staging: usize,
    /// When its first request took a place.
    pub(super) opened: Time,
    /// When the last one did.
    pub(super) joined: Time,
    /// The first deadline of all that ever joined.
    pub(super) deadline: Option<Time>,
    /// Nobody joins any more: a worker waits for it, or a later batch was opened.
    pub(super) is_sealed: bool,
    taken: Vec<bool>,
    images: usize,
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    place: Place,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A decoder writes the slots.
    Filling,
    /// The same, and the request is gone: the slots come free once the decoder is done.
    Abandoned,
    Filled,
}

impl FormingBatch {
    /// An empty one, in the memory of one that nobody uses.
    pub(super) fn open(self, staging: usize, slots: usize, opened: Time) -> Self {
        let Self { mut taken, mut members, .. } = self;
        taken.clear();
        taken.resize(slots, false);
        members.clear();
        Self { staging, opened, joined: opened, deadline: None, is_sealed: false, taken, images: 0, members }
    }

    /// Gives the request the first neighbouring slots that are free, if there are any.
    pub(super) fn take(
        &mut self,
        now: Time,
        id: RequestId,
        slots: usize,
        deadline: Option<Time>,
    ) -> Option<Place> {
        let first_slot = self.taken.windows(slots).position(|window| !window.contains(&true))?;
        let place = Place { id, first_slot, slots };
        self.mark(place, true);
        self.members.push(Member { place, state: State::Filling });
        self.joined = now;
        self.deadline = self.deadline.into_iter().chain(deadline).min();
        Some(place)
    }

    /// A decoder is done with the request's slots. They come free if it failed or if the request is gone.
    pub(super) fn filled(&mut self, id: RequestId, succeeded: bool) {
        let Some(at) = self.members.iter().position(|member| member.place.id == id) else { return };
        if succeeded && self.members[at].state == State::Filling {
            self.members[at].state = State::Filled;
        } else {
            self.free(at);
        }
    }

    /// The request is gone. Its slots come free, if need be once its decoder is done with them.
    pub(super) fn leave(&mut self, id: RequestId) {
        let Some(at) = self.members.iter().position(|member| member.place.id == id) else { return };
        match self.members[at].state {
            State::Filled => self.free(at),
            State::Filling | State::Abandoned => self.members[at].state = State::Abandoned,
        }
    }

    fn free(&mut self, at: usize) {
        let member = self.members.remove(at);
        self.mark(member.place, false);
    }

    fn mark(&mut self, place: Place, is_taken: bool) {
        self.taken[place.first_slot..place.first_slot + place.slots].fill(is_taken);
        self.images = if is_taken { self.images + place.slots } else { self.images - place.slots };
    }

    /// Slots taken.
    pub(super) fn images(&self) -> usize {
        self.images
    }

    pub(super) fn is_full(&self) -> bool {
        self.images == self.taken.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether every slot that is taken is written.
    pub(super) fn is_filled(&self) -> bool {
        self.members.iter().all(|member| member.state == State::Filled)
    }

    /// Adds who is in it, in order of the slots.
    pub(super) fn list(&self, places: &mut Vec<Place>) {
        places.extend(self.members.iter().map(|member| member.place));
        places.sort_unstable_by_key(|place| place.first_slot);
    }
}

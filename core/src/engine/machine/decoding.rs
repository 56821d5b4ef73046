//! Decoders: whom they decode, and what they hold until it has a place.

use super::language::{Action, RequestId};
use super::request::{Decoder, Doing, Stage};
use super::{Machine, Time};

impl Machine {
    /// Gives requests to idle decoders for as long as there is memory to decode in.
    pub(super) fn decode_waiting(&mut self, now: Time, actions: &mut Vec<Action>) {
        // Those who came into the queue in this step may have waited elsewhere for long.
        self.queue.rise(now, self.policy.ageing);
        while let Some(decoder) = self.decoders.iter().position(|decoder| decoder.doing == Doing::Nothing)
            && let Some(id) = self.queue.next()
        {
            let Some(entry) = self.requests.get(&id) else { return };
            let cost = entry.cost;
            if self.decode_bytes.saturating_add(cost.decode_bytes)
                > self.policy.decode_bytes.max(cost.decode_bytes)
            {
                return;
            }
            self.queue.take(id);
            self.decode_bytes += cost.decode_bytes;
            self.decoders[decoder] =
                Decoder { doing: Doing::Decoding(id), cost, since: now, turn: self.next_turn };
            self.next_turn += 1;
            self.change_stage(id, Stage::Decoding);
            actions.push(Action::Decode { decoder, id });
        }
    }

    pub(super) fn decoded(&mut self, now: Time, decoder: usize, succeeded: bool, actions: &mut Vec<Action>) {
        let Decoder { doing: Doing::Decoding(id), cost, since, turn } = self.decoders[decoder] else {
            return;
        };
        self.encoded_bytes -= cost.encoded_bytes;
        match (self.requests.contains_key(&id), succeeded) {
            (true, true) => {
                self.curve.observe_decode(cost.decode_work, now.since(since));
                self.decoders[decoder].doing = Doing::Holding(id);
                self.change_stage(id, Stage::Held { decoder, turn });
            }
            (true, false) => {
                self.let_go(decoder);
                self.finish(id, actions);
            }
            (false, true) => self.discard(decoder, actions),
            (false, false) => self.let_go(decoder),
        }
    }

    pub(super) fn filled(&mut self, decoder: usize, succeeded: bool, actions: &mut Vec<Action>) {
        let Doing::Filling { id, staging } = self.decoders[decoder].doing else { return };
        self.let_go(decoder);
        if let Some(batch) = self.forming.iter_mut().find(|batch| batch.staging == staging) {
            batch.filled(id, succeeded);
        }
        if !succeeded {
            self.finish(id, actions);
        }
    }

    pub(super) fn discard(&mut self, decoder: usize, actions: &mut Vec<Action>) {
        self.let_go(decoder);
        actions.push(Action::Discard { decoder });
    }

    fn let_go(&mut self, decoder: usize) {
        self.decode_bytes -= self.decoders[decoder].cost.decode_bytes;
        self.decoders[decoder] = Decoder::default();
    }

    /// Whether no request is on its way to a place.
    pub(super) fn nobody_comes(&self) -> bool {
        let comes = |decoder: &Decoder| matches!(decoder.doing, Doing::Decoding(_) | Doing::Holding(_));
        self.queue.is_empty() && !self.decoders.iter().any(comes)
    }

    /// The decoder that holds a request, if one does.
    pub(super) fn holder(&self, id: RequestId) -> Option<usize> {
        self.decoders.iter().position(|decoder| decoder.doing == Doing::Holding(id))
    }
}

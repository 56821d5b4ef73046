//! Results of pictures that may come again, byte for byte, below a bound of entries and of bytes; and which of the
//! requests under way are for the same picture, so that the machine has it computed once.
//!
//! A key is 256 bits of what decides the answer: the picture's bytes and the task. Model, preprocessing and
//! precision are those of the lane, which has its own cache: a new version starts with none.

use super::machine::TwinId;
use super::request::{Response, Timing};
use std::collections::{BTreeMap, HashMap};

/// What decides an answer.
pub(super) type Key = [u8; 32];

/// What a cache did, and what is in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheCounters {
    /// Requests answered from it.
    pub hits: u64,
    /// Requests that were not.
    pub misses: u64,
    /// Of those, that waited for the result of another request for the same picture.
    pub joined: u64,
    /// Results dropped for newer ones.
    pub evicted: u64,
    /// Results in it.
    pub entries: usize,
    /// Bytes of these.
    pub bytes: u64,
}

/// The results of one lane.
pub(super) struct Cache {
    max_entries: usize,
    max_bytes: u64,
    entries: HashMap<Key, Entry>,
    /// The one that was used longest ago first.
    by_use: BTreeMap<u64, Key>,
    next_use: u64,
    under_way: HashMap<Key, Twins>,
    next_twin: TwinId,
    counters: CacheCounters,
}

struct Entry {
    response: Response,
    bytes: u64,
    used: u64,
}

/// Requests under way for one picture.
struct Twins {
    id: TwinId,
    count: usize,
}

impl Cache {
    pub(super) fn new(max_entries: usize, max_bytes: u64) -> Self {
        Self {
            max_entries,
            max_bytes,
            entries: HashMap::new(),
            by_use: BTreeMap::new(),
            next_use: 0,
            under_way: HashMap::new(),
            next_twin: 0,
            counters: CacheCounters::default(),
        }
    }

    /// The result for this key, if it is there.
    pub(super) fn get(&mut self, key: &Key) -> Option<Response> {
        let Some(entry) = self.entries.get_mut(key) else {
            self.counters.misses += 1;
            return None;
        };
        self.counters.hits += 1;
        self.by_use.remove(&entry.used);
        entry.used = self.next_use;
        self.by_use.insert(entry.used, *key);
        self.next_use += 1;
        Some(entry.response.clone())
    }

    /// A request for this key is under way from now on; those for the same are twins.
    pub(super) fn enter(&mut self, key: Key) -> TwinId {
        let next = &mut self.next_twin;
        let twins = self.under_way.entry(key).or_insert_with(|| {
            *next += 1;
            Twins { id: *next, count: 0 }
        });
        twins.count += 1;
        twins.id
    }

    /// It is answered. A result is kept unless it is larger than all that may be kept; an error never is.
    pub(super) fn leave(&mut self, key: Key, result: Option<&Response>) {
        if let Some(twins) = self.under_way.get_mut(&key) {
            twins.count -= 1;
            if twins.count == 0 {
                self.under_way.remove(&key);
            }
        }
        let Some(response) = result else { return };
        let bytes = bytes_of(response);
        if bytes > self.max_bytes || self.entries.contains_key(&key) {
            return;
        }
        while self.entries.len() >= self.max_entries || self.counters.bytes + bytes > self.max_bytes {
            let Some((_, oldest)) = self.by_use.pop_first() else { break };
            if let Some(entry) = self.entries.remove(&oldest) {
                self.counters.bytes -= entry.bytes;
                self.counters.evicted += 1;
            }
        }
        // What belongs to the request that it was made for.
        let response = Response { timing: Timing::default(), trace_context: None, ..response.clone() };
        self.by_use.insert(self.next_use, key);
        self.entries.insert(key, Entry { response, bytes, used: self.next_use });
        self.next_use += 1;
        self.counters.bytes += bytes;
    }

    /// Forgets all results: they may be wrong.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.by_use.clear();
        self.counters.bytes = 0;
    }

    pub(super) fn counters(&self) -> CacheCounters {
        CacheCounters { entries: self.entries.len(), ..self.counters }
    }
}

/// Most bytes that keeping a result takes, with what is around it.
fn bytes_of(response: &Response) -> u64 {
    let Response { predictions, outputs, .. } = response;
    let labels: usize =
        predictions.iter().map(|prediction| size_of_val(prediction) + prediction.label.capacity()).sum();
    let tensors: usize =
        outputs.iter().map(|(name, tensor)| 128 + name.capacity() + tensor.bytes().len()).sum();
    (size_of::<Entry>() + 4 * size_of::<Key>() + labels + tensors) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::request::Prediction;

    fn response(label: usize) -> Response {
        let label = "x".repeat(label);
        Response {
            predictions: vec![Prediction { class_index: 1, label, score: 0.5 }],
            outputs: Vec::new(),
            batch_size: 3,
            timing: Timing::default(),
            trace_context: None,
        }
    }

    fn key(number: u8) -> Key {
        [number; 32]
    }

    #[test]
    fn the_one_used_longest_ago_goes_first_and_bounds_hold() {
        let mut cache = Cache::new(2, 1 << 20);
        for number in 1..=2 {
            cache.leave(key(number), Some(&response(number as usize)));
        }
        assert!(cache.get(&key(1)).is_some());
        cache.leave(key(3), Some(&response(3)));
        assert!(cache.get(&key(2)).is_none() && cache.get(&key(1)).is_some() && cache.get(&key(3)).is_some());
        let CacheCounters { hits, misses, evicted, entries, bytes, .. } = cache.counters();
        assert_eq!((hits, misses, evicted, entries), (3, 1, 1, 2));
        assert_eq!(bytes, bytes_of(&response(1)) + bytes_of(&response(3)));
        cache.clear();
        assert!(cache.get(&key(1)).is_none() && cache.counters().bytes == 0);

        let most = bytes_of(&response(100));
        let mut small = Cache::new(100, most);
        small.leave(key(1), Some(&response(101)));
        assert_eq!(small.counters().entries, 0);
        for number in 2..20 {
            small.leave(key(number), Some(&response(number as usize)));
            assert!(small.counters().bytes <= most);
        }
        assert!(small.get(&key(19)).is_some());
        small.leave(key(30), None);
        assert!(small.get(&key(30)).is_none());
    }

    #[test]
    fn twins_have_one_number_until_the_last_is_answered() {
        let mut cache = Cache::new(2, 1 << 20);
        let first = cache.enter(key(1));
        assert_eq!(cache.enter(key(1)), first);
        assert_ne!(cache.enter(key(2)), first);
        cache.leave(key(1), None);
        assert_eq!(cache.enter(key(1)), first);
        cache.leave(key(1), None);
        cache.leave(key(1), None);
        assert_ne!(cache.enter(key(1)), first);
    }
}

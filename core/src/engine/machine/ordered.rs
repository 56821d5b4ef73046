//! A set and a map in the order of their keys that take no memory once they have been as large as they become. Keys
//! mostly come in order and go from the front, which costs nothing; others cost a move of those behind or before them.

use std::collections::VecDeque;
use std::ops::Deref;

/// Keys, ascending.
#[derive(Debug)]
pub(super) struct OrderedSet<K>(VecDeque<K>);

/// Values by key, ascending.
#[derive(Debug)]
pub(super) struct OrderedMap<K, V> {
    /// Keys and where their values are.
    order: VecDeque<(K, usize)>,
    values: Vec<Option<V>>,
    free: Vec<usize>,
}

impl<K: Ord> OrderedSet<K> {
    pub(super) fn insert(&mut self, key: K) {
        let Self(keys) = self;
        if keys.back().is_none_or(|last| *last < key) {
            keys.push_back(key);
        } else if let Err(at) = keys.binary_search(&key) {
            keys.insert(at, key);
        }
    }

    /// Whether it was there.
    pub(super) fn remove(&mut self, key: &K) -> bool {
        match self.0.binary_search(key) {
            Ok(at) => self.0.remove(at).is_some(),
            Err(_) => false,
        }
    }

    pub(super) fn pop_front(&mut self) -> Option<K> {
        self.0.pop_front()
    }
}

impl<K> Deref for OrderedSet<K> {
    type Target = VecDeque<K>;

    fn deref(&self) -> &VecDeque<K> {
        &self.0
    }
}

impl<K: Ord + Copy, V> OrderedMap<K, V> {
    fn find(&self, key: &K) -> Result<usize, usize> {
        match self.order.back() {
            Some((last, _)) if last >= key => self.order.binary_search_by_key(key, |&(other, _)| other),
            _ => Err(self.order.len()),
        }
    }

    /// In the place of what was there under the same key.
    pub(super) fn insert(&mut self, key: K, value: V) {
        match self.find(&key) {
            Ok(at) => self.values[self.order[at].1] = Some(value),
            Err(at) => {
                let place = self.free.pop().unwrap_or(self.values.len());
                if place == self.values.len() {
                    self.values.push(None);
                }
                self.values[place] = Some(value);
                self.order.insert(at, (key, place));
            }
        }
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        let (_, place) = self.order.remove(self.find(key).ok()?)?;
        self.free.push(place);
        self.values[place].take()
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.values[self.order[self.find(key).ok()?].1].as_ref()
    }

    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let at = self.find(key).ok()?;
        self.values[self.order[at].1].as_mut()
    }

    pub(super) fn contains_key(&self, key: &K) -> bool {
        self.find(key).is_ok()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (K, &V)> {
        self.order.iter().filter_map(|&(key, place)| Some((key, self.values[place].as_ref()?)))
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    pub(super) fn first(&self) -> Option<(K, &V)> {
        self.iter().next()
    }

    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}

impl<K> Default for OrderedSet<K> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<K: Ord> Extend<K> for OrderedSet<K> {
    fn extend<I: IntoIterator<Item = K>>(&mut self, keys: I) {
        keys.into_iter().for_each(|key| self.insert(key));
    }
}

impl<K, V> Default for OrderedMap<K, V> {
    fn default() -> Self {
        Self { order: VecDeque::new(), values: Vec::new(), free: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    #[test]
    fn they_are_as_those_of_the_standard_library() {
        let (mut set, mut map) = (OrderedSet::default(), OrderedMap::default());
        let (mut same_set, mut same_map) = (BTreeSet::new(), BTreeMap::new());
        let mut state = 1_u64;
        for step in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let key = state >> 58;
            match (state >> 50) % 5 {
                0 | 1 => {
                    set.insert(key);
                    same_set.insert(key);
                    map.insert(key, step);
                    same_map.insert(key, step);
                }
                2 | 3 => {
                    assert_eq!(set.remove(&key), same_set.remove(&key));
                    assert_eq!(map.remove(&key), same_map.remove(&key));
                }
                _ => assert_eq!(set.pop_front(), same_set.pop_first()),
            }
            if let Some(value) = map.get_mut(&key) {
                *value += 1;
                same_map.entry(key).and_modify(|value| *value += 1);
            }
            assert!(set.iter().eq(&same_set));
            assert_eq!(
                (map.get(&key), map.contains_key(&key)),
                (same_map.get(&key), same_map.contains_key(&key))
            );
            assert_eq!(map.first(), same_map.first_key_value().map(|(key, value)| (*key, value)));
            assert_eq!((map.len(), map.is_empty()), (same_map.len(), same_map.is_empty()));
            assert!(map.iter().eq(same_map.iter().map(|(key, value)| (*key, value))));
            assert!(map.values().eq(same_map.values()));
        }
        assert!(map.values.len() <= 64, "places are used again");
    }
}

//! A map that is cheap to copy and to change at once: it consists of parts, a copy shares them all, and a change makes anew the one part that it is in.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;

/// Into how many parts: one has a few dozen entries where the map has ten thousand.
const PARTS: usize = 256;

/// The map.
#[derive(Clone, Debug)]
pub(super) struct Shards<K, V> {
    parts: Vec<Arc<HashMap<K, V>>>,
    hasher: RandomState,
}

impl<K, V> Default for Shards<K, V> {
    fn default() -> Self {
        Self { parts: (0..PARTS).map(|_| Arc::default()).collect(), hasher: RandomState::new() }
    }
}

impl<K: Clone + Eq + Hash, V: Clone> Shards<K, V> {
    pub(super) fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.parts.get(self.part_of(key))?.get(key)
    }

    pub(super) fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.part(&key)?.insert(key, value)
    }

    pub(super) fn remove<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.get(key)?;
        self.part(key)?.remove(key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.parts.iter().flat_map(|part| part.iter())
    }

    /// The part that has this key, to be changed.
    fn part<Q>(&mut self, key: &Q) -> Option<&mut HashMap<K, V>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let index = self.part_of(key);
        self.parts.get_mut(index).map(Arc::make_mut)
    }

    fn part_of<Q: Hash + ?Sized>(&self, key: &Q) -> usize {
        usize::try_from(self.hasher.hash_one(key) % (PARTS as u64)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_keeps_what_it_had_and_shares_what_did_not_change() {
        let mut map = Shards::default();
        for number in 0..1000 {
            assert_eq!(map.insert(number, number * 2), None);
        }
        let before = map.clone();
        assert_eq!((map.insert(7, 0), map.remove(&8), map.remove(&5000)), (Some(14), Some(16), None));
        assert_eq!((before.get(&7), before.get(&8)), (Some(&14), Some(&16)));
        assert_eq!((map.get(&7), map.get(&8), map.iter().count()), (Some(&0), None, 999));
        let shared = before.parts.iter().zip(&map.parts).filter(|(old, new)| Arc::ptr_eq(old, new)).count();
        assert!(shared >= PARTS - 2, "{shared} of {PARTS} parts are shared");
    }
}

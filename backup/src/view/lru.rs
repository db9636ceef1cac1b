//! What was used last, up to a weight. Whoever holds a value that fell out keeps it.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// Values by key; the one that was used the longest ago goes first.
#[derive(Debug)]
pub(super) struct Lru<K, V> {
    all: HashMap<K, Kept<V>>,
    /// Keys by when they were used last.
    order: BTreeMap<u64, K>,
    uses: u64,
    weight: u64,
    most: u64,
}

#[derive(Debug)]
struct Kept<V> {
    value: V,
    weight: u64,
    used: u64,
}

impl<K: Clone + Eq + Hash, V: Clone> Lru<K, V> {
    /// Room for this weight, and always for one value.
    pub(super) fn new(most: u64) -> Self {
        Self {
            all: HashMap::new(),
            order: BTreeMap::new(),
            uses: 0,
            weight: 0,
            most,
        }
    }

    /// The value of a key, used now.
    pub(super) fn get(&mut self, key: &K) -> Option<V> {
        let kept = self.all.get_mut(key)?;
        self.order.remove(&kept.used);
        self.uses += 1;
        kept.used = self.uses;
        self.order.insert(self.uses, key.clone());
        Some(kept.value.clone())
    }

    /// The value of a key; a new one if there is none.
    pub(super) fn or_put(&mut self, key: K, weight: u64, make: impl FnOnce() -> V) -> V {
        if let Some(value) = self.get(&key) {
            return value;
        }
        let value = make();
        self.uses += 1;
        self.order.insert(self.uses, key.clone());
        let kept = Kept {
            value: value.clone(),
            weight,
            used: self.uses,
        };
        self.all.insert(key, kept);
        self.weight += weight;
        while self.weight > self.most && self.all.len() > 1 {
            let Some((_, oldest)) = self.order.pop_first() else {
                break;
            };
            let gone = self.all.remove(&oldest);
            self.weight -= gone.map_or(0, |kept| kept.weight);
        }
        value
    }

    /// Takes a key's value out.
    pub(super) fn remove(&mut self, key: &K) {
        if let Some(kept) = self.all.remove(key) {
            self.order.remove(&kept.used);
            self.weight -= kept.weight;
        }
    }

    /// Takes all of it out.
    pub(super) fn clear(&mut self) {
        self.all.clear();
        self.order.clear();
        self.weight = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_the_longest_ago_goes_first() {
        let mut lru = Lru::new(10);
        for (key, weight) in [("a", 4), ("b", 4)] {
            lru.or_put(key, weight, || key);
        }
        assert_eq!(lru.get(&"a"), Some("a"));
        lru.or_put("c", 4, || "c");
        assert_eq!((lru.get(&"a"), lru.get(&"b")), (Some("a"), None));
        // One that is too heavy for all stands alone.
        lru.or_put("d", 100, || "d");
        assert_eq!((lru.get(&"d"), lru.get(&"a")), (Some("d"), None));
        lru.remove(&"d");
        lru.or_put("e", 10, || "e");
        assert_eq!((lru.weight, lru.all.len(), lru.order.len()), (10, 1, 1));
        assert_eq!(lru.or_put("e", 10, || "other"), "e");
        lru.clear();
        assert_eq!((lru.weight, lru.get(&"e")), (0, None));
    }
}

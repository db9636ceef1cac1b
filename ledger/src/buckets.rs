//! A sorted map of records that is cheap to clone and to sum up: entries lie in at most 4,096
//! buckets by the first 12 bits of their key, shared between clones until one of them changes it.
//! A clone costs one pointer a bucket, a change copies one bucket, and each bucket keeps its digest
//! and its credit until it changes: a block costs what it changes. Order, digest and credit follow
//! from the content alone, never from the history. ADR 9.

use crate::pairs;
use larder_types::{AccountId, Hash, NodeId, SubKeyId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::collections::btree_map::{Values, ValuesMut};
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::{Arc, OnceLock};

/// What keys a bucket holds: those that begin with the same 12 bits.
type Prefix = u16;

/// A key whose order is that of its prefix first.
pub(crate) trait Key: Copy + Ord {
    /// The first two bytes.
    fn head(&self) -> [u8; 2];

    fn prefix(&self) -> Prefix {
        u16::from_be_bytes(self.head()) >> 4
    }
}

impl Key for AccountId {
    fn head(&self) -> [u8; 2] {
        let [a, b, ..] = self.0;
        [a, b]
    }
}

impl Key for NodeId {
    fn head(&self) -> [u8; 2] {
        let [a, b, ..] = self.0;
        [a, b]
    }
}

/// Sub-keys lie beside each other by account.
impl Key for (AccountId, SubKeyId) {
    fn head(&self) -> [u8; 2] {
        self.0.head()
    }
}

/// Who vouches lies beside each other by whom for.
impl Key for (AccountId, AccountId) {
    fn head(&self) -> [u8; 2] {
        self.0.head()
    }
}

impl Key for [u8; 16] {
    fn head(&self) -> [u8; 2] {
        let [a, b, ..] = *self;
        [a, b]
    }
}

/// An entry as the state's root and the sum of all credit see it.
pub(crate) trait Record<K> {
    /// Appends a canonical form of key and value.
    fn write(&self, key: &K, out: &mut Vec<u8>);
    /// The credit in it, nano.
    fn credit(&self) -> u128;
}

/// What is known of a bucket without looking at its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Summary {
    digest: Hash,
    credit: u128,
}

#[derive(Clone)]
struct Bucket<K, V> {
    entries: BTreeMap<K, V>,
    /// Computed when it is asked for, forgotten when an entry changes.
    summary: OnceLock<Summary>,
}

impl<K, V> Default for Bucket<K, V> {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            summary: OnceLock::new(),
        }
    }
}

impl<K, V: Record<K>> Bucket<K, V> {
    fn summary(&self) -> Summary {
        *self.summary.get_or_init(|| {
            let mut bytes = Vec::new();
            let mut credit = 0u128;
            for (key, value) in &self.entries {
                value.write(key, &mut bytes);
                credit = credit.saturating_add(value.credit());
            }
            let digest = Hash(blake3::derive_key("larder v1 state bucket", &bytes));
            Summary { digest, credit }
        })
    }
}

/// The map.
#[derive(Clone)]
pub(crate) struct Buckets<K, V> {
    /// None is empty.
    buckets: BTreeMap<Prefix, Arc<Bucket<K, V>>>,
    len: usize,
}

impl<K, V> Default for Buckets<K, V> {
    fn default() -> Self {
        Self {
            buckets: BTreeMap::new(),
            len: 0,
        }
    }
}

impl<K: Key, V> Buckets<K, V> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.buckets.get(&key.prefix())?.entries.get(key)
    }

    pub(crate) fn contains_key(&self, key: &K) -> bool {
        self.get(key).is_some()
    }

    /// The entries in a range of keys that begin alike.
    pub(crate) fn range(&self, keys: RangeInclusive<K>) -> impl Iterator<Item = (&K, &V)> {
        let bucket = self.buckets.get(&keys.start().prefix());
        bucket
            .into_iter()
            .flat_map(move |bucket| bucket.entries.range(keys.clone()))
    }

    /// All entries, by key.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.buckets.values().flat_map(|bucket| &bucket.entries)
    }

    /// All values, by key.
    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        let of = |bucket| -> Values<'_, K, V> { Bucket::entries(bucket).values() };
        self.buckets.values().flat_map(of)
    }
}

impl<K, V> Bucket<K, V> {
    fn entries(bucket: &Arc<Self>) -> &BTreeMap<K, V> {
        &bucket.entries
    }
}

impl<K: Key, V: Clone> Buckets<K, V> {
    /// An entry to be changed.
    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let bucket = self.buckets.get_mut(&key.prefix())?;
        // What is not there must not cost a copy.
        if !bucket.entries.contains_key(key) {
            return None;
        }
        changed(bucket).get_mut(key)
    }

    /// An entry to be changed, made if it is new.
    pub(crate) fn or_default(&mut self, key: K) -> &mut V
    where
        V: Default,
    {
        let len = &mut self.len;
        let bucket = changed(self.buckets.entry(key.prefix()).or_default());
        bucket.entry(key).or_insert_with(|| {
            *len = len.saturating_add(1);
            V::default()
        })
    }

    /// Puts an entry; gives the one before.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        let bucket = changed(self.buckets.entry(key.prefix()).or_default());
        let before = bucket.insert(key, value);
        if before.is_none() {
            self.len = self.len.saturating_add(1);
        }
        before
    }

    /// Takes an entry out.
    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let prefix = key.prefix();
        let bucket = self.buckets.get_mut(&prefix)?;
        if !bucket.entries.contains_key(key) {
            return None;
        }
        let entries = changed(bucket);
        let before = entries.remove(key);
        if entries.is_empty() {
            self.buckets.remove(&prefix);
        }
        self.len = self.len.saturating_sub(1);
        before
    }

    /// All values, by key, to be changed. Copies what is shared.
    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        let of = |bucket| -> ValuesMut<'_, K, V> { changed(bucket).values_mut() };
        self.buckets.values_mut().flat_map(of)
    }
}

/// The entries of a bucket, no longer shared, its summary forgotten.
fn changed<K: Copy, V: Clone>(bucket: &mut Arc<Bucket<K, V>>) -> &mut BTreeMap<K, V> {
    let bucket = Arc::make_mut(bucket);
    bucket.summary = OnceLock::new();
    &mut bucket.entries
}

impl<K: Key, V: Record<K>> Buckets<K, V> {
    /// Of all entries, whatever the way they came.
    pub(crate) fn digest(&self) -> Hash {
        let mut hasher = blake3::Hasher::new_derive_key("larder v1 state map");
        for (prefix, bucket) in &self.buckets {
            hasher.update(&prefix.to_le_bytes());
            hasher.update(&bucket.summary().digest.0);
        }
        Hash(*hasher.finalize().as_bytes())
    }

    /// The credit of all entries, nano.
    pub(crate) fn credit(&self) -> u128 {
        let credits = self.buckets.values().map(|bucket| bucket.summary().credit);
        credits.fold(0, u128::saturating_add)
    }
}

impl<K: Key, V: Clone> FromIterator<(K, V)> for Buckets<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::default();
        for (key, value) in entries {
            map.insert(key, value);
        }
        map
    }
}

impl<K: Key, V: Clone> IntoIterator for Buckets<K, V> {
    type Item = (K, V);
    type IntoIter = std::vec::IntoIter<(K, V)>;

    fn into_iter(self) -> Self::IntoIter {
        let take = |bucket: Arc<Bucket<K, V>>| match Arc::try_unwrap(bucket) {
            Ok(bucket) => bucket.entries,
            Err(shared) => shared.entries.clone(),
        };
        let entries: Vec<(K, V)> = self.buckets.into_values().flat_map(take).collect();
        entries.into_iter()
    }
}

impl<K: Key, V: PartialEq> PartialEq for Buckets<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().eq(other.iter())
    }
}

impl<K: Key, V: Eq> Eq for Buckets<K, V> {}

impl<K: Key + fmt::Debug, V: fmt::Debug> fmt::Debug for Buckets<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K: Key + Serialize, V: Serialize> Serialize for Buckets<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de, K: Key + DeserializeOwned, V: Clone + DeserializeOwned> Deserialize<'de>
    for Buckets<K, V>
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let entries: BTreeMap<K, V> = pairs::deserialize(deserializer)?;
        Ok(entries.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_types::codec;
    use proptest::prelude::*;

    impl Record<NodeId> for u64 {
        fn write(&self, key: &NodeId, out: &mut Vec<u8>) {
            out.extend_from_slice(&key.0);
            out.extend_from_slice(&self.to_le_bytes());
        }
        fn credit(&self) -> u128 {
            u128::from(*self)
        }
    }

    fn key(n: u16) -> NodeId {
        let mut id = [0; 32];
        // Few buckets, so that they are shared, split and emptied.
        id[0] = n.to_be_bytes()[1] & 7;
        id[31] = n.to_be_bytes()[1] >> 3;
        NodeId(id)
    }

    #[derive(Debug, Clone)]
    enum Step {
        Insert(u16, u64),
        Add(u16, u64),
        Bump(u16),
        Remove(u16),
        Double,
        Fork,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let n = 0..96u16;
        let step = prop_oneof![
            4 => (n.clone(), any::<u64>()).prop_map(|(k, v)| Step::Insert(k, v)),
            2 => (n.clone(), 0..9u64).prop_map(|(k, v)| Step::Add(k, v)),
            2 => n.clone().prop_map(Step::Bump),
            3 => n.prop_map(Step::Remove),
            1 => Just(Step::Double),
            2 => Just(Step::Fork),
        ];
        prop::collection::vec(step, 0..120)
    }

    fn act(map: &mut Buckets<NodeId, u64>, slow: &mut BTreeMap<NodeId, u64>, step: &Step) {
        match *step {
            Step::Insert(k, v) => assert_eq!(map.insert(key(k), v), slow.insert(key(k), v)),
            Step::Add(k, v) => {
                *map.or_default(key(k)) ^= v;
                *slow.entry(key(k)).or_default() ^= v;
            }
            Step::Bump(k) => {
                let one = |v: &mut u64| *v = v.wrapping_add(1);
                assert_eq!(
                    map.get_mut(&key(k)).map(one).is_some(),
                    slow.get_mut(&key(k)).map(one).is_some()
                );
            }
            Step::Remove(k) => assert_eq!(map.remove(&key(k)), slow.remove(&key(k))),
            Step::Double => {
                map.values_mut().for_each(|v| *v = v.wrapping_mul(2));
                slow.values_mut().for_each(|v| *v = v.wrapping_mul(2));
            }
            Step::Fork => {}
        }
    }

    fn check(map: &Buckets<NodeId, u64>, slow: &BTreeMap<NodeId, u64>) {
        assert!(map.iter().eq(slow.iter()));
        assert!(map.values().eq(slow.values()));
        assert_eq!(map.len(), slow.len());
        assert!((0..96).all(|n| map.get(&key(n)) == slow.get(&key(n))));
        assert!((0..96).all(|n| map.contains_key(&key(n)) == slow.contains_key(&key(n))));
        let anew: Buckets<NodeId, u64> = slow.iter().map(|(k, v)| (*k, *v)).collect();
        assert_eq!(*map, anew);
        assert_eq!(map.digest(), anew.digest(), "the history does not matter");
        let credit: u128 = slow.values().map(|v| u128::from(*v)).sum();
        assert_eq!(map.credit(), credit);
    }

    proptest! {
        #[test]
        fn it_is_a_sorted_map_and_clones_keep_what_they_had(steps in steps()) {
            let (mut map, mut slow) = (Buckets::default(), BTreeMap::new());
            let mut forks = Vec::new();
            for step in &steps {
                if matches!(step, Step::Fork) {
                    map.digest();
                    forks.push((map.clone(), slow.clone()));
                }
                act(&mut map, &mut slow, step);
            }
            check(&map, &slow);
            for (map, slow) in &forks {
                check(map, slow);
            }
            let wire = codec::encode(&map);
            prop_assert_eq!(codec::decode::<Buckets<NodeId, u64>>(&wire), Ok(map.clone()));
            prop_assert!(map.into_iter().eq(slow));
        }
    }

    #[test]
    fn any_change_changes_the_digest() {
        let mut map: Buckets<NodeId, u64> = (0..50).map(|n| (key(n), u64::from(n))).collect();
        let before = map.digest();
        *map.get_mut(&key(7)).unwrap() += 1;
        assert_ne!(map.digest(), before);
        *map.get_mut(&key(7)).unwrap() -= 1;
        assert_eq!(map.digest(), before);
        map.remove(&key(7));
        assert_ne!(map.digest(), before);
    }
}

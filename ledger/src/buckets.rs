//! A sorted map of records that is cheap to clone, to keep and to sum up: entries lie in at most
//! 4,096 buckets by the first 12 bits of their key, shared between clones until one of them changes
//! it. A clone costs nothing, a change copies the list of buckets and the one that it touches, and
//! each bucket keeps its digest and its credit until it changes: a block costs what it changes. A
//! bucket is one sorted slice as long as its entries, and costs 104 bytes beside them. Order, digest
//! and credit follow from the content alone, never from the history. Some maps are authenticated
//! besides: their records can be shown one by one ([`Mapped`]). ADR 9.

mod authentic;

pub(crate) use authentic::{Mapped, part_of};

use crate::pairs;
use authentic::Summits;
use larder_types::{AccountId, Hash, NodeId, SubKeyId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::{Arc, OnceLock};

/// What keys a bucket holds: those that begin with the same bits.
type Prefix = u16;

/// A key whose order is that of its prefix first.
pub(crate) trait Key: Copy + Ord {
    /// Bits of the first two bytes that do not count for the bucket. 12 bits of a digest's map do:
    /// its root depends on them.
    const BEYOND: u32 = 4;

    /// The first two bytes.
    fn head(&self) -> [u8; 2];

    fn prefix(&self) -> Prefix {
        u16::from_be_bytes(self.head()).wrapping_shr(Self::BEYOND)
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

/// Contracts' places, of 24 bytes: 1,024 buckets, of 24 KiB at a million contracts.
impl Key for [u8; 16] {
    const BEYOND: u32 = 6;

    fn head(&self) -> [u8; 2] {
        let [a, b, ..] = *self;
        [a, b]
    }
}

/// An entry as the state's root and the sum of all credit see it.
pub(crate) trait Record<K>: Sized {
    /// Appends a canonical form of key and value; of a [`Mapped`] one, of the value alone.
    fn write(&self, key: &K, out: &mut Vec<u8>);
    /// What names a bucket of these.
    fn digest(entries: &[(K, Self)]) -> Hash {
        let mut bytes = Vec::new();
        for (key, value) in entries {
            value.write(key, &mut bytes);
        }
        Hash(blake3::derive_key("larder v1 state bucket", &bytes))
    }
    /// The credit in it, nano.
    fn credit(&self) -> u128;
}

/// What is known of a bucket without looking at its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Summary {
    digest: Hash,
    /// A little-endian u128: as a number it would cost 24 bytes more, of padding.
    credit: [u8; 16],
}

/// Entries by key, as many as the slice is long: a `BTreeMap` with one of them has room for eleven.
#[derive(Clone)]
struct Bucket<K, V> {
    entries: Box<[(K, V)]>,
    /// Computed when it is asked for, forgotten when an entry changes.
    summary: OnceLock<Summary>,
}

impl<K, V> Bucket<K, V> {
    fn of(entries: Vec<(K, V)>) -> Self {
        Self {
            entries: entries.into_boxed_slice(),
            summary: OnceLock::new(),
        }
    }

    fn get(&self, key: &K) -> Option<&V>
    where
        K: Ord,
    {
        let at = self.find(key).ok()?;
        self.entries.get(at).map(|(_, value)| value)
    }

    /// Where a key is, or would be.
    fn find(&self, key: &K) -> Result<usize, usize>
    where
        K: Ord,
    {
        self.entries.binary_search_by(|(held, _)| held.cmp(key))
    }

    /// Changes how many entries there are, and leaves no room behind.
    fn edit<R>(&mut self, edit: impl FnOnce(&mut Vec<(K, V)>) -> R) -> R {
        let mut entries = std::mem::take(&mut self.entries).into_vec();
        let result = edit(&mut entries);
        self.entries = entries.into_boxed_slice();
        result
    }
}

/// Puts an entry in its place in a row, with no more room than it takes.
fn squeeze<T>(row: &mut Vec<T>, at: usize, new: T) {
    row.reserve_exact(1);
    row.insert(at, new);
}

impl<K, V: Record<K>> Bucket<K, V> {
    fn summary(&self) -> Summary {
        *self.summary.get_or_init(|| {
            let credits = self.entries.iter().map(|(_, value)| value.credit());
            let credit = credits.fold(0, u128::saturating_add).to_le_bytes();
            let digest = V::digest(&self.entries);
            Summary { digest, credit }
        })
    }
}

/// Buckets by their prefix; none is empty.
type Row<K, V> = Vec<(Prefix, Arc<Bucket<K, V>>)>;

/// All buckets.
#[derive(Clone)]
struct Shelf<K, V> {
    row: Row<K, V>,
    /// What is known of many buckets at once, where it is asked for.
    summits: Summits,
}

impl<K, V> Default for Shelf<K, V> {
    fn default() -> Self {
        Self {
            row: Vec::new(),
            summits: Summits::default(),
        }
    }
}

impl<K: Key, V> Shelf<K, V> {
    /// Its buckets, to be changed below a prefix.
    fn changed(&mut self, prefix: Prefix) -> &mut Row<K, V> {
        self.summits.forget(prefix);
        &mut self.row
    }
}

/// The map.
#[derive(Clone)]
pub(crate) struct Buckets<K, V> {
    shelf: Arc<Shelf<K, V>>,
    len: usize,
}

impl<K, V> Default for Buckets<K, V> {
    fn default() -> Self {
        Self {
            shelf: Arc::default(),
            len: 0,
        }
    }
}

impl<K: Key, V> Buckets<K, V> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.bucket(key)?.get(key)
    }

    pub(crate) fn contains_key(&self, key: &K) -> bool {
        self.get(key).is_some()
    }

    /// The entries in a range of keys that begin alike.
    pub(crate) fn range(&self, keys: RangeInclusive<K>) -> impl Iterator<Item = (&K, &V)> {
        let bucket = self.bucket(keys.start());
        let entries = bucket.map_or(&[][..], |bucket| {
            let first = bucket.find(keys.start()).unwrap_or_else(|at| at);
            bucket.entries.get(first..).unwrap_or(&[])
        });
        let within = entries.iter().take_while(move |(key, _)| key <= keys.end());
        within.map(|(key, value)| (key, value))
    }

    /// All entries, by key.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let row = self.shelf.row.iter();
        let entries = row.flat_map(|(_, bucket)| bucket.entries.iter());
        entries.map(|(key, value)| (key, value))
    }

    /// All values, by key.
    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    fn bucket(&self, key: &K) -> Option<&Bucket<K, V>> {
        let at = self.find(key).ok()?;
        self.shelf.row.get(at).map(|(_, bucket)| &**bucket)
    }

    /// Where a key's bucket is, or would be.
    fn find(&self, key: &K) -> Result<usize, usize> {
        let wanted = key.prefix();
        let row = &self.shelf.row;
        row.binary_search_by(|(held, _)| held.cmp(&wanted))
    }
}

impl<K: Key, V: Clone> Buckets<K, V> {
    /// An entry to be changed.
    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        // What is not there must not cost a copy.
        let at = self.bucket(key)?.find(key).ok()?;
        let shelf_at = self.find(key).ok()?;
        let bucket = self.changed(shelf_at)?;
        bucket.entries.get_mut(at).map(|(_, value)| value)
    }

    /// An entry to be changed, made if it is new.
    pub(crate) fn or_default(&mut self, key: K) -> &mut V
    where
        V: Default,
    {
        if !self.contains_key(&key) {
            self.insert(key, V::default());
        }
        self.get_mut(&key).expect("it was put if it was not there")
    }

    /// Puts an entry; gives the one before.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        if let Some(held) = self.get_mut(&key) {
            return Some(std::mem::replace(held, value));
        }
        self.len = self.len.saturating_add(1);
        match self.find(&key) {
            Ok(at) => {
                let bucket = self.changed(at).expect("it was found");
                let at = bucket.find(&key).unwrap_or_else(|at| at);
                bucket.edit(|entries| squeeze(entries, at, (key, value)));
            }
            Err(at) => {
                let new = Arc::new(Bucket::of(vec![(key, value)]));
                let prefix = key.prefix();
                let row = Arc::make_mut(&mut self.shelf).changed(prefix);
                squeeze(row, at, (prefix, new));
            }
        }
        None
    }

    /// Takes an entry out.
    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let at = self.bucket(key)?.find(key).ok()?;
        let shelf_at = self.find(key).ok()?;
        let bucket = self.changed(shelf_at)?;
        let (_, before) = bucket.edit(|entries| entries.remove(at));
        if bucket.entries.is_empty() {
            let shelf = Arc::make_mut(&mut self.shelf);
            shelf.changed(key.prefix()).remove(shelf_at);
        }
        self.len = self.len.saturating_sub(1);
        Some(before)
    }

    /// All values, by key, to be changed. Copies what is shared.
    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        let shelf = Arc::make_mut(&mut self.shelf);
        shelf.summits = Summits::default();
        let buckets = shelf.row.iter_mut();
        let entries = buckets.flat_map(|(_, bucket)| alone(bucket).entries.iter_mut());
        entries.map(|(_, value)| value)
    }

    /// The bucket in this place, to be changed.
    fn changed(&mut self, at: usize) -> Option<&mut Bucket<K, V>> {
        let shelf = Arc::make_mut(&mut self.shelf);
        let (prefix, bucket) = shelf.row.get_mut(at)?;
        shelf.summits.forget(*prefix);
        Some(alone(bucket))
    }
}

/// A bucket that is no longer shared, its summary forgotten.
fn alone<K: Copy, V: Clone>(bucket: &mut Arc<Bucket<K, V>>) -> &mut Bucket<K, V> {
    let bucket = Arc::make_mut(bucket);
    bucket.summary = OnceLock::new();
    bucket
}

impl<K: Key, V: Record<K>> Buckets<K, V> {
    /// Of all entries, whatever the way they came.
    pub(crate) fn digest(&self) -> Hash {
        let mut hasher = blake3::Hasher::new_derive_key("larder v1 state map");
        for (prefix, bucket) in &self.shelf.row {
            hasher.update(&prefix.to_le_bytes());
            hasher.update(&bucket.summary().digest.0);
        }
        Hash(*hasher.finalize().as_bytes())
    }

    /// The credit of all entries, nano.
    pub(crate) fn credit(&self) -> u128 {
        let credit = |(_, bucket): &(_, Arc<Bucket<K, V>>)| bucket.summary().credit;
        let credits = self.shelf.row.iter().map(credit).map(u128::from_le_bytes);
        credits.fold(0, u128::saturating_add)
    }
}

impl<K: Key, V> FromIterator<(K, V)> for Buckets<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        // Of several with one key the last counts.
        let sorted: BTreeMap<K, V> = entries.into_iter().collect();
        let len = sorted.len();
        let mut row: Vec<(Prefix, Vec<(K, V)>)> = Vec::new();
        for (key, value) in sorted {
            match row.last_mut() {
                Some((prefix, bucket)) if *prefix == key.prefix() => bucket.push((key, value)),
                Some(_) | None => row.push((key.prefix(), vec![(key, value)])),
            }
        }
        let filled = |(prefix, bucket)| (prefix, Arc::new(Bucket::of(bucket)));
        let shelf = Arc::new(Shelf {
            row: row.into_iter().map(filled).collect(),
            summits: Summits::default(),
        });
        Self { shelf, len }
    }
}

impl<K: Key, V: Clone> IntoIterator for Buckets<K, V> {
    type Item = (K, V);
    type IntoIter = std::vec::IntoIter<(K, V)>;

    fn into_iter(self) -> Self::IntoIter {
        let take = |(_, bucket)| {
            Arc::<Bucket<K, V>>::unwrap_or_clone(bucket)
                .entries
                .into_vec()
        };
        let row = Arc::unwrap_or_clone(self.shelf).row;
        let entries: Vec<(K, V)> = row.into_iter().flat_map(take).collect();
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

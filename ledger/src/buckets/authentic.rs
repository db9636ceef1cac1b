//! Buckets as an authenticated map: one root for all records, and proofs that one is there or that none
//! is. No node of the trie is stored: a bucket's digest is its part of the map, and what lies above is
//! joined when it is asked for. Parts six bits deep are kept until a bucket below them changes, so that a
//! block joins few of the 4,096 buckets again. `docs/protocol.md` §3.8, ADR 9.

use super::{Bucket, Buckets, Key, Prefix, Record, Shelf};
use larder_proofs::map::{self, MapProof, Part, value_digest};
use std::sync::{Arc, OnceLock};

/// A record of an authenticated map. Its [`Record::digest`] is [`part_of`]'s hash.
pub(crate) trait Mapped<K>: Record<K> {
    /// Where it lies in the map; its first bits are the bucket's prefix.
    fn key(key: &K) -> map::Key;

    /// What is shown of it.
    fn value(&self, key: &K) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(key, &mut bytes);
        bytes
    }
}

/// Bits of a bucket's prefix.
const BUCKET_DEPTH: u16 = 12;
/// Bits of a part that is kept.
const SUMMIT_DEPTH: u16 = 6;
/// Parts that are kept.
const SUMMITS: usize = 1 << SUMMIT_DEPTH;

/// Parts of the map six bits deep, each until a bucket below it changes; none where the map is not
/// asked for its root.
#[derive(Clone, Default)]
pub(super) struct Summits(OnceLock<Box<[OnceLock<Part>; SUMMITS]>>);

impl Summits {
    /// A bucket below changes.
    pub(super) fn forget(&mut self, prefix: Prefix) {
        let parts = self.0.get_mut();
        if let Some(part) = parts.and_then(|parts| parts.get_mut(place(prefix))) {
            *part = OnceLock::new();
        }
    }

    fn get(&self, prefix: Prefix, join: impl FnOnce() -> Part) -> Part {
        let parts = self
            .0
            .get_or_init(|| Box::new([const { OnceLock::new() }; SUMMITS]));
        match parts.get(place(prefix)) {
            Some(part) => *part.get_or_init(join),
            None => join(),
        }
    }
}

fn place(prefix: Prefix) -> usize {
    usize::from(prefix.wrapping_shr(u32::from(BUCKET_DEPTH - SUMMIT_DEPTH)))
}

/// The part of a bucket's entries.
pub(crate) fn part_of<K, V: Mapped<K>>(entries: &[(K, V)]) -> Part {
    Part::of(&leaves(entries), usize::from(BUCKET_DEPTH))
}

fn leaves<K, V: Mapped<K>>(entries: &[(K, V)]) -> Vec<(map::Key, Part)> {
    let leaf = |(key, value): &(K, V)| {
        let at = V::key(key);
        (at, Part::leaf(&at, &value.value(key)))
    };
    entries.iter().map(leaf).collect()
}

impl<K: Key, V: Mapped<K>> Bucket<K, V> {
    fn part(&self) -> Part {
        let hash = self.summary().digest;
        match self.entries.len() {
            1 => Part::Leaf(hash),
            _ => Part::Node(hash),
        }
    }
}

type Held<K, V> = (Prefix, Arc<Bucket<K, V>>);

impl<K: Key, V: Mapped<K>> Shelf<K, V> {
    /// The part of all buckets whose prefixes begin with the same `depth` bits.
    fn part(&self, row: &[Held<K, V>], depth: u16) -> Part {
        match row.first() {
            None => Part::Empty,
            Some((_, bucket)) if depth == BUCKET_DEPTH => bucket.part(),
            Some((prefix, _)) if depth == SUMMIT_DEPTH => {
                self.summits.get(*prefix, || self.join(row, depth))
            }
            Some(_) => self.join(row, depth),
        }
    }

    fn join(&self, row: &[Held<K, V>], depth: u16) -> Part {
        let (left, right) = halves(row, depth);
        let below = depth.saturating_add(1);
        Part::join(self.part(left, below), self.part(right, below))
    }
}

impl<K: Key, V: Mapped<K>> Buckets<K, V> {
    /// The whole map.
    pub(crate) fn part(&self) -> Part {
        self.shelf.part(&self.shelf.row, 0)
    }

    /// What the map holds under a key, or that it holds nothing, with the way up to the root.
    pub(crate) fn prove(&self, key: &K) -> (Option<Vec<u8>>, MapProof) {
        let mut row = self.shelf.row.as_slice();
        let mut siblings = Vec::new();
        let mut depth = 0;
        while depth < BUCKET_DEPTH && has_many(row) {
            let (left, right) = halves(row, depth);
            let is_right = bit(key.prefix(), depth);
            let (mine, other) = if is_right {
                (right, left)
            } else {
                (left, right)
            };
            depth = depth.saturating_add(1);
            siblings.push(self.shelf.part(other, depth).hash());
            row = mine;
        }
        let entries = row.first().map_or(&[][..], |(_, bucket)| &bucket.entries);
        let digest = |at: usize| {
            let (key, value) = entries.get(at).expect("a place of the bucket");
            value_digest(&value.value(key))
        };
        let (leaves, at) = (leaves(entries), V::key(key));
        let below = MapProof::below(usize::from(depth), &leaves, &at, digest);
        siblings.extend(below.siblings);
        let end = below.end;
        let value = self.get(key).map(|value| value.value(key));
        (value, MapProof { end, siblings })
    }
}

/// Whether there is more than one entry.
fn has_many<K, V>(row: &[Held<K, V>]) -> bool {
    match row {
        [] => false,
        [(_, only)] => only.entries.len() > 1,
        _ => true,
    }
}

/// The bit of a prefix at a depth, the highest first.
fn bit(prefix: Prefix, depth: u16) -> bool {
    let right = BUCKET_DEPTH.saturating_sub(depth).saturating_sub(1);
    prefix.wrapping_shr(u32::from(right)) & 1 == 1
}

/// The buckets whose bit at `depth` is 0, and those where it is 1.
fn halves<K, V>(row: &[Held<K, V>], depth: u16) -> (&[Held<K, V>], &[Held<K, V>]) {
    row.split_at(row.partition_point(|(prefix, _)| !bit(*prefix, depth)))
}

#[cfg(test)]
#[path = "authentic/tests.rs"]
mod tests;

//! Buckets beside the map's plain definition, as they change; and what their proofs show.

use super::*;
use larder_proofs::map::MapError;
use larder_types::{Hash, NodeId};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// A record that can be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Shown(u64);

impl Record<NodeId> for Shown {
    fn write(&self, _: &NodeId, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0.to_le_bytes());
    }

    fn digest(entries: &[(NodeId, Self)]) -> Hash {
        part_of(entries).hash()
    }

    fn credit(&self) -> u128 {
        u128::from(self.0)
    }
}

impl Mapped<NodeId> for Shown {
    fn key(key: &NodeId) -> map::Key {
        key.0
    }
}

/// Keys that share a bucket, a summit, or less.
fn keys() -> impl Strategy<Value = NodeId> {
    (0..3u8, 0..3u8, 0..3u8, 0..3u8).prop_map(|(first, second, third, last)| {
        let mut key = [0x5a; 32];
        (key[0], key[1]) = (first << 6 | second, third << 4 | second);
        key[31] = last;
        NodeId(key)
    })
}

fn steps() -> impl Strategy<Value = Vec<(NodeId, Option<u64>)>> {
    let value = prop::option::weighted(0.7, any::<u64>());
    prop::collection::vec((keys(), value), 0..80)
}

/// The map as it is defined, all records at once.
fn slow(records: &BTreeMap<NodeId, Shown>) -> Part {
    let leaf = |(key, value): (&NodeId, &Shown)| (key.0, Part::leaf(&key.0, &value.value(key)));
    Part::of(&records.iter().map(leaf).collect::<Vec<_>>(), 0)
}

fn check(map: &Buckets<NodeId, Shown>, records: &BTreeMap<NodeId, Shown>, other: &NodeId) {
    let root = map.part().hash();
    assert_eq!(root, slow(records).hash());
    for key in records.keys().chain([other]) {
        let (value, proof) = map.prove(key);
        assert_eq!(value, records.get(key).map(|value| value.value(key)));
        assert_eq!(proof.verify(&root, &key.0, value.as_deref()), Ok(()));
    }
}

proptest! {
    #[test]
    fn the_root_and_every_proof_are_the_maps(steps in steps(), absent in keys()) {
        let (mut map, mut records) = (Buckets::default(), BTreeMap::new());
        let mut forks = Vec::new();
        for (number, (key, value)) in steps.into_iter().enumerate() {
            match value {
                Some(value) => {
                    map.insert(key, Shown(value));
                    records.insert(key, Shown(value));
                }
                None => {
                    map.remove(&key);
                    records.remove(&key);
                }
            }
            // Now and then what is known of the parts is used, and kept by a clone.
            if number % 5 == 0 {
                prop_assert_eq!(map.part(), slow(&records));
                forks.push((map.clone(), records.clone()));
            }
            if number % 17 == 0 {
                map.values_mut().for_each(|value| value.0 ^= 1);
                records.values_mut().for_each(|value| value.0 ^= 1);
            }
        }
        check(&map, &records, &absent);
        for (map, records) in &forks {
            check(map, records, &absent);
        }
    }

    #[test]
    fn a_proof_with_any_bit_flipped_is_refused(steps in steps(), key in keys(), at in any::<prop::sample::Index>()) {
        let entries = steps.into_iter().map(|(key, value)| (key, Shown(value.unwrap_or(7))));
        let map: Buckets<NodeId, Shown> = entries.collect();
        let root = map.part().hash();
        let (value, proof) = map.prove(&key);
        let mut bytes = proof.to_bytes();
        let bit = at.index(8 * bytes.len());
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Ok(bent) = MapProof::from_bytes(&bytes) {
            prop_assert!(bent.verify(&root, &key.0, value.as_deref()).is_err());
        }
        if let Some(mut value) = value {
            let bit = at.index(8 * value.len());
            value[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(proof.verify(&root, &key.0, Some(&value)), Err(MapError::Root));
        }
    }
}

//! The map against a slow model; proofs of what is there and what is not, and no others.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

type Records = BTreeMap<Key, Vec<u8>>;

/// The trie as it is defined, one bit of all 256 after the other.
fn slow(records: &Records, prefix: &mut Vec<bool>) -> Part {
    let within: Vec<_> = records
        .iter()
        .filter(|(key, _)| prefix.iter().enumerate().all(|(d, b)| bit(key, d) == *b))
        .collect();
    match within[..] {
        [] => Part::Empty,
        [(key, value)] => Part::leaf(key, value),
        _ => {
            let [left, right] = [false, true].map(|half| {
                prefix.push(half);
                let part = slow(records, prefix);
                prefix.pop();
                part
            });
            Part::Node(node(&left.hash(), &right.hash()))
        }
    }
}

fn parts(records: &Records) -> Vec<(Key, Part)> {
    let part = |(key, value): (&Key, &Vec<u8>)| (*key, Part::leaf(key, value));
    records.iter().map(part).collect()
}

fn prove(records: &Records, key: &Key) -> MapProof {
    MapProof::of(&parts(records), key, |place| {
        value_digest(records.values().nth(place).unwrap())
    })
}

/// Keys that share long beginnings with others.
fn keys() -> impl Strategy<Value = Key> {
    (0..4u8, 0..4u8, 0..8u8).prop_map(|(first, middle, last)| {
        let mut key = [0xa5; 32];
        (key[0], key[15], key[31]) = (first << 6, middle, last);
        key
    })
}

fn records() -> impl Strategy<Value = Records> {
    prop::collection::btree_map(keys(), prop::collection::vec(any::<u8>(), 0..40), 0..24)
}

proptest! {
    #[test]
    fn the_root_is_the_definitions(records in records()) {
        prop_assert_eq!(Part::of(&parts(&records), 0), slow(&records, &mut Vec::new()));
    }

    #[test]
    fn every_key_is_shown_to_have_its_record_or_none(records in records(), key in keys()) {
        let root = Part::of(&parts(&records), 0).hash();
        let proof = prove(&records, &key);
        let value = records.get(&key).map(Vec::as_slice);
        prop_assert_eq!(proof.verify(&root, &key, value), Ok(()));
        let bytes = proof.to_bytes();
        prop_assert_eq!(MapProof::from_bytes(&bytes), Ok(proof.clone()));
        // And nothing else is.
        prop_assert!(proof.verify(&root, &key, Some(b"another value, longer than any")).is_err());
        if value.is_some() {
            prop_assert!(proof.verify(&root, &key, None).is_err());
        }
        for (other, value) in records.iter().filter(|(other, _)| **other != key) {
            prop_assert!(proof.verify(&root, other, Some(value)).is_err());
            if records.contains_key(&key) {
                prop_assert!(proof.verify(&root, other, None).is_err());
            }
        }
    }

    #[test]
    fn what_was_changed_is_refused(records in records(), key in keys(), at in any::<prop::sample::Index>(), bit in 0..8u8) {
        let root = Part::of(&parts(&records), 0).hash();
        let proof = prove(&records, &key);
        let value = records.get(&key).map(Vec::as_slice);
        for sibling in 0..proof.siblings.len() {
            let mut bent = proof.clone();
            bent.siblings[sibling].0[at.index(32)] ^= 1 << bit;
            prop_assert_eq!(bent.verify(&root, &key, value), Err(MapError::Root));
        }
        let mut short = proof.clone();
        if short.siblings.pop().is_some() {
            prop_assert!(short.verify(&root, &key, value).is_err());
        }
        let mut long = proof.clone();
        long.siblings.push(Hash([0; 32]));
        prop_assert!(long.verify(&root, &key, value).is_err() || long.siblings.len() > BITS);
    }
}

#[test]
fn an_absence_is_not_shown_by_a_record_elsewhere() {
    let records: Records = (0..32u8).map(|i| ([i << 3; 32], vec![i])).collect();
    let root = Part::of(&parts(&records), 0).hash();
    let (there, absent) = ([8; 32], [9; 32]);
    let of_absent = prove(&records, &absent);
    assert_eq!(of_absent.verify(&root, &absent, None), Ok(()));
    // The record's own way, said to be another's.
    let digest = value_digest(&records[&there]);
    let turned = MapProof {
        end: End::Other(there, digest),
        ..prove(&records, &there)
    };
    assert_eq!(turned.verify(&root, &there, None), Err(MapError::Astray));
    let far = [0xf8; 32];
    assert_eq!(turned.verify(&root, &far, None), Err(MapError::Astray));
    let endless = MapProof {
        end: End::Nothing,
        siblings: vec![Hash([0; 32]); BITS + 1],
    };
    assert_eq!(
        endless.verify(&root, &absent, None),
        Err(MapError::Long(BITS + 1))
    );
}

#[test]
fn bytes_that_are_no_proof_are_refused() {
    let records: Records = (0..32u8).map(|i| ([i << 3; 32], vec![i])).collect();
    for key in [[8; 32], [9; 32]] {
        let bytes = prove(&records, &key).to_bytes();
        assert!((0..bytes.len()).all(|cut| MapProof::from_bytes(&bytes[..cut]).is_err()));
        assert!(MapProof::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
        let mut end = bytes;
        end[0] = 3;
        assert!(MapProof::from_bytes(&end).is_err());
    }
    let endless = MapProof {
        end: End::Nothing,
        siblings: vec![Hash([0; 32]); BITS + 1],
    };
    assert!(MapProof::from_bytes(&endless.to_bytes()).is_err());
}

#[test]
fn an_empty_map_has_nothing() {
    let proof = prove(&Records::new(), &[7; 32]);
    assert_eq!(proof.siblings, []);
    assert_eq!(proof.verify(&Hash([0; 32]), &[7; 32], None), Ok(()));
}

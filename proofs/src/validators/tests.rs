//! Sets that make sense, and the weight that decides.

use super::*;
use crate::bls::SecretKey;

pub(crate) fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

/// Validators 1 to `count`, of these weights in turn.
fn some(powers: &[u64]) -> Vec<Validator> {
    let one = |(seed, power): (u8, &u64)| Validator {
        node: NodeId([seed; 32]),
        bls: key(seed).public(),
        power: *power,
    };
    (1..).zip(powers).map(one).collect()
}

#[test]
fn more_than_two_thirds_decide() {
    for (powers, quorum) in [
        (&[1][..], 1),
        (&[1, 1], 2),
        (&[1, 1, 1], 3),
        (&[1, 1, 1, 1], 3),
        (&[1; 7], 5),
        (&[10, 1, 1], 9),
        (&[1 << 62, (1 << 62) - 1], 6_148_914_691_236_517_205),
    ] {
        assert_eq!(ValidatorSet::new(some(powers)).unwrap().quorum(), quorum);
    }
}

#[test]
fn what_makes_no_set_is_refused() {
    let refused = |members| ValidatorSet::new(members).unwrap_err();
    assert_eq!(refused(Vec::new()), SetError::Count(0));
    assert_eq!(refused(vec![some(&[1])[0]; 129]), SetError::Count(129));
    assert_eq!(refused(vec![some(&[1])[0]; 2]), SetError::Order);
    let mut turned = some(&[1, 1]);
    turned.reverse();
    assert_eq!(refused(turned), SetError::Order);
    let mut twins = some(&[1, 1, 1]);
    twins[2].bls = twins[0].bls;
    assert_eq!(refused(twins), SetError::TwinKey);
    assert_eq!(refused(some(&[1, 0])), SetError::Power);
    assert_eq!(refused(some(&[u64::MAX, 1])), SetError::Power);
    assert_eq!(refused(some(&[1 << 62, 1 << 62])), SetError::Power);
}

#[test]
fn a_sets_hash_names_its_members_keys_and_weights() {
    let hash = |members| ValidatorSet::new(members).unwrap().hash();
    let base = hash(some(&[1, 2, 3]));
    assert_eq!(base, hash(some(&[1, 2, 3])));
    assert_ne!(base, hash(some(&[1, 2, 4])));
    assert_ne!(base, hash(some(&[1, 2])));
    let mut other = some(&[1, 2, 3]);
    other[1].bls = key(9).public();
    assert_ne!(base, hash(other));
}

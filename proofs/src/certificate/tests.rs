//! Certificates that hold, and all others.

use super::*;
use larder_types::NodeId;

const NET: GenesisHash = GenesisHash([1; 32]);

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

fn set(powers: &[u64]) -> ValidatorSet {
    let one = |(seed, power): (u8, &u64)| Validator {
        node: NodeId([seed; 32]),
        bls: key(seed).public(),
        power: *power,
    };
    ValidatorSet::new((1..).zip(powers).map(one).collect()).unwrap()
}

const BLOCK: Final = Final {
    height: 7,
    round: 1,
    block: BlockHash([8; 32]),
};

/// A certificate with the votes of the validators at these places.
fn signed(of: Final, places: &[u8], set: &ValidatorSet) -> Certificate {
    let vote = |place: &u8| (usize::from(*place), of.vote(&key(place + 1), &NET));
    let votes: Vec<_> = places.iter().map(vote).collect();
    Certificate::sum(of, &votes, set)
}

#[test]
fn more_than_two_thirds_make_a_block_final() {
    let set = set(&[1, 1, 1, 1]);
    assert_eq!(signed(BLOCK, &[0, 2, 3], &set).verify(&set, &NET), Ok(()));
    assert_eq!(
        signed(BLOCK, &[3, 2, 1, 0], &set).verify(&set, &NET),
        Ok(())
    );
    assert_eq!(
        signed(BLOCK, &[0, 3], &set).verify(&set, &NET),
        Err(CertificateError::Quorum { needed: 3, have: 2 })
    );
    let none = signed(BLOCK, &[], &set).verify(&set, &NET);
    assert_eq!(none, Err(CertificateError::Quorum { needed: 3, have: 0 }));
}

#[test]
fn weight_counts_and_not_heads() {
    let set = set(&[7, 1, 1, 1]);
    assert_eq!(signed(BLOCK, &[0], &set).verify(&set, &NET), Ok(()));
    assert_eq!(
        signed(BLOCK, &[1, 2, 3], &set).verify(&set, &NET),
        Err(CertificateError::Quorum { needed: 7, have: 3 })
    );
}

#[test]
fn a_certificate_is_of_one_block_set_and_network() {
    let set4 = set(&[1, 1, 1, 1]);
    let good = signed(BLOCK, &[0, 1, 2], &set4);
    for of in [
        Final { height: 8, ..BLOCK },
        Final { round: 2, ..BLOCK },
        Final {
            block: BlockHash([9; 32]),
            ..BLOCK
        },
    ] {
        let forged = Certificate { of, ..good.clone() };
        assert_eq!(forged.verify(&set4, &NET), Err(CertificateError::Signature));
    }
    let elsewhere = GenesisHash([2; 32]);
    let error = CertificateError::Signature;
    assert_eq!(good.verify(&set4, &elsewhere), Err(error));
    // A set of before, in which one validator was another.
    let mut members = set4.members().to_vec();
    members[1].bls = key(77).public();
    let stale = ValidatorSet::new(members).unwrap();
    assert_eq!(good.verify(&stale, &NET), Err(error));
    // Somebody who did not sign is said to have.
    let mut more = good.clone();
    more.signers[0] |= 8;
    assert_eq!(more.verify(&set4, &NET), Err(error));
    more.signers[0] |= 16;
    assert_eq!(more.verify(&set4, &NET), Err(CertificateError::Stranger));
    assert!(matches!(
        good.verify(&set(&[1; 9]), &NET),
        Err(CertificateError::Length { .. })
    ));
}

#[test]
fn a_key_made_of_others_keys_has_no_possession() {
    use ark_bls12_381::G1Affine;
    use ark_ec::{AffineRepr as _, CurveGroup as _};
    use ark_serialize::{CanonicalDeserialize as _, CanonicalSerialize as _};
    let point = |k: &PublicKey| G1Affine::deserialize_compressed(&k.to_bytes()[..]).unwrap();
    // Whoever registers own − others may sign for all of them alone: what possession is for.
    let (own, other) = (key(1), key(2));
    let rogue = (point(&own.public()).into_group() - point(&other.public())).into_affine();
    let mut bytes = [0; 48];
    rogue.serialize_compressed(&mut bytes[..]).unwrap();
    let rogue = PublicKey::from_bytes(&bytes).unwrap();
    let sum = PublicKey::sum([&rogue, &other.public()]).unwrap();
    assert!(BLOCK.is_voted(&sum, &NET, &BLOCK.vote(&own, &NET)));
    assert!(!rogue.is_possessed(&own.prove_possession()));
    assert!(own.public().is_possessed(&own.prove_possession()));
    assert!(!own.public().is_possessed(&other.prove_possession()));
    // Nor does a vote pass for one, nor one for a vote.
    assert!(!own.public().is_possessed(&BLOCK.vote(&own, &NET)));
}

#[test]
fn keys_that_cancel_out_sign_nothing() {
    assert_eq!(PublicKey::sum([]), None);
}

#[test]
fn a_hundred_validators_take_153_bytes_which_read_as_written() {
    let set = set(&[1; 100]);
    let places: Vec<u8> = (0..67).collect();
    let good = signed(BLOCK, &places, &set);
    let bytes = good.to_bytes();
    assert_eq!(bytes.len(), 153);
    assert_eq!(Certificate::from_bytes(&bytes, &set), Ok(good));
    for cut in [0, 7, 43, 139, 152] {
        assert!(Certificate::from_bytes(&bytes[..cut], &set).is_err());
    }
    assert!(Certificate::from_bytes(&[&bytes[..], &[0]].concat(), &set).is_err());
    let mut stranger = bytes;
    stranger[44 + 12] |= 0x80;
    assert_eq!(
        Certificate::from_bytes(&stranger, &set),
        Err(CertificateError::Stranger)
    );
}

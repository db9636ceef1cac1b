//! Ours beside a second implementation, blst: what one makes the other checks, and what one refuses
//! the other does too. Domains are the suite's, so that any BLS library checks what validators sign.

use super::*;
use ark_bls12_381::{Fq, Fq2};
use ark_ff::BigInteger as _;
use blst::min_pk;
use blst::{BLST_ERROR, BLST_ERROR::BLST_SUCCESS};

const NET: GenesisHash = GenesisHash([1; 32]);
const TAG: Tag = Tag("bls interop");

fn keys(seed: u8) -> (SecretKey, min_pk::SecretKey) {
    let ours = SecretKey::from_seed(&[seed; 32]);
    let theirs = min_pk::SecretKey::from_bytes(&ours.0.into_bigint().to_bytes_be()).unwrap();
    (ours, theirs)
}

fn message(bytes: &[u8]) -> [u8; 32] {
    sign_layout(TAG, &NET, bytes)
}

/// blst's verdict on a signature of ours, under a suite's domain.
fn theirs(signature: &Signature, domain: &[u8], message: &[u8], key: &PublicKey) -> BLST_ERROR {
    let key = min_pk::PublicKey::key_validate(&key.to_bytes()).unwrap();
    min_pk::Signature::sig_validate(&signature.to_bytes(), true)
        .unwrap()
        .verify(true, message, domain, &[], &key, true)
}

#[test]
fn keys_and_signatures_are_the_same_bytes() {
    for seed in 1..4 {
        let (ours, blst) = keys(seed);
        assert_eq!(ours.public().to_bytes(), blst.sk_to_pk().to_bytes());
        let theirs = blst.sign(&message(b"x"), SUITE, &[]);
        assert_eq!(ours.sign(TAG, &NET, b"x").to_bytes(), theirs.to_bytes());
        let possession = blst.sign(&ours.public().to_bytes(), POSSESSION, &[]);
        assert_eq!(ours.prove_possession().to_bytes(), possession.to_bytes());
    }
}

#[test]
fn each_checks_the_others_signatures() {
    let ((ours, blst), (other, _)) = (keys(1), keys(2));
    let signature = ours.sign(TAG, &NET, b"x");
    let (key, stranger) = (ours.public(), other.public());
    assert_eq!(
        theirs(&signature, SUITE, &message(b"x"), &key),
        BLST_SUCCESS
    );
    assert_ne!(
        theirs(&signature, SUITE, &message(b"y"), &key),
        BLST_SUCCESS
    );
    assert_ne!(
        theirs(&signature, SUITE, &message(b"x"), &stranger),
        BLST_SUCCESS
    );
    assert_ne!(
        theirs(&signature, POSSESSION, &message(b"x"), &key),
        BLST_SUCCESS
    );

    let made = blst.sign(&message(b"x"), SUITE, &[]).to_bytes();
    let made = Signature::from_bytes(&made).unwrap();
    assert!(key.verify(TAG, &NET, b"x", &made));
    assert!(!key.verify(TAG, &NET, b"y", &made));
}

#[test]
fn each_checks_the_others_possession() {
    let ((ours, blst), (other, _)) = (keys(1), keys(2));
    let (key, bytes) = (ours.public(), ours.public().to_bytes());
    let proof = ours.prove_possession();
    assert_eq!(theirs(&proof, POSSESSION, &bytes, &key), BLST_SUCCESS);
    assert_ne!(
        theirs(&proof, POSSESSION, &bytes, &other.public()),
        BLST_SUCCESS
    );
    let made = blst.sign(&bytes, POSSESSION, &[]).to_bytes();
    assert!(key.is_possessed(&Signature::from_bytes(&made).unwrap()));
    let as_message = blst.sign(&bytes, SUITE, &[]).to_bytes();
    assert!(!key.is_possessed(&Signature::from_bytes(&as_message).unwrap()));
}

#[test]
fn sums_of_signatures_and_of_keys_agree() {
    let pairs: Vec<_> = (1..=7).map(keys).collect();
    let publics: Vec<_> = pairs.iter().map(|(ours, _)| ours.public()).collect();
    let votes: Vec<_> = pairs.iter().map(|(k, _)| k.sign(TAG, &NET, b"x")).collect();
    let sum = Signature::sum(&votes);

    let blst_votes: Vec<_> = pairs
        .iter()
        .map(|(_, k)| k.sign(&message(b"x"), SUITE, &[]))
        .collect();
    let by_reference: Vec<_> = blst_votes.iter().collect();
    let blst_sum = min_pk::AggregateSignature::aggregate(&by_reference, true).unwrap();
    assert_eq!(sum.to_bytes(), blst_sum.to_signature().to_bytes());

    let blst_keys: Vec<_> = pairs.iter().map(|(_, k)| k.sk_to_pk()).collect();
    let all: Vec<_> = blst_keys.iter().collect();
    let read = min_pk::Signature::sig_validate(&sum.to_bytes(), true).unwrap();
    let fast =
        |keys: &[&min_pk::PublicKey]| read.fast_aggregate_verify(true, &message(b"x"), SUITE, keys);
    assert_eq!(fast(&all), BLST_SUCCESS);
    assert_ne!(fast(&all[1..]), BLST_SUCCESS);

    let key = PublicKey::sum(&publics).unwrap();
    assert!(key.verify(TAG, &NET, b"x", &sum));
    let fewer = PublicKey::sum(&publics[1..]).unwrap();
    assert!(!fewer.verify(TAG, &NET, b"x", &sum));
}

/// Whether each refuses these bytes as a public key.
fn refused_as_key(bytes: &[u8; 48]) -> [bool; 2] {
    let blst = min_pk::PublicKey::key_validate(bytes).is_err();
    [PublicKey::from_bytes(bytes).is_err(), blst]
}

/// Whether each refuses these bytes as a signature.
fn refused_as_signature(bytes: &[u8; 96]) -> [bool; 2] {
    let blst = min_pk::Signature::sig_validate(bytes, true).is_err();
    [Signature::from_bytes(bytes).is_err(), blst]
}

#[test]
fn both_refuse_points_outside_the_subgroup() {
    let mut seen = [0, 0];
    for x in 1..40_u64 {
        let point = G1Affine::get_point_from_x_unchecked(Fq::from(x), false);
        if let Some(point) = point.filter(|p| !p.is_in_correct_subgroup_assuming_on_curve()) {
            assert_eq!(refused_as_key(&PublicKey(point).to_bytes()), [true; 2]);
            seen[0] += 1;
        }
        let x = Fq2::new(Fq::from(x), Fq::from(1));
        let point = G2Affine::get_point_from_x_unchecked(x, false);
        if let Some(point) = point.filter(|p| !p.is_in_correct_subgroup_assuming_on_curve()) {
            let bytes = Signature(point).to_bytes();
            assert_eq!(refused_as_signature(&bytes), [true; 2]);
            seen[1] += 1;
        }
    }
    assert!(seen.iter().all(|seen| *seen > 5), "{seen:?}");
}

#[test]
fn both_refuse_infinity_and_what_is_not_canonical() {
    let good = SecretKey::from_seed(&[1; 32]);
    let (key, signature) = (good.public().to_bytes(), good.prove_possession().to_bytes());
    assert_eq!(refused_as_key(&key), [false; 2]);
    assert_eq!(refused_as_signature(&signature), [false; 2]);
    // The three flags: compressed, infinity, sign. Of the sign's two values both are good points, but
    // infinity has none, and no point may say that it is one.
    for flags in [0x00, 0x20, 0x40, 0x60, 0xc0, 0xe0] {
        let (mut key, mut signature) = (key, signature);
        (key[0], signature[0]) = (key[0] & 0x1f | flags, signature[0] & 0x1f | flags);
        assert_eq!(refused_as_key(&key), [true; 2], "{flags:x}");
        assert_eq!(refused_as_signature(&signature), [true; 2], "{flags:x}");
        let (mut key, mut signature) = ([0; 48], [0; 96]);
        (key[0], signature[0]) = (flags, flags);
        assert_eq!(refused_as_key(&key), [true; 2], "{flags:x}");
        assert_eq!(refused_as_signature(&signature), [true; 2], "{flags:x}");
    }
    for bytes in [[0x9f; 48], [0xbf; 48]] {
        assert_eq!(refused_as_key(&bytes), [true; 2], "x is p or more");
    }
}

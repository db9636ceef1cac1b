//! A wallet that follows, and every way in which it is lied to.

use super::*;
use crate::bls::SecretKey;
use crate::map::{MapError, MapProof, Part, value_digest};
use crate::state_proof::{Roots, StateProof, StateProofError, check_account, check_provider};
use crate::{Final, Validator};
use larder_types::{AccountId, NodeId};

const NET: GenesisHash = GenesisHash([1; 32]);
const DAY: u64 = 86_400_000;
const START: Time = Time(1_000 * DAY);

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

/// The validators of these seeds, in their order.
fn set(seeds: &[u8]) -> ValidatorSet {
    let member = |seed: &u8| Validator {
        node: NodeId([*seed; 32]),
        bls: key(*seed).public(),
        power: 1,
    };
    ValidatorSet::new(seeds.iter().map(member).collect()).unwrap()
}

/// The founders, and those who take over from them.
const OLD: [u8; 4] = [1, 2, 3, 4];
const NEW: [u8; 4] = [3, 4, 5, 6];

/// A block `day` days after the start, by one set and for the next.
fn header(height: u64, day: u64, own: &ValidatorSet, next: &ValidatorSet) -> Header {
    Header {
        height,
        round: 0,
        time: Time(START.0 + day * DAY),
        prev: BlockHash([9; 32]),
        proposer: NodeId([1; 32]),
        validators: own.hash(),
        next_validators: next.hash(),
        epoch: 0,
        slot: None,
        beacon: None,
        tx_root: Hash([2; 32]),
        verdict_root: Hash([3; 32]),
        state_root: Hash([4; 32]),
    }
}

/// The certificate with which these validators of `own` make a block final.
fn signed(header: &Header, signers: &[u8], own: &ValidatorSet, net: &GenesisHash) -> Vec<u8> {
    let of = Final {
        height: header.height,
        round: header.round,
        block: header.hash(),
    };
    let vote = |seed: &u8| {
        let place = own.place(&NodeId([*seed; 32])).unwrap();
        (place, of.vote(&key(*seed), net))
    };
    let votes: Vec<_> = signers.iter().map(vote).collect();
    Certificate::sum(of, &votes, own).to_bytes()
}

fn start() -> Trusted {
    Trusted::beginning(NET, START, set(&OLD))
}

fn on(day: u64) -> Time {
    Time(START.0 + day * DAY)
}

/// A block at which the founders hand over to the new ones, on day 3.
fn handover() -> (Header, Vec<u8>) {
    let header = header(40, 3, &set(&OLD), &set(&NEW));
    let certificate = signed(&header, &OLD[1..], &set(&OLD), &NET);
    (header, certificate)
}

/// Who has followed to the handover.
fn followed() -> Trusted {
    let (header, certificate) = handover();
    start()
        .advance(&header, &certificate, Some(set(&NEW)), on(4))
        .unwrap()
}

#[test]
fn it_follows_from_the_genesis_over_a_change_of_the_set_to_the_head() {
    let (old, new) = (set(&OLD), set(&NEW));
    // Within one set it skips what lies between.
    let early = header(7, 1, &old, &old);
    let certificate = signed(&early, &OLD[..3], &old, &NET);
    let trusted = start().advance(&early, &certificate, None, on(1)).unwrap();
    assert_eq!(
        trusted.checkpoint().to_string(),
        format!("7:{}", early.hash())
    );
    let (change, certificate) = handover();
    let trusted = trusted
        .advance(&change, &certificate, Some(new.clone()), on(4))
        .unwrap();
    assert_eq!(trusted, followed());
    let head = header(9_000, 16, &new, &new);
    let certificate = signed(&head, &NEW[..3], &new, &NET);
    let trusted = trusted.advance(&head, &certificate, None, on(16)).unwrap();
    assert_eq!((trusted.height, trusted.block), (9_000, head.hash()));
    // The same block again is no news, and no fault.
    let again = trusted.advance(&head, &certificate, None, on(17));
    assert_eq!(again, Ok(trusted));
}

#[test]
fn a_forged_certificate_is_refused() {
    let old = set(&OLD);
    let block = header(7, 1, &old, &old);
    let refused = |bytes: &[u8]| start().advance(&block, bytes, None, on(1)).unwrap_err();
    let good = signed(&block, &OLD[..3], &old, &NET);
    // Too few of them.
    let quorum = CertificateError::Quorum { needed: 3, have: 2 };
    let few = signed(&block, &OLD[..2], &old, &NET);
    assert_eq!(refused(&few), LightError::Certificate(quorum));
    // One more is said to have signed.
    let mut more = few;
    more[44] |= 4;
    let wrong = LightError::Certificate(CertificateError::Signature);
    assert_eq!(refused(&more), wrong);
    // Another block's.
    let other = Header {
        round: 3,
        ..block.clone()
    };
    let of_other = signed(&other, &OLD, &old, &NET);
    assert_eq!(refused(&of_other), LightError::OtherBlock);
    // Any bit of it.
    for bit in 0..8 * good.len() {
        let mut bent = good.clone();
        bent[bit / 8] ^= 1 << (bit % 8);
        if bit < 96 + 32 * 8 || bit % 29 == 0 {
            assert!(
                start().advance(&block, &bent, None, on(1)).is_err(),
                "bit {bit}"
            );
        }
    }
    assert!(start().advance(&block, &good, None, on(1)).is_ok());
}

#[test]
fn another_networks_blocks_are_refused() {
    let old = set(&OLD);
    let block = header(7, 1, &old, &old);
    let elsewhere = signed(&block, &OLD, &old, &GenesisHash([2; 32]));
    assert_eq!(
        start().advance(&block, &elsewhere, None, on(1)),
        Err(LightError::Certificate(CertificateError::Signature))
    );
}

#[test]
fn the_validators_that_come_after_must_be_those_that_the_block_names() {
    let (change, certificate) = handover();
    let next = LightError::NextSet { height: 40 };
    for given in [None, Some(set(&OLD)), Some(set(&[3, 4, 5, 7]))] {
        let result = start().advance(&change, &certificate, given, on(4));
        assert_eq!(result, Err(next));
    }
    let quiet = header(7, 1, &set(&OLD), &set(&OLD));
    let certificate = signed(&quiet, &OLD, &set(&OLD), &NET);
    assert_eq!(
        start().advance(&quiet, &certificate, Some(set(&NEW)), on(1)),
        Err(LightError::NextSet { height: 7 })
    );
}

#[test]
fn validators_who_left_sign_nothing_more() {
    let old = set(&OLD);
    // A long fork from before the handover, by keys that are worth nothing now.
    let fork = header(9_000, 10, &old, &old);
    let certificate = signed(&fork, &OLD, &old, &NET);
    assert_eq!(
        followed().advance(&fork, &certificate, None, on(10)),
        Err(LightError::OtherSet { height: 9_000 })
    );
    // It says that the new ones made it, but the old ones signed it.
    let new = set(&NEW);
    let claimed = header(9_000, 10, &new, &new);
    let of = Final {
        height: 9_000,
        round: 0,
        block: claimed.hash(),
    };
    let votes: Vec<_> = OLD
        .iter()
        .map(|s| (usize::from(*s) - 1, of.vote(&key(*s), &NET)))
        .collect();
    let forged = Certificate::sum(of, &votes, &new).to_bytes();
    assert_eq!(
        followed().advance(&claimed, &forged, None, on(10)),
        Err(LightError::Certificate(CertificateError::Signature))
    );
    // A stale set also cannot take the handover itself back.
    let back = header(41, 4, &old, &old);
    let back = Header {
        prev: followed().block,
        ..back
    };
    let certificate = signed(&back, &OLD, &old, &NET);
    assert_eq!(
        followed().advance(&back, &certificate, None, on(10)),
        Err(LightError::OtherSet { height: 41 })
    );
    // To whom only the genesis is known, they could show their fork; so it believes nobody once that is
    // long ago, the honest chain no more than the fork.
    let (change, honest) = handover();
    let late = on(15);
    let stale = LightError::Stale { height: 0 };
    assert_eq!(
        start().advance(&fork, &signed(&fork, &OLD, &old, &NET), None, late),
        Err(stale)
    );
    assert_eq!(
        start().advance(&change, &honest, Some(new), late),
        Err(stale)
    );
    assert!(stale.to_string().contains("--checkpoint HEIGHT:HASH"));
}

#[test]
fn trust_lasts_fourteen_days_and_a_checkpoint_renews_it() {
    let new = set(&NEW);
    let head = header(9_000, 17, &new, &new);
    let certificate = signed(&head, &NEW, &new, &NET);
    let old = followed();
    assert!(old.advance(&head, &certificate, None, on(17)).is_ok());
    let late = Time(on(17).0 + 1);
    let stale = LightError::Stale { height: 40 };
    assert_eq!(old.advance(&head, &certificate, None, late), Err(stale));

    let point = header(8_000, 16, &new, &new);
    let checkpoint: Checkpoint = format!("8000:{}", point.hash()).parse().unwrap();
    let renewed = Trusted::at(&checkpoint, NET, &point, new.clone()).unwrap();
    let trusted = renewed.advance(&head, &certificate, None, on(30)).unwrap();
    assert_eq!(trusted.height, 9_000);
    assert!(renewed.advance(&head, &certificate, None, on(31)).is_err());

    let other = Header {
        round: 1,
        ..point.clone()
    };
    let refused = |header, set| Trusted::at(&checkpoint, NET, header, set).unwrap_err();
    assert_eq!(
        refused(&other, new),
        LightError::Checkpoint { height: 8_000 }
    );
    let (height, old) = (8_000, set(&OLD));
    assert_eq!(refused(&point, old), LightError::NextSet { height });
    for bad in ["", "7", ":", "7:", "x:y", "7:zz", "-1:aa"] {
        assert_eq!(
            bad.parse::<Checkpoint>(),
            Err(ParseCheckpointError),
            "{bad}"
        );
    }
}

#[test]
fn another_block_where_one_is_trusted_is_a_fork() {
    let new = set(&NEW);
    let trusted = followed();
    let (change, _) = handover();
    let twin = Header { round: 1, ..change };
    let certificate = signed(&twin, &OLD, &set(&OLD), &NET);
    assert_eq!(
        trusted.advance(&twin, &certificate, Some(new.clone()), on(4)),
        Err(LightError::Fork { height: 40 })
    );
    // The next block follows the trusted one, or there are two of that too.
    let next = header(41, 4, &new, &new);
    let certificate = signed(&next, &NEW, &new, &NET);
    let fork = LightError::Fork { height: 41 };
    assert_eq!(trusted.advance(&next, &certificate, None, on(4)), Err(fork));
    let prev = trusted.block;
    let next = Header { prev, ..next };
    let certificate = signed(&next, &NEW, &new, &NET);
    assert!(trusted.advance(&next, &certificate, None, on(4)).is_ok());
}

#[test]
fn blocks_from_the_past_and_the_future_are_refused() {
    let new = set(&NEW);
    let trusted = followed();
    let advance = |block: &Header, now| {
        let certificate = signed(block, &NEW, &new, &NET);
        trusted.advance(block, &certificate, None, now)
    };
    let past = LightError::Past {
        got: 39,
        trusted: 40,
    };
    assert_eq!(advance(&header(39, 3, &new, &new), on(4)), Err(past));
    let backwards = header(50, 2, &new, &new);
    assert_eq!(advance(&backwards, on(4)), Err(LightError::Backwards));
    let mut future = header(50, 4, &new, &new);
    future.time = future.time.after(MAX_AHEAD).after(Millis(1));
    assert_eq!(advance(&future, on(4)), Err(LightError::Future));
    future.time = on(4).after(MAX_AHEAD);
    assert!(advance(&future, on(4)).is_ok());
}

/// Two accounts' records, and the proof of the first in a header's state.
fn shown() -> (Header, AccountId, StateProof) {
    let records = [
        ([7; 32], b"a thousand".to_vec()),
        ([200; 32], b"a million".to_vec()),
    ];
    let parts = records
        .clone()
        .map(|(key, value)| (key, Part::leaf(&key, &value)));
    let path = MapProof::of(&parts, &[7; 32], |place| value_digest(&records[place].1));
    let roots = Roots {
        accounts: Part::of(&parts, 0).hash(),
        providers: Part::Empty.hash(),
        rest: Hash([5; 32]),
    };
    let state_root = roots.state_root();
    let header = Header {
        state_root,
        ..header(7, 1, &set(&OLD), &set(&OLD))
    };
    let value = Some(records[0].1.clone());
    (
        header,
        AccountId([7; 32]),
        StateProof { value, path, roots },
    )
}

#[test]
fn a_balance_is_shown_and_a_forged_one_refused() {
    let (header, account, proof) = shown();
    assert_eq!(
        check_account(&header, &proof, &account),
        Ok(Some(&b"a thousand"[..]))
    );
    let refused = |proof: &StateProof| check_account(&header, proof, &account).unwrap_err();
    let root = StateProofError::Map(MapError::Root);
    let mut forged = proof.clone();
    forged.value = Some(b"a million".to_vec());
    assert_eq!(refused(&forged), root);
    // Neither as nobody's, nor as another's, nor as a provider's.
    forged.value = None;
    assert_eq!(refused(&forged), StateProofError::Map(MapError::Other));
    let other = AccountId([200; 32]);
    assert_eq!(check_account(&header, &proof, &other), Err(root));
    let provider = NodeId([7; 32]);
    assert_eq!(check_provider(&header, &proof, &provider), Err(root));
    // A state that was made for it is not the header's.
    let mut elsewhere = proof.clone();
    elsewhere.roots.accounts = Part::leaf(&account.0, b"a million").hash();
    elsewhere.value = Some(b"a million".to_vec());
    assert_eq!(refused(&elsewhere), StateProofError::State);
    for part in [
        &mut elsewhere.roots.accounts,
        &mut elsewhere.roots.providers,
    ] {
        *part = Hash([8; 32]);
    }
    assert_eq!(refused(&elsewhere), StateProofError::State);
}

//! Who is convicted by which blob: nobody but the signer of a wrong answer to the ledger's own
//! question.

use super::*;
use crate::blob::tag;
use crate::testing::{NET, challenge, key, provider};
use crate::{Commitment, ContentTree, Plan, PlanError, ProviderTree, audit_seed, prove};
use larder_types::ContractId;

fn three_contracts() -> (Commitment, crate::testing::Memory) {
    provider(&[(100, vec![1, 2, 1]), (300, vec![3]), (50, vec![])])
}

fn id(commitment: &Commitment, place: u32) -> ContractId {
    commitment.tree.get(place).unwrap().contract_id
}

/// A blob that was bent in its last byte before the signature and signed as `kind`.
fn wrong(blob: &[u8], kind: Kind, genesis: &GenesisHash) -> Vec<u8> {
    let mut blob = blob.to_vec();
    let at = blob.len() - SIGNATURE;
    blob[at - 1] ^= 1;
    let signature = key().sign(tag(kind), genesis, &blob[..at]);
    blob[at..].copy_from_slice(&signature.0);
    blob
}

/// Every question that this provider may be asked in one slot.
fn questions(commitment: &Commitment) -> Vec<Challenge> {
    let drawn = challenge(&commitment.tree, 5, 16);
    let audit = Challenge::audit(&NET, key().node(), &commitment.tree, drawn.beacon, 16);
    let mut all = vec![drawn, audit];
    for place in 0..2 {
        all.push(drawn.targeted(place, &id(commitment, place), 16));
        all.push(audit.of_contract(place));
    }
    all
}

#[test]
fn a_wrong_answer_to_the_ledgers_question_convicts() {
    let (commitment, memory) = three_contracts();
    for asked in questions(&commitment) {
        let blob = prove(&commitment, &asked, &memory, &key(), &NET).unwrap();
        assert_eq!(verify(&blob, &asked, &NET), Ok(()), "{asked:?}");
        assert!(!convicts(&blob, &asked, &NET), "it is right: {asked:?}");
        let wrong = wrong(&blob, asked.kind, &NET);
        assert!(verify(&wrong, &asked, &NET).unwrap_err().is_fault());
        let evidence = asked.kind == Kind::Ledger;
        assert_eq!(convicts(&wrong, &asked, &NET), evidence, "{asked:?}");
        let unsigned = [&wrong[..wrong.len() - SIGNATURE], &[0; SIGNATURE]].concat();
        assert!(!convicts(&unsigned, &asked, &NET), "{asked:?}");
    }
}

/// No honest answer to one question is evidence in another's case.
fn no_answer_convicts_elsewhere(from: impl Fn(&Challenge) -> bool) {
    let (commitment, memory) = three_contracts();
    let questions = questions(&commitment);
    for asked in questions.iter().filter(|asked| from(asked)) {
        let blob = prove(&commitment, asked, &memory, &key(), &NET).unwrap();
        for other in questions.iter().filter(|other| *other != asked) {
            let limited = other.of_contract(asked.contract.unwrap_or(0));
            for case in [*other, limited] {
                assert!(!convicts(&blob, &case, &NET), "{asked:?} as {case:?}");
            }
        }
        // Nor with the format's name changed, which anyone can do.
        let mut renamed = blob.clone();
        renamed[3] ^= b'1' ^ b'2';
        for case in &questions {
            assert!(!convicts(&renamed, case, &NET), "{asked:?} as {case:?}");
            assert!(verify(&renamed, case, &NET).is_err());
        }
    }
}

#[test]
fn an_honest_audit_answer_posted_as_evidence_convicts_nobody() {
    no_answer_convicts_elsewhere(|asked| asked.kind == Kind::Audit);
    // The strongest try: an audit with the ledger's own beacon, slot and index, of a tree that
    // the ledger does not hold active, so that the answer would be wrong there.
    let (commitment, memory) = three_contracts();
    let asked = challenge(&commitment.tree, 5, 16);
    let audit = Challenge {
        kind: Kind::Audit,
        ..asked
    };
    let blob = prove(&commitment, &audit, &memory, &key(), &NET).unwrap();
    for c in [15, 16] {
        let posed = Challenge { c, ..asked };
        let mut forged = header(&posed);
        forged.extend_from_slice(&blob[forged.len()..]);
        let refused = verify(&forged, &posed, &NET);
        assert_eq!(refused, Err(VerifyError::BadSignature));
        assert!(!convicts(&forged, &posed, &NET));
    }
}

#[test]
fn an_answer_to_a_targeted_challenge_posted_as_evidence_of_the_draw_convicts_nobody() {
    no_answer_convicts_elsewhere(|asked| asked.kind == Kind::Ledger && asked.contract.is_some());
}

#[test]
fn an_answer_to_the_draw_posted_as_evidence_of_a_targeted_challenge_convicts_nobody() {
    no_answer_convicts_elsewhere(|asked| asked.kind == Kind::Ledger && asked.contract.is_none());
}

#[test]
fn an_answer_for_one_contract_posted_as_evidence_of_another_convicts_nobody() {
    let (commitment, memory) = three_contracts();
    let drawn = challenge(&commitment.tree, 5, 16);
    let (first, second) = (
        drawn.targeted(0, &id(&commitment, 0), 4),
        drawn.targeted(1, &id(&commitment, 1), 4),
    );
    let blob = prove(&commitment, &first, &memory, &key(), &NET).unwrap();
    assert!(!convicts(&blob, &second, &NET));
    // Nor if the same contract has another place, or another has its place, in another epoch's tree.
    assert!(!convicts(
        &blob,
        &drawn.targeted(0, &id(&commitment, 1), 4),
        &NET
    ));
}

#[test]
fn a_wrong_proof_of_another_network_or_slot_convicts_nobody() {
    let (commitment, memory) = three_contracts();
    let elsewhere = GenesisHash([9; 32]);
    for asked in questions(&commitment) {
        if asked.kind == Kind::Audit {
            continue;
        }
        let blob = prove(&commitment, &asked, &memory, &key(), &NET).unwrap();
        let here = wrong(&blob, asked.kind, &NET);
        assert!(convicts(&here, &asked, &NET));
        assert!(!convicts(&here, &asked, &elsewhere));
        let there = wrong(&blob, asked.kind, &elsewhere);
        assert!(!convicts(&there, &asked, &NET));
        for other in [
            Challenge {
                slot_no: 6,
                ..asked
            },
            Challenge {
                beacon: [0; 32],
                ..asked
            },
            Challenge { c: 15, ..asked },
            Challenge {
                provider_index: 4,
                ..asked
            },
        ] {
            assert!(!convicts(&here, &other, &NET), "{other:?}");
        }
        let mut other_root = asked;
        other_root.active.hash.0[0] ^= 1;
        assert!(!convicts(&here, &other_root, &NET));
    }
}

#[test]
fn a_friends_contract_of_no_weight_is_audited_all_the_same() {
    let (commitment, memory) = provider(&[(0, vec![1, 2]), (0, vec![1])]);
    let whole = Challenge::audit(&NET, key().node(), &commitment.tree, [7; 32], 8);
    let refused = prove(&commitment, &whole, &memory, &key(), &NET).unwrap_err();
    assert_eq!(
        refused,
        PlanError::Unanswerable { draws: 8, sum: 0 }.into(),
        "nothing is drawn by a weight of 0"
    );
    for place in 0..2 {
        let asked = whole.of_contract(place);
        let blob = prove(&commitment, &asked, &memory, &key(), &NET).unwrap();
        assert_eq!(verify(&blob, &asked, &NET), Ok(()));
        let picks = Plan::new(&commitment, &asked).unwrap();
        assert!(picks.picks().iter().all(|pick| pick.contract == place));
    }
    let beyond = whole.of_contract(2);
    let refused = prove(&commitment, &beyond, &memory, &key(), &NET).unwrap_err();
    assert_eq!(refused, PlanError::Unanswerable { draws: 8, sum: 0 }.into());
    assert_eq!(verify(&[], &beyond, &NET), Err(VerifyError::Unanswerable));
}

#[test]
fn an_owner_audits_by_the_leaf_that_it_knows() {
    // The owner holds one leaf and the provider's key; the provider finds the same leaf.
    let (commitment, memory) = three_contracts();
    let leaf = *commitment.tree.get(1).unwrap();
    let seed = audit_seed(&[1; 32], &[2; 32]);
    let tree = ProviderTree::of_one(leaf);
    let asked = Challenge::audit(&NET, key().node(), &tree, seed, 4).of_contract(0);
    let content = commitment.contents[&leaf.contract_id].clone();
    let alone = Commitment {
        tree,
        contents: [(leaf.contract_id, content)].into(),
    };
    let blob = prove(&alone, &asked, &memory, &key(), &NET).unwrap();
    assert_eq!(verify(&blob, &asked, &NET), Ok(()));
    // An answer that shows another leaf, such as one whose rotten shard is left out, is none.
    let mut fewer = ContentTree::new();
    fewer
        .push(alone.contents[&leaf.contract_id].leaves()[0])
        .unwrap();
    let bent = crate::testing::leaf(leaf.contract_id, 7, &fewer);
    let asked = Challenge {
        active: (&bent).into(),
        ..asked
    };
    assert_eq!(
        verify(&blob, &asked, &NET),
        Err(VerifyError::OtherChallenge)
    );
}

#[test]
fn an_audits_seed_takes_both_halves() {
    let seed = audit_seed(&[1; 32], &[2; 32]);
    assert_ne!(seed, audit_seed(&[2; 32], &[1; 32]));
    assert_ne!(seed, audit_seed(&[1; 32], &[3; 32]));
    assert_ne!(seed, audit_seed(&[3; 32], &[2; 32]));
}

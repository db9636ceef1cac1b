//! Proofs made and checked, bent and refused; and the reference model's vectors.

use super::*;
use crate::blob::tag;
use crate::testing::{NET, challenge, key, leaf, provider, shard_bytes};
use crate::{
    Commitment, ContentTree, Pick, Plan, PlanError, ProveError, ProviderTree, ShardHasher, prove,
};
use larder_keys::Signer;
use larder_types::{Amount, ContractId, NodeId, ShardRoot};
use proptest::prelude::*;

fn three_contracts() -> (Commitment, crate::testing::Memory) {
    provider(&[(100, vec![1, 2, 1]), (300, vec![3]), (50, vec![])])
}

/// Signs a bent body anew, as a cheating provider would.
fn resign(blob: &mut [u8]) {
    let at = blob.len() - SIGNATURE;
    let signature = key().sign(tag(Kind::Ledger), &NET, &blob[..at]);
    blob[at..].copy_from_slice(&signature.0);
}

/// A flipped bit is refused: signed anew, as a cheat would, it convicts him, unless it is in the
/// header, where it answers something else; not signed, it says nothing of the provider.
fn check_flip(blob: &[u8], asked: &Challenge, bit: usize) {
    let mut bent = blob.to_vec();
    bent[bit / 8] ^= 1 << (bit % 8);
    let refused = verify(&bent, asked, &NET).unwrap_err();
    assert!(!refused.is_fault(), "bit {bit}: anyone can bend a bit");
    let at = blob.len() - SIGNATURE;
    if bit / 8 < at {
        let signature = key().sign(tag(asked.kind), &NET, &bent[..at]);
        bent[at..].copy_from_slice(&signature.0);
        let refused = verify(&bent, asked, &NET).unwrap_err();
        let in_header = bit / 8 < header(asked).len();
        assert_eq!(refused.is_fault(), !in_header, "bit {bit}: {refused}");
        let convicts = asked.kind == Kind::Ledger && !in_header;
        assert_eq!(crate::convicts(&bent, asked, &NET), convicts, "bit {bit}");
    }
}

/// The draw, a targeted challenge and both audits of this tree.
fn each_kind(commitment: &Commitment, c: u8) -> [Challenge; 4] {
    let drawn = challenge(&commitment.tree, 5, c);
    let audit = Challenge::audit(&NET, key().node(), &commitment.tree, [9; 32], c);
    let id = commitment.tree.get(1).unwrap().contract_id;
    [
        drawn,
        drawn.targeted(1, &id, c),
        audit,
        audit.of_contract(1),
    ]
}

#[test]
fn any_flipped_bit_of_a_small_proof_is_refused() {
    let (commitment, memory) = provider(&[(100, vec![1, 2]), (300, vec![1, 1])]);
    for asked in each_kind(&commitment, 1) {
        let blob = prove(&commitment, &asked, &memory, &key(), &NET).unwrap();
        assert_eq!(verify(&blob, &asked, &NET), Ok(()));
        for bit in 0..8 * blob.len() {
            check_flip(&blob, &asked, bit);
        }
    }
}

#[test]
fn flipped_bits_all_over_a_large_proof_are_refused() {
    let contracts: Vec<_> = (1..40).map(|n| (n, vec![1, 3, 2])).collect();
    let (commitment, memory) = provider(&contracts);
    for asked in each_kind(&commitment, 16) {
        let blob = prove(&commitment, &asked, &memory, &key(), &NET).unwrap();
        assert_eq!(verify(&blob, &asked, &NET), Ok(()));
        // A step without a common divisor with 8 meets all bits of a byte.
        for bit in (0..8 * blob.len()).step_by(251) {
            check_flip(&blob, &asked, bit);
        }
    }
}

#[test]
fn what_is_cut_or_longer_is_refused() {
    let (commitment, memory) = provider(&[(100, vec![1, 2]), (300, vec![1])]);
    let asked = challenge(&commitment.tree, 5, 3);
    let blob = prove(&commitment, &asked, &memory, &key(), &NET).unwrap();
    for len in 0..blob.len() {
        assert!(verify(&blob[..len], &asked, &NET).is_err(), "cut at {len}");
        let mut cut = blob[..len].to_vec();
        if len > SIGNATURE {
            resign(&mut cut);
            assert!(verify(&cut, &asked, &NET).is_err(), "cut at {len}, signed");
        }
    }
    let mut longer = blob.clone();
    longer.insert(blob.len() - SIGNATURE, 0);
    resign(&mut longer);
    let body = blob.len() - SIGNATURE - header(&asked).len();
    let refused = DecodeError::Field {
        field: "trailing bytes",
        offset: body,
    };
    assert_eq!(verify(&longer, &asked, &NET), Err(refused.into()));
}

#[test]
fn contracts_out_of_order_or_shown_twice_are_refused() {
    let (commitment, memory) = provider(&[(100, vec![1]), (100, vec![1])]);
    let asked = challenge(&commitment.tree, 5, 16);
    let blob = prove(&commitment, &asked, &memory, &key(), &NET).unwrap();
    let first = header(&asked).len() + 2;
    let item = 4 + ContractLeaf::LEN;
    let (one, two) = (first..first + item, first + item..first + 2 * item);
    let refused = |bend: &dyn Fn(&mut Vec<u8>)| {
        let mut bent = blob.clone();
        bend(&mut bent);
        resign(&mut bent);
        let refused = verify(&bent, &asked, &NET).unwrap_err();
        assert!(refused.is_fault());
        refused
    };
    let at = |offset| {
        VerifyError::from(DecodeError::Field {
            field: "contracts",
            offset,
        })
    };
    let order = at(2 + item);
    let swapped = [&blob[two.clone()], &blob[one.clone()]].concat();
    let swap = |b: &mut Vec<u8>| b[first..first + 2 * item].copy_from_slice(&swapped);
    assert_eq!(refused(&swap), order);
    let twice = |b: &mut Vec<u8>| b.copy_within(one.clone(), two.start);
    assert_eq!(refused(&twice), order);
    // A place beyond the tree.
    let beyond = |b: &mut Vec<u8>| b[two.start] = 2;
    assert_eq!(refused(&beyond), at(2 + item + 4));
    let none = |b: &mut Vec<u8>| b[first - 2] = 0;
    assert_eq!(refused(&none), at(2));
}

#[test]
fn sums_that_overflow_are_refused() {
    let contracts: Vec<_> = (0..4).map(|n| (100 + n, vec![1, 1])).collect();
    let (commitment, memory) = provider(&contracts);
    let asked = challenge(&commitment.tree, 5, 1);
    let blob = prove(&commitment, &asked, &memory, &key(), &NET).unwrap();
    let siblings = header(&asked).len() + 2 + 4 + ContractLeaf::LEN + 2;
    let mut rich = blob.clone();
    rich[siblings + 32..siblings + 40].copy_from_slice(&u64::MAX.to_le_bytes());
    resign(&mut rich);
    assert_eq!(verify(&rich, &asked, &NET), Err(VerifyError::OtherRoot));
    let shards = siblings + 2 * ProviderRoot::LEN + 2 + 4 + ShardLeaf::LEN + 2;
    let mut long = blob;
    long[shards + 32..shards + 40].copy_from_slice(&u64::MAX.to_le_bytes());
    resign(&mut long);
    let refused = verify(&long, &asked, &NET).unwrap_err();
    assert!(
        matches!(refused, VerifyError::OtherContent { .. }),
        "{refused}"
    );
}

#[test]
fn a_proof_answers_its_own_challenge_only() {
    let (commitment, memory) = three_contracts();
    let asked = challenge(&commitment.tree, 5, 16);
    let blob = prove(&commitment, &asked, &memory, &key(), &NET).unwrap();
    assert_eq!(verify(&blob, &asked, &NET), Ok(()));
    let mut other_sum = asked;
    other_sum.active.sum += 1;
    let mut other_end = asked;
    other_end.active.min_end -= 1;
    let mut other_hash = asked;
    other_hash.active.hash.0[0] ^= 1;
    let others = [
        Challenge {
            depth: 200,
            ..asked
        },
        Challenge {
            slot_no: 6,
            ..asked
        },
        Challenge {
            beacon: [0; 32],
            ..asked
        },
        Challenge {
            provider_index: 4,
            ..asked
        },
        Challenge {
            provider: NodeId([7; 32]),
            ..asked
        },
        Challenge {
            depth: asked.depth + 1,
            ..asked
        },
        Challenge {
            depth: asked.depth - 1,
            ..asked
        },
        Challenge { c: 15, ..asked },
        Challenge {
            chain_id: 9,
            ..asked
        },
        Challenge {
            kind: Kind::Audit,
            ..asked
        },
        asked.of_contract(0),
        asked.targeted(1, &ContractId([1; 32]), 16),
        other_sum,
        other_end,
        other_hash,
    ];
    for other in others {
        assert!(verify(&blob, &other, &NET).is_err(), "{other:?}");
    }
    let elsewhere = GenesisHash([9; 32]);
    assert_eq!(
        verify(&blob, &asked, &elsewhere),
        Err(VerifyError::BadSignature)
    );
}

#[test]
fn a_proof_from_another_tree_is_a_fault() {
    // The provider claims a higher rate than the ledger has, and signs the rest as it should be.
    let (mut commitment, memory) = three_contracts();
    let asked = challenge(&commitment.tree, 5, 16);
    let mut leaf = *commitment.tree.get(1).unwrap();
    leaf.rate = Amount(leaf.rate.0 + 1);
    commitment.tree.replace(1, leaf).unwrap();
    let greedy = challenge(&commitment.tree, 5, 16);
    let mut blob = prove(&commitment, &greedy, &memory, &key(), &NET).unwrap();
    assert_eq!(
        verify(&blob, &asked, &NET),
        Err(VerifyError::OtherChallenge)
    );
    let header = header(&asked);
    blob[..header.len()].copy_from_slice(&header);
    resign(&mut blob);
    assert_eq!(verify(&blob, &asked, &NET), Err(VerifyError::OtherRoot));
}

#[test]
fn unanswerable_challenges_are_refused_on_both_sides() {
    let (commitment, memory) = three_contracts();
    let none = Commitment::default();
    for (commitment, c) in [(&commitment, 0), (&commitment, 65), (&none, 16)] {
        let asked = challenge(&commitment.tree, 5, c);
        let refused = prove(commitment, &asked, &memory, &key(), &NET).unwrap_err();
        let (draws, sum) = (c, asked.active.sum);
        assert_eq!(refused, PlanError::Unanswerable { draws, sum }.into());
        assert_eq!(verify(&[], &asked, &NET), Err(VerifyError::Unanswerable));
    }
}

#[test]
fn an_empty_contract_passes_vacuously() {
    let (commitment, memory) = provider(&[(7, vec![])]);
    let asked = challenge(&commitment.tree, 1, 16);
    let blob = prove(&commitment, &asked, &memory, &key(), &NET).unwrap();
    assert_eq!(verify(&blob, &asked, &NET), Ok(()));
    assert_eq!(blob.len(), 81 + (2 + 244 + 2) + 4 + 64);
}

#[test]
fn what_is_missing_or_damaged_is_never_signed() {
    let (commitment, memory) = three_contracts();
    let asked = challenge(&commitment.tree, 5, 16);
    let try_with = |memory: &crate::testing::Memory| {
        prove(&commitment, &asked, memory, &key(), &NET).unwrap_err()
    };
    for leaf in Plan::new(&commitment, &asked).unwrap().shards() {
        let shard = leaf.root;
        let mut without = memory.clone();
        without.0.remove(&shard);
        let source = crate::testing::Absent;
        assert_eq!(try_with(&without), ProveError::Read { shard, source });

        let mut rotten = memory.clone();
        for byte in &mut rotten.0.get_mut(&shard).unwrap().0 {
            *byte ^= 1;
        }
        let refused = try_with(&rotten);
        assert!(matches!(refused, ProveError::Damaged { shard: s, .. } if s == shard));

        let mut swapped = memory.clone();
        let mut hasher = ShardHasher::new();
        hasher.update(&vec![0; usize::try_from(leaf.chunks).unwrap() * CHUNK]);
        let zeros = hasher.finalize().1;
        swapped.0.get_mut(&shard).unwrap().1 = zeros;
        let refused = try_with(&swapped);
        let caught = matches!(
            refused,
            ProveError::BadOutboard { .. } | ProveError::Damaged { .. }
        );
        assert!(caught, "{refused}");
    }
    let stranger = Signer::from_seed(&[8; 32]);
    let refused = prove(&commitment, &asked, &memory, &stranger, &NET).unwrap_err();
    assert_eq!(refused, ProveError::OtherKey);
    let mut moved_on = commitment.clone();
    moved_on.tree.remove(0).unwrap();
    let refused = prove(&moved_on, &asked, &memory, &key(), &NET).unwrap_err();
    assert_eq!(refused, PlanError::OtherTree.into());
    let mut forgotten = commitment.clone();
    forgotten.contents.clear();
    assert!(prove(&forgotten, &asked, &memory, &key(), &NET).is_err());
}

#[test]
fn a_list_that_has_grown_since_still_answers() {
    let (mut commitment, mut memory) = three_contracts();
    let asked = challenge(&commitment.tree, 5, 16);
    for content in commitment.contents.values_mut() {
        content
            .push(memory.put(shard_bytes(9, 9, 16_384), [0; 8]))
            .unwrap();
    }
    let blob = prove(&commitment, &asked, &memory, &key(), &NET).unwrap();
    assert_eq!(verify(&blob, &asked, &NET), Ok(()));
}

#[test]
fn what_was_declared_lost_is_not_asked_for() {
    let (mut commitment, mut memory) = provider(&[(7, vec![1, 2, 1, 3, 1])]);
    let id = ContractId([0; 32]);
    let content = commitment.contents.get_mut(&id).unwrap();
    for index in [1, 2, 4] {
        let lost = content.clear(index).unwrap();
        memory.0.remove(&lost.root);
    }
    let leaf = leaf(id, 7, content);
    assert_eq!((leaf.depth, leaf.used_chunks), (3, 64));
    commitment.tree.replace(0, leaf).unwrap();
    // One more since, which the leaf does not know: found by root, after the holes.
    let later = memory.put(shard_bytes(9, 9, 16_384), [0; 8]);
    commitment
        .contents
        .get_mut(&id)
        .unwrap()
        .push(later)
        .unwrap();
    for slot in 0..20 {
        let asked = challenge(&commitment.tree, slot, 16);
        let blob = prove(&commitment, &asked, &memory, &key(), &NET).unwrap();
        assert_eq!(verify(&blob, &asked, &NET), Ok(()));
    }
}

#[test]
fn counts_beyond_the_draws_are_refused() {
    let (commitment, memory) = three_contracts();
    let asked = challenge(&commitment.tree, 5, 2);
    let mut blob = prove(&commitment, &asked, &memory, &key(), &NET).unwrap();
    let at = header(&asked).len();
    blob[at..at + 2].copy_from_slice(&u16::MAX.to_le_bytes());
    resign(&mut blob);
    let refused = DecodeError::Field {
        field: "contracts",
        offset: 0,
    };
    assert_eq!(verify(&blob, &asked, &NET), Err(refused.into()));
    let huge = [blob, vec![0; MAX_BLOB]].concat();
    assert_eq!(
        verify(&huge, &asked, &NET),
        Err(VerifyError::OtherChallenge)
    );
}

#[test]
fn showing_more_than_the_draws_ask_is_refused() {
    // Proofs of c draws and of c + 1 draws differ in the header's c alone, where the last draw
    // names a place of its own.
    let (commitment, memory) = provider(&[(100, vec![8, 8])]);
    let asked = challenge(&commitment.tree, 5, 4);
    let more = Challenge { c: 5, ..asked };
    let picks = Plan::new(&commitment, &more).unwrap().picks().to_vec();
    assert!(!picks[..4].contains(&picks[4]), "choose another slot");
    let mut blob = prove(&commitment, &more, &memory, &key(), &NET).unwrap();
    blob[48] = 4;
    resign(&mut blob);
    // Its counts are beyond the draws, or, with them allowed, it is unused.
    assert!(verify(&blob, &asked, &NET).unwrap_err().is_fault());
    let fewer = prove(&commitment, &asked, &memory, &key(), &NET).unwrap();
    let mut short = fewer;
    short[48] = 5;
    resign(&mut short);
    let refused = verify(&short, &more, &NET);
    assert_eq!(refused, Err(VerifyError::Unanswered { draw: 4 }));
    // With a duplicate among the draws there is room for one more.
    let (small, memory) = provider(&[(100, vec![1])]);
    let asked = (0..)
        .map(|slot| challenge(&small.tree, slot, 4))
        .find(|asked| {
            let mut five = Plan::new(&small, &Challenge { c: 5, ..*asked })
                .unwrap()
                .picks()
                .to_vec();
            let last = five.pop();
            five.sort();
            five.dedup();
            five.len() < 4 && !five.contains(&last.unwrap())
        })
        .unwrap();
    let mut blob = prove(&small, &Challenge { c: 5, ..asked }, &memory, &key(), &NET).unwrap();
    blob[48] = 4;
    resign(&mut blob);
    assert_eq!(verify(&blob, &asked, &NET), Err(VerifyError::Unused));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_honest_proof_is_good(
        contracts in prop::collection::vec((0u64..1_000, prop::collection::vec(1usize..4, 0..6)), 1..9),
        slot in any::<u64>(),
        c in 1u8..=64,
    ) {
        let (commitment, memory) = provider(&contracts);
        prop_assume!(commitment.tree.root().sum > 0);
        let asked = challenge(&commitment.tree, slot, c);
        let blob = prove(&commitment, &asked, &memory, &key(), &NET).unwrap();
        prop_assert_eq!(verify(&blob, &asked, &NET), Ok(()));
        prop_assert!(blob.len() <= MAX_BLOB);
        // The picks are those of a slow walk: contracts laid end to end, chunks laid end to end.
        let plan = Plan::new(&commitment, &asked).unwrap();
        for (pick, (u, v)) in plan.picks().iter().zip(asked.draws()) {
            let mut at = scale(u, asked.active.sum);
            let (index, leaf) = commitment.tree.iter().find(|(_, leaf)| {
                let here = at < leaf.rate.0;
                if !here { at -= leaf.rate.0; }
                here
            }).unwrap();
            prop_assert_eq!(pick.contract, index);
            let mut at = scale(v, leaf.used_chunks);
            let content = &commitment.contents[&leaf.contract_id];
            let place = (0..).zip(content.leaves()).find(|(_, shard)| {
                let here = at < shard.chunks;
                if !here { at -= shard.chunks; }
                here
            }).map(|(shard, _)| (shard, u32::try_from(at).unwrap()));
            prop_assert_eq!(pick.place, place);
        }
    }

    #[test]
    fn rubbish_with_a_good_signature_is_refused(body in prop::collection::vec(any::<u8>(), 0..2_000)) {
        let (commitment, _) = three_contracts();
        let asked = challenge(&commitment.tree, 5, 16);
        let mut blob = [header(&asked), body, vec![0; SIGNATURE]].concat();
        resign(&mut blob);
        prop_assert!(verify(&blob, &asked, &NET).unwrap_err().is_fault());
    }
}

/// `reference/provider_tree.py`'s commitment, challenge and picks.
#[test]
fn the_reference_models_vectors_come_out() {
    let text = include_str!("../../vectors/provider_tree.vectors.json");
    let v: serde_json::Value = serde_json::from_str(text).unwrap();
    let hex32 = |v: &serde_json::Value| -> [u8; 32] {
        hex::decode(v.as_str().unwrap())
            .unwrap()
            .try_into()
            .unwrap()
    };
    for (name, wanted) in v["contexts"].as_object().unwrap() {
        let ours = crate::hashes::KEYS.iter().find(|(ours, _)| ours == name);
        assert_eq!(hex32(wanted), ours.unwrap().1(), "{name}");
    }
    assert_eq!(hex32(&v["empty_ptree"]), ProviderTree::new().root().hash.0);
    assert_eq!(hex32(&v["empty_ctree"]), ContentTree::new().root().0);

    let mut memory = crate::testing::Memory::default();
    let mut commitment = Commitment::default();
    for (c, contract) in (0u32..).zip(v["contracts"].as_array().unwrap()) {
        let mut content = ContentTree::new();
        for (s, shard) in (0u32..).zip(contract["shards"].as_array().unwrap()) {
            let len = usize::try_from(shard["len"].as_u64().unwrap()).unwrap();
            let tag = hex::decode(shard["tag"].as_str().unwrap())
                .unwrap()
                .try_into()
                .unwrap();
            let leaf = memory.put(shard_bytes(c, s, len), tag);
            assert_eq!(leaf.root, ShardRoot(hex32(&shard["root"])));
            assert_eq!(ShardLeaf::from_bytes(&leaf.to_bytes()), Ok(leaf));
            content.push(leaf).unwrap();
        }
        assert_eq!(content.root().0, hex32(&contract["content_root"]));
        let bytes = hex::decode(contract["leaf"].as_str().unwrap()).unwrap();
        let leaf = ContractLeaf::from_bytes(&bytes).unwrap();
        assert_eq!(leaf.to_bytes()[..], bytes);
        commitment.tree.insert(leaf).unwrap();
        commitment.contents.insert(leaf.contract_id, content);
    }
    let root = commitment.tree.root();
    assert_eq!(root.hash.0, hex32(&v["provider_root"]));
    assert_eq!(root.sum, v["sum"].as_u64().unwrap());
    assert_eq!(u64::from(root.min_end), v["min_end"].as_u64().unwrap());

    let asked = Challenge {
        kind: Kind::Ledger,
        contract: None,
        chain_id: v["chain"].as_u64().unwrap(),
        slot_no: v["slot"].as_u64().unwrap(),
        beacon: hex32(&v["beacon"]),
        provider: NodeId(hex32(&v["provider_id"])),
        provider_index: 0,
        active: root,
        depth: commitment.tree.depth(),
        c: 8,
    };
    let draws: Vec<(u128, u128)> = v["draws"]
        .as_array()
        .unwrap()
        .iter()
        .map(|d| {
            let number = |i: usize| d[i].as_str().unwrap().parse().unwrap();
            (number(0), number(1))
        })
        .collect();
    assert_eq!(asked.draws(), draws);
    let picks: Vec<Pick> = v["picks(contract,shard,chunk)"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| {
            let number = |i: usize| u32::try_from(p[i].as_u64().unwrap()).unwrap();
            Pick {
                contract: number(0),
                place: Some((number(1), number(2))),
            }
        })
        .collect();
    assert_eq!(Plan::new(&commitment, &asked).unwrap().picks(), picks);

    // The model's provider has no key; with one of ours in its place the same trees are proved.
    let ours = Challenge {
        provider: key().node(),
        ..asked
    };
    let blob = prove(&commitment, &ours, &memory, &key(), &NET).unwrap();
    assert_eq!(verify(&blob, &ours, &NET), Ok(()));
    let hash = blake3::hash(&blob).to_hex();
    let pinned = include_str!("../../vectors/proof_blob.blake3").trim();
    assert_eq!(
        (blob.len(), hash.as_str()),
        (blob.len(), pinned),
        "the blob's bytes changed"
    );
}

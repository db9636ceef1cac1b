//! What a state shows of single accounts and providers, to whoever holds a header. `docs/protocol.md` §3.8.

use super::world::{World, dev, genesis, signer};
use super::{ALICE, BOB, NODE};
use crate::{Account, Genesis, GenesisError, State};
use larder_proofs::{Header, Trusted, check_account, check_provider};
use larder_types::{AccountId, Amount, GenesisHash, Hash, NodeId, codec};
use proptest::prelude::*;

/// A header whose state is `state`.
fn header(state: &State) -> Header {
    Header {
        height: 1,
        round: 0,
        time: state.head().time,
        prev: state.head().hash,
        proposer: NodeId([0; 32]),
        validators: state.validators().hash(),
        next_validators: state.validators().hash(),
        epoch: 0,
        slot: None,
        beacon: None,
        tx_root: Hash([0; 32]),
        verdict_root: Hash([0; 32]),
        state_root: state.root(),
    }
}

#[test]
fn every_record_is_shown_as_blocks_go_by_and_a_balance_reads() {
    let mut world = World::with(dev(), &[ALICE], &[NODE]);
    world.open(NODE, ALICE, 6);
    for epoch in 1..4 {
        world.submit(world.transfer(ALICE, BOB, Amount(7)));
        world.run_to_epoch(epoch);
        let (state, header) = (&world.state, header(&world.state));
        for (id, account) in state.accounts.iter() {
            let proof = state.prove_account(id);
            let value = check_account(&header, &proof, id).unwrap().unwrap();
            assert_eq!(codec::decode::<Account>(value), Ok(*account));
        }
        for provider in state.providers() {
            let proof = state.prove_provider(&provider.node);
            let value = check_provider(&header, &proof, &provider.node);
            assert!(value.unwrap().is_some());
        }
        let absent = AccountId([0xee; 32]);
        let proof = state.prove_account(&absent);
        assert_eq!(check_account(&header, &proof, &absent), Ok(None));
        let proof = state.prove_provider(&NodeId([0xee; 32]));
        assert_eq!(
            check_provider(&header, &proof, &NodeId([0xee; 32])),
            Ok(None)
        );
        // What was shown of the state before is nothing in this one.
        let old = proof;
        world.submit(world.transfer(ALICE, BOB, Amount(7)));
        world.block();
        let header = self::header(&world.state);
        assert!(check_provider(&header, &old, &NodeId([0xee; 32])).is_err());
    }
    let alice = signer(ALICE).account();
    let proof = world.state.prove_account(&alice);
    let value = check_account(&header(&world.state), &proof, &alice);
    let account: Account = codec::decode(value.unwrap().unwrap()).unwrap();
    assert_eq!(account.balance, world.state.balance(&alice));
}

/// A state with these accounts, each of its own balance.
fn state(accounts: &[[u8; 3]]) -> State {
    let mut state = World::new(dev()).state;
    for (number, [first, second, last]) in accounts.iter().enumerate() {
        let mut id = [7; 32];
        (id[0], id[1], id[31]) = (*first, *second, *last);
        let balance = Amount(number as u64);
        let account = Account {
            balance,
            ..Account::default()
        };
        state.accounts.insert(AccountId(id), account);
    }
    state
}

proptest! {
    #[test]
    fn accounts_verify_absences_too_and_nothing_else_does(
        accounts in prop::collection::vec(prop::array::uniform3(0..12u8), 1..60),
        absent in any::<[u8; 32]>(),
        at in any::<prop::sample::Index>(),
        other in any::<prop::sample::Index>(),
    ) {
        let state = state(&accounts);
        let header = header(&state);
        let ids: Vec<AccountId> = state.accounts.iter().map(|(id, _)| *id).collect();
        for id in &ids {
            let proof = state.prove_account(id);
            let value = check_account(&header, &proof, id).unwrap().map(<[u8]>::to_vec);
            prop_assert_eq!(value, state.account(id).map(codec::encode));
        }
        let absent = AccountId(absent);
        let proof = state.prove_account(&absent);
        prop_assert_eq!(check_account(&header, &proof, &absent), Ok(None));

        // Another account's value, and another's whole proof.
        let (id, other) = (at.get(&ids), other.get(&ids));
        let proof = state.prove_account(id);
        if id != other {
            let theirs = state.prove_account(other);
            prop_assert!(check_account(&header, &theirs, id).is_err());
            let mut swapped = proof.clone();
            swapped.value = theirs.value;
            prop_assert!(check_account(&header, &swapped, id).is_err());
        }
        // Any bit of the roots.
        for bit in 0..96 * 8 {
            let mut bent = proof.clone();
            let roots = &mut bent.roots;
            let root = [&mut roots.accounts, &mut roots.providers, &mut roots.rest];
            root[bit / 256].0[bit % 256 / 8] ^= 1 << (bit % 8);
            prop_assert!(check_account(&header, &bent, id).is_err());
        }
    }
}

#[test]
fn trust_begins_with_the_document_that_the_networks_hash_names() {
    let document = genesis(dev());
    let (bytes, hash) = (codec::encode(&document), document.hash());
    let trusted = Genesis::trusted(&bytes, &hash).unwrap();
    let set = document.set().unwrap();
    assert_eq!(trusted, Trusted::beginning(hash, document.start, set));
    let other = Genesis {
        network: "another".into(),
        ..document
    };
    let refused = Genesis::trusted(&codec::encode(&other), &hash).unwrap_err();
    assert_eq!(refused, GenesisError::OtherNetwork(other.hash()));
    assert!(matches!(
        Genesis::trusted(&bytes[1..], &hash),
        Err(GenesisError::Unreadable(_))
    ));
    let bad = GenesisHash([0; 32]);
    assert!(Genesis::trusted(&bytes, &bad).is_err());
}

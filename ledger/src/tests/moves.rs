//! Contracts that go on: with another provider, or for another term. `docs/protocol.md` §3.3,
//! §3.10.

use super::world::{World, dev, signer};
use super::{ALICE, BOB, NODE, refused};
use crate::{Event, Genesis, Handover, Op, Skip, State, Tx, TxRefusal, VerifyError, verify};
use larder_contracts::{Auth, SignedLeaf};
use larder_proofs::{AUTO_RENEW, ContractLeaf, TRANSFERABLE};
use larder_types::{Amount, Hash};

const HEIR: u8 = 21;

/// A contract of Alice's with these flags too, that holds two shards; epoch 3. Both providers have
/// collateral.
fn flagged(flags: u8, term: u32) -> (World, ContractLeaf) {
    let mut world = World::with(dev(), &[ALICE, BOB, NODE, HEIR], &[]);
    for node in [NODE, HEIR] {
        world.submit(world.register(node, Amount::from_credits(50)));
    }
    world.block();
    world.open(HEIR, BOB, 60);
    let mut leaf = world.draft(NODE, ALICE, term);
    leaf.flags |= flags;
    leaf.collateral = Amount(10 * leaf.rate.0);
    let auth = Some(world.auth(&leaf.renter));
    let op = world.sign(NODE, leaf, ALICE, auth);
    world.submit(world.update(NODE, vec![op]));
    world.run_to_epoch(1);
    let active = world.leaf(&leaf.contract_id).unwrap();
    let (_, content) = world.fill(NODE, &active, ALICE, 2);
    world.submit(world.update(NODE, vec![content]));
    world.run_to_epoch(3);
    let active = world.leaf(&leaf.contract_id).unwrap();
    (world, active)
}

/// What opens with the heir in the next epoch.
fn successor(world: &mut World, old: &ContractLeaf) -> ContractLeaf {
    let fresh = world.draft(HEIR, ALICE, 60);
    ContractLeaf {
        contract_id: fresh.contract_id,
        terms_hash: fresh.terms_hash,
        start_epoch: fresh.start_epoch,
        revision: 0,
        slash_acc: 0,
        unpaid_at_start: 0,
        ..*old
    }
}

fn hand_over(world: &World, old: &ContractLeaf, new: ContractLeaf, auth: Option<Auth>) -> Tx {
    let net = world.state.genesis_hash();
    let heir = signer(HEIR);
    let signed = SignedLeaf::sign(new, auth, &heir.node(), &world.hand(ALICE), &net);
    let handover = Handover::sign(old.contract_id, signed, &heir, &net);
    world.update(NODE, vec![Op::Transfer(Box::new(handover))])
}

#[test]
fn a_contract_moves_with_its_content() {
    let (mut world, old) = flagged(TRANSFERABLE, 60);
    let (had, free) = (world.balance(ALICE), world.record(NODE).free);
    let new = successor(&mut world, &old);
    let auth = Some(world.auth(&old.renter));
    world.submit(hand_over(&world, &old, new, auth));
    world.run_to_epoch(4);
    assert_eq!(world.skipped(), []);
    assert_eq!(world.leaf(&old.contract_id), None);
    let (_, holder, active) = world.state.contract(&new.contract_id).unwrap();
    assert_eq!(holder, signer(HEIR).node());
    assert_eq!(active.content_root, old.content_root);
    assert_eq!(world.record(NODE).free.0 - free.0, old.collateral.0);
    assert_eq!(world.balance(ALICE), had, "the same rate and end");
    assert!(world.events.iter().any(|event| matches!(
        event,
        Event::HandedOver { contract, successor, .. }
            if (*contract, *successor) == (old.contract_id, new.contract_id)
    )));
    let earned = world.balance(NODE);
    world.run_to_epoch(6);
    assert_eq!(world.balance(NODE), earned);
    world.check_replay(dev());
}

#[test]
fn the_same_handover_twice_on_two_networks_or_after_expiry() {
    let (mut world, old) = flagged(TRANSFERABLE, 60);
    let new = successor(&mut world, &old);
    let auth = world.auth(&old.renter);
    let tx = hand_over(&world, &old, new, Some(auth));
    let other = Genesis {
        nonce: [5; 32],
        ..super::genesis(dev())
    };
    let other = State::genesis(&other).unwrap().genesis_hash();
    let bad = Some(VerifyError::Tx(0));
    assert_eq!(verify::tx(&other, tx.clone()).err(), bad);
    let height = world.state.head().height + 1;
    let expiry = height - 1;
    let late = hand_over(&world, &old, new, Some(Auth { expiry, ..auth }));
    let expired = TxRefusal::Expired { expiry, height };
    assert_eq!(refused(world.admit(late)), expired);
    world.submit(tx.clone());
    world.block();
    assert_eq!(refused(world.admit(tx.clone())), TxRefusal::Stale);
    world.run_to_epoch(4);
    let Tx::TreeUpdate(update) = tx else {
        panic!("an update");
    };
    let again = world.update(NODE, update.ops);
    assert_eq!(refused(world.admit(again)), TxRefusal::NoContract);
}

#[test]
fn a_contract_moves_only_whole_and_where_its_renter_allowed_it() {
    let (mut fixed, leaf) = flagged(0, 60);
    let new = successor(&mut fixed, &leaf);
    let auth = Some(fixed.auth(&leaf.renter));
    let tx = hand_over(&fixed, &leaf, new, auth);
    assert_eq!(refused(fixed.admit(tx)), TxRefusal::NotTransferable);

    let (mut world, old) = flagged(TRANSFERABLE, 60);
    let new = successor(&mut world, &old);
    let auth = Some(world.auth(&old.renter));
    let changes: [fn(&mut ContractLeaf); 4] = [
        |l| l.content_root = Hash([9; 32]),
        |l| l.used_chunks = 0,
        |l| l.end_epoch -= 7,
        |l| l.flags = 0,
    ];
    for change in changes {
        let mut other = new;
        change(&mut other);
        let tx = hand_over(&world, &old, other, auth);
        assert_eq!(refused(world.admit(tx)), TxRefusal::NotTransferable);
    }
    let dear = ContractLeaf {
        rate: Amount::from_credits(90),
        ..new
    };
    world.submit(hand_over(&world, &old, dear, auth));
    world.run_to_epoch(4);
    assert_eq!(world.skipped(), [Skip::Balance]);
    let (_, holder, _) = world.state.contract(&old.contract_id).unwrap();
    assert_eq!(holder, signer(NODE).node(), "neither half acts");
    world.check_replay(dev());
}

#[test]
fn a_contract_that_agreed_to_it_renews_by_itself() {
    let (mut world, leaf) = flagged(AUTO_RENEW, 27);
    assert_eq!(leaf.end_epoch, 28);
    let renew = |world: &World| world.update(NODE, vec![Op::Renew(leaf.contract_id)]);
    world.submit(renew(&world));
    world.run_to_epoch(4);
    assert_eq!(world.skipped(), [Skip::Renewal], "not yet");
    world.run_to_epoch(15);
    let had = world.balance(ALICE);
    world.submit(renew(&world));
    world.run_to_epoch(16);
    let active = world.leaf(&leaf.contract_id).unwrap();
    // 27 epochs more make 55, rounded down.
    assert_eq!((active.start_epoch, active.end_epoch), (16, 49));
    assert_eq!((active.rate, active.used_chunks), (leaf.rate, 32));
    assert_eq!(had.0 - world.balance(ALICE).0, 21 * leaf.rate.0);
    world.check_replay(dev());
}

#[test]
fn nothing_renews_by_itself_that_did_not_agree_or_cannot_pay() {
    let (mut world, leaf) = flagged(0, 27);
    world.run_to_epoch(15);
    world.submit(world.update(NODE, vec![Op::Renew(leaf.contract_id)]));
    world.run_to_epoch(16);
    assert_eq!(world.skipped(), [Skip::Renewal]);

    let (mut world, leaf) = flagged(AUTO_RENEW, 27);
    let all = world.balance(ALICE);
    world.submit(world.transfer(ALICE, BOB, all));
    world.run_to_epoch(15);
    world.submit(world.update(NODE, vec![Op::Renew(leaf.contract_id)]));
    world.run_to_epoch(16);
    assert_eq!(world.skipped(), [Skip::Balance]);
    assert_eq!(world.leaf(&leaf.contract_id).unwrap().end_epoch, 28);
    world.check_replay(dev());
}

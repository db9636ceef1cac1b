//! What was signed once is good once, on one network, in its time. `docs/protocol.md` §3.1
//! *No replay*.

use super::world::{World, dev, genesis, owner, signer};
use super::{ALICE, BOB, NODE, refused};
use crate::{
    Admitted, Genesis, NonceError, Op, State, Transfer, TreeUpdate, Tx, TxRefusal, VerifyError,
    verify,
};
use larder_contracts::Auth;
use larder_types::Amount;

#[test]
fn the_same_transfer_twice() {
    let mut world = World::with(dev(), &[ALICE], &[]);
    let pay = world.transfer(ALICE, BOB, Amount::from_credits(1));
    world.submit(pay.clone());
    assert!(matches!(world.admit(pay.clone()), Ok(Admitted::Known(_))));
    world.block();
    let spent = TxRefusal::Nonce(NonceError::Spent { nonce: 0 });
    assert_eq!(refused(world.admit(pay.clone())), spent);
    // Nor in a block that a validator makes with it all the same.
    let mut block = world.blocks.last().unwrap().clone();
    block.txs = vec![pay];
    let place = crate::check::Place::of(&block.header);
    let mut state = world.state.clone();
    assert!(
        state
            .include(&block.txs[0], block.txs[0].stamp(), place)
            .is_err()
    );
    assert_eq!(world.balance(BOB), Amount::from_credits(1));
}

#[test]
fn the_same_open_twice() {
    let mut world = World::with(dev(), &[ALICE], &[NODE]);
    let leaf = world.open(NODE, ALICE, 6);
    world.block();
    let posted = world.update(
        NODE,
        vec![crate::Op::Put(world.signed[&leaf.contract_id].clone())],
    );
    assert_eq!(refused(world.admit(posted)), TxRefusal::Stale, "it waits");
    world.run_to_epoch(1);
    let paid = world.balance(ALICE);
    let again = |world: &World| {
        let put = crate::Op::Put(world.signed[&leaf.contract_id].clone());
        world.update(NODE, vec![put])
    };
    let tx = again(&world);
    assert_eq!(refused(world.admit(tx)), TxRefusal::Stale, "it is active");
    world.run_to_epoch(7);
    world.submit(world.update(NODE, vec![crate::Op::CloseExpired(leaf.contract_id)]));
    world.run_to_epoch(8);
    let tx = again(&world);
    let refusal = refused(world.admit(tx));
    assert!(
        matches!(refusal, TxRefusal::Nonce(_)),
        "it has ended: {refusal}"
    );
    assert_eq!(world.balance(ALICE), paid);
}

#[test]
fn the_same_transfer_on_two_networks() {
    let mut world = World::with(dev(), &[ALICE], &[]);
    let pay = world.transfer(ALICE, BOB, Amount(1));
    let other = Genesis {
        nonce: [5; 32],
        ..genesis(dev())
    };
    let other = State::genesis(&other).unwrap();
    assert_eq!(
        verify::tx(&other.genesis_hash(), pay.clone()).err(),
        Some(VerifyError::Tx(0))
    );
    world.submit(pay);
}

#[test]
fn the_same_transfer_after_expiry() {
    let mut world = World::with(dev(), &[ALICE], &[]);
    let expiry = world.state.head().height + 2;
    let auth = Auth { nonce: 0, expiry };
    let to = signer(BOB).account();
    let net = world.state.genesis_hash();
    let pay = Transfer::sign(&owner(ALICE), to, Amount(1), auth, &net);
    for _ in 0..3 {
        world.block();
    }
    let height = world.state.head().height + 1;
    let late = refused(world.admit(Tx::Transfer(pay)));
    assert_eq!(late, TxRefusal::Expired { expiry, height });
    assert_eq!(world.balance(BOB), Amount::ZERO);
}

#[test]
fn the_same_open_on_two_networks() {
    let mut world = World::with(dev(), &[ALICE], &[NODE]);
    let leaf = world.open(NODE, ALICE, 6);
    let other = Genesis {
        nonce: [5; 32],
        ..genesis(dev())
    };
    let net = State::genesis(&other).unwrap().genesis_hash();
    // The provider signs its update anew, for the other network; the renter did not.
    let put = Op::Put(world.signed[&leaf.contract_id].clone());
    let update = TreeUpdate::sign(&signer(NODE), 0, vec![put], &net);
    assert_eq!(
        verify::tx(&net, Tx::TreeUpdate(update)).err(),
        Some(VerifyError::Tx(0))
    );
}

#[test]
fn the_same_open_after_expiry() {
    let mut world = World::with(dev(), &[ALICE], &[NODE]);
    let leaf = world.draft(NODE, ALICE, 6);
    let expiry = world.state.head().height + 1;
    let auth = Auth { nonce: 0, expiry };
    let put = world.sign(NODE, leaf, ALICE, Some(auth));
    let before = world.balance(ALICE);
    world.block();
    let refusal = refused(world.admit(world.update(NODE, vec![put])));
    assert!(matches!(refusal, TxRefusal::Expired { .. }), "{refusal}");
    world.run_to_epoch(2);
    assert_eq!(world.balance(ALICE), before);
}

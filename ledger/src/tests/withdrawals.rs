//! A provider's free collateral on its way back. `docs/protocol.md` §3.12.

use super::world::{World, dev, owner, signer};
use super::{ALICE, BOB, NODE, refused};
use crate::{Event, Op, Tx, TxRefusal, VerifyError, Withdraw, verify};
use larder_types::{Amount, Params};

const FREE: Amount = Amount(5_000_000_000);

/// A provider that put down collateral.
fn backed(params: Params) -> World {
    let mut world = World::with(params, &[ALICE, NODE], &[]);
    world.submit(world.register(NODE, FREE));
    world.block();
    world
}

fn withdraw(world: &World, account: u8, amount: Amount) -> Tx {
    let (auth, net) = (
        world.auth(&signer(account).account()),
        world.state.genesis_hash(),
    );
    let provider = signer(NODE).node();
    Tx::Withdraw(Withdraw::sign(
        provider,
        &world.hand(account),
        amount,
        auth,
        &net,
    ))
}

#[test]
fn free_collateral_goes_back_to_the_providers_account() {
    let mut world = backed(dev());
    let before = world.balance(NODE);
    let most = withdraw(&world, NODE, Amount(FREE.0 + 1));
    let (needed, have) = (Amount(FREE.0 + 1), FREE);
    assert_eq!(refused(world.admit(most)), TxRefusal::Free { needed, have });
    let nothing = withdraw(&world, NODE, Amount::ZERO);
    assert_eq!(refused(world.admit(nothing)), TxRefusal::Nothing);
    let all = withdraw(&world, NODE, FREE);
    world.submit(all.clone());
    world.block();
    assert_eq!(world.balance(NODE), Amount(before.0 + FREE.0));
    assert_eq!(world.record(NODE).free, Amount::ZERO);
    let is_it = |e: &Event| matches!(e, Event::Withdrawn { amount: FREE, .. });
    assert!(world.events.iter().any(is_it));
    // The same again, once there is collateral again, moves nothing.
    let auth = world.auth(&signer(NODE).account());
    let net = world.state.genesis_hash();
    let deposit = crate::Deposit::sign(signer(NODE).node(), &owner(NODE), FREE, auth, &net);
    world.submit(Tx::Deposit(deposit));
    world.block();
    assert!(matches!(refused(world.admit(all)), TxRefusal::Nonce(_)));
    world.check_replay(dev());
}

#[test]
fn nobody_else_takes_it() {
    let mut world = backed(dev());
    let theft = withdraw(&world, BOB, FREE);
    assert_eq!(refused(world.admit(theft)), TxRefusal::NotThePayout);
    let Tx::Withdraw(mut forged) = withdraw(&world, BOB, FREE) else {
        panic!("a withdrawal");
    };
    forged.account = signer(NODE).account();
    let net = world.state.genesis_hash();
    let read = verify::tx(&net, Tx::Withdraw(forged));
    assert_eq!(read.err(), Some(VerifyError::Tx(0)));
}

#[test]
fn what_a_contract_locks_stays_until_it_is_closed() {
    let mut world = backed(dev());
    let mut leaf = world.draft(NODE, ALICE, 6);
    leaf.collateral = Amount(leaf.rate.0 * 10);
    let auth = world.auth(&leaf.renter);
    let put = world.sign(NODE, leaf, ALICE, Some(auth));
    world.submit(world.update(NODE, vec![put]));
    world.run_to_epoch(1);
    let locked = world.record(NODE).locked;
    assert_eq!(locked, leaf.collateral);
    let all = withdraw(&world, NODE, FREE);
    let have = Amount(FREE.0 - locked.0);
    let needed = FREE;
    assert_eq!(refused(world.admit(all)), TxRefusal::Free { needed, have });
    world.submit(withdraw(&world, NODE, have));
    world.run_to_epoch(leaf.end_epoch);
    world.submit(world.update(NODE, vec![Op::CloseExpired(leaf.contract_id)]));
    world.run_to_epoch(leaf.end_epoch + 1);
    world.submit(withdraw(&world, NODE, locked));
    world.block();
    assert_eq!(world.record(NODE).credit(), Some(0));
    world.check_replay(dev());
}

#[test]
fn what_a_newcomer_saves_up_on_trial_stays_while_it_has_contracts() {
    let params = Params {
        starter_capacity_chunks: 1 << 20,
        collateral_epochs: 30,
        ..dev()
    };
    let mut world = World::with(params.clone(), &[ALICE, NODE], &[NODE]);
    let leaf = world.open(NODE, ALICE, 6);
    world.run_to_epoch(4);
    assert!(world.record(NODE).on_trial > 0 && world.record(NODE).free >= leaf.rate);
    let saved = withdraw(&world, NODE, leaf.rate);
    assert_eq!(refused(world.admit(saved)), TxRefusal::OnTrial);
    world.run_to_epoch(7);
    world.submit(world.update(NODE, vec![Op::CloseExpired(leaf.contract_id)]));
    world.run_to_epoch(8);
    let free = world.record(NODE).free;
    world.submit(withdraw(&world, NODE, free));
    world.block();
    assert_eq!(world.record(NODE).free, Amount::ZERO);
    world.check_replay(params);
}

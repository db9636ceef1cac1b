//! What transactions cost by their length, and who pays. `docs/protocol.md` §3.12.

use super::world::{World, dev, owner, signer};
use super::{ALICE, BOB, NODE, refused};
use crate::fee::FREE_BYTES;
use crate::{Deposit, ForceRevision, Forced, Grant, May, Op, SubKeyError, Targeted, Tx, TxRefusal};
use larder_proofs::ContractLeaf;
use larder_types::{Amount, Millis, Params};

const PER_BYTE: u64 = 7;

fn params() -> Params {
    Params {
        tx_fee_per_byte: Amount(PER_BYTE),
        ..dev()
    }
}

fn begin() -> World {
    let mut world = World::with(params(), &[ALICE, BOB, NODE], &[]);
    world.submit(world.register(NODE, Amount::from_credits(1)));
    world.block();
    world
}

fn cost(tx: &Tx) -> u64 {
    u64::try_from(tx.size()).unwrap() * PER_BYTE
}

#[test]
fn who_signs_pays_by_the_byte_and_half_is_burned() {
    let mut world = begin();
    let (burned, founder) = (world.state.burned(), world.balance(1));
    let had = world.balance(ALICE);
    let pay = world.transfer(ALICE, BOB, Amount(1_000));
    let fee = cost(&pay);
    assert_eq!(world.state.fee(&pay), Amount(fee));
    world.submit(pay);
    world.block();
    assert_eq!(had.0 - world.balance(ALICE).0, 1_000 + fee);
    assert_eq!(world.state.burned().0 - burned.0, fee.div_ceil(2));
    assert_eq!(world.balance(1).0 - founder.0, fee / 2);
    // All of a balance but the fee can be sent, and no nano more.
    let all = world.balance(ALICE);
    let much = world.transfer(ALICE, BOB, all);
    let refusal = refused(world.admit(much));
    assert!(matches!(refusal, TxRefusal::Balance { .. }), "{refusal}");
    let fee = cost(&world.transfer(ALICE, BOB, Amount(all.0 - 2_000)));
    world.submit(world.transfer(ALICE, BOB, Amount(all.0 - fee)));
    world.block();
    assert_eq!(world.balance(ALICE), Amount::ZERO);
    world.check_replay(params());
}

#[test]
fn every_kind_that_moves_credit_costs() {
    let mut world = begin();
    let net = world.state.genesis_hash();
    let leaf = world.open(NODE, ALICE, 20);
    world.run_to_epoch(1);
    let auth = world.auth(&leaf.renter);
    let deposit = Deposit::sign(signer(NODE).node(), &owner(ALICE), Amount(5), auth, &net);
    let ask = Targeted::sign(
        &owner(ALICE),
        leaf.contract_id,
        1,
        Amount(1_000),
        auth,
        &net,
    );
    for (tx, amount) in [(Tx::Deposit(deposit), 5), (Tx::Targeted(ask), 1_000)] {
        let had = world.balance(ALICE);
        let fee = cost(&tx);
        // Of two with one nonce one is taken.
        let mut fork = world.state.clone();
        let place = crate::check::Place::next(&fork, world.now);
        fork.include(&tx, tx.stamp(), place).unwrap();
        let left = fork.balance(&leaf.renter);
        assert_eq!(had.0 - left.0, amount + fee);
        assert_eq!(fork.total_credit(), u128::from(fork.supply().0));
    }
    // What only gives an account its own back is free, and so is a device's authority.
    let grant = Grant {
        may: May::ALL,
        cap: None,
        issued: world.now,
        until: world.now.after(Millis(800_000)),
    };
    for tx in [
        world.delegate(ALICE, 60, grant),
        world.revoke(ALICE, 60, world.now),
        world.close_faulted(&leaf, ALICE),
    ] {
        assert_eq!(world.state.fee(&tx), Amount::ZERO);
    }
    world.check_replay(params());
}

#[test]
fn a_sub_keys_fee_is_within_its_cap() {
    let mut world = begin();
    let grant = Grant {
        may: May::ALL,
        cap: Some(Amount(10_000)),
        issued: world.now,
        until: world.now.after(Millis(800_000)),
    };
    world.submit(world.delegate(ALICE, 60, grant));
    world.block();
    world.hand_to(ALICE, 60);
    let pay = world.transfer(ALICE, BOB, Amount(10_000));
    let fee = cost(&pay);
    let (needed, left) = (Amount(10_000 + fee), Amount(10_000));
    let cap = TxRefusal::SubKey(SubKeyError::Cap { needed, left });
    assert_eq!(refused(world.admit(pay)), cap);
    let small = world.transfer(ALICE, BOB, Amount(5_000));
    let fee = cost(&small);
    world.submit(small);
    world.block();
    let epoch = world.state.epoch();
    let spent = world.sub_key(ALICE, 60).unwrap().spent_in(epoch);
    assert_eq!(spent, Amount(5_000 + fee));
    world.check_replay(params());
}

/// An update that is no news but for its first operation, and of some length.
fn long(world: &mut World, leaf: &ContractLeaf, ops: usize) -> Tx {
    let (_, content) = world.fill(NODE, leaf, ALICE, 1);
    let close = Op::CloseExpired(leaf.contract_id);
    let ops = std::iter::once(content).chain(std::iter::repeat_n(close, ops));
    world.update(NODE, ops.collect())
}

#[test]
fn four_kibibytes_of_updates_are_free_in_each_epoch() {
    let mut world = begin();
    let leaf = world.open(NODE, ALICE, 20);
    world.run_to_epoch(1);
    let leaf = world.leaf(&leaf.contract_id).unwrap();
    let free = world.record(NODE).free;
    let first = long(&mut world, &leaf, 40);
    assert!(first.size() < FREE_BYTES as usize, "{}", first.size());
    let bytes = first.size();
    world.submit(first);
    world.block();
    assert_eq!(world.record(NODE).free, free);
    let newer = ContractLeaf {
        revision: leaf.revision + 1,
        ..leaf
    };
    let second = long(&mut world, &newer, 80);
    let beyond = bytes + second.size() - FREE_BYTES as usize;
    let burned = world.state.burned();
    world.submit(second);
    world.block();
    let fee = u64::try_from(beyond).unwrap() * PER_BYTE;
    assert_eq!(free.0 - world.record(NODE).free.0, fee);
    assert_eq!(world.state.burned().0 - burned.0, fee.div_ceil(2));
    // All of the third costs, and an absence too.
    let (had, epoch) = (world.record(NODE).free, world.state.epoch());
    let away = world.maintenance(NODE, epoch + 2, 1);
    let fee = cost(&away);
    world.submit(away);
    world.block();
    assert_eq!(had.0 - world.record(NODE).free.0, fee);
    // A new epoch begins with nothing sent.
    world.run_to_epoch(2);
    assert_eq!(world.record(NODE).sent, 0);
    world.check_replay(params());
}

#[test]
fn a_provider_without_free_collateral_has_what_is_free() {
    let mut world = World::with(params(), &[ALICE, NODE], &[]);
    world.submit(world.register(NODE, Amount::ZERO));
    world.block();
    let leaf = world.open(NODE, ALICE, 20);
    world.run_to_epoch(1);
    let leaf = world.leaf(&leaf.contract_id).unwrap();
    let tx = long(&mut world, &leaf, 200);
    let needed = u64::try_from(tx.size() - FREE_BYTES as usize).unwrap() * PER_BYTE;
    let (needed, have) = (Amount(needed), Amount::ZERO);
    let refusal = TxRefusal::Postage { needed, have };
    assert_eq!((refused(world.admit(tx)), refusal.code()), (refusal, 155));
    let tx = long(&mut world, &leaf, 40);
    world.submit(tx);
    world.run_to_epoch(2);
    assert_eq!(world.leaf(&leaf.contract_id).unwrap().used_chunks, 16);
    world.check_replay(params());
}

#[test]
fn what_is_forced_its_renter_pays() {
    let mut world = begin();
    let leaf = world.open(NODE, ALICE, 20);
    world.run_to_epoch(1);
    let active = world.leaf(&leaf.contract_id).unwrap();
    let (_, op) = world.fill(NODE, &active, ALICE, 1);
    let Op::Put(signed) = op else { unreachable!() };
    let net = world.state.genesis_hash();
    let revision = Forced::Signed(Box::new(signed.countersign(&signer(NODE), &net)));
    let provider = signer(NODE).node();
    let tx = Tx::ForceRevision(ForceRevision { provider, revision });
    let (had, fee) = (world.balance(ALICE), cost(&tx));
    world.submit(tx);
    world.block();
    assert_eq!(had.0 - world.balance(ALICE).0, fee);
    world.run_to_epoch(2);
    assert_eq!(world.leaf(&leaf.contract_id).unwrap().used_chunks, 16);
    world.check_replay(params());
}

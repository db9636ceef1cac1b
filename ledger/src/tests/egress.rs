//! Vouchers: paid once, out of the deposit, at what the contract says, where its contract is revised,
//! closed or moved. `docs/protocol.md` §3.4, §3.9.

use super::world::{World, dev, genesis, signer};
use super::{ALICE, BOB, NODE, refused};
use crate::{
    Closing, Event, Genesis, Grant, Handover, May, Op, Skip, State, SubKeyError, Tx, TxRefusal,
    VerifyError, verify,
};
use larder_contracts::{SignedLeaf, Tally, Voucher, extend};
use larder_proofs::{AUTO_RENEW, ContractLeaf, TRANSFERABLE};
use larder_types::size::MIB;
use larder_types::{Amount, Millis, Params};

const HEIR: u8 = 21;
const DEVICE: u8 = 60;
/// Nano per MiB.
const PRICE: u64 = 1_000;
const DEPOSIT: u64 = 50_000;

/// A contract of Alice's with egress terms, active in epoch 1.
fn begin(params: Params, flags: u8, term: u32) -> (World, ContractLeaf) {
    let mut world = World::with(params, &[ALICE, BOB], &[NODE, HEIR]);
    let mut leaf = world.draft(NODE, ALICE, term);
    leaf.flags |= flags;
    leaf.egress_price = Amount(PRICE);
    leaf.egress_deposit = Amount(DEPOSIT);
    let auth = world.auth(&leaf.renter);
    let op = world.sign(NODE, leaf, ALICE, Some(auth));
    world.submit(world.update(NODE, vec![op]));
    world.run_to_epoch(1);
    let leaf = world.leaf(&leaf.contract_id).unwrap();
    (world, leaf)
}

/// What Alice owes for so many MiB, at the contract's price.
fn owed(world: &World, leaf: &ContractLeaf, mib: u64) -> Voucher {
    let tally = Tally {
        bytes: mib * MIB,
        credits: Amount(mib * PRICE),
    };
    tallied(world, leaf, tally)
}

fn tallied(world: &World, leaf: &ContractLeaf, tally: Tally) -> Voucher {
    let (reader, net) = (world.hand(ALICE), world.state.genesis_hash());
    let (node, id) = (signer(NODE).node(), leaf.contract_id);
    Voucher::sign(&reader, node, id, leaf.start_epoch, tally, &net)
}

fn settle(voucher: &Voucher) -> Op {
    Op::Settle(Box::new(voucher.clone()))
}

/// Posts a voucher with more content.
fn revise(world: &mut World, leaf: &ContractLeaf, voucher: &Voucher) {
    let active = world.leaf(&leaf.contract_id).unwrap();
    let (_, content) = world.fill(NODE, &active, ALICE, 1);
    world.submit(world.update(NODE, vec![content, settle(voucher)]));
    world.run_to_epoch(world.state.epoch() + 1);
}

/// Gross amounts of what was settled.
fn settled(world: &World) -> Vec<u64> {
    let amount = |event: &Event| {
        let Event::EgressPaid { amount, .. } = event else {
            return None;
        };
        Some(amount.0)
    };
    world.events.iter().filter_map(amount).collect()
}

fn paid(world: &World, leaf: &ContractLeaf) -> u64 {
    world.leaf(&leaf.contract_id).unwrap().egress_paid.0
}

#[test]
fn a_voucher_is_paid_with_the_next_revision_for_what_is_new_in_it() {
    let (mut world, leaf) = begin(dev(), 0, 30);
    let first = owed(&world, &leaf, 10);
    revise(&mut world, &leaf, &first);
    assert_eq!(
        (settled(&world), paid(&world, &leaf)),
        (vec![10_000], 10_000)
    );
    let second = owed(&world, &leaf, 12);
    revise(&mut world, &leaf, &second);
    assert_eq!(settled(&world), [10_000, 2_000]);
    // It is beside the pay of epochs 1 and 2.
    assert_eq!(world.balance(NODE).0, 2 * leaf.rate.0 + 12_000);
    // Who signed the revision had never heard of what is paid: the ledger counts it.
    assert_eq!(world.leaf(&leaf.contract_id).unwrap().used_chunks, 32);
    world.check_replay(dev());
}

#[test]
fn alone_it_is_not_settled() {
    let (mut world, leaf) = begin(dev(), 0, 30);
    let voucher = owed(&world, &leaf, 10);
    world.submit(world.update(NODE, vec![settle(&voucher)]));
    world.run_to_epoch(2);
    assert_eq!(
        (settled(&world), world.skipped()),
        (vec![], vec![Skip::Voucher])
    );
    world.check_replay(dev());
}

#[test]
fn of_two_that_wait_the_higher_counts() {
    let (mut world, leaf) = begin(dev(), 0, 30);
    let (low, high) = (owed(&world, &leaf, 10), owed(&world, &leaf, 11));
    world.submit(world.update(NODE, vec![settle(&high)]));
    world.block();
    let behind = world.update(NODE, vec![settle(&low)]);
    assert_eq!(refused(world.admit(behind)), TxRefusal::Stale);
    let highest = owed(&world, &leaf, 12);
    revise(&mut world, &leaf, &highest);
    assert_eq!(settled(&world), [12_000]);
}

#[test]
fn the_deposit_bounds_it_and_what_is_left_returns() {
    for (mib, due) in [
        (20, 20_000),
        (50, DEPOSIT),
        (51, DEPOSIT),
        (1 << 40, DEPOSIT),
    ] {
        let (mut world, leaf) = begin(dev(), 0, 6);
        let before = world.balance(ALICE).0;
        let voucher = owed(&world, &leaf, mib);
        world.run_to_epoch(6);
        let close = Op::CloseExpired(leaf.contract_id);
        world.submit(world.update(NODE, vec![close, settle(&voucher)]));
        world.run_to_epoch(7);
        assert_eq!(settled(&world), [due]);
        assert_eq!(world.balance(ALICE).0, before + DEPOSIT - due);
        assert_eq!(world.record(NODE).escrow, Amount::ZERO);
        world.check_replay(dev());
    }
}

#[test]
fn every_end_but_a_fault_settles_it() {
    let expiry = 1_000;
    let close = |world: &World, leaf: &ContractLeaf, is_notice: bool| {
        let (net, key) = (world.state.genesis_hash(), signer(ALICE));
        let sign = if is_notice {
            Closing::notice
        } else {
            Closing::mutual
        };
        sign(&key, leaf.renter, leaf.contract_id, expiry, &net)
    };
    // By both.
    let (mut world, leaf) = begin(dev(), 0, 30);
    let both = Op::CloseMutual(close(&world, &leaf, false));
    let voucher = owed(&world, &leaf, 10);
    world.submit(world.update(NODE, vec![both, settle(&voucher)]));
    world.run_to_epoch(2);
    assert_eq!(
        (settled(&world), world.leaf(&leaf.contract_id)),
        (vec![10_000], None)
    );
    world.check_replay(dev());
    // By the renter alone: the notice runs out with epoch 2, and that is known beforehand.
    let (mut world, leaf) = begin(dev(), 0, 30);
    let notice = close(&world, &leaf, true);
    world.submit(Tx::CloseByRenter(notice));
    world.run_to_epoch(2);
    let voucher = owed(&world, &leaf, 10);
    world.submit(world.update(NODE, vec![settle(&voucher)]));
    world.run_to_epoch(3);
    assert_eq!(
        (settled(&world), world.leaf(&leaf.contract_id)),
        (vec![10_000], None)
    );
    assert!(world.skipped().is_empty());
    world.check_replay(dev());
    // A fault: the deposit is the renter's.
    let (mut world, leaf) = begin(dev(), 0, 30);
    world.open(HEIR, BOB, 60);
    world.run_to_epoch(2);
    world.silent.insert(signer(NODE).node());
    world.run_to_epoch(6);
    assert!(world.record(NODE).faulted.is_some());
    let voucher = owed(&world, &leaf, 10);
    world.submit(world.close_faulted(&leaf, ALICE));
    world.submit(world.update(NODE, vec![settle(&voucher)]));
    world.run_to_epoch(7);
    assert_eq!(
        (settled(&world), world.leaf(&leaf.contract_id)),
        (vec![], None)
    );
    assert_eq!(world.skipped(), [Skip::Voucher]);
    world.check_replay(dev());
}

#[test]
fn a_move_settles_it_with_the_old_provider() {
    let (mut world, leaf) = begin(dev(), TRANSFERABLE, 30);
    let fresh = world.draft(HEIR, ALICE, 30);
    let new = ContractLeaf {
        contract_id: fresh.contract_id,
        terms_hash: fresh.terms_hash,
        start_epoch: 2,
        revision: 0,
        ..leaf
    };
    let (net, heir) = (world.state.genesis_hash(), signer(HEIR));
    let (auth, hand) = (world.auth(&leaf.renter), world.hand(ALICE));
    let signed = SignedLeaf::sign(new, Some(auth), &heir.node(), &hand, &net);
    let handover = Handover::sign(leaf.contract_id, signed, &heir, &net);
    let voucher = owed(&world, &leaf, 10);
    let ops = vec![Op::Transfer(Box::new(handover)), settle(&voucher)];
    world.submit(world.update(NODE, ops));
    world.run_to_epoch(2);
    assert_eq!(settled(&world), [10_000]);
    assert_eq!(world.balance(NODE).0, leaf.rate.0 + 10_000);
    let moved = world.leaf(&new.contract_id).expect("it moved");
    assert_eq!(
        (moved.egress_paid, moved.egress_deposit),
        (Amount::ZERO, leaf.egress_deposit)
    );
    world.check_replay(dev());
}

#[test]
fn new_terms_settle_it_and_have_a_deposit_of_their_own() {
    let (mut world, leaf) = begin(dev(), AUTO_RENEW, 13);
    let voucher = owed(&world, &leaf, 10);
    let next = extend(&leaf, 1 << 17, Amount::from_credits(100), 0, 2, &dev()).unwrap();
    let auth = world.auth(&leaf.renter);
    let op = world.sign(NODE, next, ALICE, Some(auth));
    world.submit(world.update(NODE, vec![op, settle(&voucher)]));
    world.run_to_epoch(2);
    assert_eq!((settled(&world), paid(&world, &leaf)), (vec![10_000], 0));
    // The old voucher, or a higher one of the old terms, is worth nothing under the new ones.
    for old in [&voucher, &owed(&world, &leaf, 20)] {
        let tx = world.update(NODE, vec![settle(old)]);
        assert_eq!(refused(world.admit(tx)), TxRefusal::Voucher);
    }
    let leaf = world.leaf(&leaf.contract_id).unwrap();
    let voucher = owed(&world, &leaf, 7);
    let ops = vec![Op::Renew(leaf.contract_id), settle(&voucher)];
    world.submit(world.update(NODE, ops));
    world.run_to_epoch(3);
    assert_eq!(
        (settled(&world), paid(&world, &leaf)),
        (vec![10_000, 7_000], 0)
    );
    assert!(world.skipped().is_empty(), "{:?}", world.skipped());
    world.check_replay(dev());
}

#[test]
fn reading_bears_the_fee_that_pay_bears() {
    let params = Params {
        fee_ppm: 100_000,
        burn_ppm: 50_000,
        vesting: 2,
        ..dev()
    };
    let (mut world, leaf) = begin(params.clone(), 0, 30);
    let burned = world.state.burned().0;
    assert_eq!(burned, 0);
    let voucher = owed(&world, &leaf, 10);
    let active = world.leaf(&leaf.contract_id).unwrap();
    let (_, content) = world.fill(NODE, &active, ALICE, 1);
    world.submit(world.update(NODE, vec![content, settle(&voucher)]));
    world.run_to_epoch(2);
    // Epoch 1's pay vests later; what was read was served.
    assert_eq!(world.balance(NODE).0, 9_000);
    assert_eq!(world.state.burned().0, 500 + leaf.rate.0.div_ceil(20));
    world.check_replay(params);
}

#[test]
fn what_a_voucher_must_not_say() {
    let (mut world, leaf) = begin(dev(), 0, 30);
    let mut check = |voucher: Voucher, want: TxRefusal| {
        let tx = world.update(NODE, vec![settle(&voucher)]);
        assert_eq!(refused(world.admit(tx)), want);
    };
    let (net, node, id) = (genesis(dev()).hash(), signer(NODE).node(), leaf.contract_id);
    let tally = Tally {
        bytes: MIB,
        credits: Amount(PRICE),
    };
    let own = super::world::owner(ALICE);
    // More than the price.
    let credits = Amount(PRICE + 1);
    let dear = Tally { credits, ..tally };
    let most = Amount(PRICE);
    check(
        Voucher::sign(&own, node, id, 1, dear, &net),
        TxRefusal::Dear { credits, most },
    );
    // Other terms, another provider, another contract, another reader.
    let other = Voucher::sign(&own, node, id, 2, tally, &net);
    check(other, TxRefusal::Voucher);
    let heirs = Voucher::sign(&own, signer(HEIR).node(), id, 1, tally, &net);
    check(heirs, TxRefusal::NoContract);
    let unknown = larder_types::ContractId([9; 32]);
    let unknown = Voucher::sign(&own, node, unknown, 1, tally, &net);
    check(unknown, TxRefusal::NoContract);
    let bobs = Voucher::sign(&super::world::owner(BOB), node, id, 1, tally, &net);
    check(bobs, TxRefusal::NotTheRenter);
    // A key that nobody authorised.
    let stray = larder_keys::AccountSigner::sub(leaf.renter, signer(DEVICE));
    let stray = Voucher::sign(&stray, node, id, 1, tally, &net);
    check(stray, TxRefusal::SubKey(SubKeyError::Unauthorised));
    // Nothing is owed.
    let none = Tally {
        credits: Amount::ZERO,
        ..tally
    };
    check(
        Voucher::sign(&own, node, id, 1, none, &net),
        TxRefusal::Stale,
    );
    assert_eq!(TxRefusal::Voucher.code(), 149);
    assert_eq!(TxRefusal::Dear { credits, most }.code(), 150);
}

#[test]
fn a_device_that_may_spend_may_owe() {
    let grant = |world: &World, may: May| Grant {
        may,
        // The deposit was counted when it left the account.
        cap: Some(Amount(1)),
        issued: world.now,
        until: world.now.after(Millis(8_000 * 1_000)),
    };
    let (mut world, leaf) = begin(dev(), 0, 30);
    world.submit(world.delegate(ALICE, DEVICE, grant(&world, May::NOTHING)));
    world.block();
    world.hand_to(ALICE, DEVICE);
    let voucher = owed(&world, &leaf, 10);
    world.hands.clear();
    let tx = world.update(NODE, vec![settle(&voucher)]);
    let verb = TxRefusal::SubKey(SubKeyError::Verb);
    assert_eq!(refused(world.admit(tx)), verb);
    world.now = world.now.after(Millis(1));
    world.submit(world.delegate(ALICE, DEVICE, grant(&world, May::OPEN)));
    world.block();
    revise(&mut world, &leaf, &voucher);
    assert_eq!(settled(&world), [10_000]);
    // Not once it is revoked, even if the voucher waits by then.
    world.hand_to(ALICE, DEVICE);
    let voucher = owed(&world, &leaf, 11);
    world.hands.clear();
    let active = world.leaf(&leaf.contract_id).unwrap();
    let (_, content) = world.fill(NODE, &active, ALICE, 1);
    world.submit(world.update(NODE, vec![content, settle(&voucher)]));
    world.block();
    world.submit(world.revoke(ALICE, DEVICE, world.now));
    world.run_to_epoch(3);
    assert_eq!(settled(&world), [10_000]);
    assert_eq!(world.skipped(), [Skip::Voucher]);
    assert_eq!(world.leaf(&leaf.contract_id).unwrap().used_chunks, 32);
    world.check_replay(dev());
}

#[test]
fn the_same_voucher_twice() {
    let (mut world, leaf) = begin(dev(), 0, 30);
    let voucher = owed(&world, &leaf, 10);
    revise(&mut world, &leaf, &voucher);
    let again = world.update(NODE, vec![settle(&voucher)]);
    assert_eq!(refused(world.admit(again)), TxRefusal::Stale);
    // Nor beside an operation that is new, and so lets the update in.
    revise(&mut world, &leaf, &voucher);
    assert_eq!(
        (settled(&world), paid(&world, &leaf)),
        (vec![10_000], 10_000)
    );
    // Nor twice at one boundary, where two operations of the contract act.
    let more = owed(&world, &leaf, 11);
    let (net, key) = (world.state.genesis_hash(), signer(ALICE));
    let active = world.leaf(&leaf.contract_id).unwrap();
    let (_, content) = world.fill(NODE, &active, ALICE, 1);
    let notice = Closing::notice(&key, leaf.renter, leaf.contract_id, 1_000, &net);
    world.submit(Tx::CloseByRenter(notice));
    world.run_to_epoch(4);
    world.submit(world.update(NODE, vec![content, settle(&more)]));
    world.run_to_epoch(5);
    assert_eq!(settled(&world), [10_000, 1_000]);
    assert_eq!(world.leaf(&leaf.contract_id), None);
    world.check_replay(dev());
}

#[test]
fn the_same_voucher_on_two_networks() {
    let (mut world, leaf) = begin(dev(), 0, 30);
    let other = Genesis {
        nonce: [5; 32],
        ..genesis(dev())
    };
    let other = State::genesis(&other).unwrap().genesis_hash();
    let voucher = owed(&world, &leaf, 10);
    assert!(voucher.verify(&world.state.genesis_hash()));
    assert!(!voucher.verify(&other));
    // In an update that is good in itself.
    let tx = crate::TreeUpdate::sign(&signer(NODE), 1, vec![settle(&voucher)], &other);
    let bad = verify::tx(&other, Tx::TreeUpdate(tx)).err();
    assert_eq!(bad, Some(VerifyError::Tx(0)));
    revise(&mut world, &leaf, &voucher);
}

#[test]
fn the_same_voucher_after_its_contract_has_closed() {
    let (mut world, leaf) = begin(dev(), 0, 6);
    let voucher = owed(&world, &leaf, 10);
    world.run_to_epoch(6);
    let close = Op::CloseExpired(leaf.contract_id);
    world.submit(world.update(NODE, vec![close, settle(&voucher)]));
    world.run_to_epoch(7);
    let again = world.update(NODE, vec![settle(&voucher)]);
    assert_eq!(refused(world.admit(again)), TxRefusal::NoContract);
    // Nor if the two begin again under the same id.
    let mut leaf = leaf;
    (leaf.start_epoch, leaf.end_epoch) = (8, 14);
    let auth = world.auth(&leaf.renter);
    let op = world.sign(NODE, leaf, ALICE, Some(auth));
    world.submit(world.update(NODE, vec![op]));
    world.run_to_epoch(8);
    assert!(world.leaf(&leaf.contract_id).is_some());
    let again = world.update(NODE, vec![settle(&voucher)]);
    assert_eq!(refused(world.admit(again)), TxRefusal::Voucher);
    assert_eq!(settled(&world), [10_000]);
    world.check_replay(dev());
}

#[test]
fn what_is_paid_only_the_ledger_says() {
    // No signature covers the field: whoever hands the leaf on could fill it in.
    let mut world = World::with(dev(), &[ALICE], &[NODE]);
    let mut leaf = world.draft(NODE, ALICE, 20);
    leaf.egress_deposit = Amount(DEPOSIT);
    leaf.egress_paid = Amount(DEPOSIT);
    let auth = world.auth(&leaf.renter);
    let op = world.sign(NODE, leaf, ALICE, Some(auth));
    world.submit(world.update(NODE, vec![op]));
    world.run_to_epoch(1);
    assert_eq!(paid(&world, &leaf), 0);
    let active = world.leaf(&leaf.contract_id).unwrap();
    let forged = ContractLeaf {
        egress_paid: Amount(7),
        ..active
    };
    let (_, content) = world.fill(NODE, &forged, ALICE, 1);
    world.submit(world.update(NODE, vec![content]));
    world.run_to_epoch(2);
    assert_eq!(paid(&world, &leaf), 0);
    world.check_replay(dev());
}

//! Attacks on the money, each of which gained something in an earlier design.
//! `docs/protocol.md` §3.4, §3.6.

use super::world::{World, dev, owner, signer};
use super::{ALICE, BOB, NODE};
use crate::provider::SLASH_ACC_START;
use crate::{Event, Faucet, Op, Reason, Skip, Tx, Unpaid};
use larder_contracts::{Auth, extend};
use larder_proofs::ContractLeaf;
use larder_types::{Amount, Epoch, Millis, Params};

/// Proves in every epoch, so that the misses of others are strikes.
const OTHER: u8 = 21;
const CAROL: u8 = 12;
/// What the faucet gave.
const GRANT: u64 = 100_000_000_000;
const DEPOSIT: Amount = Amount::from_credits(40);

/// FAULTED by the sixth miss only.
fn patient() -> Params {
    Params {
        faulted_after: 30,
        ..dev()
    }
}

/// Two providers with collateral; `OTHER` has a contract of Bob's.
fn begin() -> World {
    let mut world = World::with(patient(), &[ALICE, BOB, CAROL, NODE, OTHER], &[]);
    for node in [NODE, OTHER] {
        world.submit(world.register(node, DEPOSIT));
    }
    world.block();
    world.open(OTHER, BOB, 300);
    world
}

/// Opens with `epochs` of collateral; of several for one renter each has its own `ahead`.
fn open(world: &mut World, renter: u8, term: u32, epochs: u64, ahead: u64) -> ContractLeaf {
    let mut leaf = world.draft(NODE, renter, term);
    leaf.collateral = Amount(leaf.rate.0 * epochs);
    let auth = world.auth(&leaf.renter);
    let auth = Auth {
        nonce: auth.nonce + ahead,
        ..auth
    };
    let op = world.sign(NODE, leaf, renter, Some(auth));
    world.submit(world.update(NODE, vec![op]));
    leaf
}

fn close(world: &mut World, leaf: &ContractLeaf) {
    world.submit(world.update(NODE, vec![Op::CloseExpired(leaf.contract_id)]));
}

/// To shortly before an epoch: nobody has answered in it, and a block still comes before it.
fn before(world: &mut World, epoch: Epoch) {
    world.run_to(
        world
            .state
            .schedule()
            .epoch_start(epoch)
            .before(Millis(500)),
    );
}

/// To just before the end of `epoch`, in which `NODE` does not answer.
fn miss(world: &mut World, epoch: Epoch) {
    before(world, epoch);
    world.silent.insert(signer(NODE).node());
    before(world, epoch + 1);
    world.silent.remove(&signer(NODE).node());
}

/// Epochs of pay that were charged.
fn charged(world: &World, rate: Amount) -> Vec<u64> {
    let of = |event: &Event| {
        let Event::Charged { amount, .. } = event else {
            return None;
        };
        Some(amount.0 / rate.0)
    };
    world.events.iter().filter_map(of).collect()
}

#[test]
fn ten_self_churned_contracts_empty_no_pool() {
    let mut world = begin();
    // One account has one contract with a provider: the attacker brings ten.
    let puppets: Vec<u8> = (30..40).collect();
    let net = world.state.genesis_hash();
    for puppet in &puppets {
        world.submit(Tx::Faucet(Faucet::sign(&owner(*puppet), &net)));
    }
    world.block();
    let alice = open(&mut world, ALICE, 27, 30, 0);
    assert_eq!(alice.end_epoch, 28);
    let mut own: Vec<ContractLeaf> = Vec::new();
    // Four times it opens ten contracts with itself, misses an epoch, and closes them.
    for round in 0..4u32 {
        if round > 0 {
            world.run_to_epoch(7 * round - 1);
        }
        for leaf in std::mem::take(&mut own) {
            close(&mut world, &leaf);
        }
        let term = if round == 0 { 6 } else { 7 };
        own = puppets
            .iter()
            .map(|puppet| open(&mut world, *puppet, term, 30, 0))
            .collect();
        assert!(own.iter().all(|leaf| leaf.end_epoch == 7 * (round + 1)));
        miss(&mut world, 7 * round + 3);
        let record = world.record(NODE);
        assert_eq!(record.active.iter().count(), 11, "{:?}", world.skipped());
    }
    world.run_to_epoch(27);
    for leaf in own.iter().chain([&alice]) {
        close(&mut world, leaf);
    }
    world.run_to_epoch(28);
    let record = world.record(NODE);
    let left = [record.escrow, record.locked, record.slashed];
    assert_eq!(
        left,
        [Amount::ZERO; 3],
        "all claims are paid, nothing is left"
    );
    // Of 27 epochs four were missed. Alice pays for none of them, and has a part of the charges.
    let paid = 23 * alice.rate.0;
    let had = world.balance(ALICE).0;
    assert!(had > GRANT - paid, "{had}");
    // So the attacker has what was left, with all its contracts no more than Alice's pay.
    let purses: u64 = puppets.iter().map(|p| world.balance(*p).0).sum();
    let wealth = world.balance(NODE).0 + record.free.0 + purses;
    assert!(wealth < 11 * GRANT + paid, "{wealth}");
    world.check_replay(patient());
}

#[test]
fn a_rate_raised_after_misses_is_not_refunded_for_them() {
    let mut world = begin();
    let alice = open(&mut world, ALICE, 27, 0, 0);
    let bob = open(&mut world, BOB, 27, 0, 0);
    for epoch in 1..4 {
        miss(&mut world, epoch);
    }
    // Bob and the provider are one: a thousand times the rate, with three unpaid epochs behind it.
    let active = world.leaf(&bob.contract_id).unwrap();
    let price = Amount::from_credits(100_000);
    let next = world.state.epoch() + 1;
    assert_eq!(next, 4);
    let raised = extend(&active, active.capacity_chunks, price, 0, next, &patient()).unwrap();
    assert!(raised.rate.0 > 990 * bob.rate.0);
    let auth = Some(world.auth(&bob.renter));
    let op = world.sign(NODE, raised, BOB, auth);
    world.submit(world.update(NODE, vec![op]));
    world.run_to_epoch(4);
    let refund = bob.rate.0 * u64::from(bob.end_epoch - 1);
    let settled =
        |event: &&Event| matches!(event, Event::Extended { refund: r, .. } if *r == Amount(refund));
    assert_eq!(world.events.iter().filter(settled).count(), 1);
    world.run_to_epoch(27);
    close(&mut world, &alice);
    close(&mut world, &bob);
    world.run_to_epoch(28);
    // Epochs 4 to 27 were proven.
    assert_eq!(world.balance(ALICE).0, GRANT - 24 * alice.rate.0);
    let others = world.record(OTHER);
    let spent = 24 * raised.rate.0 + others.escrow.0 + 27 * others.sum().0;
    assert_eq!(world.balance(BOB).0, GRANT - spent);
    assert_eq!(world.record(NODE).escrow, Amount::ZERO);
    world.check_replay(patient());
}

/// A contract of Alice's with eight shards, and the challenge of epoch 4 as it opens.
fn drawn() -> (World, ContractLeaf) {
    let mut world = begin();
    let leaf = open(&mut world, ALICE, 60, 30, 0);
    world.run_to_epoch(1);
    let active = world.leaf(&leaf.contract_id).unwrap();
    let (_, content) = world.fill(NODE, &active, ALICE, 8);
    world.submit(world.update(NODE, vec![content]));
    before(&mut world, 4);
    world.silent.insert(signer(NODE).node());
    world.run_to_epoch(4);
    let slot = world.state.slot_of(&signer(NODE).node());
    let begins = world.state.schedule().slot_start(slot);
    world.run_to(begins.max(world.now));
    let active = world.leaf(&leaf.contract_id).unwrap();
    (world, active)
}

/// Epoch 4 is asked, missed and not paid, whatever shards were declared in it.
fn check_declared_after_draw(lost: &[u32]) {
    let (mut world, leaf) = drawn();
    let node = signer(NODE).node();
    let (asked, earned) = (world.state.challenge_for(&node), world.balance(NODE));
    assert!(asked.is_some());
    let loss = world.declare(&leaf, lost, leaf.revision + 1);
    world.submit(world.update(NODE, vec![Op::DeclareLoss(loss)]));
    world.block();
    assert_eq!(world.state.challenge_for(&node), asked, "the same question");
    world.run_to_epoch(5);
    assert_eq!(world.balance(NODE), earned, "epoch 4 is not paid");
    assert_eq!(world.record(NODE).misses, 1, "and a strike");
    assert!(world.events.contains(&Event::Unpaid {
        provider: node,
        epoch: 4,
        epochs: 1,
        withheld: leaf.rate,
        why: Unpaid::Verdict(Reason::Silent),
    }));
    world.check_replay(patient());
}

#[test]
fn a_loss_declared_after_the_draw_excuses_nothing() {
    check_declared_after_draw(&[0, 1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn a_loss_of_the_drawn_shards_only_excuses_nothing() {
    check_declared_after_draw(&[5]);
}

#[test]
fn locked_nothing_and_s_nothing() {
    let mut world = begin();
    // Without collateral there is nothing to charge, and S stays.
    let bare = open(&mut world, ALICE, 13, 0, 0);
    miss(&mut world, 1);
    miss(&mut world, 2);
    world.run_to_epoch(3);
    assert_eq!(charged(&world, bare.rate), [0, 0]);
    assert_eq!(world.record(NODE).slash_acc, SLASH_ACC_START);
    // The third miss costs two epochs of pay of both, more than the collateral: all is taken.
    let thin = open(&mut world, CAROL, 10, 1, 0);
    assert_eq!((bare.end_epoch, thin.end_epoch), (14, 14));
    miss(&mut world, 4);
    miss(&mut world, 5);
    world.run_to_epoch(6);
    let record = world.record(NODE);
    assert_eq!((record.locked, record.slash_acc), (Amount::ZERO, 0));
    assert_eq!(record.slashed, thin.collateral);
    assert_eq!(charged(&world, bare.rate), [0, 0, 1, 0]);
    // Nothing opens until all is closed: its collateral would be worth nothing.
    open(&mut world, BOB, 8, 1, 0);
    world.run_to_epoch(7);
    assert_eq!(world.skipped(), [Skip::Slashed]);
    world.run_to_epoch(13);
    close(&mut world, &bare);
    close(&mut world, &thin);
    world.run_to_epoch(14);
    // Epochs 1, 2, 4 and 5 were missed; the collateral is its renter's.
    assert_eq!(world.balance(ALICE).0, GRANT - (13 - 4) * bare.rate.0);
    let paid = (10 - 2) * thin.rate.0;
    assert_eq!(world.balance(CAROL).0, GRANT - paid + thin.collateral.0);
    assert_eq!(world.record(NODE).slash_acc, SLASH_ACC_START);
    let again = open(&mut world, BOB, 6, 1, 0);
    world.run_to_epoch(15);
    assert!(world.leaf(&again.contract_id).is_some());
    world.check_replay(patient());
}

/// What five misses cost `NODE` beside their pay, in thousandths of an epoch's pay of Alice's contract
/// (15,000 by the schedule), if it has a contract with itself of this rate and collateral.
fn strikes_cost(own: impl Fn(&ContractLeaf) -> Option<(u64, u64)>) -> u64 {
    let mut world = begin();
    let alice = open(&mut world, ALICE, 27, 30, 0);
    if let Some((rate, collateral)) = own(&alice) {
        let mut leaf = world.draft(NODE, NODE, 27);
        (leaf.rate, leaf.collateral) = (Amount(rate), Amount(collateral));
        let auth = world.auth(&leaf.renter);
        let op = world.sign(NODE, leaf, NODE, Some(auth));
        world.submit(world.update(NODE, vec![op]));
    }
    for epoch in [3, 5, 7, 9, 11] {
        miss(&mut world, epoch);
    }
    world.run_to_epoch(27);
    close(&mut world, &alice);
    world.run_to_epoch(28);
    let paid = 22 * alice.rate.0;
    let got = world.balance(ALICE).0 + paid - GRANT;
    world.check_replay(patient());
    got * 1_000 / alice.rate.0
}

#[test]
fn a_contract_with_oneself_of_much_collateral_bears_no_strikes() {
    let clean = strikes_cost(|_| None);
    assert_eq!(clean, 15_000);
    // Ten times Alice's collateral for a rate of one: it would bear ten of eleven parts of each charge,
    // and have them back as the renter. The ledger does not open it.
    let dilution = strikes_cost(|alice| Some((1, 10 * alice.collateral.0)));
    assert_eq!(dilution, clean);
    // As much as is allowed, at a rate that weighs nothing, takes nothing off.
    let most = u64::from(patient().collateral_most);
    assert_eq!(most, 60);
    let least = strikes_cost(|_| Some((1, most)));
    assert!((clean - 10..=clean + 10).contains(&least), "{least}");
    // At Alice's own rate and twice her ratio of collateral the charge doubles, and two thirds of it are
    // borne by the own contract: a third less in all, at the price of φ on as much pay again.
    let half = strikes_cost(|alice| Some((alice.rate.0, most * alice.rate.0)));
    assert!((9_990..=10_010).contains(&half), "{half}");
}

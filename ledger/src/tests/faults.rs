//! Strikes, FAULTED and what renters may do then. `docs/protocol.md` §3.6, §3.10.

use super::world::{World, dev, owner, signer};
use super::{ALICE, BOB, NODE, refused};
use crate::{CloseFaulted, Ended, Event, Op, Skip, Tx, TxRefusal};
use larder_contracts::{Auth, extend};
use larder_proofs::ContractLeaf;
use larder_types::{Amount, Epoch, Millis, Params};

const OTHER: u8 = 21;
const COLLATERAL: u64 = 30;

/// Two providers that have deposited all they could, each with a contract of Alice's from
/// epoch 1 on; just before it.
fn two(params: Params) -> (World, ContractLeaf, ContractLeaf) {
    let mut world = World::with(params, &[ALICE, BOB, NODE, OTHER], &[]);
    for node in [NODE, OTHER] {
        world.submit(world.register(node, Amount::from_credits(50)));
    }
    world.block();
    let (ours, others) = (
        open(&mut world, NODE, ALICE),
        open(&mut world, OTHER, ALICE),
    );
    before(&mut world, 1);
    (world, ours, others)
}

fn patient() -> Params {
    Params {
        faulted_after: 30,
        ..dev()
    }
}

fn open(world: &mut World, node: u8, renter: u8) -> ContractLeaf {
    let mut leaf = world.draft(node, renter, 60);
    leaf.collateral = Amount(COLLATERAL * leaf.rate.0);
    let auth = Auth {
        nonce: u64::from(leaf.contract_id.0[31]),
        ..world.auth(&leaf.renter)
    };
    let op = world.sign(node, leaf, renter, Some(auth));
    world.submit(world.update(node, vec![op]));
    leaf
}

/// To just before an epoch, in which nobody has answered yet.
fn before(world: &mut World, epoch: Epoch) {
    world.run_to(world.state.schedule().epoch_start(epoch).before(Millis(1)));
}

fn silence(world: &mut World, node: u8) {
    world.silent.insert(signer(node).node());
}

fn speak(world: &mut World, node: u8) {
    world.silent.remove(&signer(node).node());
}

/// What strikes on `node` took: the how manieth miss, and how many epochs of pay.
fn charges(world: &World, node: u8, rate: Amount) -> Vec<(u32, u64)> {
    let of = |event: &Event| {
        let Event::Charged {
            provider,
            miss,
            amount,
            ..
        } = event
        else {
            return None;
        };
        (*provider == signer(node).node()).then_some((*miss, amount.0 / rate.0))
    };
    world.events.iter().filter_map(of).collect()
}

fn faults(world: &World) -> Vec<(u8, u32)> {
    let of = |event: &Event| {
        let Event::Faulted { provider, epoch } = event else {
            return None;
        };
        let mut nodes = [NODE, OTHER].into_iter();
        let node = nodes.find(|n| signer(*n).node() == *provider)?;
        Some((node, *epoch))
    };
    world.events.iter().filter_map(of).collect()
}

#[test]
fn a_silent_provider_is_charged_more_each_time_and_then_faulted() {
    let (mut world, leaf, _) = two(dev());
    silence(&mut world, NODE);
    world.run_to_epoch(3);
    assert_eq!(charges(&world, NODE, leaf.rate), [(1, 0), (2, 1)]);
    assert_eq!(world.record(NODE).faulted, None);
    world.run_to_epoch(8);
    // In the dev profile three in a row are enough, and nothing more is charged then.
    assert_eq!(charges(&world, NODE, leaf.rate), [(1, 0), (2, 1), (3, 2)]);
    assert_eq!(faults(&world), [(NODE, 4)]);
    let record = world.record(NODE);
    assert_eq!(record.faulted, Some(4));
    assert_eq!(record.locked, Amount((COLLATERAL - 3) * leaf.rate.0));
    assert_eq!(record.slashed, Amount(3 * leaf.rate.0));
    assert_eq!(record.passed, None);
    assert_eq!(world.record(OTHER).passed, Some(7));
    assert!(charges(&world, OTHER, leaf.rate).is_empty());
    world.check_replay(dev());
}

#[test]
fn the_sixth_miss_in_thirty_epochs_faults() {
    let (mut world, leaf, _) = two(patient());
    // Every second epoch is missed.
    for epoch in 1..12 {
        match epoch % 2 {
            1 => silence(&mut world, NODE),
            _ => speak(&mut world, NODE),
        }
        before(&mut world, epoch + 1);
    }
    world.run_to_epoch(12);
    let want = [(1, 0), (2, 1), (3, 2), (4, 4), (5, 8)];
    assert_eq!(charges(&world, NODE, leaf.rate), want);
    assert_eq!(faults(&world), [(NODE, 12)], "the sixth was epoch 11");
    world.check_replay(patient());
}

#[test]
fn old_misses_are_forgotten() {
    let (mut world, leaf, _) = two(patient());
    silence(&mut world, NODE);
    before(&mut world, 2);
    speak(&mut world, NODE);
    before(&mut world, 31);
    silence(&mut world, NODE);
    world.run_to_epoch(33);
    assert_eq!(charges(&world, NODE, leaf.rate), [(1, 0), (1, 0), (2, 1)]);
}

#[test]
fn an_epoch_in_which_nobody_passed_strikes_nobody() {
    let (mut world, leaf, _) = two(dev());
    silence(&mut world, NODE);
    silence(&mut world, OTHER);
    before(&mut world, 10);
    for node in [NODE, OTHER] {
        let record = world.record(node);
        assert_eq!((record.misses, record.faulted), (0, None));
        assert_eq!(record.unpaid, 8, "unpaid all the same");
        assert!(charges(&world, node, leaf.rate).is_empty());
    }
    speak(&mut world, OTHER);
    world.run_to_epoch(11);
    assert_eq!(charges(&world, NODE, leaf.rate), [(1, 0)]);
    world.check_replay(dev());
}

#[test]
fn a_false_proof_faults_at_once_and_costs_a_quarter() {
    let (mut world, leaf, _) = two(dev());
    world.liars.insert(signer(NODE).node());
    // A false proof is its signer's own fault, whoever else passed.
    silence(&mut world, OTHER);
    world.run_to_epoch(2);
    assert_eq!(faults(&world), [(NODE, 2)]);
    let quarter = (COLLATERAL * leaf.rate.0).div_ceil(4);
    assert_eq!(world.record(NODE).slashed, Amount(quarter));
    assert_eq!(
        charges(&world, NODE, leaf.rate),
        [(0, quarter / leaf.rate.0)]
    );
    assert!(charges(&world, OTHER, leaf.rate).is_empty());
    world.run_to_epoch(5);
    assert_eq!(world.record(NODE).slashed, Amount(quarter), "once");
    world.check_replay(dev());
}

#[test]
fn a_fault_close_pays_the_renter_what_was_not_earned_and_the_collateral() {
    let (mut world, leaf, _) = two(dev());
    before(&mut world, 2);
    let had = world.balance(ALICE);
    silence(&mut world, NODE);
    world.run_to_epoch(5);
    assert_eq!(faults(&world), [(NODE, 5)]);
    let (free, earned) = (world.record(NODE).free, world.balance(NODE));
    world.submit(world.close_faulted(&leaf, ALICE));
    world.run_to_epoch(6);
    // All epochs but the first, in which it proved; what was charged, and the rest.
    let epochs = u64::from(leaf.end_epoch - 1 - 1);
    let refund = Amount((epochs + COLLATERAL) * leaf.rate.0);
    assert_eq!(world.balance(ALICE).0 - had.0, refund.0);
    assert_eq!(world.record(NODE).free, free);
    assert_eq!(world.balance(NODE), earned);
    assert_eq!(world.leaf(&leaf.contract_id), None);
    assert!(world.events.iter().any(|event| matches!(
        event,
        Event::Closed { why: Ended::Fault, refund: r, freed: Amount::ZERO, .. } if *r == refund
    )));
    world.check_replay(dev());
}

#[test]
fn a_faulted_provider_opens_nothing_until_all_is_closed() {
    let (mut world, leaf, _) = two(dev());
    world.run_to_epoch(1);
    let bobs = open(&mut world, NODE, BOB);
    before(&mut world, 2);
    silence(&mut world, NODE);
    world.run_to_epoch(5);
    // It is back, and proves; but it changes nothing and opens nothing.
    speak(&mut world, NODE);
    let refused_open = open(&mut world, NODE, BOB);
    let (_, content) = world.fill(NODE, &leaf, ALICE, 1);
    world.submit(world.update(NODE, vec![content]));
    let price = Amount::from_credits(100);
    let more = extend(&bobs, 1 << 17, price, 30, 6, &dev()).unwrap();
    let auth = Some(world.auth(&bobs.renter));
    let more = world.sign(NODE, more, BOB, auth);
    world.submit(world.update(NODE, vec![more]));
    let earned = world.balance(NODE);
    world.run_to_epoch(6);
    assert_eq!(world.skipped(), [Skip::Faulted; 3]);
    assert_eq!(world.leaf(&refused_open.contract_id), None);
    assert_eq!(
        world.balance(NODE).0 - earned.0,
        leaf.rate.0 + bobs.rate.0,
        "it is paid for what it proves"
    );

    world.submit(world.close_faulted(&leaf, ALICE));
    let early = open(&mut world, NODE, ALICE);
    world.run_to_epoch(7);
    assert_eq!(world.record(NODE).faulted, Some(5), "Bob's is left");
    assert_eq!(world.leaf(&early.contract_id), None);
    world.submit(world.close_faulted(&bobs, BOB));
    world.run_to_epoch(8);
    let record = world.record(NODE);
    assert_eq!((record.faulted, record.misses), (None, 0));
    assert_eq!(
        (record.locked, record.slashed),
        (Amount::ZERO, Amount::ZERO)
    );
    let again = open(&mut world, NODE, BOB);
    world.run_to_epoch(9);
    assert!(world.leaf(&again.contract_id).is_some());
    world.check_replay(dev());
}

#[test]
fn a_close_for_a_fault_is_refused_where_it_is_not_due() {
    let (mut world, leaf, others) = two(dev());
    silence(&mut world, NODE);
    world.run_to_epoch(1);
    let sound = world.close_faulted(&leaf, ALICE);
    assert_eq!(refused(world.admit(sound.clone())), TxRefusal::Sound);
    world.run_to_epoch(4);
    let foreign = world.close_faulted(&leaf, BOB);
    assert_eq!(refused(world.admit(foreign)), TxRefusal::NotTheRenter);
    let of_another = world.close_faulted(&others, ALICE);
    assert_eq!(refused(world.admit(of_another)), TxRefusal::Sound);
    // The very transaction that came too early is good now: it waited with its signer.
    world.submit(sound.clone());
    world.block();
    let again = world.close_faulted(&leaf, ALICE);
    assert_eq!(refused(world.admit(again.clone())), TxRefusal::Stale);
    world.run_to_epoch(5);
    let balance = world.balance(ALICE);
    for replay in [sound, again] {
        assert_eq!(refused(world.admit(replay)), TxRefusal::NoContract);
    }
    world.run_to_epoch(6);
    assert_eq!(world.balance(ALICE), balance);
    world.check_replay(dev());
}

#[test]
fn a_fault_close_expires() {
    let (mut world, leaf, _) = two(dev());
    silence(&mut world, NODE);
    world.run_to_epoch(4);
    let (net, height) = (world.state.genesis_hash(), world.state.head().height);
    let close = CloseFaulted::sign(&owner(ALICE), leaf.contract_id, height, &net);
    let want = TxRefusal::Expired {
        expiry: height,
        height: height + 1,
    };
    assert_eq!(refused(world.admit(Tx::CloseFaulted(close))), want);
}

#[test]
fn a_faulted_providers_ended_contract_may_be_removed() {
    let mut world = World::with(dev(), &[ALICE], &[NODE, OTHER]);
    let ends = world.open(NODE, ALICE, 6);
    world.open(OTHER, ALICE, 60);
    silence(&mut world, NODE);
    world.run_to_epoch(7);
    assert_eq!(world.record(NODE).faulted, Some(4));
    world.submit(world.update(NODE, vec![Op::CloseExpired(ends.contract_id)]));
    world.run_to_epoch(8);
    assert_eq!(world.record(NODE).faulted, None);
    assert!(world.events.iter().any(|event| matches!(
        event,
        Event::Closed {
            why: Ended::Expired,
            ..
        }
    )));
    world.check_replay(dev());
}

//! Storms: much is missing at once, of many. `docs/protocol.md` §3.6.
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a test looks for one event among many"
)]

use super::ALICE;
use super::world::{World, dev, signer};
use crate::{Event, Register, Tx};
use larder_contracts::Auth;
use larder_types::{Amount, Millis, Params};

/// Their first.
const FIRST: u8 = 100;

/// `count` providers, of which the first nine are paid to `operators` accounts, each with a contract
/// of the same weight and 30 epochs of collateral; just before
/// their first epoch.
fn fleet(count: u8, operators: u8) -> World {
    let params = Params {
        faulted_after: 30,
        ..dev()
    };
    let mut world = World::with(params, &[ALICE], &[]);
    let rich = Amount::from_credits(10);
    for n in 0..count {
        let account = FIRST + if n < 9 { n % operators } else { n };
        let credit = world.transfer(1, account, rich);
        world.submit(credit);
        world.block();
        let auth = world.auth(&signer(account).account());
        let (node, net) = (signer(FIRST + n), world.state.genesis_hash());
        let owner = super::world::owner(account);
        let collateral = Amount::from_credits(1);
        world.submit(Tx::Register(Register::sign(
            &node, &owner, collateral, auth, &net,
        )));
        world.block();
    }
    world.run_to_epoch(world.state.epoch() + 1);
    for n in 0..count {
        let mut leaf = world.draft(FIRST + n, ALICE, 60);
        leaf.rate = Amount(1_000);
        leaf.collateral = Amount(30_000);
        let auth = Auth {
            nonce: u64::from(n),
            ..world.auth(&leaf.renter)
        };
        let op = world.sign(FIRST + n, leaf, ALICE, Some(auth));
        world.submit(world.update(FIRST + n, vec![op]));
    }
    // Nobody has answered in that epoch yet.
    let first = world.state.schedule().epoch_start(world.state.epoch() + 1);
    world.run_to(first.before(Millis(1)));
    world
}

/// Lets the first `missing` be silent for two epochs; what was spared and what was charged then.
fn silence(world: &mut World, missing: u8) -> (usize, u64) {
    let before = world.events.len();
    for n in 0..missing {
        world.silent.insert(signer(FIRST + n).node());
    }
    world.run_to_epoch(world.state.epoch() + 3);
    world.silent.clear();
    let new = &world.events[before..];
    let spared = new.iter().filter(|e| matches!(e, Event::Spared { .. }));
    let charged = new.iter().filter_map(|event| match event {
        Event::Charged { amount, .. } => Some(amount.0),
        _ => None,
    });
    (spared.count(), charged.sum())
}

#[test]
fn a_storm_spares_each_provider_one_charge() {
    let mut world = fleet(50, 5);
    // Eight of fifty are 16 %. The second miss would cost an epoch; spared once, it does.
    assert_eq!(silence(&mut world, 8), (8, 8 * 1_000));
    for n in 0..8 {
        let record = world.record(FIRST + n);
        assert_eq!(record.misses, 0b11, "misses count all the same");
        assert_eq!(record.spared, Some(world.state.epoch() - 2));
    }
    world.check_replay(world.state.params().clone());
}

#[test]
fn seven_of_fifty_are_no_storm() {
    assert_eq!(silence(&mut fleet(50, 5), 7), (0, 7 * 1_000));
}

#[test]
fn four_operators_make_no_storm() {
    assert_eq!(silence(&mut fleet(50, 4), 8), (0, 8 * 1_000));
}

#[test]
fn a_small_network_has_no_storms() {
    assert_eq!(silence(&mut fleet(49, 5), 9), (0, 9 * 1_000));
}

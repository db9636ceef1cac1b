//! One account, one contract with a provider; and how a stranger begins: without collateral, with little
//! room, and with pay that becomes collateral. `docs/protocol.md` §3.3, §3.12.

use super::world::{World, dev, signer};
use super::{ALICE, BOB, NODE};
use crate::provider::{Provider, TRIAL};
use crate::{Event, Op, Skip};
use larder_proofs::ContractLeaf;
use larder_types::{Amount, Params};

const OTHER: u8 = 21;
/// What a stranger may hold.
const STARTER: u64 = 1 << 17;

fn params() -> Params {
    Params {
        collateral_epochs: 30,
        starter_capacity_chunks: STARTER,
        faulted_after: 30,
        ..dev()
    }
}

fn open(world: &mut World, renter: u8, capacity: u64, epochs: u64) -> ContractLeaf {
    let mut leaf = world.draft(NODE, renter, 100);
    leaf.capacity_chunks = capacity;
    leaf.rate = Amount(1_000);
    leaf.collateral = Amount(epochs * leaf.rate.0);
    let auth = Some(world.auth(&leaf.renter));
    let op = world.sign(NODE, leaf, renter, auth);
    world.submit(world.update(NODE, vec![op]));
    world.run_to_epoch(world.state.epoch() + 1);
    leaf
}

/// `OTHER` proves, so that the misses of `NODE` are strikes.
fn begin(deposit: u64) -> World {
    let mut world = World::with(params(), &[ALICE, BOB, NODE, OTHER], &[]);
    for (node, deposit) in [(NODE, deposit), (OTHER, 100_000_000)] {
        world.submit(world.register(node, Amount(deposit)));
    }
    world.block();
    let mut leaf = world.draft(OTHER, BOB, 200);
    leaf.rate = Amount(10);
    leaf.collateral = Amount(300);
    let auth = Some(world.auth(&leaf.renter));
    let op = world.sign(OTHER, leaf, BOB, auth);
    world.submit(world.update(OTHER, vec![op]));
    world
}

#[test]
fn an_account_has_one_contract_with_a_provider() {
    let mut world = World::with(dev(), &[ALICE, BOB], &[NODE, OTHER]);
    let first = world.open(NODE, ALICE, 6);
    world.run_to_epoch(1);
    // Another with the same is refused, one with another is not, nor is Bob's.
    let second = world.open(NODE, ALICE, 6);
    let elsewhere = world.open(OTHER, ALICE, 6);
    let bobs = world.open(NODE, BOB, 6);
    world.run_to_epoch(2);
    assert_eq!(world.skipped(), [Skip::Second]);
    assert_eq!(Skip::Second.code(), 216);
    let is_there = |world: &World, leaf: &ContractLeaf| world.leaf(&leaf.contract_id).is_some();
    assert!(!is_there(&world, &second));
    assert!(is_there(&world, &elsewhere) && is_there(&world, &bobs));
    // Of two at one boundary one opens; and once it has gone there is room, at the same boundary.
    world.run_to_epoch(6);
    let ends = vec![Op::CloseExpired(first.contract_id)];
    world.submit(world.update(NODE, ends));
    let (third, fourth) = (world.open(NODE, ALICE, 6), world.open(NODE, ALICE, 6));
    world.run_to_epoch(7);
    assert_ne!(is_there(&world, &third), is_there(&world, &fourth));
    assert_eq!(world.skipped(), [Skip::Second; 2]);
    world.check_replay(dev());
}

#[test]
fn a_stranger_begins_without_collateral_and_is_paid_in_it() {
    let mut world = begin(0);
    let had = world.balance(NODE);
    let leaf = open(&mut world, ALICE, STARTER, 0);
    assert!(
        world.leaf(&leaf.contract_id).is_some(),
        "{:?}",
        world.skipped()
    );
    assert_eq!(world.record(NODE).on_trial, TRIAL);
    world.run_to_epoch(1 + TRIAL);
    // Thirty epochs' pay is collateral now, the next one's is its own.
    let record = world.record(NODE);
    assert_eq!((record.free, record.on_trial), (Amount(30_000), 0));
    assert_eq!(world.balance(NODE), had);
    world.run_to_epoch(2 + TRIAL);
    assert_eq!(world.balance(NODE).0 - had.0, 1_000);
    assert_eq!(world.record(NODE).free, Amount(30_000));
    let backed = |event: &&Event| matches!(event, Event::Backed { .. });
    assert_eq!(world.events.iter().filter(backed).count(), 30);
    // That is what another contract takes.
    let second = open(&mut world, BOB, 1, 30);
    assert!(
        world.leaf(&second.contract_id).is_some(),
        "{:?}",
        world.skipped()
    );
    assert_eq!(world.record(NODE).locked, Amount(30_000));
    world.check_replay(params());
}

#[test]
fn it_is_so_where_pay_vests_too() {
    let vesting = Params {
        vesting: 3,
        fee_ppm: 10_000,
        burn_ppm: 5_000,
        ..params()
    };
    let mut world = World::with(vesting.clone(), &[ALICE, NODE], &[NODE]);
    let had = world.balance(NODE);
    open(&mut world, ALICE, STARTER, 0);
    // Each epoch's net pay is 990, and comes three epochs later.
    world.run_to_epoch(4);
    assert_eq!(world.record(NODE).free, Amount(990));
    world.run_to_epoch(1 + TRIAL + 5);
    assert_eq!(world.record(NODE).free, Amount(30 * 990));
    assert_eq!(world.balance(NODE).0 - had.0, 3 * 990);
    world.check_replay(vesting);
}

#[test]
fn beyond_what_a_stranger_may_hold_it_takes_collateral_and_time() {
    let mut world = begin(10_000_000);
    // More than one may have bare; as much, with too little; more than a new provider may have at all.
    open(&mut world, ALICE, STARTER + 1, 0);
    open(&mut world, ALICE, STARTER + 1, 30);
    assert_eq!(world.skipped(), [Skip::Trial; 2]);
    assert_eq!(Skip::Trial.code(), 228);
    open(&mut world, ALICE, STARTER, 30);
    assert_eq!(world.record(NODE).on_trial, 0, "it backs all it holds");
    let first = world.state.epoch();
    assert_eq!(world.record(NODE).capacity, STARTER);
    // After thirty clean epochs it may hold twice as much, and the second half takes collateral.
    world.run_to_epoch(first + TRIAL);
    assert_eq!(world.record(NODE).clean, TRIAL);
    open(&mut world, BOB, STARTER, 0);
    open(&mut world, BOB, STARTER, 29);
    assert_eq!(world.skipped()[2..], [Skip::Collateral; 2]);
    open(&mut world, BOB, STARTER, 30);
    assert_eq!(world.record(NODE).capacity, 2 * STARTER);
    world.check_replay(params());
}

#[test]
fn a_miss_begins_the_thirty_epochs_anew_and_a_fault_all_of_it() {
    let mut world = begin(10_000_000);
    open(&mut world, ALICE, STARTER, 30);
    let first = world.state.epoch();
    world.run_to_epoch(first + 40);
    assert_eq!(world.record(NODE).clean, 40);
    let node = signer(NODE).node();
    world.silent.insert(node);
    // The proof for this epoch is in already.
    world.run_to_epoch(first + 42);
    world.silent.remove(&node);
    assert_eq!(
        world.record(NODE).clean,
        30,
        "the doubling that is full stays"
    );
    world.run_to_epoch(first + 50);
    let clean = world.record(NODE).clean;
    assert!((36..40).contains(&clean), "{clean}");
    world.liars.insert(node);
    world.run_to_epoch(first + 52);
    let record = world.record(NODE);
    assert!(record.faulted.is_some());
    assert_eq!(record.clean, 0);
    world.check_replay(params());
}

#[test]
fn what_a_provider_may_hold_doubles_and_does_not_wrap() {
    let mut provider = Provider::new(signer(NODE).node(), 0, signer(NODE).account(), Amount::ZERO);
    for (clean, most) in [
        (0, 5),
        (29, 5),
        (30, 10),
        (59, 10),
        (60, 20),
        (1_800, 5 << 60),
        (1_860, u64::MAX),
    ] {
        provider.clean = clean;
        assert_eq!(provider.capacity_most(5), most, "{clean}");
    }
    provider.clean = u32::MAX;
    assert_eq!(provider.capacity_most(5), u64::MAX);
    assert_eq!(provider.capacity_most(0), u64::MAX, "no bound");
}

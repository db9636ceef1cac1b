//! Contracts that a person asks for.

use super::world::{Seen, World, segment};
use crate::io::Command;
use crate::renter::NoRoom;
use crate::renter::renting::RentRefusal;
use larder_types::size::MIB;
use larder_types::{Amount, Bytes, Millis, NodeId, Profile};

fn rented(world: &World, provider: NodeId) -> Option<crate::report::ContractReport> {
    let contracts = world.engine.contracts();
    contracts.into_iter().find(|c| c.provider == provider)
}

#[test]
fn a_provider_that_is_named_is_rented_from_in_whole_steps_and_once() {
    let mut world = World::stored(Profile::Dev, 12, 0, &[1]);
    world.joins(40, Amount(10_000_000));
    let offers = world.engine.offers(world.now);
    let new = offers.iter().map(|o| o.offer.provider);
    let provider = { new }.find(|p| rented(&world, *p).is_none()).unwrap();
    let size = Bytes(65 * MIB - 1);
    assert!(world.engine.may_rent(world.now, &provider, size).is_ok());
    world.command(Command::Rent { provider, size });
    let contract = rented(&world, provider).expect("it was opened");
    // The world's steps are of a mebibyte.
    assert_eq!(contract.leaf.capacity_chunks * 1_024, 65 * MIB);
    world.command(Command::Rent { provider, size });
    let contracts = world.engine.contracts();
    assert_eq!(
        contracts.iter().filter(|c| c.provider == provider).count(),
        1
    );
    let again = world.engine.may_rent(world.now, &provider, size);
    assert_eq!(again.unwrap_err(), RentRefusal::Rented);
}

#[test]
fn who_does_not_offer_or_has_no_room_is_not_rented_from() {
    let mut world = World::stored(Profile::Dev, 12, 0, &[1]);
    let nobody = NodeId([0xee; 32]);
    let refused = world.engine.may_rent(world.now, &nobody, Bytes(1));
    assert_eq!(refused.unwrap_err(), RentRefusal::NoOffer);
    world.joins(40, Amount(10_000_000));
    let before = world.engine.contracts().len();
    let offers = world.engine.offers(world.now);
    let mut new = offers.iter().map(|o| o.offer.provider);
    let provider = new.find(|p| rented(&world, *p).is_none()).unwrap();
    let size = Bytes(u64::MAX / 4);
    let refused = world.engine.may_rent(world.now, &provider, size);
    assert!(
        matches!(refused, Err(RentRefusal::NoRoom(_))),
        "{refused:?}"
    );
    world.command(Command::Rent { provider, size });
    assert_eq!(world.engine.contracts().len(), before);
}

#[test]
fn a_contract_gets_a_later_end_when_it_is_asked_for() {
    let mut world = World::stored(Profile::Private, 12, 0, &[1]);
    let contract = world.engine.contracts()[0].contract;
    let end = |world: &World| {
        let contracts = world.engine.contracts();
        let found = contracts.iter().find(|c| c.contract == contract);
        found.unwrap().leaf.end_epoch
    };
    let before = end(&world);
    for _ in 0..8 {
        world.epoch();
    }
    assert_eq!(end(&world), before, "far from its end");
    world.command(Command::Renew { contract });
    world.passes(Millis(5_000));
    assert!(end(&world) > before, "{} {before}", end(&world));
}

#[test]
fn what_lies_under_a_contract_with_notice_is_rebuilt_elsewhere_and_nothing_new_comes_there() {
    let mut world = World::stored(Profile::Dev, 12, 0, &[1, 2]);
    world.joins(40, Amount(10_000_000));
    let holders = world.holders(&segment(1));
    let leaves = holders[0].unwrap();
    let contract = rented(&world, leaves).unwrap().contract;
    world.leaving.insert(contract, world.now_epoch() + 3);
    world.epoch();
    assert_eq!(
        rented(&world, leaves).unwrap().leaves_in,
        world.leaving.get(&contract).copied()
    );
    world.passes(Millis(120_000));
    assert!(world.is_whole(&segment(1)) && world.is_whole(&segment(2)));
    for id in [segment(1), segment(2)] {
        assert!(
            !world.holders(&id).contains(&Some(leaves)),
            "it lies elsewhere"
        );
    }
    // It may be read from while it is there, and a restart knows of the notice again.
    world.restart();
    world.seen.clear();
    world.store(segment(3));
    world.passes(Millis(120_000));
    let came = |seen: &Seen| matches!(seen, Seen::Put(_, _, to) if *to == leaves);
    assert!(
        !world.seen.iter().any(came),
        "nothing is placed there any more"
    );
    for _ in 0..3 {
        world.epoch();
    }
    assert!(rented(&world, leaves).is_none(), "it has ended");
    assert!(world.is_whole(&segment(1)));
}

#[test]
fn no_contract_is_opened_or_grows_beyond_the_allowance_and_those_there_are_stay() {
    let mut world = World::stored(Profile::Dev, 12, 0, &[1]);
    world.joins(40, Amount(10_000_000));
    let before = world.engine.contracts();
    world.command(Command::Allow(Some(Amount(1))));
    let offers = world.engine.offers(world.now);
    let mut new = offers.iter().map(|o| o.offer.provider);
    let provider = new.find(|p| rented(&world, *p).is_none()).unwrap();
    let size = Bytes(MIB);
    let refused = world.engine.may_rent(world.now, &provider, size);
    assert!(
        matches!(refused, Err(RentRefusal::NoRoom(NoRoom::Allowance { .. }))),
        "{refused:?}"
    );
    world.command(Command::Rent { provider, size });
    for _ in 0..3 {
        world.epoch();
    }
    let mut after = world.engine.contracts();
    assert_eq!(after.len(), before.len());
    // Renewal at the old rate goes on.
    let contract = after.remove(0);
    world.command(Command::Renew {
        contract: contract.contract,
    });
    world.passes(Millis(5_000));
    let renewed = rented(&world, contract.provider).unwrap();
    assert!(renewed.leaf.end_epoch >= contract.leaf.end_epoch);
    assert_eq!(renewed.leaf.rate, contract.leaf.rate);
    world.command(Command::Allow(None));
    assert!(world.engine.may_rent(world.now, &provider, size).is_ok());
}

#[test]
fn what_lacks_a_place_waits_where_more_is_not_allowed_and_is_repaired_once_it_is() {
    let mut world = World::stored(Profile::Dev, 12, 4, &[1]);
    world.leave(&segment(1), 8);
    world.command(Command::Allow(Some(Amount(1))));
    let lost = world.holders(&segment(1))[0].unwrap();
    world.faulted.insert(lost);
    for _ in 0..3 {
        world.epoch();
        world.passes(Millis(60_000));
    }
    assert!(!world.is_whole(&segment(1)), "nothing was opened for it");
    world.command(Command::Allow(None));
    world.passes(Millis(600_000));
    world.epoch();
    world.passes(Millis(60_000));
    assert!(world.is_whole(&segment(1)));
}

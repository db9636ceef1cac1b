//! Contracts that a person asks for.

use super::world::World;
use crate::io::Command;
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

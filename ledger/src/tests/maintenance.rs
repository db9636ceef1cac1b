//! Announced absences. `docs/protocol.md` §3.6.

use super::world::{World, dev, signer};
use super::{ALICE, NODE, refused};
use crate::maintenance::APART;
use crate::{Event, ProofRefusal, Reason, TxRefusal, Unpaid};
use larder_types::Amount;

const OTHER: u8 = 21;

/// Two providers with a contract each; epoch 1.
fn two() -> World {
    let mut world = World::with(dev(), &[ALICE], &[NODE, OTHER]);
    world.open(NODE, ALICE, 120);
    world.open(OTHER, ALICE, 120);
    world.run_to_epoch(1);
    world
}

#[test]
fn a_provider_that_announced_its_absence_is_unpaid_but_not_struck() {
    let mut world = two();
    world.submit(world.maintenance(NODE, 3, 3));
    world.block();
    let (provider, first, epochs) = (signer(NODE).node(), 3, 3);
    assert!(world.events.iter().any(|event| matches!(
        event,
        Event::MaintenanceAnnounced { provider: p, first: f, epochs: n, .. }
            if (*p, *f, *n) == (provider, first, epochs)
    )));
    world.run_to_epoch(3);
    let earned = world.balance(NODE);
    world.silent.insert(provider);
    world.run_to_epoch(6);
    assert_eq!(world.balance(NODE), earned, "epoch 2 was paid before");
    let record = world.record(NODE);
    assert_eq!((record.misses, record.unpaid, record.faulted), (0, 3, None));
    let declared = |event: &&Event| {
        let why = Unpaid::Verdict(Reason::Maintenance);
        matches!(event, Event::Unpaid { provider: p, why: w, .. } if *p == provider && *w == why)
    };
    assert_eq!(world.events.iter().filter(declared).count(), 3);
    // Afterwards silence is a miss again.
    world.run_to_epoch(7);
    assert_eq!(world.record(NODE).misses, 1);
    world.check_replay(dev());
}

#[test]
fn an_absent_provider_is_not_asked_and_cannot_fail() {
    let mut world = two();
    world.submit(world.maintenance(NODE, 3, 1));
    world.liars.insert(signer(NODE).node());
    world.silent.insert(signer(NODE).node());
    world.run_to_epoch(3);
    world.silent.clear();
    let slot = world.state.slot_of(&signer(NODE).node());
    world.run_to(world.state.schedule().slot_start(slot));
    let node = signer(NODE).node();
    let asked = world.pool.accept(&world.state, &node, &[], world.now);
    assert_eq!(asked.map(drop), Err(ProofRefusal::NotAsked));
    world.silent.insert(node);
    world.run_to_epoch(4);
    assert_eq!(world.record(NODE).faulted, None);
    assert_eq!(world.record(NODE).slashed, Amount::ZERO);
    world.check_replay(dev());
}

#[test]
fn a_notice_that_is_late_long_or_repeated_is_refused() {
    let mut world = two();
    let check = |world: &mut World, first, epochs, want| {
        let notice = world.maintenance(NODE, first, epochs);
        assert_eq!(refused(world.admit(notice)), want);
    };
    let (first, earliest) = (2, 3);
    check(&mut world, first, 1, TxRefusal::Notice { first, earliest });
    check(&mut world, 3, 0, TxRefusal::Absence { epochs: 0 });
    check(&mut world, 3, 4, TxRefusal::Absence { epochs: 4 });
    check(&mut world, u32::MAX, 4, TxRefusal::Absence { epochs: 4 });
    let unknown = world.maintenance(99, 3, 1);
    assert_eq!(refused(world.admit(unknown)), TxRefusal::Unregistered);

    let notice = world.maintenance(NODE, 4, 2);
    world.submit(notice.clone());
    world.block();
    let next = 4 + APART;
    check(&mut world, 6, 1, TxRefusal::AwayAgain { next });
    check(&mut world, next - 1, 1, TxRefusal::AwayAgain { next });
    assert_eq!(
        refused(world.admit(notice.clone())),
        TxRefusal::AwayAgain { next }
    );
    world.run_to_epoch(next - 2);
    let earliest = next;
    let late = TxRefusal::Notice { first: 4, earliest };
    assert_eq!(refused(world.admit(notice)), late, "its time has passed");
    world.submit(world.maintenance(NODE, next, 1));
    world.block();
    world.check_replay(dev());
}

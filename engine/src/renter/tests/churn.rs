//! Repair under churn, seed by seed: nothing is lost, nothing sold twice, all becomes whole.

use super::world::{Manner, World, segment};
use crate::io::Command;
use larder_types::{Millis, Profile, SegmentId};

/// Providers fail for good, go and come back, lie; the process is killed. Never more at a time than
/// the code bears.
fn check_churn(seed: u64) {
    let ids: Vec<u8> = (1..=6).collect();
    let mut world = World::stored(Profile::Dev, 14, 10, &ids);
    let mut state = seed;
    let mut chance = move |n: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(state >> 33).unwrap() % n
    };
    for round in 0..24 {
        let some = world.node(chance(24));
        match chance(6) {
            0 if world.faulted.len() < 8 => {
                world.faulted.insert(some);
                world.manners.insert(some, Manner::Down);
            }
            1 => {
                world.manners.insert(some, Manner::Down);
                world.misses.insert(some, 2);
            }
            2 => {
                let down =
                    |(node, _): &(&larder_types::NodeId, &Manner)| !world.faulted.contains(*node);
                let back = world.manners.iter().find(down).map(|(node, _)| *node);
                back.map(|node| (world.manners.remove(&node), world.misses.remove(&node)));
            }
            3 if world.manners.values().all(|m| *m != Manner::Wrong) => {
                world.manners.insert(some, Manner::Wrong);
                for i in &ids {
                    world.command(Command::Fetch {
                        segment: segment(*i),
                    });
                }
            }
            4 => world.restart(),
            _ => {
                let id = segment(ids[chance(ids.len())]);
                world.command(Command::Fetch { segment: id });
            }
        }
        world.passes(Millis(1_000 * u64::try_from(chance(50)).unwrap()));
        world.closes();
        world.epoch();
        for i in &ids {
            check_segment(&world, &segment(*i), (seed, round));
        }
    }
    let faulted = world.faulted.clone();
    world.manners.retain(|node, _| faulted.contains(node));
    world.misses.clear();
    for _ in 0..6 {
        world.passes(Millis(59_000));
        world.closes();
        world.epoch();
    }
    for i in ids {
        let id = segment(i);
        assert!(
            world.is_whole(&id),
            "seed {seed}: {:?} {:?}",
            world.row(&id),
            world.engine.repair_trouble()
        );
    }
    assert!(world.engine.repairs().iter().all(|r| r.state.is_none()));
    assert!(world.spool.is_empty(), "seed {seed}: {:?}", world.spool);
}

fn check_segment(world: &World, id: &SegmentId, at: (u64, i32)) {
    let holders = world.holders(id);
    let held: Vec<_> = holders.iter().flatten().collect();
    assert!(held.len() >= 4, "{at:?}: {holders:?}");
    let distinct: std::collections::BTreeSet<_> = held.iter().collect();
    assert_eq!(distinct.len(), held.len(), "{at:?}: one copy sold as two");
    assert!(held.iter().all(|n| !world.faulted.contains(*n)), "{at:?}");
    for j in &world.row(id).spooled {
        assert!(
            world.spool.contains(&(*id, *j)),
            "{at:?}: {j} is not in the spool"
        );
    }
}

#[test]
fn through_churn_every_segment_stays_and_becomes_whole() {
    for seed in 1..=20 {
        check_churn(seed);
    }
}

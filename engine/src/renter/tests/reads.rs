//! A keeper reads: from whom, for how long, and who is asked when others fail.

use super::holder;
use super::world::{Manner, Seen, World, segment};
use crate::io::{Command, Notice};
use larder_types::{Millis, Profile};

#[test]
fn a_slow_shard_makes_another_start_and_its_late_end_counts_for_nothing() {
    let mut world = World::stored(Profile::Dev, 12, 0, &[1]);
    let id = segment(1);
    let slow = holder(&world, &id, 0);
    world.manners.insert(slow, Manner::Slow);
    world.command(Command::Fetch { segment: id });
    assert_eq!(world.gets().len(), 4);
    world.passes(Millis(5_400));
    assert_eq!(world.gets().len(), 4, "as slow as that a line may be");
    world.passes(Millis(100));
    assert_eq!(world.gets().last().map(|(_, j, _)| *j), Some(4));
    assert!(
        world
            .notices
            .contains(&Notice::SegmentReady { segment: id })
    );
    world.command(Command::Release { segment: id });
    // The slow one is asked after the others for a while.
    world.passes(Millis(60_000));
    world.seen.clear();
    world.command(Command::Fetch { segment: id });
    assert_eq!(world.gets().len(), 4);
    world.unhang(Ok(()));
    assert_eq!(
        world
            .seen
            .iter()
            .filter(|s| **s == Seen::Decode(id))
            .count(),
        0
    );
    world.unhang(Ok(()));
    assert_eq!(
        world
            .seen
            .iter()
            .filter(|s| **s == Seen::Decode(id))
            .count(),
        1
    );
}

#[test]
fn who_keeps_one_fetch_waiting_is_not_the_first_that_the_next_one_asks() {
    let mut world = World::stored(Profile::Dev, 12, 0, &[1, 2, 3, 4]);
    // Of twelve providers four hold the data positions of each segment: some hold those of two.
    let first = |id: u8| world.holders(&segment(id))[..4].to_vec();
    let pairs = (1..=4).flat_map(|a| (1..a).map(move |b| (a, b)));
    let mut shared = pairs.filter_map(|(a, b)| {
        let in_both = first(a).into_iter().find(|node| first(b).contains(node));
        Some(([segment(a), segment(b)], in_both??))
    });
    let (ids, slow) = shared.next().expect("sixteen positions, twelve providers");
    drop(shared);
    world.manners.insert(slow, Manner::Slow);
    world.command(Command::Fetch { segment: ids[0] });
    world.passes(Millis(10_000));
    world.seen.clear();
    world.command(Command::Fetch { segment: ids[1] });
    assert_eq!(world.gets().len(), 4);
    assert!(world.gets().iter().all(|(_, _, node)| *node != slow));
    let ready = Notice::SegmentReady { segment: ids[1] };
    assert!(world.notices.contains(&ready));
    // In a while, or when it has served something, it is one of them again.
    world.unhang(Ok(()));
    world.command(Command::Release { segment: ids[1] });
    world.manners.clear();
    world.seen.clear();
    world.command(Command::Fetch { segment: ids[1] });
    let first: Vec<u16> = world.gets().iter().map(|(_, j, _)| *j).collect();
    assert_eq!(first, [0, 1, 2, 3]);
}

#[test]
fn providers_that_do_not_answer_are_asked_again_before_a_restore_gives_up() {
    let mut world = World::stored(Profile::Dev, 12, 0, &[1]);
    let id = segment(1);
    for j in 0..5 {
        let down = holder(&world, &id, j);
        world.manners.insert(down, Manner::Down);
    }
    world.command(Command::Fetch { segment: id });
    world.passes(Millis(2_000));
    assert!(
        world
            .notices
            .iter()
            .all(|n| !matches!(n, Notice::SegmentUnavailable { .. }))
    );
    let back = holder(&world, &id, 0);
    world.manners.remove(&back);
    world.passes(Millis(15_000));
    assert!(
        world
            .notices
            .contains(&Notice::SegmentReady { segment: id })
    );
    world.manners.insert(back, Manner::Down);
    world.command(Command::Release { segment: id });
    world.command(Command::Fetch { segment: id });
    world.passes(Millis(60_000));
    let gone = Notice::SegmentUnavailable {
        segment: id,
        reached: 3,
        needed: 4,
    };
    assert!(world.notices.contains(&gone));
    assert!(world.is_whole(&id), "silence makes no loss");
}

#[test]
fn a_faulted_provider_is_read_from_when_nobody_else_is_left() {
    let mut world = World::stored(Profile::Dev, 12, 8, &[1]);
    let id = segment(1);
    for j in 0..5 {
        let gone = holder(&world, &id, j);
        world.faulted.insert(gone);
    }
    world.epoch();
    world.passes(Millis(59_000));
    world.epoch();
    let first: Vec<u16> = world.gets().iter().map(|(_, j, _)| *j).take(4).collect();
    assert_eq!(first, [5, 6, 7, 0], "three are left, the fourth is FAULTED");
    assert!(world.is_whole(&id), "{:?}", world.row(&id));
}

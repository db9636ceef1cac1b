//! A keeper loses providers: what it notices, what it rebuilds, what it reads for it, and what a
//! kill in between leaves.

mod churn;
mod reads;
mod renting;
mod world;

use crate::NoRoom;
use crate::io::{Command, Notice, PutError, Unreachable};
use crate::report::RepairState;
use larder_types::size::MIB;
use larder_types::{Amount, Millis, Profile, SegmentId};
use world::{Manner, Seen, World, segment};

/// A provider that holds a position of the segment, and its place among the providers.
fn holder(world: &World, id: &SegmentId, position: usize) -> larder_types::NodeId {
    world.holders(id)[position].unwrap()
}

fn faulted(profile: Profile, spare: u8) -> (World, SegmentId, larder_types::NodeId) {
    let mut world = World::stored(profile, 12, spare, &[1]);
    let id = segment(1);
    let victim = holder(&world, &id, 2);
    world.manners.insert(victim, Manner::Down);
    world.faulted.insert(victim);
    (world, id, victim)
}

#[test]
fn what_a_faulted_provider_held_is_rebuilt_elsewhere_and_its_contract_closed() {
    let (mut world, id, victim) = faulted(Profile::Dev, 0);
    world.epoch();
    world.passes(Millis(30_000));
    assert!(world.is_whole(&id), "{:?}", world.row(&id));
    assert!(!world.holders(&id).contains(&Some(victim)));
    assert_eq!(world.rebuilds(), [(id, vec![2])]);
    assert_eq!(world.gets().len(), 4, "k and no more");
    let closes = |s: &&Seen| matches!(s, Seen::CloseFaulted(_));
    assert!(world.seen.iter().any(|s| closes(&s)));
    assert!(world.seen.contains(&Seen::Discard(id, false)), "spool");
    assert!(world.seen.contains(&Seen::Discard(id, true)), "fetched");
    let report = world.engine.segments();
    let read = (
        report.shards_repaired,
        report.bytes_read,
        report.bytes_written,
    );
    assert_eq!(read, (1, 4 * MIB, MIB));
    assert_eq!((report.below_full, report.repairing), (0, 0));
    let done = world.engine.repairs();
    assert_eq!(done.len(), 1);
    assert_eq!((done[0].shards, done[0].bytes_read), (1, 4 * MIB));
    assert!(done[0].state.is_none() && done[0].ended.is_some());
    // The totals outlive the process.
    world.restart();
    assert_eq!(world.engine.segments().shards_repaired, 1);
    // While the ledger shows the contract its close is asked for again, also by a new process.
    world.seen.clear();
    world.epoch();
    assert!(world.seen.iter().any(|s| closes(&s)));
    world.closes();
    world.epoch();
    assert!(
        world
            .engine
            .contracts()
            .iter()
            .all(|c| c.provider != victim)
    );
    assert!(world.is_whole(&id));
    assert_eq!(world.rebuilds(), []);
}

#[test]
fn silence_makes_nothing_lost() {
    let mut world = World::stored(Profile::Dev, 12, 2, &[1]);
    let id = segment(1);
    for j in [0, 1, 2] {
        let silent = holder(&world, &id, j);
        world.manners.insert(silent, Manner::Down);
        world.misses.insert(silent, 2);
    }
    for _ in 0..3 {
        world.epoch();
        world.passes(Millis(20_000));
    }
    assert!(world.is_whole(&id));
    assert_eq!((world.rebuilds(), world.gets()), (vec![], vec![]));
    assert_eq!(world.engine.segments().suspect, 1);
    // A restore asks the others first.
    world.command(Command::Fetch { segment: id });
    let asked: Vec<u16> = world.gets().iter().map(|(_, j, _)| *j).collect();
    assert_eq!(asked, [3, 4, 5, 6]);
    assert!(
        world
            .notices
            .contains(&Notice::SegmentReady { segment: id })
    );
    assert!(world.is_whole(&id));
}

#[test]
fn two_losses_in_one_segment_are_one_repair() {
    let (mut world, id, _) = faulted(Profile::Dev, 0);
    let second = holder(&world, &id, 6);
    world.faulted.insert(second);
    world.epoch();
    world.passes(Millis(30_000));
    assert!(world.is_whole(&id));
    assert_eq!(world.rebuilds(), [(id, vec![2, 6])]);
    assert_eq!(world.gets().len(), 4);
    assert_eq!(world.engine.segments().bytes_written, 2 * MIB);
}

#[test]
fn a_background_top_up_waits_an_epoch_where_epochs_are_long() {
    let (mut world, id, _) = faulted(Profile::Private, 0);
    world.epoch();
    world.passes(Millis(60_000));
    assert_eq!(world.rebuilds(), []);
    assert_eq!(world.engine.below_full()[0].state, RepairState::Waiting);
    world.epoch();
    world.passes(Millis(60_000));
    assert!(world.is_whole(&id), "{:?}", world.row(&id));
}

#[test]
fn an_urgent_repair_does_not_wait() {
    let (mut world, id, _) = faulted(Profile::Private, 0);
    let second = holder(&world, &id, 6);
    world.faulted.insert(second);
    world.epoch();
    world.passes(Millis(60_000));
    assert_eq!(world.rebuilds(), [(id, vec![2, 6])]);
    assert!(world.is_whole(&id));
}

#[test]
fn wrong_bytes_are_a_loss_and_their_provider_gets_nothing_of_the_segment() {
    check_not_there(Manner::Wrong);
    check_not_there(Manner::Forgot);
}

fn check_not_there(manner: Manner) {
    let mut world = World::stored(Profile::Dev, 12, 0, &[1]);
    let id = segment(1);
    world.leave(&id, 9);
    world.epoch();
    let liar = holder(&world, &id, 1);
    world.manners.insert(liar, manner);
    world.command(Command::Fetch { segment: id });
    world.passes(Millis(5_000));
    assert!(
        world
            .notices
            .contains(&Notice::SegmentReady { segment: id })
    );
    // Rebuilt from the shards that the user's fetch brought: nothing is read twice.
    assert_eq!(world.rebuilds(), [(id, vec![1])]);
    assert_eq!(world.gets().len(), 5, "{manner:?}: four and the wrong one");
    world.passes(Millis(60_000));
    assert!(world.is_whole(&id), "{manner:?}: {:?}", world.holders(&id));
    assert!(!world.holders(&id).contains(&Some(liar)));
    // The next loss has only the liar to go to, and does not: its tree claims a shard already.
    let next = holder(&world, &id, 5);
    world.faulted.insert(next);
    world.epoch();
    world.passes(Millis(59_000));
    assert_eq!(world.holders(&id)[5], None, "{manner:?}");
    // Nor after a restart.
    world.restart();
    world.passes(Millis(60_000));
    world.epoch();
    assert_eq!(world.holders(&id)[5], None, "{manner:?}");
    assert_eq!(world.engine.repair_trouble(), Some(&NoRoom::NoProviders));
    // A newcomer takes it.
    world.joins(40, Amount::from_credits(1));
    world.passes(Millis(120_000));
    world.epoch();
    world.passes(Millis(60_000));
    assert!(world.is_whole(&id), "{manner:?}: {:?}", world.row(&id));
    assert_eq!(world.engine.repair_trouble(), None);
}

#[test]
fn killed_while_fetching_it_begins_anew() {
    let (mut world, id, _) = faulted(Profile::Dev, 0);
    for j in [0, 1, 3, 4, 5, 6, 7] {
        let slow = holder(&world, &id, j);
        world.manners.insert(slow, Manner::Slow);
    }
    world.epoch();
    assert_eq!(world.engine.repairs()[0].state, Some(RepairState::Fetching));
    assert_eq!(world.rebuilds(), []);
    world.manners.clear();
    world.restart();
    world.passes(Millis(30_000));
    assert_eq!(world.rebuilds(), [(id, vec![2])]);
    assert!(world.is_whole(&id));
}

#[test]
fn killed_while_rebuilding_it_begins_anew() {
    let (mut world, id, _) = faulted(Profile::Dev, 0);
    world.holds_rebuilds = true;
    world.epoch();
    assert_eq!(
        world.engine.repairs()[0].state,
        Some(RepairState::Rebuilding)
    );
    world.holds_rebuilds = false;
    world.restart();
    world.passes(Millis(30_000));
    assert_eq!(world.rebuilds().len(), 2, "the first was never on record");
    assert!(world.is_whole(&id));
}

#[test]
fn killed_while_placing_nothing_is_rebuilt_twice() {
    let (mut world, id, victim) = faulted(Profile::Dev, 0);
    let nodes: Vec<_> = world.providers.iter().map(|k| k.node()).collect();
    let holders = world.holders(&id);
    for node in nodes {
        if node != victim && !holders.contains(&Some(node)) {
            world.manners.insert(node, Manner::Declines);
        }
    }
    // Those that could take it do not answer now.
    let free: Vec<_> = world
        .manners
        .keys()
        .copied()
        .filter(|n| *n != victim)
        .collect();
    for node in &free {
        world.manners.insert(*node, Manner::Down);
    }
    world.epoch();
    world.passes(Millis(2_000));
    assert_eq!(world.rebuilds(), [(id, vec![2])]);
    assert_eq!(world.row(&id).spooled, [2]);
    assert_eq!(world.engine.repairs()[0].state, Some(RepairState::Placing));
    world.restart();
    assert_eq!(world.engine.uploading(), [id]);
    for node in &free {
        world.manners.remove(node);
    }
    world.passes(Millis(120_000));
    assert!(world.is_whole(&id), "{:?}", world.row(&id));
    assert_eq!(world.rebuilds().len(), 1);
    let durable = |n: &Notice| matches!(n, Notice::SegmentFailed { .. });
    assert!(!world.notices.iter().any(durable), "nobody asked for it");
}

#[test]
fn killed_before_the_new_contract_opened_the_spool_still_has_the_shard() {
    let (mut world, id, _) = faulted(Profile::Dev, 4);
    world.leave(&id, 8);
    world.epoch();
    world.passes(Millis(30_000));
    let opened = |s: &&Seen| matches!(s, Seen::Open(_));
    assert_eq!(
        world.seen.iter().filter(opened).count(),
        1,
        "{:?}",
        world.seen
    );
    assert!(world.holders(&id).iter().all(Option::is_some));
    assert_eq!(
        world.row(&id).spooled,
        [2],
        "its contract is in no block yet"
    );
    world.restart();
    world.epoch();
    assert!(world.is_whole(&id));
    assert_eq!(world.rebuilds().len(), 1);
}

#[test]
fn new_contracts_have_room_for_all_and_are_not_one_per_segment() {
    let ids: Vec<u8> = (1..=20).collect();
    let mut world = World::stored(Profile::Dev, 12, 6, &ids);
    // Seven are left for eight positions.
    for i in 0..5 {
        let gone = world.node(i);
        world.faulted.insert(gone);
    }
    world.epoch();
    for _ in 0..4 {
        world.passes(Millis(59_000));
        world.epoch();
    }
    let opened = |s: &&Seen| matches!(s, Seen::Open(_));
    assert_eq!(world.seen.iter().filter(opened).count(), 1);
    for i in ids {
        assert!(world.is_whole(&segment(i)), "{i}");
    }
    let read = world.engine.segments().bytes_read;
    assert_eq!(
        read,
        20 * 4 * MIB,
        "k shards for each segment, however many it lacked"
    );
}

#[test]
fn without_credit_it_says_so_and_goes_on_when_there_is_some() {
    let mut world = World::stored(Profile::Dev, 12, 3, &[1]);
    let id = segment(1);
    world.leave(&id, 8);
    let victim = holder(&world, &id, 0);
    world.faulted.insert(victim);
    world.balance = Amount(0);
    world.epoch();
    world.passes(Millis(59_000));
    let trouble = world.engine.repair_trouble();
    assert!(
        matches!(trouble, Some(NoRoom::NoCredit { .. })),
        "{trouble:?}"
    );
    assert_eq!(
        world.gets(),
        [],
        "nothing is fetched that has nowhere to go"
    );
    world.balance = Amount::from_credits(100);
    for _ in 0..3 {
        world.epoch();
        world.passes(Millis(59_000));
    }
    assert!(world.is_whole(&id), "{:?}", world.row(&id));
    assert_eq!(world.engine.repair_trouble(), None);
}

#[test]
fn what_a_provider_signs_and_does_not_post_for_an_epoch_its_renter_posts() {
    let mut world = World::stored(Profile::Dev, 12, 0, &[1]);
    world.mute = world.providers.iter().map(|key| key.node()).collect();
    let older = world.holders(&segment(1));
    world.store(segment(2));
    let newer = world.holders(&segment(2));
    let forced = |world: &World| {
        let of_ours = |s: &&Seen| matches!(s, Seen::Forced(..));
        world.seen.iter().filter(of_ours).count()
    };
    world.epoch();
    assert_eq!(forced(&world), 0, "an epoch is its to post in");
    world.epoch();
    // What was opened for it and never posted is no contract yet.
    let is_open = |holder: &&Option<_>| holder.is_some() && older.contains(*holder);
    let all = newer.iter().filter(is_open).count();
    assert!(all > 0);
    assert_eq!(forced(&world), all);
    world.epoch();
    world.epoch();
    assert_eq!(forced(&world), all, "they are active now");
}

#[test]
fn who_takes_no_shards_is_named() {
    let mut world = World::new(Profile::Dev, 12);
    world.block(true);
    world.passes(Millis(5_000));
    world.command(Command::Prepare {
        job: 1,
        class: larder_types::Class::Normal,
        bytes: world::LEN,
    });
    world.passes(Millis(50_000));
    world.epoch();
    let miser = world.engine.contracts()[0].provider;
    world.manners.insert(miser, Manner::Refuses);
    for i in 1..=8 {
        world.store(segment(i));
        world.passes(Millis(60_000));
    }
    let refusing: Vec<_> = world
        .engine
        .contracts()
        .iter()
        .filter(|c| c.refuses)
        .map(|c| c.provider)
        .collect();
    assert_eq!(refusing, [miser]);
    for i in 1..=8 {
        assert!(!world.holders(&segment(i)).contains(&Some(miser)));
    }
}

#[test]
fn below_k_nothing_is_tried_and_the_segment_is_reported_lost() {
    let mut world = World::stored(Profile::Dev, 12, 0, &[1]);
    let id = segment(1);
    for j in 0..5 {
        let liar = holder(&world, &id, j);
        world.manners.insert(liar, Manner::Forgot);
    }
    world.command(Command::Fetch { segment: id });
    world.passes(Millis(60_000));
    let health = world.engine.below_full();
    assert_eq!((health[0].alive, health[0].lost), (3, 5));
    assert_eq!(health[0].state, RepairState::Lost);
    assert_eq!(world.rebuilds(), []);
    assert_eq!(world.engine.segments().lost, 1);
}

#[test]
fn the_nearest_to_loss_is_repaired_first() {
    let mut world = World::stored(Profile::Dev, 12, 0, &[1, 2, 3]);
    // The second segment has lost two positions, the others one or none.
    let ids = [1, 2, 3].map(segment);
    let renter = &mut world.engine.renter;
    for (id, positions) in [(ids[0], &[1][..]), (ids[1], &[1, 2]), (ids[2], &[3])] {
        for j in positions {
            assert!(renter.lose(&id, *j).is_some());
            assert!(renter.lose(&id, *j).is_none(), "once");
        }
    }
    world.holds_rebuilds = true;
    world.passes(Millis(1));
    world.block(false);
    let started: Vec<_> = world.rebuilds().iter().map(|(id, _)| *id).collect();
    assert_eq!(started, [ids[1], ids[0]], "two at once, the riskiest first");
    world.holds_rebuilds = false;
    world.finish_rebuild();
    world.finish_rebuild();
    world.passes(Millis(10_000));
    assert!(ids.iter().all(|id| world.is_whole(id)));
}

#[test]
fn a_user_who_asks_for_what_is_being_repaired_shares_its_shards() {
    let (mut world, id, _) = faulted(Profile::Dev, 0);
    for j in [0, 1, 3, 4] {
        let slow = holder(&world, &id, j);
        world.manners.insert(slow, Manner::Slow);
    }
    world.epoch();
    assert_eq!(world.gets().len(), 4);
    world.command(Command::Fetch { segment: id });
    assert_eq!(world.gets().len(), 4);
    world.manners.clear();
    for _ in 0..4 {
        world.unhang(Ok(()));
    }
    assert!(
        world
            .notices
            .contains(&Notice::SegmentReady { segment: id })
    );
    assert_eq!(world.rebuilds().len(), 1);
    assert!(
        !world.seen.contains(&Seen::Discard(id, true)),
        "the user reads"
    );
    world.command(Command::Release { segment: id });
    assert!(world.seen.contains(&Seen::Discard(id, true)));
}

#[test]
fn a_shard_that_fails_on_the_way_is_replaced_and_only_then_more_than_k_are_read() {
    let (mut world, id, _) = faulted(Profile::Dev, 0);
    let slow = holder(&world, &id, 0);
    world.manners.insert(slow, Manner::Slow);
    world.epoch();
    world.passes(Millis(10_000));
    assert_eq!(world.gets().len(), 4, "a repair is patient");
    world.unhang(Err(PutError::Peer(Unreachable::NoAnswer)));
    world.passes(Millis(10_000));
    assert_eq!(world.gets().len(), 5);
    assert!(world.is_whole(&id));
    assert_eq!(world.engine.segments().bytes_read, 4 * MIB);
}

#[test]
fn a_segment_with_all_its_shards_in_the_spool_is_placed_from_there() {
    let mut world = World::new(Profile::Dev, 12);
    world.block(true);
    world.passes(Millis(5_000));
    world.command(Command::Prepare {
        job: 1,
        class: larder_types::Class::Normal,
        bytes: world::LEN,
    });
    world.passes(Millis(50_000));
    let id = segment(1);
    world.store(id);
    assert_eq!(world.row(&id).spooled.len(), 8, "no contract is open yet");
    let victim = holder(&world, &id, 3);
    world.faulted.insert(victim);
    world.block(true);
    world.epoch();
    world.passes(Millis(30_000));
    assert!(world.is_whole(&id), "{:?}", world.row(&id));
    assert_eq!((world.gets(), world.rebuilds()), (vec![], vec![]));
}

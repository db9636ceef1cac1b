//! A keeper's home is gone; its words bring contracts, segments and positions back.

use super::*;
use crate::head::{Chosen, SignedHead, choose};

/// What the machines `0..peers` answer to someone with the words of machine `i`.
fn look_up(town: &mut Town, i: usize, peers: usize) -> Chosen {
    let me = town.nodes[i].me.clone();
    let key = me.recovery.key;
    let mut answers: Vec<(NodeId, Vec<SignedHead>)> = Vec::new();
    for peer in 0..peers {
        let from = town.nodes[peer].me.node();
        if let Response::Heads(heads) = town.ask(
            peer,
            Request::GetHeads {
                key,
                have: Vec::new(),
            },
        ) {
            answers.push((from, heads));
        }
    }
    choose(answers, &me.recovery, &me.account(), &me.genesis)
}

fn recover(town: &mut Town, i: usize, chosen: &Chosen) {
    let command = Command::Recovered {
        heads: chosen.heads.iter().map(|h| h.signed.clone()).collect(),
        alone: true,
    };
    town.command(i, command);
}

type Holders = BTreeMap<SegmentId, Vec<Option<ContractId>>>;

fn holders(town: &Town, i: usize) -> Holders {
    let rows = town.nodes[i].engine().renter.segments.iter();
    rows.map(|(id, row)| (*id, row.holders.clone())).collect()
}

/// A keeper with three segments on three providers, whose head is kept.
fn settled_keeper(town: &mut Town) -> (usize, Vec<SegmentId>) {
    let a = town.keeper(50, 50);
    town.prepare(a);
    let segments: Vec<SegmentId> = (1..=3).map(|id| town.store(a, id)).collect();
    town.until("a head", |town| town.nodes[a].engine().covered(&segments));
    // What was co-signed becomes active.
    town.pass(Millis(2 * params().epoch.0));
    (a, segments)
}

#[test]
fn a_keeper_that_lost_its_home_finds_every_shard_again() {
    let mut town = Town::new(3);
    let (a, segments) = settled_keeper(&mut town);
    let before = holders(&town, a);
    let seq = town.nodes[a].engine().head_state().unwrap().seq;
    town.destroy(a);

    let b = town.keeper(51, 50);
    let found = look_up(&mut town, b, 3);
    assert_eq!((found.seq, found.refused), (seq, 0));
    assert!(found.stale.is_empty());
    assert_eq!(found.contracts().len(), 3);
    let active = town
        .active
        .iter()
        .map(|(id, (_, leaf))| (*id, leaf.revision));
    assert!(found.uncovered(active).is_empty(), "the head covers it all");
    recover(&mut town, b, &found);
    town.until("every tree", |town| {
        town.nodes[b].engine().recovery_state().settled
    });
    assert_eq!(holders(&town, b), before);
    let state = town.nodes[b].engine().recovery_state();
    assert_eq!((state.contracts, state.trees), (3, 3));
    assert_eq!(
        (state.segments, state.restorable, state.strangers),
        (3, 3, 0)
    );
    assert_eq!(state.found, state.positions);

    // Its own head goes above, and it can go on storing under the same contracts.
    let more = town.store(b, 9);
    town.until("its head", |town| town.nodes[b].engine().covered(&[more]));
    let newest = town.nodes[b].engine().head_state().unwrap();
    assert!(newest.seq > seq && newest.whole && newest.holders == 3);
    assert_eq!(town.nodes[b].engine().recovery_state().contracts, 3);

    // And both are lost again: the union of both devices' heads has all.
    town.destroy(b);
    let c = town.keeper(52, 50);
    let found = look_up(&mut town, c, 3);
    assert_eq!(found.heads.len(), 2);
    let ids: Vec<SegmentId> = found.segments.iter().map(|e| e.manifest.segment).collect();
    assert_eq!(ids, [segments, vec![more]].concat());
}

#[test]
fn heads_may_come_after_the_contracts_and_a_crash_between() {
    let mut town = Town::new(3);
    let (a, _) = settled_keeper(&mut town);
    let before = holders(&town, a);
    town.destroy(a);
    let b = town.keeper(51, 50);
    town.until("every tree", |town| {
        town.nodes[b].engine().recovery_state().settled
    });
    let state = town.nodes[b].engine().recovery_state();
    assert_eq!(state.trees, 3);
    town.start(b);
    let found = look_up(&mut town, b, 3);
    recover(&mut town, b, &found);
    town.start(b);
    assert_eq!(holders(&town, b), before, "holders are durable");
    assert_eq!(town.nodes[b].engine().recovery_state().strangers, 0);
}

#[test]
fn a_silent_provider_is_named_and_found_when_it_speaks() {
    let mut town = Town::new(3);
    let (a, _) = settled_keeper(&mut town);
    let before = holders(&town, a);
    town.destroy(a);
    town.nodes[1].deaf = true;
    let silent = town.nodes[1].me.node();
    let b = town.keeper(51, 50);
    let found = look_up(&mut town, b, 1);
    recover(&mut town, b, &found);
    town.pass(Millis(20_000));
    let state = town.nodes[b].engine().recovery_state();
    assert!(!state.settled && state.trees == 2);
    assert_eq!(state.unreachable, [silent]);
    // A head that is made meanwhile still names what cannot be reached.
    let made = look_up(&mut town, b, 1);
    assert_eq!(made.heads.len(), 2);
    assert_eq!(made.heads[0].head.segments.len(), 3);
    town.nodes[1].deaf = false;
    town.until("the last tree", |town| {
        town.nodes[b].engine().recovery_state().settled
    });
    assert_eq!(holders(&town, b), before);
}

#[test]
fn what_cannot_be_brought_back_is_not_listed_as_stored() {
    let mut town = Town::new(3);
    let (a, segments) = settled_keeper(&mut town);
    town.destroy(a);
    (town.nodes[1].deaf, town.nodes[2].deaf) = (true, true);
    let b = town.keeper(51, 50);
    let found = look_up(&mut town, b, 1);
    recover(&mut town, b, &found);
    town.pass(Millis(20_000));
    let state = town.nodes[b].engine().recovery_state();
    assert_eq!((state.trees, state.segments), (1, 3));
    assert!(state.restorable < 3, "of one at least too little is found");
    let known = town.nodes[b].engine().known_segments();
    assert_eq!(known.len() as u64, state.restorable);
    (town.nodes[1].deaf, town.nodes[2].deaf) = (false, false);
    town.until("every tree", |town| {
        town.nodes[b].engine().recovery_state().settled
    });
    let known = town.nodes[b].engine().known_segments();
    let known: Vec<SegmentId> = known.iter().map(|s| s.segment).collect();
    assert_eq!(known, segments);
}

#[test]
fn a_peer_that_rolled_back_is_named() {
    let mut town = Town::new(3);
    let (a, _) = settled_keeper(&mut town);
    let old = town.nodes[0].snapshot();
    let more = town.store(a, 9);
    town.until("a head", |town| town.nodes[a].engine().covered(&[more]));
    let newest = town.nodes[a].engine().head_state().unwrap().seq;
    town.destroy(a);
    // One provider shows the heads of yesterday.
    let heads = old.into_iter().filter(|(kind, ..)| *kind == 7);
    for (kind, key, value) in heads {
        town.nodes[0].rows.insert((kind, key), value);
    }
    town.start(0);
    let b = town.keeper(51, 50);
    let found = look_up(&mut town, b, 3);
    assert_eq!((found.seq, found.stale.len()), (newest, 1));
    assert_eq!(found.stale[0].peer, town.nodes[0].me.node());
    assert!(found.segments.iter().any(|e| e.manifest.segment == more));
}

#[test]
fn a_recovered_wallet_leaves_the_lost_devices_nonces_alone() {
    let mut town = Town::new(1);
    let a = town.keeper(50, 50);
    let send = |town: &mut Town, i| {
        let (to, amount) = (town.nodes[0].me.account(), Amount(1));
        town.command(i, Command::Send { job: 1, to, amount });
        let rows = town.nodes[i].rows.iter().rev();
        let tx: Tx = rows
            .filter(|((kind, _), _)| *kind == 6)
            .map(|(_, value)| larder_types::codec::decode(value).unwrap())
            .next()
            .unwrap();
        let Tx::Transfer(transfer) = tx else {
            panic!("{tx:?}")
        };
        transfer.auth.nonce
    };
    assert_eq!(send(&mut town, a), 0);
    let b = town.keeper(51, 50);
    recover(&mut town, b, &Chosen::default());
    assert_eq!(send(&mut town, b), 128, "0 may be promised already");
    // Durable, until everything that the lost device signed has expired.
    town.nodes[b].rows.retain(|(kind, _), _| *kind != 6);
    town.start(b);
    assert_eq!(send(&mut town, b), 128);
    town.nodes[b].rows.retain(|(kind, _), _| *kind != 6);
    town.height += 2_001;
    town.start(b);
    assert_eq!(send(&mut town, b), 0);
}

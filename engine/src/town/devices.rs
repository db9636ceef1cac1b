//! Two machines of one account at once: neither loses anything, and what one looked after passes on
//! only when the words or its silence say so.

use super::*;
use crate::head::{DeviceId, Revocation, SignedHead};
use crate::io::DeviceCommand;
use crate::standing::DeviceState;

/// The newest heads of the account's devices that the first provider keeps.
fn heads(town: &mut Town, i: usize) -> Vec<SignedHead> {
    let key = town.nodes[i].me.recovery.key;
    let have = Vec::new();
    let Response::Heads(heads) = town.ask(0, Request::GetHeads { key, have }) else {
        panic!("no heads")
    };
    heads
}

/// A second machine of the account joins with the words while the first goes on.
fn join(town: &mut Town, first: usize, machine: u8) -> usize {
    let heads = heads(town, first);
    let i = town.keeper(machine, 50);
    let alone = false;
    town.command(i, Command::Recovered { heads, alone });
    i
}

fn device(town: &Town, i: usize) -> DeviceId {
    DeviceId(town.nodes[i].me.device_key.public())
}

/// How machine `of` stands in the eyes of machine `i`.
fn state(town: &Town, i: usize, of: usize) -> Option<DeviceState> {
    let (all, of) = (town.nodes[i].engine().devices(), device(town, of));
    all.into_iter().find(|d| d.device == of)
}

/// What the shell does: says that all that is known of other devices has been read.
fn merge(town: &mut Town, i: usize) {
    for it in town.nodes[i].engine().devices() {
        let (device, seq) = (it.device, it.seq);
        let merged = DeviceCommand::Merged { device, seq };
        town.command(i, Command::Device(merged));
    }
}

fn known(town: &Town, i: usize) -> Vec<SegmentId> {
    let known = town.nodes[i].engine().known_segments();
    known.iter().map(|s| s.segment).collect()
}

fn ours(town: &Town, i: usize) -> Vec<ContractId> {
    let leases = town.nodes[i].engine().renter.leases.iter();
    leases
        .filter(|(_, l)| l.of.is_none())
        .map(|(id, _)| *id)
        .collect()
}

/// Two machines of one account with contracts of their own and a segment each.
fn two(town: &mut Town) -> (usize, usize, SegmentId, SegmentId) {
    let a = town.keeper(50, 50);
    town.prepare(a);
    let first = town.store(a, 1);
    town.until("a head", |town| town.nodes[a].engine().covered(&[first]));
    town.pass(Millis(2 * params().epoch.0));
    let b = join(town, a, 51);
    town.until("its head", |town| {
        town.nodes[b]
            .engine()
            .head_state()
            .is_some_and(|h| h.holders > 0)
    });
    town.until("a sign of life", |town| {
        state(town, b, a).is_some_and(|a| !a.doubted && !a.lost)
    });
    town.prepare(b);
    let second = town.store(b, 2);
    (a, b, first, second)
}

#[test]
fn two_machines_of_one_account_write_at_once_and_neither_loses_anything() {
    let mut town = Town::new(4);
    let (a, b, first, second) = two(&mut town);
    assert!(ours(&town, a).iter().all(|id| !ours(&town, b).contains(id)));
    let both = |town: &Town, i: usize| {
        let known = known(town, i);
        known.contains(&first) && known.contains(&second)
    };
    town.until("each knows both", |town| both(town, a) && both(town, b));
    // Both go on, in the same moment.
    let ids = [(a, 3), (b, 4)].map(|(i, id)| {
        let segment = SegmentId([id; 32]);
        let (class, meta, len) = (Class::Normal, false, 64 << 10);
        town.command(
            i,
            Command::Store {
                segment,
                class,
                meta,
                len,
            },
        );
        segment
    });
    town.until("all four", |town| {
        let has = |i: usize| ids.iter().all(|id| known(town, i).contains(id));
        has(a) && has(b)
    });
    town.pass(Millis(3 * params().epoch.0));
    // Nobody has touched the other's contracts, and everything is whole with either.
    for i in [a, b] {
        let engine = town.nodes[i].engine();
        assert_eq!(engine.segments().below_full, 0);
        assert!(engine.covered(&known(&town, i)));
    }
    assert!(ours(&town, a).iter().all(|id| !ours(&town, b).contains(id)));
    // A restart changes nothing of it.
    town.start(b);
    assert_eq!(known(&town, b).len(), 4);
    // Both are lost: a third one finds all of it.
    town.pass(Millis(40_000));
    town.destroy(a);
    town.destroy(b);
    let found = heads(&mut town, a);
    assert_eq!(found.len(), 2);
    let c = town.keeper(52, 50);
    let alone = true;
    town.command(
        c,
        Command::Recovered {
            heads: found,
            alone,
        },
    );
    town.until("every tree", |town| {
        town.nodes[c].engine().recovery_state().settled
    });
    let state = town.nodes[c].engine().recovery_state();
    assert_eq!(
        (state.segments, state.restorable, state.strangers),
        (4, 4, 0)
    );
    town.until("its head", |town| {
        let held = heads_of(town, c);
        held.is_some_and(|seq| seq > 0)
    });
}

fn heads_of(town: &Town, i: usize) -> Option<u64> {
    let head = town.nodes[i].engine().head_state()?;
    (head.holders > 0).then_some(head.seq)
}

#[test]
fn a_head_is_acknowledged_once_what_it_says_was_read() {
    let mut town = Town::new(4);
    let (a, b, ..) = two(&mut town);
    town.until("the other's newest head", |town| {
        state(town, a, b).map(|it| it.seq) == heads_of(town, b)
    });
    let doom = Command::Device(DeviceCommand::Doom(vec![SegmentId([1; 32])]));
    town.command(a, doom);
    let since = town.nodes[a].engine().doomed_since();
    let waits = |town: &Town| town.nodes[a].engine().unacknowledged(since);
    town.until("the other hears of it", |town| {
        state(town, b, a).is_some_and(|a| !a.dooms.is_empty())
    });
    town.pass(Millis(40_000));
    assert_eq!(
        waits(&town),
        [device(&town, b)],
        "its vault has not read it"
    );
    merge(&mut town, b);
    town.until("its answer", |town| {
        state(town, a, b).is_some_and(|b| b.acknowledged >= since)
    });
    assert_eq!(
        waits(&town),
        [device(&town, b)],
        "our vault has not read its answer"
    );
    merge(&mut town, a);
    assert!(waits(&town).is_empty());
}

#[test]
fn what_a_silent_machine_looked_after_passes_on_and_comes_to_no_harm_if_it_wakes() {
    let mut town = Town::new(4);
    let a = town.keeper(50, 50);
    town.prepare(a);
    let first = town.store(a, 1);
    town.until("a head", |town| town.nodes[a].engine().covered(&[first]));
    town.pass(Millis(2 * params().epoch.0));
    // It sleeps.
    let asleep = town.nodes[a].engine.take();
    let b = join(&mut town, a, 51);
    assert!(ours(&town, b).is_empty(), "not at once");
    town.until("it is taken for lost", |town| !ours(town, b).is_empty());
    assert!(state(&town, b, a).unwrap().lost);
    let second = town.store(b, 2);
    town.until("a head", |town| {
        let heads = town.nodes[b].engine().head_state();
        town.nodes[b].engine().covered(&[first, second]) && heads.is_some_and(|h| h.whole)
    });
    // It wakes, and lets go of what is another's now.
    town.nodes[a].engine = asleep;
    town.until("it has let go", |town| ours(town, a).is_empty());
    town.until("it is seen", |town| !state(town, b, a).unwrap().lost);
    town.prepare(a);
    let third = town.store(a, 3);
    town.until("both know all", |town| {
        let all = |i: usize| {
            [first, second, third]
                .iter()
                .all(|id| known(town, i).contains(id))
        };
        all(a) && all(b)
    });
}

#[test]
fn a_machine_that_the_words_put_out_counts_no_more_and_what_it_stored_stays() {
    let mut town = Town::new(4);
    let (a, b, first, second) = two(&mut town);
    town.until("it knows both", |town| known(town, a).len() == 2);
    let me = town.nodes[a].me.clone();
    let (gone, seq) = (device(&town, b), state(&town, a, b).unwrap().seq);
    let revoke = |key: &Signer| {
        let it = Revocation::sign(&me.account(), key, (gone, seq), &NET);
        Command::Device(DeviceCommand::Revoke(it))
    };
    town.command(a, revoke(&Signer::from_seed(&[1; 32])));
    assert!(
        !state(&town, a, b).unwrap().revoked,
        "another key says nothing"
    );
    town.command(a, revoke(&Signer::from_seed(&[0x60 ^ 50; 32])));
    assert!(state(&town, a, b).unwrap().revoked);
    town.until("it hears of it", |town| town.nodes[b].engine().is_put_out());
    let all = [first, second];
    assert!(all.iter().all(|id| known(&town, a).contains(id)));
    town.until("all is named", |town| town.nodes[a].engine().covered(&all));
    assert!(!ours(&town, a).is_empty());
    assert!(town.nodes[a].engine().unacknowledged(u64::MAX).is_empty());
    // What it writes later counts for nobody.
    town.command(
        b,
        Command::Store {
            segment: SegmentId([9; 32]),
            class: Class::Normal,
            meta: false,
            len: 64 << 10,
        },
    );
    town.pass(Millis(60_000));
    assert!(!known(&town, a).contains(&SegmentId([9; 32])));
}

#[test]
fn machines_of_one_account_take_other_nonces() {
    let mut town = Town::new(4);
    let (a, b, ..) = two(&mut town);
    let nonce = |town: &Town, i: usize| {
        let engine = town.nodes[i].engine();
        engine.renter.devices.rank(&device(town, i))
    };
    let (one, other) = (nonce(&town, a), nonce(&town, b));
    assert_eq!((one.1, other.1), (2, 2));
    assert_ne!(one.0, other.0);
}

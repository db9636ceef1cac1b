//! Heads at both ends: when they are made, who keeps them, and for how long.

use super::*;
use crate::head::{Head, SignedHead};
use crate::wire::Deny;

/// A keeper with a contract and one segment on each of these providers.
fn keeping(town: &mut Town) -> usize {
    let a = town.keeper(50, 50);
    town.prepare(a);
    town.store(a, 1);
    a
}

fn seq(town: &Town, i: usize) -> u64 {
    town.nodes[i].engine().head_state().unwrap().seq
}

/// A head of the words `words` by device `device`, that says nothing.
fn signed(words: u8, device: u8, seq: u64) -> SignedHead {
    let me = identity(device, words);
    let head = Head::empty(seq);
    let device = (&me.device_key, me.cert.as_ref().unwrap());
    SignedHead::seal(&head, [1; 12], &me.recovery, device, &NET).unwrap()
}

fn put(town: &mut Town, head: SignedHead) -> Response {
    town.ask(0, Request::PutHead(Box::new(head)))
}

fn kept(town: &mut Town, key: Hash) -> Vec<u64> {
    let Response::Heads(heads) = town.ask(
        0,
        Request::GetHeads {
            key,
            have: Vec::new(),
        },
    ) else {
        panic!("no heads")
    };
    let mut seqs: Vec<u64> = heads.iter().map(|h| h.seq).collect();
    seqs.sort_unstable();
    seqs
}

#[test]
fn a_head_follows_a_change_and_reaches_every_provider() {
    let mut town = Town::new(4);
    let a = keeping(&mut town);
    let segment = SegmentId([1; 32]);
    town.until("a head", |town| town.nodes[a].engine().covered(&[segment]));
    town.pass(Millis(5_000));
    let state = town.nodes[a].engine().head_state().unwrap();
    assert_eq!((state.holders, state.wanted, state.whole), (3, 3, true));
    let last = town.nodes[a].told.iter().rev();
    let told = last.clone().find(|n| matches!(n, Notice::HeadKept { .. }));
    let (seq, holders) = (state.seq, 3);
    assert_eq!(told, Some(&Notice::HeadKept { seq, holders }));
    let key = town.nodes[a].me.recovery.key;
    assert_eq!(town.nodes[0].engine().head_keys(), [key]);
    // Nothing changes: nothing is sent.
    let before = town.nodes[a].asked.len();
    town.pass(Millis(30_000));
    let puts = town.nodes[a].asked[before..].iter();
    assert_eq!(
        puts.filter(|(_, r)| matches!(r, Request::PutHead(_)))
            .count(),
        0
    );
    assert!(!town.nodes[a].engine().covered(&[SegmentId([2; 32])]));
}

#[test]
fn a_head_is_offered_again_to_who_was_away_and_numbers_only_grow() {
    let mut town = Town::new(3);
    let a = keeping(&mut town);
    town.pass(Millis(5_000));
    town.nodes[2].deaf = true;
    town.store(a, 2);
    town.pass(Millis(5_000));
    let state = town.nodes[a].engine().head_state().unwrap();
    assert_eq!(state.holders, 2);
    assert!(!town.nodes[a].engine().covered(&[SegmentId([2; 32])]));
    town.nodes[2].deaf = false;
    town.pass(Millis(70_000));
    assert!(town.nodes[a].engine().covered(&[SegmentId([2; 32])]));
    let before = seq(&town, a);
    town.start(a);
    town.pass(Millis(5_000));
    assert!(seq(&town, a) > before, "a restart does not begin again");
    // A home that was copied back begins where it was, and goes above what providers hold.
    let held = seq(&town, a);
    let row = Write::own_head(&crate::rows::OwnHead::default());
    town.nodes[a].persist(vec![row]);
    town.start(a);
    town.until("a higher head", |town| seq(town, a) > held);
    town.pass(Millis(5_000));
    assert_eq!(town.nodes[a].engine().head_state().unwrap().holders, 3);
}

#[test]
fn without_a_certificate_there_are_no_heads() {
    let mut town = Town::new(2);
    let mut me = identity(50, 50);
    me.cert = None;
    let a = town.add(Node::new(me, None));
    town.prepare(a);
    town.store(a, 1);
    town.pass(Millis(60_000));
    let put = |(_, r): &&(NodeId, Request)| matches!(r, Request::PutHead(_));
    assert_eq!(town.nodes[a].asked.iter().filter(put).count(), 0);
    assert!(town.nodes[a].engine().head_state().is_none());
    assert!(town.nodes[a].engine().covered(&[SegmentId([1; 32])]));
}

#[test]
fn a_provider_keeps_the_newest_head_of_its_own_renters_devices() {
    let mut town = Town::new(1);
    let a = keeping(&mut town);
    town.pass(Millis(5_000));
    let key = town.nodes[a].me.recovery.key;
    assert_eq!(
        put(&mut town, signed(60, 60, 1)),
        Response::Denied(Deny::UnknownContract)
    );
    assert_eq!(
        put(&mut town, signed(50, 61, 100)),
        Response::Kept { seq: 100 }
    );
    // An older one does not replace it, nor another of the same number.
    assert_eq!(
        put(&mut town, signed(50, 61, 99)),
        Response::Kept { seq: 100 }
    );
    let mut other = signed(50, 61, 101);
    other.seq = 102;
    assert_eq!(put(&mut town, other), Response::Denied(Deny::BadSignature));
    let mut long = signed(50, 61, 103);
    long.sealed = vec![0; crate::head::MAX_HEAD + 1];
    assert_eq!(put(&mut town, long), Response::Denied(Deny::WrongBytes));
    let mut past = identity(62, 50);
    past.cert = Some(DeviceCert::sign(
        past.ledger_key.key(),
        &Signer::from_seed(&[9; 32]),
        past.device_key.public(),
        START,
        &NET,
    ));
    let head = Head::empty(9);
    let device = (&past.device_key, past.cert.as_ref().unwrap());
    let head = SignedHead::seal(&head, [1; 12], &past.recovery, device, &NET).unwrap();
    assert_eq!(put(&mut town, head), Response::Denied(Deny::BadSignature));
    let ours = seq(&town, a);
    assert_eq!(kept(&mut town, key), [ours, 100]);
    assert_eq!(kept(&mut town, Hash([1; 32])), [0; 0]);
    town.start(0);
    assert_eq!(kept(&mut town, key), [ours, 100], "they are durable");
}

#[test]
fn the_ninth_device_of_an_account_replaces_the_lowest_number() {
    let mut town = Town::new(1);
    let a = keeping(&mut town);
    town.pass(Millis(5_000));
    let (key, ours) = (town.nodes[a].me.recovery.key, seq(&town, a));
    for device in 0..7 {
        let seq = 1_000 + u64::from(device);
        assert_eq!(
            put(&mut town, signed(50, 70 + device, seq)),
            Response::Kept { seq }
        );
    }
    assert_eq!(
        put(&mut town, signed(50, 80, ours - 1)),
        Response::Denied(Deny::NoRoom)
    );
    assert_eq!(
        put(&mut town, signed(50, 80, 2_000)),
        Response::Kept { seq: 2_000 }
    );
    let expected: Vec<u64> = (1_000..1_007).chain([2_000]).collect();
    assert_eq!(kept(&mut town, key), expected);
}

#[test]
fn heads_rest_a_while_after_the_last_contract() {
    let mut town = Town::new(1);
    let a = keeping(&mut town);
    town.pass(Millis(2 * params().epoch.0));
    let key = town.nodes[a].me.recovery.key;
    town.destroy(a);
    town.active.clear();
    town.posted.clear();
    town.pass(Millis(10 * params().epoch.0));
    assert_eq!(town.nodes[0].engine().contracts().len(), 0);
    town.start(0);
    assert_eq!(kept(&mut town, key).len(), 1);
    town.pass(Millis(6 * params().epoch.0));
    assert_eq!(kept(&mut town, key).len(), 0);
    assert!(town.nodes[0].engine().head_keys().is_empty());
}

#[test]
fn catalogues_keep_a_head_small() {
    let mut town = Town::new(3);
    let a = keeping(&mut town);
    let mut ids: Vec<u8> = vec![1];
    let wanted = |town: &Town| {
        let told = town.nodes[a].told.iter();
        told.filter(|n| **n == Notice::CatalogueWanted).count()
    };
    for id in 2..=250 {
        ids.push(id);
        town.store(a, id);
        if wanted(&town) > 0 {
            break;
        }
    }
    town.until("a catalogue", |town| wanted(town) == 1);
    let unlisted = town.nodes[a].engine().unlisted();
    assert_eq!(unlisted.len(), ids.len());
    // More come while it is being stored: it is asked for once.
    let late = town.store(a, 251);
    let catalogue = town.store(a, 252);
    town.pass(Millis(10_000));
    assert_eq!(wanted(&town), 1);
    let segments: Vec<SegmentId> = unlisted.iter().map(|e| e.manifest.segment).collect();
    town.command(
        a,
        Command::Listed {
            catalogue,
            segments: segments.clone(),
        },
    );
    town.pass(Millis(5_000));
    let me = town.nodes[a].me.clone();
    let Response::Heads(heads) = town.ask(
        0,
        Request::GetHeads {
            key: me.recovery.key,
            have: Vec::new(),
        },
    ) else {
        panic!("no heads")
    };
    let head = heads[0].open(&me.recovery, &me.account(), &NET).unwrap();
    let named: Vec<(SegmentId, bool)> = head
        .segments
        .iter()
        .map(|e| (e.manifest.segment, e.catalogue))
        .collect();
    assert_eq!(named, [(catalogue, true), (late, false)]);
    assert!(town.nodes[a].engine().covered(&segments));
    assert_eq!(town.nodes[a].engine().unlisted().len(), 1);
    // After a restart as well.
    town.start(a);
    assert_eq!(town.nodes[a].engine().unlisted().len(), 1);
}

//! What an owner lets others read, how they read it, and how it is taken back.

use super::*;
use crate::rows::Kind;
use crate::share::{Revocation, SharedPlace, SharedSegment};
use crate::wire::{Deny, ReadCap};

/// The reader that the shares of these tests name.
fn reader() -> Signer {
    Signer::from_seed(&[77; 32])
}

/// A town with a keeper of one segment, and another that has nothing.
fn shared(providers: u8) -> (Town, usize, usize, SharedSegment) {
    let mut town = Town::new(providers);
    town.serves = true;
    let a = town.keeper(50, 50);
    town.prepare(a);
    let id = town.store(a, 1);
    town.until("a whole segment", |town| {
        town.nodes[a].engine().lendable(&[id])[0].held.len() == usize::from(code(town, a, id))
    });
    let b = town.keeper(60, 60);
    town.pass(STEP);
    let segment = lend(&town, a, id, Time(u64::MAX));
    (town, a, b, segment)
}

fn code(town: &Town, a: usize, id: SegmentId) -> u16 {
    town.nodes[a].engine().lendable(&[id])[0].manifest.code.n()
}

fn lend(town: &Town, a: usize, id: SegmentId, expiry: Time) -> SharedSegment {
    let node = &town.nodes[a];
    let lendable = node.engine().lendable(&[id]).remove(0);
    let places = lendable.grant((reader().node(), expiry), &node.me.ledger_key, &NET);
    SharedSegment {
        manifest: lendable.manifest,
        places,
        reader: reader(),
    }
}

/// What a provider says to a read, before it would touch its disk.
fn read(town: &mut Town, place: &SharedPlace, by: usize, cap: ReadCap) -> Result<(), Deny> {
    let i = town.index(&place.provider).unwrap();
    let (from, token) = (town.nodes[by].me.node(), Token(9_999_999));
    let header = BulkHeader::Read(cap);
    let now = town.now;
    let engine = town.nodes[i].engine.as_mut().unwrap();
    let input = Input::Peer(PeerInput::Bulk {
        from,
        token,
        header,
    });
    let effects = engine.step(now, &mut town.rng, input);
    let said = effects.into_iter().find_map(|effect| {
        let Effect::Bulk(effect) = effect else {
            return None;
        };
        if let BulkEffect::Serve { root, .. } = effect {
            return (root == place.cap.root).then_some(Ok(()));
        }
        if let BulkEffect::Reply {
            reply: BulkReply::Denied(deny),
            ..
        } = effect
        {
            return Some(Err(deny));
        }
        None
    });
    said.unwrap()
}

fn passed(town: &Town, place: &SharedPlace, to: usize) -> ReadCap {
    let until = town.now.after(Millis(60_000));
    place
        .cap
        .pass_to(town.nodes[to].me.node(), until, &reader(), &NET)
}

#[test]
fn whom_the_reader_lets_in_reads_and_nobody_else() {
    let (mut town, a, b, segment) = shared(3);
    let place = segment.places[0].clone();
    let cap = passed(&town, &place, b);
    assert_eq!(read(&mut town, &place, b, cap.clone()), Ok(()));
    let no = Err(Deny::BadSignature);
    // By another node, without a pass, with one that is past, and with one that the reader did not sign.
    assert_eq!(read(&mut town, &place, a, cap.clone()), no);
    assert_eq!(read(&mut town, &place, b, place.cap.clone()), no);
    let (node, past) = (town.nodes[b].me.node(), Time(town.now.0 - 1));
    let late = place.cap.pass_to(node, past, &reader(), &NET);
    assert_eq!(read(&mut town, &place, b, late), no);
    let forged = place
        .cap
        .pass_to(node, Time(u64::MAX), &town.nodes[b].me.node_key, &NET);
    assert_eq!(read(&mut town, &place, b, forged), no);
    // Of another root, the owner's signature says nothing.
    let mut other = cap;
    other.root = ShardRoot([1; 32]);
    assert_eq!(read(&mut town, &place, b, other), no);
    // The right itself ends.
    let ended = lend(&town, a, segment.manifest.segment, Time(town.now.0 - 1));
    let cap = passed(&town, &ended.places[0], b);
    assert_eq!(read(&mut town, &ended.places[0], b, cap), no);
}

#[test]
fn who_has_no_contract_and_no_credit_reads_what_is_shared() {
    let (mut town, _, b, segment) = shared(3);
    let id = segment.manifest.segment;
    town.command(b, Command::Borrow(vec![segment]));
    town.command(b, Command::Fetch { segment: id });
    let ready = Notice::SegmentReady { segment: id };
    town.until("the segment", |town| town.nodes[b].told.contains(&ready));
    let written = |town: &Town, kind: Kind| {
        let mut rows = town.nodes[b].rows.keys();
        rows.any(|(of, _)| *of == kind as u8)
    };
    assert!(!written(&town, Kind::Segment), "it is nobody's of ours");
    town.command(b, Command::Release { segment: id });
    town.command(b, Command::Return(vec![id]));
    // Returned, it is unknown again.
    town.nodes[b].told.clear();
    town.command(b, Command::Fetch { segment: id });
    let gone = |n: &Notice| matches!(n, Notice::SegmentUnavailable { .. });
    assert!(town.nodes[b].told.iter().any(gone));
}

#[test]
fn what_is_taken_back_is_served_no_more_and_who_was_away_is_told_later() {
    let (mut town, a, b, segment) = shared(3);
    let (id, until) = (segment.manifest.segment, town.now.after(Millis(3_600_000)));
    let contracts: Vec<ContractId> = segment.places.iter().map(|p| p.cap.contract).collect();
    let away = segment.places[0].clone();
    let deaf = town.index(&away.provider).unwrap();
    town.nodes[deaf].deaf = true;
    let revoke = Command::Revoke {
        reader: reader().node(),
        until,
        contracts: contracts.clone(),
    };
    town.command(a, revoke);
    town.pass(Millis(5_000));
    let stands = |town: &Town| town.nodes[a].engine().revocation(&reader().node());
    assert_eq!(stands(&town).untold, [away.provider]);
    assert_eq!(stands(&town).told.len(), contracts.len() - 1);
    let there = segment.places[1].clone();
    let cap = passed(&town, &there, b);
    assert_eq!(read(&mut town, &there, b, cap), Err(Deny::Revoked));
    // Both sides remember it over a restart.
    town.start(a);
    let i = town.index(&there.provider).unwrap();
    town.start(i);
    town.nodes[deaf].deaf = false;
    town.until("that all know", |town| stands(town).untold.is_empty());
    for place in [&away, &there] {
        let cap = passed(&town, place, b);
        assert_eq!(read(&mut town, place, b, cap), Err(Deny::Revoked));
    }
    // The recipient is told at once, and why.
    town.command(b, Command::Borrow(vec![segment]));
    town.command(b, Command::Fetch { segment: id });
    let gone = |n: &Notice| matches!(n, Notice::SegmentUnavailable { .. });
    town.until("an end", |town| town.nodes[b].told.iter().any(gone));
    assert!(town.nodes[b].engine().is_taken_back(&[id]));
    // The owner reads on, and another share of the same is another right.
    town.nodes[a].told.clear();
    town.command(a, Command::Fetch { segment: id });
    let ready = Notice::SegmentReady { segment: id };
    town.until("the owner's own", |town| {
        town.nodes[a].told.contains(&ready)
    });
    // When the rights would have ended by themselves, nobody needs to remember.
    town.pass(Millis(until.0 - town.now.0 + 2 * params().epoch.0));
    assert_eq!(stands(&town), Revocation::default());
    let remembers = |node: &Node| {
        let kinds = [Kind::Revoked as u8, Kind::Revoking as u8];
        node.rows.keys().any(|(kind, _)| kinds.contains(kind))
    };
    assert!(!town.nodes.iter().any(remembers));
}

#[test]
fn only_the_renter_takes_rights_back() {
    let (mut town, a, b, segment) = shared(2);
    let place = segment.places[0].clone();
    let i = town.index(&place.provider).unwrap();
    let until = Time(u64::MAX);
    let revoke = |key: &AccountSigner, contract| {
        let reader = reader().node();
        Request::Revoke(crate::wire::RevokeReader::sign(
            contract, reader, until, key, &NET,
        ))
    };
    let stranger = revoke(&town.nodes[b].me.ledger_key, place.cap.contract);
    assert_eq!(town.ask(i, stranger), Response::Denied(Deny::BadSignature));
    let owner = town.nodes[a].me.ledger_key.clone();
    let unknown = revoke(&owner, ContractId([1; 32]));
    assert_eq!(
        town.ask(i, unknown),
        Response::Denied(Deny::UnknownContract)
    );
    let cap = passed(&town, &place, b);
    assert_eq!(read(&mut town, &place, b, cap), Ok(()));
    let good = revoke(&owner, place.cap.contract);
    assert_eq!(town.ask(i, good.clone()), Response::Revoked);
    assert_eq!(town.ask(i, good), Response::Revoked);
    // A contract has room for so many readers, and says when it has not.
    let mut answers = (0..1_024u32).map(|n| {
        let mut id = [0; 32];
        id[..4].copy_from_slice(&n.to_le_bytes());
        let revoke =
            crate::wire::RevokeReader::sign(place.cap.contract, NodeId(id), until, &owner, &NET);
        town.ask(i, Request::Revoke(revoke))
    });
    assert!(
        answers
            .by_ref()
            .take(1_023)
            .all(|said| said == Response::Revoked)
    );
    assert_eq!(answers.next(), Some(Response::Denied(Deny::NoRoom)));
}

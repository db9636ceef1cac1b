//! A provider that loses shards, before a ledger of a few lines: what is declared, when it acts,
//! and what a crash in between leaves. Rows are kept as the shell keeps them.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a test picks the effects that it is about"
)]

use crate::io::{BulkEffect, Command, Effect, Input, PeerInput, Submission, Token};
use crate::rows::{ShardRow, VolumeId, Write};
use crate::view::{ActiveView, BlockInput, ProviderView};
use crate::wire::{BulkHeader, BulkReply, Deny, PlaceShard, ReadCap, Request, Response};
use crate::{Engine, Identity, Provide};
use larder_contracts::lose::{Remains, lose};
use larder_contracts::{Draft, SignedLeaf, revise};
use larder_keys::{AccountSigner, Signer};
use larder_ledger::{Loss, May, Op, SubKey, SubKeys, Tx};
use larder_proofs::{ContentTree, ContractLeaf, ProviderTree, ShardLeaf, cleared};
use larder_types::{
    AccountId, Amount, BlockHash, Bytes, ContractId, Epoch, GenesisHash, Millis, Params, Profile,
    Schedule, ShardRoot, SubKeyId, Time, codec,
};
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;

#[path = "tests/bench.rs"]
mod bench;
#[path = "care.rs"]
mod care;
#[path = "tests/reducing.rs"]
mod reducing;

use bench::{Bench, NoDice, root};

const NET: GenesisHash = GenesisHash([4; 32]);
/// The epoch in which the tests begin; the contract began before.
const EPOCH: Epoch = 5;

/// The losses that are handed to validators.
fn declared(effects: &[Effect]) -> Vec<Loss> {
    let ops = effects.iter().flat_map(|effect| match effect {
        Effect::Submit {
            what: Submission::Tx(tx),
            ..
        } => match &**tx {
            Tx::TreeUpdate(update) => update.ops.clone(),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    });
    let losses = ops.filter_map(|op| match op {
        Op::DeclareLoss(loss) => Some(loss),
        Op::Put(_)
        | Op::CloseExpired(_)
        | Op::CloseMutual(_)
        | Op::Reduce(_)
        | Op::Renew(_)
        | Op::Transfer(_)
        | Op::Settle(_) => None,
    });
    losses.collect()
}

fn one(effects: &[Effect]) -> Loss {
    let mut losses = declared(effects);
    assert_eq!(losses.len(), 1, "{losses:?}");
    losses.remove(0)
}

fn dropped(effects: &[Effect]) -> Vec<ShardRoot> {
    let drops = effects.iter().filter_map(|effect| match effect {
        Effect::Bulk(BulkEffect::Drop { root }) => Some(*root),
        _ => None,
    });
    drops.collect()
}

fn indices(loss: &Loss) -> Vec<u32> {
    loss.shards.iter().map(|shard| shard.index).collect()
}

fn denied(deny: Deny) -> Response {
    Response::Denied(deny)
}

/// The ledger shows one sub-key of `account`, from the next block on.
fn authorised(account: AccountId, id: SubKeyId, may: May) -> SubKeys {
    let key = SubKey {
        may,
        cap: None,
        issued: Time(1),
        until: Time(u64::MAX),
        spent: (0, Amount::ZERO),
    };
    codec::decode(&codec::encode(&vec![((account, id), key)])).unwrap()
}

#[test]
fn a_key_that_the_ledger_does_not_know_places_reads_and_signs_nothing() {
    let mut bench = Bench::new(&[1], &[], &[9]);
    let (account, device) = (bench.renter.account(), Signer::from_seed(&[60; 32]));
    let id = SubKeyId(device.public());
    bench.renter = AccountSigner::sub(account, device);
    let is_denied = |answer: BulkEffect| {
        let reply = BulkReply::Denied(Deny::SubKey);
        matches!(answer, BulkEffect::Reply { reply: said, .. } if said == reply)
    };
    let nothing = |bench: &mut Bench| {
        assert!(is_denied(bench.read(1)));
        assert!(is_denied(bench.place(5)));
        assert_eq!(bench.revise(&[9]), denied(Deny::SubKey));
    };
    nothing(&mut bench);
    // Nor does another account's right help.
    bench.subkeys = authorised(AccountId([8; 32]), id, May::ALL);
    bench.boundary(None);
    nothing(&mut bench);
    // One that may open contracts reads, as every key of the account does, and adds nothing.
    bench.subkeys = authorised(account, id, May::OPEN);
    bench.block();
    assert!(matches!(bench.read(1), BulkEffect::Serve { .. }));
    assert!(is_denied(bench.place(5)));
    assert_eq!(bench.revise(&[9]), denied(Deny::SubKey));
    bench.subkeys = authorised(account, id, May::ADD);
    bench.block();
    assert!(matches!(bench.place(5), BulkEffect::Receive { .. }));
    assert!(matches!(bench.revise(&[9]), Response::Signed(_)));
}

#[test]
fn a_loss_is_declared_and_acts_at_the_boundary() {
    let mut bench = Bench::new(&[1, 2, 3], &[4], &[9]);
    let loss = one(&bench.damage(&[2]));
    assert_eq!((indices(&loss), loss.revision), (vec![1], 3));
    assert!(matches!(
        bench.read(2),
        BulkEffect::Reply {
            reply: BulkReply::Denied(Deny::UnknownShard),
            ..
        }
    ));
    assert!(matches!(bench.read(1), BulkEffect::Serve { .. }));
    assert_eq!(bench.revise(&[9]), denied(Deny::Busy));
    assert!(declared(&bench.damage(&[2])).is_empty(), "it was known");
    assert!(declared(&bench.step(Input::Tick)).is_empty(), "it was said");

    let effects = bench.boundary(Some(&loss));
    assert_eq!(dropped(&effects), [root(2)]);
    assert!(declared(&effects).is_empty());
    let active = bench.active;
    bench.check(&active, &[1, 0, 3]);
    let report = bench.engine.provided().unwrap();
    assert_eq!((report.damaged, report.declared), (1, 1));
    assert_eq!(bench.engine.stored_shards().len(), 4);

    // What was co-signed beyond the active tree is loose again, and can be signed again.
    assert!(matches!(bench.revise(&[4, 9]), Response::Signed(_)));
    let (newest, _) = bench.latest();
    bench.check(&newest, &[1, 0, 3, 4, 9]);
    assert_eq!(newest.revision, 4);
    bench.restart();
    bench.check(&newest, &[1, 0, 3, 4, 9]);
}

#[test]
fn a_crash_between_chain_and_engine_changes_nothing() {
    let mut bench = Bench::new(&[1, 2, 3], &[4], &[9]);
    let loss = one(&bench.damage(&[1]));
    assert!(declared(&bench.damage(&[3])).is_empty());
    bench.restart();
    assert!(matches!(
        bench.read(1),
        BulkEffect::Reply {
            reply: BulkReply::Denied(Deny::UnknownShard),
            ..
        }
    ));
    assert_eq!(bench.revise(&[9]), denied(Deny::Busy));
    // The same words again in the same epoch: what was said before may stand in a block already.
    assert_eq!(one(&bench.block()), loss);
    bench.restart();
    let effects = bench.boundary(Some(&loss));
    assert_eq!(dropped(&effects), [root(1)]);
    let rest = one(&effects);
    assert_eq!(dropped(&bench.boundary(Some(&rest))), [root(3)]);
    let active = bench.active;
    for _ in 0..2 {
        // The hole at the end is not forgotten: what comes next goes after it.
        bench.check(&active, &[0, 2, 0]);
        bench.restart();
    }
    bench.block();
    assert!(matches!(bench.revise(&[4]), Response::Signed(_)));
    let (newest, _) = bench.latest();
    bench.check(&newest, &[0, 2, 0, 4]);
}

#[test]
fn what_did_not_act_is_declared_again() {
    let mut bench = Bench::new(&[1, 2], &[3, 4], &[]);
    let first = one(&bench.damage(&[2, 3]));
    assert_eq!(indices(&first), [1]);
    // No block had room for it; what was co-signed before is active instead.
    let (newest, _) = bench.latest();
    bench.active = newest;
    let again = one(&bench.boundary(None));
    assert_eq!(
        (indices(&again), again.revision),
        (vec![1, 2], first.revision)
    );
    assert_eq!(dropped(&bench.boundary(Some(&again))), [root(2), root(3)]);
    let active = bench.active;
    bench.check(&active, &[1, 0, 0, 4]);
}

#[test]
fn more_damage_waits_for_the_next_epoch() {
    let mut bench = Bench::new(&[1, 2, 3], &[], &[]);
    let first = one(&bench.damage(&[1]));
    assert!(declared(&bench.damage(&[3])).is_empty());
    let second = one(&bench.boundary(Some(&first)));
    assert_eq!(
        (indices(&second), second.revision),
        (vec![2], first.revision + 1)
    );
    bench.boundary(Some(&second));
    let active = bench.active;
    bench.check(&active, &[0, 2, 0]);
}

#[test]
fn a_loose_shard_is_dropped_at_once() {
    let mut bench = Bench::new(&[1], &[], &[9]);
    let effects = bench.damage(&[9, 77]);
    assert_eq!(dropped(&effects), [root(9)]);
    assert!(declared(&effects).is_empty());
    assert_eq!(bench.engine.provided().unwrap().damaged, 1);
    assert_eq!(bench.revise(&[9]), denied(Deny::UnknownShard));
    assert!(matches!(bench.place(9), BulkEffect::Receive { .. }));
}

#[test]
fn what_is_not_active_yet_waits_for_its_boundary() {
    let mut bench = Bench::new(&[1], &[2], &[9]);
    assert!(declared(&bench.damage(&[2])).is_empty());
    assert!(matches!(bench.revise(&[9]), Response::Signed(_)));
    let (newest, _) = bench.latest();
    bench.active = newest;
    let loss = one(&bench.boundary(None));
    assert_eq!(indices(&loss), [1]);
    bench.boundary(Some(&loss));
    let active = bench.active;
    bench.check(&active, &[1, 0, 9]);
}

#[test]
fn damage_beyond_the_active_tree_goes_with_a_loss_in_it() {
    let mut bench = Bench::new(&[1, 2], &[3, 4], &[]);
    let loss = one(&bench.damage(&[1, 4]));
    assert_eq!(indices(&loss), [0]);
    assert_eq!(dropped(&bench.boundary(Some(&loss))), [root(1), root(4)]);
    let active = bench.active;
    bench.check(&active, &[0, 2]);
    assert_eq!(bench.revise(&[4]), denied(Deny::UnknownShard));
    assert!(matches!(bench.revise(&[3]), Response::Signed(_)));
}

#[test]
fn a_lost_shard_may_come_back() {
    let mut bench = Bench::new(&[1, 2], &[], &[]);
    let loss = one(&bench.damage(&[1]));
    assert!(matches!(
        bench.place(1),
        BulkEffect::Reply {
            reply: BulkReply::Denied(Deny::Busy),
            ..
        }
    ));
    bench.boundary(Some(&loss));
    let BulkEffect::Receive { token, .. } = bench.place(1) else {
        panic!("it is not taken");
    };
    let stored = Ok(VolumeId::HOME);
    bench.step(Input::Peer(PeerInput::Received { token, stored }));
    assert!(matches!(bench.revise(&[1]), Response::Signed(_)));
    assert!(matches!(bench.read(1), BulkEffect::Serve { .. }));
    let (newest, _) = bench.latest();
    bench.check(&newest, &[0, 2, 1]);
}

#[test]
fn a_contract_that_ends_is_forgotten_with_its_holes() {
    let mut bench = Bench::new(&[1, 2, 3], &[], &[]);
    let loss = one(&bench.damage(&[2]));
    bench.boundary(Some(&loss));
    let id = bench.id();
    bench.active.contract_id = ContractId([9; 32]);
    assert_eq!(dropped(&bench.boundary(None)), [root(1), root(3)]);
    let left: Vec<u8> = bench.rows.keys().map(|(kind, _)| *kind).collect();
    assert_eq!(left, [crate::rows::Kind::Own as u8], "{id} left rows");
}

#[test]
fn a_faulted_provider_agrees_to_nothing() {
    let mut bench = Bench::new(&[1], &[], &[9]);
    assert!(bench.engine.provided().is_some_and(|p| !p.faulted));
    bench.faulted = true;
    bench.block();
    assert!(bench.engine.provided().is_some_and(|p| p.faulted));
    assert_eq!(bench.revise(&[9]), denied(Deny::NotProviding));
    let (mut leaf, _) = bench.latest();
    leaf.revision += 1;
    leaf.start_epoch = EPOCH + 1;
    leaf.capacity_chunks *= 2;
    let signed = SignedLeaf::sign(leaf, None, &bench.me.node(), &bench.renter, &NET);
    let refused = bench.ask(Request::Propose(signed));
    assert_eq!(refused, denied(Deny::NotProviding));
    assert!(matches!(
        bench.place(8),
        BulkEffect::Reply {
            reply: BulkReply::Denied(Deny::NotProviding),
            ..
        }
    ));
    assert!(matches!(bench.read(1), BulkEffect::Serve { .. }));
}

//! Contracts that end before their end, and what only the admin key may take back.
//! `docs/protocol.md` §3.3, §3.10.
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a test looks for one event among many"
)]

use super::world::{World, admin, dev, owner, signer};
use super::{ALICE, BOB, NODE, refused};
use crate::{
    AckedShard, Closing, Ended, Event, ForceRevision, Forced, Grant, May, Op, Reduction, Skip, Tx,
    TxRefusal, VerifyError, verify,
};
use larder_contracts::{Auth, ShardAck, SignedLeaf, clear, extend, revise};
use larder_keys::Signer;
use larder_proofs::{ContentTree, ContractLeaf, ShardLeaf};
use larder_types::{Amount, Hash, Millis, ShardRoot};
use std::collections::BTreeSet;

const DEVICE: u8 = 60;
const OTHER: u8 = 21;
const COLLATERAL: u64 = 30;

/// A contract of Alice's with collateral that holds four shards; epoch 3.
fn four() -> (World, ContractLeaf) {
    let mut world = World::with(dev(), &[ALICE, BOB, NODE], &[OTHER]);
    world.submit(world.register(NODE, Amount::from_credits(50)));
    world.block();
    world.open(OTHER, BOB, 60);
    let mut leaf = world.draft(NODE, ALICE, 60);
    leaf.collateral = Amount(COLLATERAL * leaf.rate.0);
    let auth = Some(world.auth(&leaf.renter));
    let op = world.sign(NODE, leaf, ALICE, auth);
    world.submit(world.update(NODE, vec![op]));
    world.run_to_epoch(1);
    let active = world.leaf(&leaf.contract_id).unwrap();
    let (_, content) = world.fill(NODE, &active, ALICE, 4);
    world.submit(world.update(NODE, vec![content]));
    world.run_to_epoch(3);
    let active = world.leaf(&leaf.contract_id).unwrap();
    assert_eq!(active.used_chunks, 64);
    (world, active)
}

/// Alice's device signs for her from now on, within all verbs.
fn delegated() -> (World, ContractLeaf) {
    let (mut world, leaf) = four();
    let grant = Grant {
        may: May::ALL,
        cap: None,
        issued: world.now,
        until: world.now.after(Millis(8_000_000)),
    };
    world.submit(world.delegate(ALICE, DEVICE, grant));
    world.block();
    world.hand_to(ALICE, DEVICE);
    (world, leaf)
}

fn closing(world: &World, leaf: &ContractLeaf, key: &Signer, is_mutual: bool) -> Closing {
    let expiry = world.state.head().height + 1_000;
    let net = world.state.genesis_hash();
    let sign = if is_mutual {
        Closing::mutual
    } else {
        Closing::notice
    };
    sign(key, leaf.renter, leaf.contract_id, expiry, &net)
}

fn mutual(world: &World, leaf: &ContractLeaf, key: &Signer) -> Tx {
    let close = closing(world, leaf, key, true);
    world.update(NODE, vec![Op::CloseMutual(close)])
}

fn notice(world: &World, leaf: &ContractLeaf, key: &Signer) -> Tx {
    Tx::CloseByRenter(closing(world, leaf, key, false))
}

fn reduce(world: &mut World, next: ContractLeaf, key: &Signer, auth: Option<Auth>) -> Tx {
    let Op::Put(signed) = world.sign(NODE, next, ALICE, auth) else {
        panic!("a put");
    };
    let net = world.state.genesis_hash();
    let reduction = Reduction::sign(signed, &signer(NODE).node(), key, &net);
    world.update(NODE, vec![Op::Reduce(Box::new(reduction))])
}

fn ended(world: &World) -> Vec<(Ended, Amount, Amount)> {
    let of = |event: &Event| match event {
        Event::Closed {
            why, refund, freed, ..
        } => Some((*why, *refund, *freed)),
        _ => None,
    };
    world.events.iter().filter_map(of).collect()
}

#[test]
fn both_sides_end_a_contract_at_once() {
    let (mut world, leaf) = four();
    let (had, free) = (world.balance(ALICE), world.record(NODE).free);
    let close = mutual(&world, &leaf, &signer(ALICE));
    world.submit(close.clone());
    world.block();
    assert_eq!(refused(world.admit(close)), TxRefusal::Stale);
    world.run_to_epoch(4);
    let refund = Amount(leaf.rate.0 * u64::from(leaf.end_epoch - 4));
    assert_eq!(world.balance(ALICE).0 - had.0, refund.0);
    assert_eq!(world.record(NODE).free.0 - free.0, leaf.collateral.0);
    assert_eq!(ended(&world), [(Ended::Mutual, refund, leaf.collateral)]);
    assert_eq!(world.leaf(&leaf.contract_id), None);
    let again = mutual(&world, &leaf, &signer(ALICE));
    assert_eq!(refused(world.admit(again)), TxRefusal::NoContract);
    world.check_replay(dev());
}

#[test]
fn a_renter_leaves_after_the_notice() {
    let (mut world, leaf) = four();
    let had = world.balance(ALICE);
    world.submit(notice(&world, &leaf, &signer(ALICE)));
    world.block();
    let epoch = 3 + 1 + dev().notice;
    assert_eq!(world.state.leaves_in(&leaf.contract_id), Some(epoch));
    let again = notice(&world, &leaf, &signer(ALICE));
    assert_eq!(refused(world.admit(again)), TxRefusal::Stale);
    // Content may still change; money may not.
    let (_, content) = world.fill(NODE, &leaf, ALICE, 1);
    world.submit(world.update(NODE, vec![content]));
    world.run_to_epoch(4);
    let active = world.leaf(&leaf.contract_id).unwrap();
    assert_eq!(active.used_chunks, 80);
    let more = extend(&active, 1 << 17, Amount::from_credits(100), 30, 5, &dev()).unwrap();
    let auth = Some(world.auth(&leaf.renter));
    let more = world.sign(NODE, more, ALICE, auth);
    world.submit(world.update(NODE, vec![more]));
    world.run_to_epoch(epoch);
    assert_eq!(world.skipped(), [Skip::Notice]);
    let refund = Amount(leaf.rate.0 * u64::from(leaf.end_epoch - epoch));
    assert_eq!(ended(&world), [(Ended::Notice, refund, leaf.collateral)]);
    assert_eq!(world.balance(ALICE).0 - had.0, refund.0);
    assert_eq!(world.state.leaves_in(&leaf.contract_id), None);
    world.check_replay(dev());
}

#[test]
fn a_close_is_good_for_its_renter_its_way_and_its_time_only() {
    let (mut world, leaf) = four();
    let net = world.state.genesis_hash();
    let bob = Closing::notice(
        &signer(BOB),
        signer(BOB).account(),
        leaf.contract_id,
        900,
        &net,
    );
    let tx = Tx::CloseByRenter(bob);
    assert_eq!(refused(world.admit(tx)), TxRefusal::NotTheRenter);
    // The half of a mutual close is no notice, nor the reverse.
    let half = closing(&world, &leaf, &signer(ALICE), true);
    let bad = Some(VerifyError::Tx(0));
    let tx = Tx::CloseByRenter(half);
    assert_eq!(verify::tx(&net, tx).err(), bad);
    let alone = closing(&world, &leaf, &signer(ALICE), false);
    let tx = world.update(NODE, vec![Op::CloseMutual(alone)]);
    assert_eq!(verify::tx(&net, tx).err(), bad);
    let expiry = world.state.head().height;
    let late = Closing::notice(&signer(ALICE), leaf.renter, leaf.contract_id, expiry, &net);
    let height = expiry + 1;
    let tx = Tx::CloseByRenter(late);
    assert_eq!(
        refused(world.admit(tx)),
        TxRefusal::Expired { expiry, height }
    );
    // Another provider cannot end it, whatever the renter signed.
    let close = closing(&world, &leaf, &signer(ALICE), true);
    let thief = world.update(OTHER, vec![Op::CloseMutual(close)]);
    world.attempt(thief);
    world.run_to_epoch(4);
    assert!(world.leaf(&leaf.contract_id).is_some());
}

#[test]
fn a_thief_with_a_devices_keys_cannot_close_contracts_or_drop_shards() {
    let (mut world, leaf) = delegated();
    let thief = signer(DEVICE);
    let shrunk = |world: &World| {
        let (next, tree) = clear(&leaf, &world.tree(&leaf), &BTreeSet::from([0, 3])).unwrap();
        (next, tree)
    };
    let (next, _) = shrunk(&world);
    let shorter = ContractLeaf {
        start_epoch: 4,
        end_epoch: 7,
        revision: leaf.revision + 1,
        ..leaf
    };
    let auth = Some(world.auth(&leaf.renter));
    for key in [&thief, &signer(ALICE), &signer(NODE)] {
        let attempts = [
            mutual(&world, &leaf, key),
            notice(&world, &leaf, key),
            reduce(&mut world, next, key, None),
            reduce(&mut world, shorter, key, auth),
        ];
        for attempt in attempts {
            assert_eq!(refused(world.admit(attempt)), TxRefusal::Admin);
        }
    }
    // With the provider's help it posts them as plain revisions: the ledger takes none of them.
    for (attempt, auth) in [(next, None), (shorter, auth)] {
        let op = world.sign(NODE, attempt, ALICE, auth);
        world.submit(world.update(NODE, vec![op]));
        world.run_to_epoch(world.state.epoch() + 1);
        assert_eq!(world.leaf(&leaf.contract_id), Some(leaf));
    }
    assert_eq!(world.skipped(), [Skip::Drops; 2]);
    // The words may.
    let (next, tree) = shrunk(&world);
    world.trees.insert(tree.root(), tree);
    let tx = reduce(&mut world, next, &admin(ALICE), None);
    world.submit(tx);
    world.run_to_epoch(world.state.epoch() + 1);
    let active = world.leaf(&leaf.contract_id).unwrap();
    assert_eq!((active.used_chunks, active.depth), (32, leaf.depth));
    let shorter = ContractLeaf {
        start_epoch: world.state.epoch() + 1,
        end_epoch: 14,
        revision: active.revision + 1,
        slash_acc: 0,
        unpaid_at_start: 0,
        ..active
    };
    let (had, auth) = (world.balance(ALICE), Some(world.auth(&leaf.renter)));
    let tx = reduce(&mut world, shorter, &admin(ALICE), auth);
    world.submit(tx);
    world.run_to_epoch(shorter.start_epoch);
    assert_eq!(world.leaf(&leaf.contract_id).unwrap().end_epoch, 14);
    let saved = u64::from(leaf.end_epoch - 14) * leaf.rate.0;
    assert_eq!(world.balance(ALICE).0 - had.0, saved);
    world.submit(notice(&world, &leaf, &admin(ALICE)));
    world.run_to_epoch(world.state.epoch() + 3);
    assert_eq!(world.leaf(&leaf.contract_id), None);
    world.check_replay(dev());
}

fn shard(byte: u8) -> ShardLeaf {
    ShardLeaf {
        root: ShardRoot([byte; 32]),
        chunks: 16,
        tag: [0; 8],
    }
}

/// The revision with these shards more that Alice alone signs, and the provider's acknowledgements.
fn forced(world: &World, leaf: &ContractLeaf, tree: &ContentTree, bytes: &[u8]) -> ForceRevision {
    let (net, provider) = (world.state.genesis_hash(), signer(NODE).node());
    let shards: Vec<ShardLeaf> = bytes.iter().map(|byte| shard(*byte)).collect();
    let (next, _) = revise(leaf, tree, &shards).unwrap();
    let mut tree = tree.clone();
    let added = shards
        .into_iter()
        .map(|leaf| {
            let (root, chunks) = (leaf.root, leaf.chunks);
            let ack = ShardAck::sign(next.contract_id, root, chunks, &signer(NODE), &net);
            AckedShard {
                shard: tree.push_shown(leaf).unwrap(),
                sig_provider: ack.sig,
            }
        })
        .collect();
    let signed = SignedLeaf::sign(next, None, &provider, &world.hand(ALICE), &net);
    let signed = Box::new(signed);
    ForceRevision {
        provider,
        revision: Forced::Acked { signed, added },
    }
}

#[test]
fn a_renter_posts_what_its_provider_acknowledged_or_signed() {
    let (mut world, leaf) = delegated();
    let mut tree = world.tree(&leaf);
    // Five more: the tree grows by one level.
    let force = forced(&world, &leaf, &tree, &[50, 51, 52, 53, 54]);
    let next = force.revision.signed().leaf;
    world.submit(Tx::ForceRevision(force));
    world.run_to_epoch(4);
    let active = world.leaf(&leaf.contract_id).unwrap();
    assert_eq!((active.used_chunks, active.depth), (144, 4));
    assert_eq!(active.content_root, next.content_root);
    for byte in 50..55 {
        tree.push(shard(byte)).unwrap();
    }
    let net = world.state.genesis_hash();
    let (next, _) = revise(&active, &tree, &[shard(60)]).unwrap();
    let provider = signer(NODE).node();
    let signed = SignedLeaf::sign(next, None, &provider, &world.hand(ALICE), &net);
    let both = signed.countersign(&signer(NODE), &net);
    let revision = Forced::Signed(Box::new(both));
    let tx = Tx::ForceRevision(ForceRevision { provider, revision });
    world.submit(tx.clone());
    world.block();
    assert_eq!(refused(world.admit(tx.clone())), TxRefusal::Stale);
    world.run_to_epoch(5);
    assert_eq!(world.leaf(&leaf.contract_id).unwrap().used_chunks, 160);
    assert_eq!(refused(world.admit(tx)), TxRefusal::Stale);
    world.check_replay(dev());
}

#[test]
fn a_renter_who_forces_a_stale_revision_is_refused() {
    let (mut world, leaf) = four();
    let tree = world.tree(&leaf);
    let stale = forced(&world, &leaf, &tree, &[50]);
    // The provider posts a newer one meanwhile: refused while that waits, and once it is active.
    let (_, content) = world.fill(NODE, &leaf, ALICE, 2);
    world.submit(world.update(NODE, vec![content]));
    world.block();
    let tx = Tx::ForceRevision(stale);
    assert_eq!(refused(world.admit(tx.clone())), TxRefusal::Stale);
    world.run_to_epoch(4);
    assert_eq!(refused(world.admit(tx)), TxRefusal::Stale);
    let active = world.leaf(&leaf.contract_id).unwrap();
    // Signed anew above it, but made from the old tree.
    let from_old = forced(
        &world,
        &ContractLeaf {
            revision: active.revision,
            ..leaf
        },
        &tree,
        &[50],
    );
    let refusal = refused(world.admit(Tx::ForceRevision(from_old)));
    assert!(matches!(refusal, TxRefusal::Witness(_)), "{refusal}");
    world.run_to_epoch(5);
    assert_eq!(world.leaf(&leaf.contract_id), Some(active));
    world.check_replay(dev());
}

#[test]
fn a_forced_revision_adds_only_what_was_acknowledged() {
    let (mut world, leaf) = four();
    let (net, provider) = (world.state.genesis_hash(), signer(NODE).node());
    let tree = world.tree(&leaf);
    let good = forced(&world, &leaf, &tree, &[50, 51]);
    let changed = |change: &dyn Fn(&mut ContractLeaf, &mut Vec<AckedShard>)| {
        let mut force = good.clone();
        let Forced::Acked { signed, added } = &mut force.revision else {
            panic!("acked");
        };
        let mut leaf = signed.leaf;
        change(&mut leaf, added);
        **signed = SignedLeaf::sign(leaf, None, &provider, &owner(ALICE), &net);
        Tx::ForceRevision(force)
    };
    let bad = |tx: Tx| verify::tx(&net, tx).err() == Some(VerifyError::Tx(0));
    assert!(bad(changed(&|_, added| added[0].shard.leaf.chunks += 16)));
    assert!(bad(changed(&|_, added| {
        added[1].sig_provider = added[0].sig_provider;
    })));
    assert!(bad(changed(&|leaf, _| leaf.contract_id.0[0] ^= 1)));
    let mut check = |tx: Tx, want: fn(&TxRefusal) -> bool| {
        let refusal = refused(world.admit(tx));
        assert!(want(&refusal), "{refusal}");
    };
    let is_forced: fn(&TxRefusal) -> bool = |why| *why == TxRefusal::Forced;
    let is_witness: fn(&TxRefusal) -> bool = |why| matches!(why, TxRefusal::Witness(_));
    check(changed(&|_, added| added.clear()), is_forced);
    check(changed(&|leaf, _| leaf.used_chunks += 16), is_forced);
    check(
        changed(&|leaf, _| leaf.content_root = Hash([9; 32])),
        is_forced,
    );
    check(changed(&|leaf, _| leaf.rate.0 += 1), is_forced);
    check(changed(&|leaf, _| leaf.revision += 1 << 40), is_forced);
    check(changed(&|_, added| added.truncate(1)), is_forced);
    check(changed(&|_, added| added.swap(0, 1)), is_witness);
    check(changed(&|_, added| added[1].shard.index = 3), is_witness);
    check(changed(&|_, added| added[0].shard.path.clear()), is_witness);
    let of_another = ForceRevision {
        provider: signer(OTHER).node(),
        ..good.clone()
    };
    assert!(bad(Tx::ForceRevision(of_another)));
    world.submit(Tx::ForceRevision(good));
    world.run_to_epoch(4);
    assert_eq!(world.leaf(&leaf.contract_id).unwrap().used_chunks, 96);
}

#[test]
fn a_provider_that_opens_and_refuses_shards_can_be_left() {
    let mut world = World::with(dev(), &[ALICE, BOB], &[NODE, OTHER]);
    let leaf = world.open(NODE, ALICE, 60);
    world.open(OTHER, BOB, 60);
    world.run_to_epoch(1);
    let active = world.leaf(&leaf.contract_id).unwrap();
    // It acknowledged one shard and posts nothing; in the first epoch it still has time.
    let force = forced(&world, &active, &ContentTree::default(), &[50]);
    let early = refused(world.admit(Tx::ForceRevision(force.clone())));
    assert_eq!(early, TxRefusal::Early { epoch: 2 });
    world.run_to_epoch(2);
    world.submit(Tx::ForceRevision(force));
    world.run_to_epoch(3);
    assert_eq!(world.leaf(&leaf.contract_id).unwrap().used_chunks, 16);
    // It takes no more: Alice goes, and pays for what was proven until then.
    let had = world.balance(ALICE);
    world.submit(notice(&world, &leaf, &signer(ALICE)));
    world.run_to_epoch(5);
    let unused = u64::from(leaf.end_epoch - 5) * leaf.rate.0;
    assert_eq!(world.balance(ALICE).0 - had.0, unused);
    assert_eq!(world.balance(NODE), Amount(4 * leaf.rate.0));
    world.check_replay(dev());
}

#[test]
fn nobody_squats_on_a_contracts_id() {
    const THIEF: u8 = 21;
    let mut world = World::with(dev(), &[ALICE, BOB], &[NODE, THIEF]);
    let leaf = world.draft(NODE, ALICE, 20);
    // Bob and the thief saw the id in a proposal, and open under it first; in all ways.
    let stolen = ContractLeaf {
        renter: signer(BOB).account(),
        ..leaf
    };
    let auth = Some(world.auth(&stolen.renter));
    let op = world.sign(THIEF, stolen, BOB, auth);
    world.submit(world.update(THIEF, vec![op]));
    world.run_to_epoch(1);
    assert_eq!(world.skipped(), [Skip::Identity]);
    let leaf = ContractLeaf {
        start_epoch: 2,
        ..leaf
    };
    let auth = Some(world.auth(&leaf.renter));
    let op = world.sign(NODE, leaf, ALICE, auth);
    world.submit(world.update(NODE, vec![op]));
    world.run_to_epoch(2);
    assert!(world.leaf(&leaf.contract_id).is_some());
}

//! Declared losses. `docs/protocol.md` §3.3, §3.6.

use super::world::{World, dev};
use super::{ALICE, NODE, refused};
use crate::tx::MAX_LOST;
use crate::{Ended, Event, Op, Skip, Tx, TxRefusal};
use larder_contracts::extend;
use larder_proofs::{ClearError, ContractLeaf};
use larder_types::{Amount, Hash, Millis};

const OTHER: u8 = 21;
const COLLATERAL: u64 = 30;

/// A contract of Alice's that holds eight shards, with collateral; epoch 3. Epochs 1 and 2 were
/// proven and paid.
fn eight() -> (World, ContractLeaf) {
    let mut world = World::with(dev(), &[ALICE, NODE], &[OTHER]);
    world.submit(world.register(NODE, Amount::from_credits(50)));
    world.block();
    world.open(OTHER, ALICE, 60);
    let mut leaf = world.draft(NODE, ALICE, 60);
    leaf.collateral = Amount(COLLATERAL * leaf.rate.0);
    let mut auth = world.auth(&leaf.renter);
    auth.nonce = 100;
    let op = world.sign(NODE, leaf, ALICE, Some(auth));
    world.submit(world.update(NODE, vec![op]));
    world.run_to_epoch(1);
    let active = world.leaf(&leaf.contract_id).unwrap();
    let (_, content) = world.fill(NODE, &active, ALICE, 8);
    world.submit(world.update(NODE, vec![content]));
    world.run_to_epoch(3);
    let active = world.leaf(&leaf.contract_id).unwrap();
    assert_eq!((active.used_chunks, active.depth), (128, 3));
    (world, active)
}

fn declare(world: &mut World, leaf: &ContractLeaf, lost: &[u32], revision: u64) -> Tx {
    let loss = world.declare(leaf, lost, revision);
    world.update(NODE, vec![Op::DeclareLoss(loss)])
}

#[test]
fn a_declared_loss_scales_pay_and_refunds() {
    let (mut world, leaf) = eight();
    let (before, free) = (world.balance(ALICE), world.record(NODE).free);
    let tx = declare(&mut world, &leaf, &[2, 7], 9);
    world.submit(tx);
    world.run_to_epoch(4);
    let left = world.leaf(&leaf.contract_id).unwrap();
    let mut tree = world.tree(&leaf);
    tree.clear(2).unwrap();
    tree.clear(7).unwrap();
    let three_quarters = |amount: Amount| Amount(amount.0 * 3 / 4);
    let want = ContractLeaf {
        content_root: tree.root(),
        used_chunks: 96,
        capacity_chunks: leaf.capacity_chunks * 3 / 4,
        rate: three_quarters(leaf.rate),
        collateral: three_quarters(leaf.collateral),
        revision: 9,
        ..leaf
    };
    assert_eq!(left, want);
    // For each epoch to come, the part that is not stored any more; and half of its collateral.
    let unused = u64::from(leaf.end_epoch - 4) * (leaf.rate.0 - left.rate.0);
    let lost = leaf.collateral.0 - left.collateral.0;
    let refund = unused + lost.div_ceil(2);
    assert_eq!(world.balance(ALICE).0 - before.0, refund);
    assert_eq!(world.record(NODE).free.0 - free.0, lost / 2);
    assert!(world.events.contains(&Event::LossDeclared {
        provider: super::signer(NODE).node(),
        renter: leaf.renter,
        contract: leaf.contract_id,
        revision: 9,
        indices: vec![2, 7],
        refund: Amount(refund),
    }));
    let earned = world.balance(NODE);
    world.run_to_epoch(5);
    assert_eq!(world.balance(NODE).0 - earned.0, left.rate.0);
    assert_eq!(world.record(NODE).misses, 0, "no strike");

    // The contract lives on: content grows after the holes, and more is lost later.
    let (_, grown) = world.fill(NODE, &left, ALICE, 1);
    world.submit(world.update(NODE, vec![grown]));
    world.run_to_epoch(6);
    let grown = world.leaf(&leaf.contract_id).unwrap();
    assert_eq!((grown.used_chunks, grown.depth), (112, 4));
    let tx = declare(&mut world, &grown, &[0, 8], 20);
    world.submit(tx);
    world.run_to_epoch(7);
    assert_eq!(world.leaf(&leaf.contract_id).unwrap().used_chunks, 80);
    world.check_replay(dev());
}

#[test]
fn epochs_that_were_not_paid_are_refunded_at_the_old_rate() {
    let (mut world, leaf) = eight();
    world.run_to(world.state.schedule().epoch_start(4).before(Millis(1)));
    let before = world.balance(ALICE);
    let node = super::signer(NODE).node();
    world.silent.insert(node);
    world.run_to_epoch(6);
    world.silent.remove(&node);
    let tx = declare(&mut world, &leaf, &[0, 1, 2, 3], 9);
    world.submit(tx);
    world.run_to_epoch(7);
    let left = world.leaf(&leaf.contract_id).unwrap();
    // Epochs 4 and 5 were missed: unpaid at the old rate, and one epoch of pay charged, of which
    // half belongs to what is lost.
    let unused = u64::from(leaf.end_epoch - 7) * (leaf.rate.0 - left.rate.0);
    let record = world.record(NODE);
    let kept = record.remaining_collateral(&left).0;
    let back = record.remaining_collateral(&leaf).0;
    assert_eq!(record.slashed.0 / 1_000, leaf.rate.0 / 2 / 1_000);
    let charged = (leaf.collateral.0 - back) - (left.collateral.0 - kept);
    let refund = 2 * leaf.rate.0 + unused + charged + (back - kept).div_ceil(2);
    assert_eq!(world.balance(ALICE).0 - before.0, refund);
    assert_eq!(left.unpaid_at_start, record.unpaid);
    world.check_replay(dev());
}

#[test]
fn the_loss_of_everything_closes() {
    let (mut world, leaf) = eight();
    let (before, free) = (world.balance(ALICE), world.record(NODE).free);
    let (_, put) = world.fill(NODE, &leaf, ALICE, 1);
    world.submit(world.update(NODE, vec![put]));
    let tx = declare(&mut world, &leaf, &[0, 1, 2, 3, 4, 5, 6, 7], 9);
    world.submit(tx);
    world.run_to_epoch(4);
    assert_eq!(world.leaf(&leaf.contract_id), None);
    assert_eq!(
        world.skipped(),
        [Skip::Lost],
        "nor does the revision open it"
    );
    let unused = u64::from(leaf.end_epoch - 4) * leaf.rate.0;
    let refund = Amount(unused + leaf.collateral.0.div_ceil(2));
    assert_eq!(world.balance(ALICE).0 - before.0, refund.0);
    assert_eq!(world.record(NODE).free.0 - free.0, leaf.collateral.0 / 2);
    assert!(world.events.iter().any(|event| matches!(
        event,
        Event::Closed { why: Ended::Lost, refund: r, .. } if *r == refund
    )));
    world.check_replay(dev());
}

#[test]
fn what_was_signed_before_a_loss_is_void() {
    let (mut world, leaf) = eight();
    let (_, content) = world.fill(NODE, &leaf, ALICE, 1);
    let tx = declare(&mut world, &leaf, &[5], leaf.revision + 2);
    world.submit(world.update(NODE, vec![content.clone()]));
    world.submit(tx);
    world.run_to_epoch(4);
    assert_eq!(world.skipped(), [Skip::Lost]);
    let left = world.leaf(&leaf.contract_id).unwrap();
    assert_eq!(left.used_chunks, 112);
    // Its revision is below the loss's; and one above, signed for the old terms, moves money
    // without a nonce.
    let old = world.update(NODE, vec![content]);
    assert_eq!(refused(world.admit(old)), TxRefusal::Stale);
    let mut above = leaf;
    above.revision = left.revision + 5;
    let above = world.sign(NODE, above, ALICE, None);
    world.submit(world.update(NODE, vec![above]));
    // An extension pending at a loss is skipped, and its nonce is free.
    let more = extend(&left, 1 << 17, Amount::from_credits(100), 30, 6, &dev()).unwrap();
    world.run_to_epoch(5);
    assert_eq!(world.skipped(), [Skip::Lost, Skip::Start]);
    let auth = Some(world.auth(&leaf.renter));
    let more = world.sign(NODE, more, ALICE, auth);
    world.submit(world.update(NODE, vec![more]));
    let tx = declare(&mut world, &left, &[0], left.revision + 9);
    world.submit(tx);
    world.run_to_epoch(6);
    assert_eq!(world.skipped(), [Skip::Lost, Skip::Start, Skip::Lost]);
    assert_eq!(Some(world.auth(&leaf.renter).nonce), auth.map(|a| a.nonce));
    world.check_replay(dev());
}

#[test]
fn a_forged_or_stale_loss_is_refused() {
    let (mut world, leaf) = eight();
    let good = world.declare(&leaf, &[2, 5], 9);
    let mut check = |change: &dyn Fn(&mut crate::Loss), want: TxRefusal| {
        let mut loss = good.clone();
        change(&mut loss);
        let tx = world.update(NODE, vec![Op::DeclareLoss(loss)]);
        assert_eq!(refused(world.admit(tx)), want);
    };
    let root = |index| TxRefusal::NotHeld(ClearError::Root { index });
    check(&|loss| loss.shards[0].leaf.root.0[0] ^= 1, root(2));
    check(&|loss| loss.shards[1].leaf.chunks += 16, root(5));
    check(&|loss| loss.shards[0].path[1].hash = Hash([7; 32]), root(2));
    check(&|loss| drop(loss.shards.remove(0)), root(5));
    check(
        &|loss| loss.shards[1].path.truncate(2),
        TxRefusal::NotHeld(ClearError::Depth { index: 5 }),
    );
    check(&|loss| loss.shards.clear(), TxRefusal::Losses);
    check(
        &|loss| loss.shards = vec![loss.shards[0].clone(); MAX_LOST + 1],
        TxRefusal::Losses,
    );
    check(&|loss| loss.revision = leaf.revision, TxRefusal::Stale);
    check(&|loss| loss.contract.0[0] ^= 1, TxRefusal::Stale);
    // Another provider has no such contract.
    let foreign = world.update(OTHER, vec![Op::DeclareLoss(good.clone())]);
    assert_eq!(refused(world.admit(foreign)), TxRefusal::Stale);
    // There is one in an epoch: neither itself again nor a longer one takes its place.
    world.submit(world.update(NODE, vec![Op::DeclareLoss(good.clone())]));
    world.block();
    let again = world.update(NODE, vec![Op::DeclareLoss(good.clone())]);
    assert_eq!(refused(world.admit(again)), TxRefusal::Stale);
    let longer = declare(&mut world, &leaf, &[2, 5, 6], 10);
    assert_eq!(refused(world.admit(longer)), TxRefusal::Stale);
    world.run_to_epoch(4);
    let left = world.leaf(&leaf.contract_id).unwrap();
    assert_eq!((left.used_chunks, left.revision), (96, 9));
    let far = world.declare(&left, &[6], left.revision + (1 << 32) + 1);
    let far = world.update(NODE, vec![Op::DeclareLoss(far)]);
    assert_eq!(refused(world.admit(far)), TxRefusal::Losses);
    let replay = world.update(NODE, vec![Op::DeclareLoss(good)]);
    assert_eq!(refused(world.admit(replay)), TxRefusal::Stale);
    world.check_replay(dev());
}

#[test]
fn a_faulted_provider_saves_nothing_by_declaring() {
    let (mut world, leaf) = eight();
    world.run_to(world.state.schedule().epoch_start(4).before(Millis(1)));
    world.silent.insert(super::signer(NODE).node());
    world.run_to_epoch(6);
    // Declared in the epoch at whose end it is FAULTED, and again in the next one.
    let tx = declare(&mut world, &leaf, &[0, 1, 2, 3, 4, 5, 6, 7], 9);
    world.submit(tx);
    world.run_to_epoch(7);
    assert_eq!(world.record(NODE).faulted, Some(7));
    let tx = declare(&mut world, &leaf, &[0, 1, 2, 3, 4, 5, 6, 7], 9);
    world.submit(tx);
    world.submit(world.close_faulted(&leaf, ALICE));
    world.run_to_epoch(8);
    assert_eq!(world.skipped(), [Skip::Faulted; 2]);
    assert!(world.events.iter().any(|event| matches!(
        event,
        Event::Closed { why: Ended::Fault, freed: Amount::ZERO, refund, .. }
            if refund.0 > leaf.collateral.0
    )));
    world.check_replay(dev());
}

#[test]
fn a_loss_of_an_ended_contract_leaves_it_closable() {
    let (mut world, leaf) = eight();
    world.run_to_epoch(leaf.end_epoch + 2);
    let before = world.balance(ALICE);
    let tx = declare(&mut world, &leaf, &[0, 1, 2, 3], 9);
    world.submit(tx);
    world.run_to_epoch(leaf.end_epoch + 3);
    let half = leaf.collateral.0 / 2;
    assert_eq!(world.balance(ALICE).0 - before.0, half.div_ceil(2));
    world.run_to_epoch(leaf.end_epoch + 4);
    world.submit(world.update(NODE, vec![Op::CloseExpired(leaf.contract_id)]));
    world.run_to_epoch(leaf.end_epoch + 5);
    assert_eq!(world.leaf(&leaf.contract_id), None);
    assert_eq!(world.balance(ALICE).0 - before.0, half.div_ceil(2));
    world.check_replay(dev());
}

//! Questions for single contracts (T3). `docs/protocol.md` §3.6, §3.7.
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a test looks for one event among many"
)]

use super::world::{World, dev, signer};
use super::{ALICE, BOB, NODE, refused};
use crate::{Event, NonceError, Reason, Skip, Targeted, Tx, TxRefusal, VerifyError, verify};
use larder_contracts::Auth;
use larder_proofs::ContractLeaf;
use larder_types::{Amount, Params};

const OTHER: u8 = 21;

/// Two contracts of Alice's with one provider, with collateral, and one with another; epoch 1.
fn two() -> (World, ContractLeaf, ContractLeaf) {
    let params = Params {
        faulted_after: 30,
        ..dev()
    };
    let mut world = World::with(params, &[ALICE, BOB, NODE], &[OTHER]);
    world.submit(world.register(NODE, Amount::from_credits(50)));
    world.block();
    world.open(OTHER, BOB, 60);
    let mut leaves = Vec::new();
    for (renter, nonce) in [(ALICE, 40), (BOB, 41)] {
        let mut leaf = world.draft(NODE, renter, 60);
        leaf.collateral = Amount(30 * leaf.rate.0);
        let auth = Auth {
            nonce,
            ..world.auth(&leaf.renter)
        };
        let op = world.sign(NODE, leaf, renter, Some(auth));
        world.submit(world.update(NODE, vec![op]));
        leaves.push(leaf);
    }
    world.run_to_epoch(1);
    (world, leaves[0], leaves[1])
}

/// To just before an epoch, in which nobody has answered yet.
fn before(world: &mut World, epoch: u32) {
    let begins = world.state.schedule().epoch_start(epoch);
    world.run_to(begins.before(larder_types::Millis(1)));
}

fn ask(world: &World, leaf: &ContractLeaf, renter: u8, draws: u8, fee: u64) -> Tx {
    let auth = world.auth(&signer(renter).account());
    let net = world.state.genesis_hash();
    Tx::Targeted(Targeted::sign(
        &world.hand(renter),
        leaf.contract_id,
        draws,
        Amount(fee),
        auth,
        &net,
    ))
}

fn faults(world: &World) -> Vec<(larder_types::ContractId, u32, Reason)> {
    let of = |event: &Event| match event {
        Event::ContractFaulted {
            contract,
            epoch,
            why,
            ..
        } => Some((*contract, *epoch, *why)),
        _ => None,
    };
    world.events.iter().filter_map(of).collect()
}

#[test]
fn what_is_not_shown_while_the_rest_is_faults_alone() {
    let (mut world, leaf, sound) = two();
    world.submit(ask(&world, &leaf, ALICE, 8, 8_000));
    let (had, founder) = (world.balance(ALICE), world.balance(1));
    world.block();
    world.submit(ask(&world, &sound, BOB, 8, 8_001));
    world.block();
    assert_eq!(had.0 - world.balance(ALICE).0, 8_000);
    assert_eq!(world.state.burned(), Amount(4_000 + 4_001));
    assert_eq!(world.balance(1).0 - founder.0, 8_000);
    world.deaf.insert(leaf.contract_id);
    world.run_to_epoch(2);
    assert_eq!(faults(&world), [], "it is asked in the epoch after");
    let node = signer(NODE).node();
    let slot = world.state.slot_of(&node);
    world.run_to(world.state.schedule().slot_start(slot));
    let asked = world.state.targeted_for(&node);
    assert_eq!(asked.len(), 2);
    assert!(asked.iter().all(|(_, challenge)| challenge.c == 8));
    world.run_to_epoch(3);
    assert_eq!(faults(&world), [(leaf.contract_id, 3, Reason::Silent)]);
    let record = world.record(NODE);
    assert_eq!((record.misses, record.faulted), (0, None));
    assert_eq!(world.state.faulted_alone(&leaf.contract_id), Some(3));
    // It saves nothing by a loss that it declares then; its renter closes, the sound one stays.
    let refused_close = world.close_faulted(&sound, BOB);
    assert_eq!(refused(world.admit(refused_close)), TxRefusal::Sound);
    let had = world.balance(ALICE);
    world.submit(world.close_faulted(&leaf, ALICE));
    world.run_to_epoch(4);
    let refund = u64::from(leaf.end_epoch - 4) * leaf.rate.0 + leaf.collateral.0;
    assert_eq!(world.balance(ALICE).0 - had.0, refund);
    assert_eq!(world.state.faulted_alone(&leaf.contract_id), None);
    assert!(world.leaf(&sound.contract_id).is_some());
    world.check_replay(world.state.params().clone());
}

#[test]
fn a_false_answer_faults_its_contract_and_only_that() {
    let (mut world, leaf, sound) = two();
    world.submit(ask(&world, &leaf, ALICE, 3, 3_000));
    world.false_targets.insert(leaf.contract_id);
    world.run_to_epoch(3);
    assert_eq!(faults(&world), [(leaf.contract_id, 3, Reason::Malformed)]);
    assert_eq!(world.record(NODE).faulted, None);
    assert_eq!(world.state.faulted_alone(&sound.contract_id), None);
    let evidence: usize = world.blocks.iter().map(|b| b.evidence.len()).sum();
    assert_eq!(evidence, 1);
    world.check_replay(world.state.params().clone());
}

#[test]
fn a_loss_declared_for_a_faulted_contract_saves_nothing() {
    let (mut world, leaf, _) = two();
    let active = world.leaf(&leaf.contract_id).unwrap();
    let (_, content) = world.fill(NODE, &active, ALICE, 2);
    world.submit(world.update(NODE, vec![content]));
    world.run_to_epoch(2);
    world.submit(ask(&world, &leaf, ALICE, 1, 1_000));
    world.deaf.insert(leaf.contract_id);
    world.run_to_epoch(4);
    assert_eq!(faults(&world).len(), 1);
    let active = world.leaf(&leaf.contract_id).unwrap();
    let loss = world.declare(&active, &[0, 1], active.revision + 1);
    world.submit(world.update(NODE, vec![crate::Op::DeclareLoss(loss)]));
    world.run_to_epoch(5);
    assert_eq!(world.skipped(), [Skip::Faulted]);
    assert_eq!(world.leaf(&leaf.contract_id), Some(active));
}

#[test]
fn silence_on_everything_is_an_ordinary_miss() {
    let (mut world, leaf, _) = two();
    world.submit(ask(&world, &leaf, ALICE, 8, 8_000));
    before(&mut world, 2);
    world.silent.insert(signer(NODE).node());
    world.run_to_epoch(3);
    assert_eq!(faults(&world), []);
    assert_eq!(world.record(NODE).misses, 1);
}

#[test]
fn a_t3_during_an_outage_faults_nothing() {
    let (mut world, leaf, _) = two();
    world.submit(ask(&world, &leaf, ALICE, 8, 8_000));
    before(&mut world, 2);
    // Nobody is heard.
    for node in [NODE, OTHER] {
        world.silent.insert(signer(node).node());
    }
    world.run_to_epoch(3);
    assert_eq!(faults(&world), []);
    assert_eq!(world.record(NODE).misses, 0);
    world.silent.clear();
    // Nor in an announced absence.
    world.submit(world.maintenance(NODE, 5, 1));
    world.run_to_epoch(4);
    world.submit(ask(&world, &leaf, ALICE, 8, 8_000));
    world.run_to_epoch(5);
    assert!(world.state.targeted_for(&signer(NODE).node()).is_empty());
    world.silent.insert(signer(NODE).node());
    world.run_to_epoch(6);
    assert_eq!(faults(&world), []);
    world.silent.clear();
    // Nor where the network makes no block.
    world.submit(ask(&world, &leaf, ALICE, 8, 8_000));
    world.block();
    world.now = world.state.schedule().epoch_start(9);
    world.block();
    world.run_to_epoch(11);
    assert_eq!(faults(&world), []);
    world.check_replay(world.state.params().clone());
}

#[test]
fn a_question_costs_its_fee_and_is_asked_once() {
    let (mut world, leaf, _) = two();
    let mut check = |draws, fee, want: TxRefusal| {
        let tx = ask(&world, &leaf, ALICE, draws, fee);
        assert_eq!(refused(world.admit(tx)), want);
    };
    let (fee, least) = (Amount(7_999), Amount(8_000));
    check(8, 7_999, TxRefusal::Fee { fee, least });
    check(0, 8_000, TxRefusal::Draws { draws: 0 });
    check(17, 17_000, TxRefusal::Draws { draws: 17 });
    let bobs = ask(&world, &leaf, BOB, 8, 8_000);
    assert_eq!(refused(world.admit(bobs)), TxRefusal::NotTheRenter);
    let tx = ask(&world, &leaf, ALICE, 8, 8_000);
    world.submit(tx.clone());
    world.block();
    let again = ask(&world, &leaf, ALICE, 8, 8_000);
    assert_eq!(refused(world.admit(again.clone())), TxRefusal::Stale);
    world.run_to_epoch(2);
    let spent = TxRefusal::Nonce(NonceError::Spent { nonce: 0 });
    assert_eq!(refused(world.admit(tx)), spent);
    world.submit(again);
    world.block();
    let Tx::Targeted(mut forged) = ask(&world, &leaf, ALICE, 8, 8_000) else {
        panic!("a question");
    };
    forged.draws = 1;
    let net = world.state.genesis_hash();
    let forged = verify::tx(&net, Tx::Targeted(forged)).err();
    assert_eq!(forged, Some(VerifyError::Tx(0)));
}

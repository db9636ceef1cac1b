//! FAIL verdicts and the false proofs behind them. `docs/protocol.md` §3.5, §3.6.

use super::world::{World, dev, false_proof, genesis, signer};
use super::{ALICE, NODE};
use crate::block::verdict_root;
use crate::{ApplyError, Block, Event, Reason, State, Unpaid, verify};
use larder_keys::Tag;
use larder_proofs::{Challenge, VerifyError};
use larder_types::{Amount, Millis, Params, SlotNo};

const OTHER: u8 = 21;

/// Two providers with a contract each, both in epoch 1, of which one lies.
fn liar(params: Params) -> World {
    let mut world = World::with(params, &[ALICE], &[NODE, OTHER]);
    world.open(NODE, ALICE, 60);
    world.open(OTHER, ALICE, 60);
    // Before the epoch: its first slot may be this provider's.
    world.liars.insert(signer(NODE).node());
    world.run_to_epoch(1);
    world
}

fn unpaid(world: &World, node: u8) -> Vec<Unpaid> {
    let of = |event: &Event| {
        let Event::Unpaid { provider, why, .. } = event else {
            return None;
        };
        (*provider == signer(node).node()).then_some(*why)
    };
    world.events.iter().filter_map(of).collect()
}

/// The state before the block that holds evidence, and that block.
fn accusation(world: &World) -> (State, Block) {
    let mut state = State::genesis(&genesis(world.state.params().clone())).unwrap();
    for block in &world.blocks {
        if !block.evidence.is_empty() {
            return (state, block.clone());
        }
        let block = verify::block(&state.authority(), block.clone()).unwrap();
        state.apply(&block).unwrap();
    }
    panic!("nobody was accused");
}

/// What the ledger says to a block that its validator changed and signed anew.
fn changed(
    state: &State,
    block: &Block,
    change: impl FnOnce(&mut Block),
) -> Result<(), ApplyError> {
    let mut block = block.clone();
    change(&mut block);
    block.header.verdict_root = verdict_root(&block.verdicts, &block.evidence);
    block.sig = block.header.sign(&signer(2), &state.genesis_hash());
    let block = verify::block(&state.authority(), block).unwrap();
    state.clone().apply(&block).map(drop)
}

#[test]
fn verdicts_without_proofs_make_no_block() {
    let mut world = liar(dev());
    world.run_to_epoch(2);
    assert_eq!(unpaid(&world, NODE), [Unpaid::Verdict(Reason::Malformed)]);
    let (mut state, block) = accusation(&world);
    let [piece] = &block.evidence[..] else {
        panic!("one piece of evidence");
    };
    let (slot, provider) = (piece.slot, piece.provider);
    let refusal = Err(ApplyError::Evidence { slot, provider });
    assert_eq!(changed(&state, &block, |_| ()), Ok(()));
    assert_eq!(changed(&state, &block, |b| b.evidence.clear()), refusal);
    let doubled = |b: &mut Block| b.evidence.push(b.evidence[0].clone());
    assert_eq!(changed(&state, &block, doubled), refusal);
    let broken = |b: &mut Block| b.evidence[0].blob[0] ^= 1;
    assert_eq!(changed(&state, &block, broken), refusal);
    let forged = |b: &mut Block| *b.evidence[0].blob.last_mut().unwrap() ^= 1;
    assert_eq!(
        changed(&state, &block, forged),
        refusal,
        "not its signature"
    );
    let bloated = |b: &mut Block| b.evidence[0].blob = vec![0; (2 << 20) + 1];
    assert_eq!(changed(&state, &block, bloated), Err(ApplyError::TooLarge));
    // Without the root that covers it, evidence cannot be taken out or in.
    let mut bare = block;
    bare.evidence.clear();
    let bare = verify::block(&state.authority(), bare).unwrap();
    assert_eq!(state.apply(&bare), Err(ApplyError::BodyRoot));
    world.check_replay(dev());
}

#[test]
fn nobody_is_accused_with_the_proof_of_another_slot_or_provider() {
    let mut world = liar(dev());
    world.run_to_epoch(2);
    let (state, block) = accusation(&world);
    let asked = state.challenge_for(&signer(NODE).node()).unwrap();
    let net = state.genesis_hash();
    let refused = |challenge: &Challenge, seed: u8| {
        let blob = false_proof(challenge, &signer(seed), &net);
        let result = changed(&state, &block, |b| b.evidence[0].blob = blob);
        matches!(result, Err(ApplyError::Evidence { .. }))
    };
    assert!(!refused(&asked, NODE), "the very one convicts");
    assert!(refused(&asked, OTHER), "signed by another");
    let slot_no: SlotNo = asked.slot_no + 1;
    assert!(refused(&Challenge { slot_no, ..asked }, NODE));
    let beacon = [7; 32];
    assert!(refused(&Challenge { beacon, ..asked }, NODE));
    assert!(refused(&Challenge { c: 3, ..asked }, NODE));
}

#[test]
fn an_honest_audit_answer_posted_as_evidence_convicts_nobody() {
    let mut world = liar(dev());
    world.run_to_epoch(2);
    let (state, block) = accusation(&world);
    let asked = state.challenge_for(&signer(NODE).node()).unwrap();
    let net = state.genesis_hash();
    // The owner chose the very beacon as its seed; the provider answered as an audit, and the
    // owner passes that off as the ledger's proof in each way that leaves it signed.
    let audit = |magic: &[u8; 4]| {
        let mut blob = false_proof(&asked, &signer(NODE), &net);
        blob.truncate(blob.len() - 64);
        blob[..4].copy_from_slice(b"DSP2");
        let sig = signer(NODE).sign(Tag("audit"), &net, &blob);
        blob[..4].copy_from_slice(magic);
        blob.extend(sig.0);
        blob
    };
    for magic in [b"DSP1", b"DSP2"] {
        let blob = audit(magic);
        let result = changed(&state, &block, |b| b.evidence[0].blob = blob);
        assert!(matches!(result, Err(ApplyError::Evidence { .. })));
    }
}

#[test]
fn a_false_proof_costs_the_pay_that_has_not_vested() {
    let params = Params {
        vesting: 3,
        ..dev()
    };
    let mut world = World::with(params.clone(), &[ALICE], &[NODE, OTHER]);
    let leaf = world.open(NODE, ALICE, 60);
    world.open(OTHER, ALICE, 60);
    world.run_to(world.state.schedule().epoch_start(4).before(Millis(1)));
    world.liars.insert(signer(NODE).node());
    world.run_to_epoch(4);
    assert_eq!(world.balance(NODE), leaf.rate, "epoch 1 has vested");
    world.run_to_epoch(5);
    assert_eq!(world.record(NODE).vest, [Amount::ZERO; 7]);
    assert_eq!(world.state.burned(), Amount(2 * leaf.rate.0));
    let (provider, amount) = (signer(NODE).node(), Amount(2 * leaf.rate.0));
    let epoch = 4;
    assert!(world.events.contains(&Event::Forfeited {
        provider,
        epoch,
        amount
    }));
    world.run_to_epoch(9);
    assert_eq!(world.balance(NODE), leaf.rate);
    assert_eq!(
        world.balance(OTHER),
        Amount(6 * world.record(OTHER).sum().0),
        "epochs 1 to 6"
    );
    world.check_replay(params);
}

#[test]
fn a_provider_reads_why_it_missed() {
    let mut world = liar(dev());
    world.liars.clear();
    let node = signer(NODE).node();
    let mut why = |wrong: Option<VerifyError>, is_late: bool| {
        let epoch = world.state.epoch();
        world.silent.insert(node);
        world.run_to_epoch(epoch + 1);
        let slot = world.state.slot_of(&node);
        let schedule = world.state.schedule();
        world.run_to(schedule.slot_start(slot));
        if let Some(wrong) = wrong {
            let challenge = world
                .pool
                .accept(&world.state, &node, &[], world.now)
                .unwrap();
            world.pool.record(&challenge, vec![1], &Err(wrong));
        }
        if is_late {
            let closed = schedule.slot_close(slot);
            assert!(world.pool.accept(&world.state, &node, &[], closed).is_err());
        }
        world.run_to_epoch(epoch + 2);
        *unpaid(&world, NODE).last().unwrap()
    };
    let silent = Unpaid::Verdict(Reason::Silent);
    assert_eq!(why(None, false), silent);
    assert_eq!(why(None, true), Unpaid::Verdict(Reason::Late));
    let foreign = Some(VerifyError::OtherChallenge);
    assert_eq!(why(foreign, false), Unpaid::Verdict(Reason::Foreign));
    let unsigned = Some(VerifyError::BadSignature);
    assert_eq!(why(unsigned, true), Unpaid::Verdict(Reason::Unsigned));
}

#[test]
fn false_proofs_beyond_what_a_block_holds_are_misses() {
    let node = signer(NODE).node();
    let mut world = World::with(dev(), &[ALICE], &[NODE, OTHER]);
    world.open(NODE, ALICE, 60);
    world.open(OTHER, ALICE, 60);
    world.silent.insert(node);
    world.run_to_epoch(1);
    let slot = world.state.slot_of(&node);
    world.run_to(world.state.schedule().slot_start(slot));
    let challenge = world
        .pool
        .accept(&world.state, &node, &[], world.now)
        .unwrap();
    let wrong = Err(VerifyError::Unused);
    world
        .pool
        .record(&challenge, vec![0; (2 << 20) + 1], &wrong);
    world.run_to_epoch(2);
    assert_eq!(unpaid(&world, NODE), [Unpaid::Verdict(Reason::Crowded)]);
    assert_eq!(world.record(NODE).faulted, None);
    world.check_replay(dev());
}

//! The ledger as a whole: each rule of `apply`, then random histories against the invariants of
//! `docs/protocol.md` §3.4.

mod closing;
mod copies;
mod egress;
mod evidence;
mod faults;
mod fees;
mod histories;
mod losses;
mod maintenance;
mod million;
mod money;
mod moves;
mod mutual;
mod objections;
mod replays;
mod sharing;
mod shown;
mod slashing;
mod storms;
mod subkeys;
mod supply;
mod targeted;
mod transfers;
mod trial;
mod validators;
mod withdrawals;
mod world;

use crate::apply::ApplyError;
use crate::{
    AdmitError, Admitted, Block, Event, Op, ProofRefusal, Reason, Skip, State, TxRefusal, Unpaid,
    VerifyError, verify,
};
use larder_contracts::{Auth, extend};
use larder_types::{Amount, Hash, Params, Signature};
use world::{World, dev, genesis, signer};

const ALICE: u8 = 10;
const BOB: u8 = 11;
const NODE: u8 = 20;

fn refused(result: Result<Admitted, AdmitError>) -> TxRefusal {
    match result {
        Err(AdmitError::Refused(why)) => why,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[test]
fn a_proven_epoch_is_paid_and_a_missed_one_is_not() {
    let mut world = World::with(dev(), &[ALICE], &[NODE]);
    let node = signer(NODE).node();
    let leaf = world.open(NODE, ALICE, 6);
    world.run_to_epoch(1);
    assert_eq!(
        world.state.contract(&leaf.contract_id).map(|c| c.0),
        Some(0)
    );
    let paid_in = Amount(leaf.rate.0 * u64::from(leaf.end_epoch - 1));
    assert_eq!(world.balance(ALICE), Amount(100_000_000_000 - paid_in.0));
    assert_eq!(world.balance(NODE), Amount::ZERO);

    let second = world.state.schedule().epoch_start(2);
    world.run_to(second.before(larder_types::Millis(1)));
    world.silent.insert(node);
    world.run_to_epoch(2);
    assert_eq!(world.balance(NODE), leaf.rate, "epoch 1 was proven");
    world.run_to_epoch(3);
    assert_eq!(world.balance(NODE), leaf.rate, "epoch 2 was not");
    let why = Unpaid::Verdict(Reason::Silent);
    assert!(world.events.contains(&Event::Unpaid {
        provider: node,
        epoch: 2,
        epochs: 1,
        withheld: leaf.rate,
        why
    }));
    world.silent.clear();
    world.run_to_epoch(6);
    world.submit(world.update(NODE, vec![Op::CloseExpired(leaf.contract_id)]));
    world.run_to_epoch(7);
    // Epochs 1, 3, 4, 5 and 6 of 1..7.
    assert_eq!(world.balance(NODE), Amount(leaf.rate.0 * 5));
    assert_eq!(
        world.balance(ALICE),
        Amount(100_000_000_000 - leaf.rate.0 * 5)
    );
    assert_eq!(world.state.contract(&leaf.contract_id), None);
    world.check_replay(dev());
}

#[test]
fn an_invalid_proof_fails_and_tries_are_counted() {
    let mut world = World::with(dev(), &[ALICE], &[NODE]);
    let node = signer(NODE).node();
    let leaf = world.open(NODE, ALICE, 7);
    world.silent.insert(node);
    world.run_to_epoch(1);
    let slot = world.state.slot_of(&node);
    assert!(slot >= world.state.schedule().slot_no(1, 0));
    world.run_to(world.state.schedule().slot_start(slot));
    for _ in 0..3 {
        let challenge = world
            .pool
            .accept(&world.state, &node, &[], world.now)
            .unwrap();
        assert_eq!((challenge.slot_no, challenge.provider_index), (slot, 0));
        assert!(world.pool.is_checking(slot));
        let (blob, result) = world.lie(&challenge);
        world.pool.record(&challenge, blob, &result);
        assert!(!world.pool.is_checking(slot));
    }
    assert_eq!(
        world.pool.accept(&world.state, &node, &[], world.now),
        Err(ProofRefusal::Tries)
    );
    let closed = world.state.schedule().slot_close(slot);
    assert_eq!(
        world.pool.clone().accept(&world.state, &node, &[], closed),
        Err(ProofRefusal::Late { closed })
    );
    world.run_to_epoch(2);
    assert!(world.events.contains(&Event::Unpaid {
        provider: node,
        epoch: 1,
        epochs: 1,
        withheld: leaf.rate,
        why: Unpaid::Verdict(Reason::Malformed)
    }));
    assert_eq!(world.balance(NODE), Amount::ZERO);
}

#[test]
fn an_ended_contract_earns_nothing_until_it_is_removed() {
    let mut world = World::with(dev(), &[ALICE, BOB], &[NODE]);
    let ends = world.open(NODE, ALICE, 6);
    let goes_on = world.open(NODE, BOB, 20);
    assert_eq!((ends.end_epoch, goes_on.end_epoch), (7, 21));
    world.run_to_epoch(8);
    let earned = Amount((ends.rate.0 + goes_on.rate.0) * 6);
    assert_eq!(world.balance(NODE), earned, "epoch 7 passed, unpaid");
    assert!(world.events.iter().any(|event| matches!(
        event,
        Event::Unpaid {
            epoch: 7,
            why: Unpaid::Expired,
            ..
        }
    )));
    let early = world.update(NODE, vec![Op::CloseExpired(goes_on.contract_id)]);
    world.submit(early);
    world.submit(world.update(NODE, vec![Op::CloseExpired(ends.contract_id)]));
    world.run_to_epoch(10);
    assert_eq!(
        world.balance(NODE),
        Amount(earned.0 + goes_on.rate.0),
        "epoch 9 is paid"
    );
    assert!(world.events.iter().any(|event| matches!(
        event,
        Event::Skipped {
            why: Skip::Running,
            ..
        }
    )));
    world.check_replay(dev());
}

#[test]
fn operations_merge_and_are_skipped_alone() {
    let mut world = World::with(dev(), &[ALICE, BOB], &[NODE]);
    let leaf = world.draft(NODE, ALICE, 7);
    let auth = Some(world.auth(&leaf.renter));
    let first = world.sign(NODE, leaf, ALICE, auth);
    let mut newer = leaf;
    newer.revision = 3;
    newer.used_chunks = 32;
    newer.content_root = Hash([9; 32]);
    let newer = world.sign(NODE, newer, ALICE, auth);
    // Bob's leaf starts one epoch late; Bob's other one costs more than he has.
    let mut late = world.draft(NODE, BOB, 7);
    late.start_epoch = 2;
    let bobs = world.auth(&late.renter);
    let late = world.sign(NODE, late, BOB, Some(bobs));
    let mut dear = world.draft(NODE, BOB, 7);
    dear.rate = Amount::from_credits(90);
    let dear = world.sign(NODE, dear, BOB, Some(Auth { nonce: 5, ..bobs }));
    let free_of_charge = world.draft(NODE, BOB, 7);
    let free_of_charge = world.sign(NODE, free_of_charge, BOB, None);
    let all = vec![newer, first, late, dear, free_of_charge];
    world.submit(world.update(NODE, all.clone()));
    world.block();
    assert_eq!(
        refused(world.admit(world.update(NODE, vec![all[1].clone()]))),
        TxRefusal::Stale
    );
    world.run_to_epoch(1);
    let (_, provider, active) = world.state.contract(&leaf.contract_id).unwrap();
    assert_eq!(provider, signer(NODE).node());
    assert_eq!((active.revision, active.used_chunks), (3, 32));
    assert_eq!(world.balance(BOB), Amount::from_credits(100));
    for wanted in [Skip::Start, Skip::Balance, Skip::NoAuth] {
        let skipped =
            |event: &&Event| matches!(event, Event::Skipped { why, .. } if *why == wanted);
        assert_eq!(world.events.iter().filter(skipped).count(), 1, "{wanted:?}");
    }
    world.check_replay(dev());
}

#[test]
fn a_nonce_opens_one_contract() {
    let mut world = World::with(dev(), &[ALICE], &[NODE, 21]);
    let one = world.draft(NODE, ALICE, 7);
    let two = world.draft(21, ALICE, 7);
    let auth = Some(world.auth(&one.renter));
    let one = world.sign(NODE, one, ALICE, auth);
    let two = world.sign(21, two, ALICE, auth);
    world.submit(world.update(NODE, vec![one]));
    world.submit(world.update(21, vec![two]));
    world.run_to_epoch(1);
    assert_eq!(
        world.state.contracts_of(&signer(ALICE).account()).count(),
        1
    );
    assert!(world.events.iter().any(|e| matches!(
        e,
        Event::Skipped {
            why: Skip::Nonce,
            ..
        }
    )));
}

#[test]
fn a_leaf_signed_for_one_provider_is_refused_from_another() {
    const THIEF: u8 = 21;
    let mut world = World::with(dev(), &[ALICE], &[NODE, THIEF]);
    let leaf = world.draft(NODE, ALICE, 7);
    let auth = Some(world.auth(&leaf.renter));
    let op = world.sign(NODE, leaf, ALICE, auth);
    // The thief saw the operation in a block and posts it under its own, good signature.
    let net = world.state.genesis_hash();
    let stolen = world.update(THIEF, vec![op.clone()]);
    assert_eq!(
        verify::tx(&net, stolen.clone()).err(),
        Some(VerifyError::Tx(0))
    );
    // Nor does any node take a block with it.
    world.submit(world.update(NODE, vec![op]));
    world.block();
    let mut block = world.blocks.last().unwrap().clone();
    block.txs.push(stolen);
    assert_eq!(
        verify::block(&world.state.authority(), block).err(),
        Some(VerifyError::Tx(1))
    );
    // Nothing of the thief's waits for the boundary, and the contract opens where it was meant.
    world.run_to_epoch(1);
    let (_, provider, _) = world.state.contract(&leaf.contract_id).unwrap();
    assert_eq!(provider, signer(NODE).node());
    assert!(
        !world
            .events
            .iter()
            .any(|e| matches!(e, Event::Skipped { .. }))
    );
    world.check_replay(dev());
}

#[test]
fn an_extension_settles_and_opens_in_the_same_place() {
    let mut world = World::with(dev(), &[ALICE], &[NODE]);
    let leaf = world.open(NODE, ALICE, 20);
    world.run_to_epoch(3);
    let price = Amount::from_credits(100);
    let params = dev();
    let more = extend(&leaf, 1 << 17, price, 0, 4, &params).unwrap();
    assert!(more.rate > leaf.rate);
    let auth = Some(world.auth(&leaf.renter));
    let op = world.sign(NODE, more, ALICE, auth);
    world.submit(world.update(NODE, vec![op.clone()]));
    world.run_to_epoch(4);
    let (index, _, active) = world.state.contract(&leaf.contract_id).unwrap();
    assert_eq!((index, active.capacity_chunks), (0, 1 << 17));
    assert_eq!(world.balance(NODE), Amount(leaf.rate.0 * 3));
    let rest = u64::from(leaf.end_epoch - 4) * more.rate.0;
    assert_eq!(
        world.balance(ALICE),
        Amount(100_000_000_000 - leaf.rate.0 * 3 - rest)
    );
    // The same leaf again is stale; with content and no auth it is a plain revision.
    assert_eq!(
        refused(world.admit(world.update(NODE, vec![op]))),
        TxRefusal::Stale
    );
    let mut content = more;
    content.revision += 1;
    content.used_chunks = 16;
    content.content_root = Hash([8; 32]);
    let content = world.sign(NODE, content, ALICE, None);
    world.submit(world.update(NODE, vec![content]));
    let mut dropped = more;
    dropped.revision += 2;
    dropped.end_epoch = 14;
    world.run_to_epoch(5);
    dropped.start_epoch = 6;
    let auth = Some(world.auth(&leaf.renter));
    let dropped = world.sign(NODE, dropped, ALICE, auth);
    world.submit(world.update(NODE, vec![dropped]));
    world.run_to_epoch(6);
    let (_, _, active) = world.state.contract(&leaf.contract_id).unwrap();
    assert_eq!((active.used_chunks, active.end_epoch), (16, leaf.end_epoch));
    assert!(world.events.iter().any(|e| matches!(
        e,
        Event::Skipped {
            why: Skip::Drops,
            ..
        }
    )));
    world.check_replay(dev());
}

#[test]
fn epochs_without_blocks_are_unpaid_for_everyone() {
    let mut world = World::with(dev(), &[ALICE], &[NODE]);
    let leaf = world.open(NODE, ALICE, 30);
    let third = world.state.schedule().epoch_start(3);
    world.run_to(third.before(larder_types::Millis(1)));
    let node = signer(NODE).node();
    world.silent.insert(node);
    world.run_to_epoch(3);
    let before = world.balance(NODE);
    // The validator is down for twenty epochs.
    world.now = world.state.schedule().epoch_start(23);
    world.block();
    assert_eq!(world.state.epoch(), 23);
    let record = world.state.provider(&signer(NODE).node()).unwrap();
    assert_eq!((record.unpaid, record.misses), (20, 0));
    world.silent.clear();
    assert_eq!(world.balance(NODE), before);
    world.run_to_epoch(34);
    world.submit(world.update(NODE, vec![Op::CloseExpired(leaf.contract_id)]));
    world.run_to_epoch(36);
    let epochs = u64::from(leaf.end_epoch - 1 - 20);
    assert_eq!(world.balance(NODE), Amount(leaf.rate.0 * epochs));
    assert_eq!(
        world.balance(ALICE),
        Amount(100_000_000_000 - leaf.rate.0 * epochs)
    );
    world.check_replay(dev());
}

#[test]
fn pay_vests_and_the_fee_is_burned_in_part() {
    let params = Params {
        fee_ppm: 10_000,
        burn_ppm: 5_000,
        vesting: 3,
        ..dev()
    };
    let mut world = World::with(params.clone(), &[ALICE], &[NODE]);
    let leaf = world.open(NODE, ALICE, 20);
    let fee = leaf.rate.0.div_ceil(100);
    let net = leaf.rate.0 - fee;
    let founder = world.balance(1);
    world.run_to_epoch(4);
    assert_eq!(world.balance(NODE), Amount(net), "only epoch 1 has vested");
    world.run_to_epoch(5);
    assert_eq!(world.balance(NODE), Amount(2 * net));
    let burn = leaf.rate.0.div_ceil(200);
    assert_eq!(world.state.burned(), Amount(4 * burn));
    assert_eq!(world.balance(1), Amount(founder.0 + 4 * (fee - burn)));
    world.check_replay(params);
}

#[test]
fn collateral_is_locked_and_freed() {
    let params = Params {
        collateral_epochs: 3,
        ..dev()
    };
    let mut world = World::with(params.clone(), &[ALICE, NODE], &[]);
    world.submit(world.register(NODE, Amount::from_credits(1)));
    world.block();
    assert_eq!(
        refused(world.admit(world.register(NODE, Amount::ZERO))),
        TxRefusal::Registered
    );
    let leaf = world.open(NODE, ALICE, 6);
    assert_eq!(leaf.collateral, Amount(3 * leaf.rate.0));
    let mut poor = world.draft(NODE, BOB, 6);
    poor.collateral = Amount(poor.collateral.0 - 1);
    let auth = Auth {
        nonce: 7,
        ..world.auth(&poor.renter)
    };
    let poor = world.sign(NODE, poor, BOB, Some(auth));
    world.submit(world.update(NODE, vec![poor]));
    world.run_to_epoch(1);
    let record = |world: &World| {
        let p = world.state.provider(&signer(NODE).node()).unwrap();
        (p.free, p.locked)
    };
    let free = Amount(1_000_000_000 - leaf.collateral.0);
    assert_eq!(record(&world), (free, leaf.collateral));
    assert!(world.events.iter().any(|e| matches!(
        e,
        Event::Skipped {
            why: Skip::Collateral,
            ..
        }
    )));
    world.run_to_epoch(6);
    world.submit(world.update(NODE, vec![Op::CloseExpired(leaf.contract_id)]));
    world.run_to_epoch(7);
    assert_eq!(record(&world), (Amount::from_credits(1), Amount::ZERO));
    world.check_replay(params);
}

#[test]
fn a_block_that_was_tampered_with_is_refused() {
    let mut world = World::with(dev(), &[ALICE], &[NODE]);
    world.open(NODE, ALICE, 7);
    world.run_to_epoch(2);
    let authority = world.state.authority();
    let mut state = State::genesis(&genesis(dev())).unwrap();
    let good = world.blocks[0].clone();
    let check = |change: fn(&mut Block)| {
        let mut block = good.clone();
        change(&mut block);
        verify::block(&authority, block).map(drop)
    };
    assert_eq!(check(|_| ()), Ok(()));
    assert_eq!(check(|b| b.header.time.0 += 1), Err(VerifyError::Block));
    assert_eq!(
        check(|b| b.sig = Signature::default()),
        Err(VerifyError::Block)
    );

    // Signed by the validator itself, yet wrong: `apply` refuses and nothing changes.
    let mut apply = |change: fn(&mut Block)| {
        let mut block = good.clone();
        change(&mut block);
        block.sig = block.header.sign(&signer(2), &state.genesis_hash());
        let before = state.clone();
        let result = verify::block(&authority, block).map(|block| state.apply(&block));
        if !matches!(result, Ok(Ok(_))) {
            assert_eq!(state, before);
        }
        result
    };
    let refusal = |r: Result<Result<Vec<Event>, ApplyError>, VerifyError>| r.unwrap().unwrap_err();
    assert!(matches!(
        refusal(apply(|b| b.header.height = 2)),
        ApplyError::Height { .. }
    ));
    assert!(matches!(
        refusal(apply(|b| b.header.prev.0[0] ^= 1)),
        ApplyError::Prev { .. }
    ));
    assert!(matches!(
        refusal(apply(|b| b.header.time.0 -= 1)),
        ApplyError::Time { .. }
    ));
    assert!(matches!(
        refusal(apply(|b| b.header.epoch = 1)),
        ApplyError::Epoch { .. }
    ));
    assert_eq!(refusal(apply(|b| b.txs.clear())), ApplyError::BodyRoot);
    assert!(matches!(
        refusal(apply(|b| b.header.state_root.0[0] ^= 1)),
        ApplyError::StateRoot { .. }
    ));
    assert_eq!(apply(|b| b.header.slot = Some(1)), Err(VerifyError::Beacon));
    assert_eq!(apply(|b| b.header.slot = None), Err(VerifyError::Slot));
    assert!(matches!(
        refusal(apply(|b| {
            b.header.slot = None;
            b.header.beacon = None;
        })),
        ApplyError::Slot { .. }
    ));
    assert!(matches!(apply(|_| ()), Ok(Ok(_))));
    assert!(
        matches!(refusal(apply(|_| ())), ApplyError::Height { .. }),
        "a replay"
    );
}

#[test]
fn verdicts_cover_exactly_the_slots_that_are_owed() {
    let mut world = World::with(dev(), &[ALICE], &[NODE]);
    world.open(NODE, ALICE, 7);
    world.run_to_epoch(1);
    let node = signer(NODE).node();
    let slot = world.state.slot_of(&node);
    let close = world.state.schedule().slot_close(slot);
    assert!(
        world
            .state
            .slots_to_judge(close.before(larder_types::Millis(1)))
            .is_empty()
    );
    world.run_to(close);
    let judged: Vec<_> = world.blocks.iter().flat_map(|b| &b.verdicts).collect();
    assert_eq!(judged.len(), 1);
    assert_eq!(
        (judged[0].slot, &judged[0].results[..]),
        (slot, &[None][..])
    );
    let hash = Hash(*blake3::hash(&node.0).as_bytes());
    assert_eq!(judged[0].proofs_root, hash);
    assert!(world.state.slots_to_judge(close).is_empty(), "once");
}

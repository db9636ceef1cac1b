//! What validators pay for: votes that contradict each other, and verdicts that contradict their own
//! acknowledgements. `docs/protocol.md` §3.5, §3.8.

use super::validators::node;
use super::world::{World, bls, dev, genesis_of, owner, signer};
use super::{ALICE, BOB, NODE, refused};
use crate::{
    Censored, Equivocation, Event, Parting, ProofAck, Reason, Tx, TxRefusal, Unpaid, VerifyError,
    verify,
};
use larder_proofs::{SignedVote, Vote, VoteKind};
use larder_types::{AccountId, Amount, GenesisHash, Hash, Millis, SlotNo};

const FOUR: [u8; 4] = [60, 61, 62, 63];
const FIFTH: u8 = 64;
const BOND: Amount = Amount(10_000_000_000);

/// Four that found, and one that put down a bond.
fn five() -> World {
    let mut world = World::of_several(dev(), &FOUR);
    world.stand(FIFTH, ALICE);
    let add = world.addition(FIFTH);
    world.decide(&FOUR, add);
    assert!(world.is_seated(FIFTH));
    world
}

const VOTE: Vote = Vote {
    kind: VoteKind::Precommit,
    height: 2,
    round: 1,
    value: Some(Hash([7; 32])),
};

fn nil(vote: Vote) -> Vote {
    Vote {
        value: None,
        ..vote
    }
}

fn votes(by: u8, a: Vote, b: Vote, net: &GenesisHash) -> Equivocation {
    let sign = |vote| SignedVote::sign(vote, &signer(by), net);
    Equivocation {
        a: sign(a),
        b: sign(b),
        reporter: None,
    }
}

/// Shows votes to the ledger.
fn show(world: &mut World, evidence: Equivocation) -> Result<(), TxRefusal> {
    let tx = Tx::Equivocation(Box::new(evidence));
    match world.admit(tx) {
        Ok(_) => Ok(()),
        other => Err(refused(other)),
    }
}

#[test]
fn who_votes_twice_is_out_at_once_and_for_good() {
    let mut world = five();
    let net = world.state.genesis_hash();
    let (bob, burned) = (world.balance(BOB), world.state.burned());
    let evidence = Equivocation {
        reporter: Some(signer(BOB).account()),
        ..votes(FIFTH, VOTE, nil(VOTE), &net)
    };
    assert_eq!(show(&mut world, evidence.clone()), Ok(()));
    world.block();
    assert!(!world.is_seated(FIFTH));
    let half = Amount(BOND.0 / 2);
    assert_eq!(world.balance(BOB), Amount(bob.0 + half.0));
    assert_eq!(world.state.burned(), Amount(burned.0 + half.0));
    let left = |e: &Event| {
        let why = Parting::Equivocated;
        matches!(e, Event::ValidatorLeft { why: w, .. } if *w == why)
    };
    assert!(world.events.iter().any(left));
    // Only one transaction about it waits, however it is said.
    let mut twice = five();
    assert_eq!(show(&mut twice, evidence.clone()), Ok(()));
    let other = votes(FIFTH, nil(VOTE), VOTE, &net);
    assert_eq!(show(&mut twice, other), Err(TxRefusal::Waits));
    // Once, whichever of its votes are shown, and in whichever order.
    for again in [
        evidence.clone(),
        votes(FIFTH, nil(VOTE), VOTE, &net),
        votes(
            FIFTH,
            Vote { round: 3, ..VOTE },
            nil(Vote { round: 3, ..VOTE }),
            &net,
        ),
    ] {
        assert_eq!(show(&mut world, again), Err(TxRefusal::Punished));
    }
    // Neither key comes back, now or when nothing is locked any more.
    for epochs in [1, 6] {
        world.run_to_epoch(world.state.epoch() + epochs);
        let back = world.candidacy(FIFTH, ALICE, BOND);
        let refusal = refused(world.admit(Tx::Candidacy(Box::new(back))));
        assert_eq!(refusal, TxRefusal::Banned);
        let mut other = world.candidacy(65, ALICE, BOND);
        other.bls = bls(FIFTH).public().to_bytes();
        other.possession = bls(FIFTH).prove_possession().to_bytes();
        other.sign_anew((&signer(65), &owner(ALICE)), &net);
        let refusal = refused(world.admit(Tx::Candidacy(Box::new(other))));
        assert_eq!(refusal, TxRefusal::TwinKey);
    }
    assert_eq!(show(&mut world, evidence), Err(TxRefusal::Punished));
    world.check_replay_of(&genesis_of(dev(), &FOUR));
}

#[test]
fn votes_of_different_rounds_heights_or_kinds_are_no_equivocation() {
    let mut world = five();
    let net = world.state.genesis_hash();
    let prevote = VoteKind::Prevote;
    for other in [
        VOTE,
        nil(Vote { round: 2, ..VOTE }),
        nil(Vote { height: 3, ..VOTE }),
        nil(Vote {
            kind: prevote,
            ..VOTE
        }),
    ] {
        let evidence = votes(FIFTH, VOTE, other, &net);
        assert_eq!(show(&mut world, evidence), Err(TxRefusal::NoEquivocation));
    }
    let mut two = votes(FIFTH, VOTE, nil(VOTE), &net);
    two.b = SignedVote::sign(nil(VOTE), &signer(60), &net);
    assert_eq!(show(&mut world, two), Err(TxRefusal::NoEquivocation));
    assert!(world.is_seated(FIFTH));
}

#[test]
fn a_forged_vote_is_no_evidence() {
    let world = five();
    let net = world.state.genesis_hash();
    let read = |evidence| verify::tx(&net, Tx::Equivocation(Box::new(evidence))).map(drop);
    let honest = votes(FIFTH, VOTE, nil(VOTE), &net);
    assert_eq!(read(honest.clone()), Ok(()));
    let mut changed = honest.clone();
    changed.b.vote.value = Some(Hash([8; 32]));
    let mut framed = honest;
    framed.a = SignedVote::sign(VOTE, &signer(ALICE), &net);
    framed.a.by = node(FIFTH);
    let elsewhere = votes(FIFTH, VOTE, nil(VOTE), &GenesisHash([9; 32]));
    for forged in [changed, framed, elsewhere] {
        assert_eq!(read(forged), Err(VerifyError::Tx(0)));
    }
}

#[test]
fn a_validator_answers_while_its_bond_is_locked_and_no_longer() {
    let mut world = five();
    let net = world.state.genesis_hash();
    for stranger in [ALICE, 65] {
        let evidence = votes(stranger, VOTE, nil(VOTE), &net);
        assert_eq!(show(&mut world, evidence), Err(TxRefusal::NotAValidator));
    }
    world.submit(world.resign(FIFTH));
    world.block();
    let evidence = votes(FIFTH, VOTE, nil(VOTE), &net);
    let until = world.state.epoch() + 4;
    let (before, burned) = (world.balance(ALICE), world.state.burned());
    assert_eq!(show(&mut world, evidence.clone()), Ok(()));
    world.run_to_epoch(until);
    assert_eq!(world.balance(ALICE), before, "nothing is left to free");
    assert_eq!(world.state.burned(), Amount(burned.0 + BOND.0));

    let mut honest = five();
    honest.submit(honest.resign(FIFTH));
    honest.run_to_epoch(honest.state.epoch() + 5);
    assert_eq!(
        show(&mut honest, evidence),
        Err(TxRefusal::NotAValidator),
        "its bond is free"
    );
}

#[test]
fn the_last_validator_that_votes_twice_loses_its_bond_only() {
    let mut world = World::of_several(dev(), &[60]);
    world.stand(FIFTH, ALICE);
    let add = world.addition(FIFTH);
    world.decide(&[60], add);
    world.submit(world.resign(60));
    world.block();
    let (net, burned) = (world.state.genesis_hash(), world.state.burned());
    let evidence = votes(FIFTH, VOTE, nil(VOTE), &net);
    assert_eq!(show(&mut world, evidence), Ok(()));
    world.block();
    assert!(world.is_seated(FIFTH), "somebody has to make blocks");
    assert_eq!(world.state.burned(), Amount(burned.0 + BOND.0));
    world.block();
}

/// One validator with a bond makes every block; its one provider does not answer, or so it says.
fn censor() -> (World, SlotNo) {
    let mut world = World::of_several(dev(), &[60]);
    world.stand(FIFTH, ALICE);
    let add = world.addition(FIFTH);
    world.decide(&[60], add);
    world.submit(world.resign(60));
    world.submit(world.register(NODE, Amount::ZERO));
    world.block();
    world.open(NODE, BOB, 60);
    // Before the epoch: its first slot may be this provider's.
    let second = world.state.schedule().epoch_start(2);
    world.run_to(second.before(Millis(1)));
    world.silent.insert(signer(NODE).node());
    world.run_to_epoch(3);
    let at = |e: &Event| {
        matches!(
            e,
            Event::Unpaid {
                why: Unpaid::Verdict(Reason::Silent),
                epoch: 2,
                ..
            }
        )
    };
    let missed = world.events.iter().filter(|e| at(e)).count();
    assert_eq!(missed, 1);
    let slots = world.state.roll.batches.keys().copied().collect::<Vec<_>>();
    let [slot] = slots[..] else {
        panic!("one batch withheld pay: {slots:?}");
    };
    (world, slot)
}

fn ack(by: u8, slot: SlotNo, provider: u8, net: &GenesisHash) -> ProofAck {
    ProofAck::sign(&signer(by), slot, node(provider), b"its proof", net)
}

fn accuse(world: &mut World, ack: ProofAck) -> Result<(), TxRefusal> {
    match world.admit(Tx::Censored(Censored { ack })) {
        Ok(_) => Ok(()),
        other => Err(refused(other)),
    }
}

#[test]
fn who_withholds_what_it_acknowledged_pays_for_it_once() {
    let (mut world, slot) = censor();
    let net = world.state.genesis_hash();
    let (before, rate) = (world.balance(NODE), world.record(NODE).sum());
    let withheld = |world: &World| world.state.withheld_from(&node(NODE));
    assert_eq!(withheld(&world), [(slot, node(FIFTH))]);
    assert_eq!(accuse(&mut world, ack(FIFTH, slot, NODE, &net)), Ok(()));
    world.block();
    let record = world.state.validator(&node(FIFTH)).unwrap();
    assert_eq!(record.strikes, 1);
    let paid = rate.min(BOND);
    assert!(paid > Amount::ZERO);
    assert_eq!(record.bond, Amount(BOND.0 - paid.0));
    assert_eq!(world.balance(NODE), Amount(before.0 + paid.0));
    assert_eq!(withheld(&world), [], "it was shown");
    let again = accuse(&mut world, ack(FIFTH, slot, NODE, &net));
    assert_eq!(again, Err(TxRefusal::NotCensored));
    let mut other = ack(FIFTH, slot, NODE, &net);
    other = ProofAck::sign(&signer(FIFTH), slot, other.provider, b"another", &net);
    assert_eq!(accuse(&mut world, other), Err(TxRefusal::NotCensored));
    world.check_replay_of(&genesis_of(dev(), &[60]));
}

#[test]
fn who_did_not_propose_the_batch_censored_nobody() {
    let (mut world, slot) = censor();
    let net = world.state.genesis_hash();
    for innocent in [
        ack(60, slot, NODE, &net),
        ack(ALICE, slot, NODE, &net),
        ack(FIFTH, slot + 1, NODE, &net),
        ack(FIFTH, slot - 4, NODE, &net),
        ack(FIFTH, slot, 21, &net),
    ] {
        assert_eq!(accuse(&mut world, innocent), Err(TxRefusal::NotCensored));
    }
    let mut forged = ack(ALICE, slot, NODE, &net);
    forged.by = node(FIFTH);
    let tx = Tx::Censored(Censored { ack: forged });
    assert_eq!(verify::tx(&net, tx).err(), Some(VerifyError::Tx(0)));
    assert_eq!(world.state.withheld_from(&node(21)), []);
    // Two epochs later nobody remembers.
    world.silent.clear();
    world.run_to_epoch(4);
    assert_eq!(world.state.withheld_from(&node(NODE)), []);
    let late = accuse(&mut world, ack(FIFTH, slot, NODE, &net));
    assert_eq!(late, Err(TxRefusal::NotCensored));
}

#[test]
fn a_bond_pays_no_more_than_there_is() {
    let (mut world, slot) = censor();
    let net = world.state.genesis_hash();
    world.state.validator_mut(&node(FIFTH)).unwrap().bond = Amount(3);
    let lost = Amount(BOND.0 - 3);
    world.state.give(&AccountId(node(ALICE).0), lost);
    let before = world.balance(NODE);
    assert_eq!(accuse(&mut world, ack(FIFTH, slot, NODE, &net)), Ok(()));
    world.block();
    assert_eq!(world.balance(NODE), Amount(before.0 + 3));
}

#[test]
fn who_answers_for_nothing_any_more_is_not_to_be_accused() {
    let (mut world, slot) = censor();
    let by = node(FIFTH);
    assert!(world.state.is_settled(slot) && !world.state.is_settled(slot + 1_000));
    world.state.roll_mut().records.remove(&by);
    assert_eq!(world.state.withheld_from(&node(NODE)), []);
    let net = world.state.genesis_hash();
    let refusal = accuse(&mut world, ack(FIFTH, slot, NODE, &net));
    assert_eq!(refusal, Err(TxRefusal::NotAValidator));
}

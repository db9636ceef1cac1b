//! Acknowledgements: durable before they are given, taken up again after a restart. The state is one of
//! a network with a provider whose slot is open.

use super::*;
use crate::solo::Spawned;
use crate::solo::tests::{clock, genesis, own, proof, signer, spawn, with_contract};
use larder_ledger::{Proposer, Reason};
use larder_proofs::bls::SecretKey;
use larder_types::{Millis, SlotNo};
use std::fs;
use std::path::Path;

const VALIDATOR: u8 = 2;

/// A state in which the provider is asked, and its proof.
async fn asked() -> (State, Vec<u8>) {
    let clock = clock();
    let Spawned { solo, blocks, .. } = spawn(genesis(), &clock);
    let mut seen = own(blocks);
    let (state, contract) = with_contract(&solo, &mut seen).await;
    let blob = proof(&state, &signer(20), contract);
    (state, blob)
}

fn provider() -> NodeId {
    signer(20).node()
}

fn slot(state: &State) -> SlotNo {
    state.slot_of(&provider())
}

/// A process that begins `later` than the slot, on the record in `dir`.
fn process(dir: &Path, state: &State, later: Millis) -> Waiting {
    let now = state.schedule().slot_start(slot(state)).after(later);
    let (acks, kept) = Acks::open(dir, signer(VALIDATOR), state).unwrap();
    let clock: Clock = Arc::new(move || now);
    let mut waiting = Waiting::new(Limits::default(), clock, Some(acks));
    waiting.take_up(kept, state);
    waiting
}

async fn hand_in(waiting: &mut Waiting, state: &State, blob: &[u8], via: Option<NodeId>) -> Taken {
    let (reply, mut answer) = oneshot::channel();
    let request = ProofRequest {
        provider: provider(),
        blob: blob.to_vec(),
        via,
        reply,
    };
    waiting.check(request, state);
    loop {
        match answer.try_recv() {
            Ok(answer) => return answer,
            Err(_) => {
                let checked = waiting.checked().await.unwrap();
                drop(waiting.record(checked));
            }
        }
    }
}

fn check(ack: &ProofAck, state: &State, blob: &[u8]) {
    assert!(ack.is_signed(&state.genesis_hash()));
    assert!(ack.is_of((slot(state), &provider()), blob));
    assert_eq!(ack.by, signer(VALIDATOR).node());
}

/// What the process proposes once the window has closed.
fn proposed(waiting: &Waiting, state: &State) -> larder_ledger::Verified<larder_ledger::Block> {
    let bls = SecretKey::from_seed(&[3; 32]);
    let proposer = Proposer::new(signer(VALIDATOR), bls, state).unwrap();
    let now = state.schedule().slot_close(slot(state));
    let (mempool, pool) = (&waiting.mempool, &waiting.pool);
    proposer.make(state, mempool, pool, 0, now).unwrap()
}

fn verdicts(waiting: &Waiting, state: &State) -> Vec<Option<Reason>> {
    let block = proposed(waiting, state);
    let batches = block.get().verdicts.iter();
    let mut ours = batches.filter(|batch| batch.slot == slot(state));
    ours.next().unwrap().results.clone()
}

fn folder(dir: &Path, state: &State) -> std::path::PathBuf {
    dir.join("acknowledged").join(slot(state).to_string())
}

#[tokio::test(start_paused = true)]
async fn what_was_acknowledged_is_in_the_batch_after_a_restart() {
    let (mut state, blob) = asked().await;
    let dir = tempfile::tempdir().unwrap();
    let mut waiting = process(dir.path(), &state, Millis(10));
    let taken = hand_in(&mut waiting, &state, &blob, None).await;
    let ack = taken.unwrap().unwrap();
    check(&ack, &state, &blob);
    drop(waiting);

    let mut again = process(dir.path(), &state, Millis(500));
    let close = state.schedule().slot_close(slot(&state));
    let unchecked = larder_ledger::propose::unchecked(&state, &again.pool, close);
    assert_eq!(unchecked, [slot(&state)], "a batch waits for its check");
    let checked = again.checked().await.unwrap();
    let news = again.record(checked);
    assert_eq!(
        news,
        Some((provider(), blob.clone())),
        "the others have it too"
    );
    assert_eq!(verdicts(&again, &state), [None]);
    // Asked again, it says the same.
    let repeated = hand_in(&mut again, &state, &blob, None).await;
    assert_eq!(repeated, Ok(Some(ack)));

    let forgetful = tempfile::tempdir().unwrap();
    let without = process(forgetful.path(), &state, Millis(500));
    assert_eq!(verdicts(&without, &state), [Some(Reason::Excused)]);

    // Once the verdict is final nothing is kept.
    assert!(folder(dir.path(), &state).exists());
    state.apply(&proposed(&again, &state)).unwrap();
    again.prune(&state);
    while folder(dir.path(), &state).exists() {
        tokio::task::yield_now().await;
    }
    let (_, kept) = Acks::open(dir.path(), signer(VALIDATOR), &state).unwrap();
    assert_eq!(kept, []);
}

#[tokio::test(start_paused = true)]
async fn who_is_slower_than_a_forwarding_validator_is_acknowledged_all_the_same() {
    let (state, blob) = asked().await;
    let dir = tempfile::tempdir().unwrap();
    let mut waiting = process(dir.path(), &state, Millis(10));
    let via = Some(signer(VALIDATOR).node());
    let forwarded = hand_in(&mut waiting, &state, &blob, via).await;
    assert_eq!(forwarded, Ok(None), "nothing is promised to who forwards");
    assert!(!folder(dir.path(), &state).exists());
    let ack = hand_in(&mut waiting, &state, &blob, None).await;
    let ack = ack.unwrap().unwrap();
    check(&ack, &state, &blob);
    // However often it is sent, it is written once.
    fs::remove_dir_all(folder(dir.path(), &state)).unwrap();
    for _ in 0..5 {
        let again = hand_in(&mut waiting, &state, &blob, None).await;
        assert_eq!(again, Ok(Some(ack)));
    }
    assert!(!folder(dir.path(), &state).exists());
}

#[tokio::test(start_paused = true)]
async fn what_is_half_written_or_cannot_be_written_was_not_acknowledged() {
    let (state, blob) = asked().await;
    let dir = tempfile::tempdir().unwrap();
    let mut waiting = process(dir.path(), &state, Millis(10));
    let taken = hand_in(&mut waiting, &state, &blob, None).await;
    assert!(taken.unwrap().is_some());
    let folder = folder(dir.path(), &state);
    let file = fs::read_dir(&folder)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let whole = fs::read(&file).unwrap();
    fs::copy(&file, folder.join("a draft")).unwrap();
    fs::write(&file, &whole[..whole.len() - 1]).unwrap();
    let (_, kept) = Acks::open(dir.path(), signer(VALIDATOR), &state).unwrap();
    assert_eq!(kept, []);
    assert_eq!(
        fs::read_dir(&folder).unwrap().count(),
        0,
        "they are deleted"
    );

    // A record of another key's is nothing that we promised.
    fs::write(&file, &whole).unwrap();
    let (_, kept) = Acks::open(dir.path(), signer(VALIDATOR), &state).unwrap();
    assert_eq!(kept.len(), 1);
    let (_, kept) = Acks::open(dir.path(), signer(21), &state).unwrap();
    assert_eq!(kept, []);

    let mut waiting = process(tempfile::tempdir().unwrap().path(), &state, Millis(10));
    let taken = hand_in(&mut waiting, &state, &blob, None).await;
    assert_eq!(
        taken,
        Ok(None),
        "its folder is gone: taken, and not acknowledged"
    );
    assert_eq!(verdicts(&waiting, &state), [None]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_about_a_single_contract_is_not_acknowledged() {
    let (state, _) = asked().await;
    let mut challenge = state.challenge_for(&provider()).unwrap();
    assert!(Question::Own(challenge, Time(0)).to_acknowledge().is_some());
    challenge.contract = Some(7);
    assert!(Question::Own(challenge, Time(0)).to_acknowledge().is_none());
}

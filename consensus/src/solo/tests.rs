//! The validator's task over tokio's paused clock: nothing here waits in real time.

use super::*;
use larder_contracts::{Auth, Draft, SignedLeaf};
use larder_keys::{AccountSigner, Signer};
use larder_ledger::{
    AdmitError, Consensus, Event, Faucet, Founding, Genesis, Op, ProofRefusal, Reason, Register,
    Supply, Transfer, TreeUpdate, TxRefusal, Unpaid,
};
use larder_proofs::bls::SecretKey;
use larder_proofs::{Commitment, ContentTree, Outboard, ShardReader};
use larder_types::{Amount, ContractId, Millis, Params, Profile, ShardRoot};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::Instant;

const START: Time = Time(1_000_000);

pub(crate) fn signer(seed: u8) -> Signer {
    Signer::from_seed(&[seed; 32])
}

pub(crate) fn genesis() -> State {
    let bls = SecretKey::from_seed(&[3; 32]);
    State::genesis(&Genesis {
        version: larder_ledger::VERSION,
        network: "test".into(),
        start: START,
        params: Params::profile(Profile::Dev).with_epoch(Millis(8_000)),
        founder: signer(1).account(),
        supply: Supply::Faucet {
            total: Amount::from_credits(1_000_000),
        },
        consensus: Consensus::Solo,
        validators: vec![Founding::new(signer(2).node(), &bls)],
        nonce: [4; 32],
    })
    .unwrap()
}

pub(crate) fn clock() -> Clock {
    let began = Instant::now();
    Arc::new(move || {
        let passed = u64::try_from(began.elapsed().as_millis()).unwrap();
        START.after(Millis(passed))
    })
}

pub(crate) fn spawn(state: State, clock: &Clock) -> Spawned {
    let proposer = Proposer::new(signer(2), SecretKey::from_seed(&[3; 32]), &state).unwrap();
    Solo::spawn(proposer, state, Limits::default(), clock.clone())
}

/// An owner that applies, acknowledges and shows its state.
pub(crate) fn own(mut blocks: mpsc::Receiver<Committed>) -> watch::Receiver<(State, Vec<Event>)> {
    let (show, seen) = watch::channel((genesis(), Vec::new()));
    tokio::spawn(async move {
        while let Some(committed) = blocks.recv().await {
            show.send_modify(|(state, events)| {
                events.extend(state.apply(committed.block()).unwrap());
            });
            drop(committed.durable());
        }
    });
    seen
}

fn owner(key: &Signer) -> AccountSigner {
    AccountSigner::own(key.clone())
}

pub(crate) type Seen = watch::Receiver<(State, Vec<Event>)>;

async fn until(seen: &mut Seen, want: impl Fn(&State, &[Event]) -> bool) -> State {
    let deadline = std::time::Duration::from_secs(120);
    let shown = tokio::time::timeout(deadline, seen.wait_for(|(s, e)| want(s, e))).await;
    shown.unwrap().unwrap().0.clone()
}

/// A provider without shards asks its reader for nothing.
struct Empty;

#[derive(Debug, thiserror::Error)]
#[error("nothing is stored")]
struct Nothing;

impl ShardReader for Empty {
    type Error = Nothing;
    fn group(&self, _: &ShardRoot, _: u64) -> Result<Vec<u8>, Nothing> {
        Err(Nothing)
    }
    fn outboard(&self, _: &ShardRoot) -> Result<Outboard, Nothing> {
        Err(Nothing)
    }
}

pub(crate) fn proof(state: &State, node: &Signer, contract: ContractId) -> Vec<u8> {
    let commitment = Commitment {
        tree: (*state.provider(&node.node()).unwrap().active).clone(),
        contents: BTreeMap::from([(contract, ContentTree::new())]),
    };
    let challenge = state.challenge_for(&node.node()).unwrap();
    larder_proofs::prove(&commitment, &challenge, &Empty, node, &state.genesis_hash()).unwrap()
}

/// A network with a provider (key 20) and one contract by account 10 that is active: the state.
pub(crate) async fn with_contract(solo: &Solo, seen: &mut Seen) -> (State, ContractId) {
    let state = genesis();
    let net = state.genesis_hash();
    let (alice, node) = (signer(10), signer(20));
    let auth = |nonce| Auth { nonce, expiry: 500 };
    solo.submit(Tx::Faucet(Faucet::sign(&owner(&alice), &net)))
        .await
        .unwrap();
    let register = Register::sign(&node, &owner(&node), Amount::ZERO, auth(0), &net);
    solo.submit(Tx::Register(register)).await.unwrap();
    until(seen, |s, _| s.provider(&node.node()).is_some()).await;
    let leaf = Draft {
        provider: node.node(),
        renter: alice.account(),
        nonce16: [7; 16],
        start: 1,
        term: 6,
        capacity_chunks: 1 << 16,
        price: Amount::from_credits(100),
        collateral_epochs: 0,
    }
    .leaf(state.params());
    let signed = SignedLeaf::sign(leaf, Some(auth(0)), &node.node(), &owner(&alice), &net);
    let op = Op::Put(signed);
    solo.submit(Tx::TreeUpdate(TreeUpdate::sign(&node, 0, vec![op], &net)))
        .await
        .unwrap();
    let state = until(seen, |s, _| s.challenge_for(&node.node()).is_some()).await;
    (state, leaf.contract_id)
}

#[tokio::test(start_paused = true)]
async fn a_proof_in_time_is_paid_and_silence_is_not() {
    let clock = clock();
    let Spawned { solo, blocks, task } = spawn(genesis(), &clock);
    let mut seen = own(blocks);
    let (state, contract) = with_contract(&solo, &mut seen).await;
    let node = signer(20);
    assert_eq!(
        solo.submit_proof(signer(21).node(), vec![1]).await,
        Err(ProofError::Refused(ProofRefusal::NotAsked))
    );
    assert!(matches!(
        solo.submit_proof(node.node(), vec![1]).await,
        Err(ProofError::Wrong(_))
    ));
    let blob = proof(&state, &node, contract);
    assert_eq!(solo.submit_proof(node.node(), blob.clone()).await, Ok(()));
    assert_eq!(
        solo.submit_proof(node.node(), blob).await,
        Err(ProofError::Refused(ProofRefusal::Proven))
    );
    let paid = |e: &[Event]| e.iter().any(|e| matches!(e, Event::Paid { epoch: 1, .. }));
    until(&mut seen, |_, e| paid(e)).await;
    let why = Unpaid::Verdict(Reason::Silent);
    let missed = move |e: &Event| matches!(e, Event::Unpaid { epoch: 2, why: w, .. } if *w == why);
    until(&mut seen, |_, e| e.iter().any(missed)).await;
    drop(solo);
    assert!(task.await.unwrap().is_ok(), "it ends with its last handle");
}

#[tokio::test(start_paused = true)]
async fn bad_transactions_are_refused_with_the_reason() {
    let clock = clock();
    let Spawned {
        solo,
        blocks,
        task: _task,
    } = spawn(genesis(), &clock);
    let mut seen = own(blocks);
    let net = genesis().genesis_hash();
    let alice = signer(10);
    let mut forged = Faucet::sign(&owner(&alice), &net);
    forged.account = signer(11).account();
    assert!(matches!(
        solo.submit(Tx::Faucet(forged)).await,
        Err(SubmitError::Verify(_))
    ));
    let auth = Auth {
        nonce: 0,
        expiry: 9,
    };
    let pay = Transfer::sign(&owner(&alice), signer(11).account(), Amount(1), auth, &net);
    let poor = solo.submit(Tx::Transfer(pay.clone())).await;
    assert!(matches!(
        poor,
        Err(SubmitError::Admit(AdmitError::Refused(
            TxRefusal::Balance { .. }
        )))
    ));
    solo.submit(Tx::Faucet(Faucet::sign(&owner(&alice), &net)))
        .await
        .unwrap();
    until(&mut seen, |s, _| s.account(&alice.account()).is_some()).await;
    // Admission follows the block as soon as its owner has acknowledged it.
    let mut submitted = solo.submit(Tx::Transfer(pay.clone())).await;
    while submitted.is_err() {
        tokio::task::yield_now().await;
        submitted = solo.submit(Tx::Transfer(pay.clone())).await;
    }
    until(&mut seen, |s, _| {
        s.balance(&signer(11).account()) == Amount(1)
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn nothing_follows_a_block_that_is_not_durable() {
    let clock = clock();
    let Spawned {
        solo,
        mut blocks,
        task,
    } = spawn(genesis(), &clock);
    let mut state = genesis();
    let first = blocks.recv().await.unwrap();
    state.apply(first.block()).unwrap();
    let first = first.durable();
    let second = blocks.recv().await.unwrap();
    // While the second is being written, transactions are admitted, but no third is made.
    solo.submit(Tx::Faucet(Faucet::sign(
        &owner(&signer(10)),
        &state.genesis_hash(),
    )))
    .await
    .unwrap();
    let span = std::time::Duration::from_secs(60);
    assert!(tokio::time::timeout(span, blocks.recv()).await.is_err());
    assert_eq!(second.block().get().header.prev, first.get().hash());

    // The node dies before the second is durable; the restarted one makes the second anew.
    drop(second);
    assert!(matches!(task.await.unwrap(), Err(SoloEnd::Owner)));
    let mut again = spawn(state.clone(), &clock);
    let remade = again.blocks.recv().await.unwrap();
    assert_eq!(remade.block().get().header.height, 2);
    state.apply(remade.block()).unwrap();
    // And if it dies right after the block became durable, the next height follows.
    drop((remade, again));
    let mut third = spawn(state, &clock);
    assert_eq!(
        third
            .blocks
            .recv()
            .await
            .unwrap()
            .block()
            .get()
            .header
            .height,
        3
    );
}

#[tokio::test(start_paused = true)]
async fn blocks_come_at_slots_and_keep_their_distance() {
    let clock = clock();
    let Spawned {
        solo,
        mut blocks,
        task: _task,
    } = spawn(genesis(), &clock);
    let schedule = genesis().schedule();
    let net = genesis().genesis_hash();
    let mut last = Time(0);
    for i in 0..20u8 {
        let committed = blocks.recv().await.unwrap();
        let header = committed.block().get().header.clone();
        if let Some(slot) = header.slot {
            let late = header.time.since(schedule.slot_start(slot));
            assert!(late <= Millis(210), "slot {slot} opened {late} late");
        }
        assert!(header.time.since(last) >= Millis(200));
        last = header.time;
        drop(committed.durable());
        if i % 3 == 0 {
            solo.submit(Tx::Faucet(Faucet::sign(&owner(&signer(100 + i)), &net)))
                .await
                .unwrap();
        }
    }
}

//! The index beside a chain of real blocks: as they come, after a crash, and filled in afterwards.

use super::*;
use crate::store::Aftermath;
use larder_contracts::Auth;
use larder_keys::{AccountSigner, Signer};
use larder_ledger::mempool::Limits;
use larder_ledger::{
    Certified, Consensus, Founding, Mempool, ProofsPool, Proposer, State, Supply, Transfer, Tx,
    Verified, verify,
};
use larder_proofs::bls::SecretKey;
use larder_types::{Amount, Millis, Params, Profile, Time};
use tempfile::TempDir;

const VALIDATOR: [u8; 32] = [1; 32];
const START: Time = Time(1_000_000);
/// Blocks of the chain.
const BLOCKS: u64 = 12;

fn founder() -> AccountSigner {
    AccountSigner::own(Signer::from_seed(&[3; 32]))
}

fn payee(seed: u8) -> AccountId {
    Signer::from_seed(&[seed; 32]).account()
}

fn genesis() -> Genesis {
    Genesis {
        version: larder_ledger::VERSION,
        network: "test".to_owned(),
        start: START,
        params: Params::profile(Profile::Dev).with_epoch(Millis(2_000)),
        founder: founder().account(),
        supply: Supply::Faucet {
            total: Amount::from_credits(1_000),
        },
        consensus: Consensus::Solo,
        validators: vec![Founding::new(
            Signer::from_seed(&VALIDATOR).node(),
            &SecretKey::from_seed(&VALIDATOR),
        )],
        nonce: [4; 32],
    }
}

/// Blocks in which the founder pays 20 and 21 in turn, and what was fed of them.
fn made() -> Vec<(Certified, Fed)> {
    let genesis = genesis();
    let mut state = State::genesis(&genesis).unwrap();
    let proposer = Proposer::candidate(
        Signer::from_seed(&VALIDATOR),
        SecretKey::from_seed(&VALIDATOR),
    );
    let mut now = START;
    (0..BLOCKS)
        .map(|nonce| {
            now = now.max(state.earliest_block());
            let auth = Auth { nonce, expiry: 100 };
            let to = payee(20 + u8::try_from(nonce % 2).unwrap());
            let amount = Amount(1_000 + nonce);
            let pays = Transfer::sign(&founder(), to, amount, auth, &genesis.hash());
            let pays = verify::tx(&genesis.hash(), Tx::Transfer(pays)).unwrap();
            let mut mempool = Mempool::new(Limits::default());
            mempool.admit(pays, &state, now).unwrap();
            let pool = ProofsPool::new(START);
            let block: Verified<_> = proposer.make(&state, &mempool, &pool, 0, now).unwrap();
            let certificate =
                proposer.certify(&block.get().header, state.validators(), &genesis.hash());
            let certified = Certified {
                block: block.get().clone(),
                certificate: certificate.to_bytes(),
            };
            (certified, Fed::apply(&mut state, block).unwrap())
        })
        .collect()
}

fn scope(everybody: bool, own: &[u8]) -> Scope {
    Scope {
        everybody,
        own: own.iter().map(|seed| payee(*seed)).collect(),
    }
}

/// A home with the first `count` of the blocks in its database.
async fn home(count: usize) -> (TempDir, Store, Vec<(Certified, Fed)>) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("node.db")).await.unwrap();
    let made = made();
    for (certified, _) in &made[..count] {
        let nothing = Aftermath::default();
        store.append(certified, &nothing).await.unwrap();
    }
    (dir, store, made)
}

async fn start(dir: &TempDir, store: &Store, scope: Scope) -> Index {
    let started = Index::start(dir.path(), store.clone(), genesis(), scope).await;
    started.unwrap().0
}

/// Waits until nothing is missing.
async fn whole(index: &Index, account: AccountId) {
    loop {
        if index.knows(account).await.unwrap() == Kept::Whole
            && index.knows_txs().await.unwrap() == Kept::Whole
        {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// (height, amount, whether in) of an account's movements, newest first, in pages of `limit`.
async fn history(index: &Index, account: AccountId, limit: usize) -> Vec<(u64, u64, bool)> {
    let (mut all, mut before) = (Vec::new(), (u64::from(u32::MAX), 0));
    loop {
        let page = index.movements(&account, BLOCKS, before, limit).await;
        let page = page.unwrap();
        let Some(last) = page.last() else {
            return all;
        };
        before = (last.height, last.place);
        let shown = |row: &Row| (row.height, row.movement.amount.0, row.movement.is_in);
        all.extend(page.iter().map(shown));
    }
}

/// What 20 or 21 received in blocks up to `height`.
fn received(seed: u8, height: u64) -> Vec<(u64, u64, bool)> {
    let theirs = (1..=height).filter(|h| (h - 1) % 2 == u64::from(seed - 20));
    let mut all: Vec<_> = theirs.map(|h| (h, 1_000 + h - 1, true)).collect();
    all.reverse();
    all
}

#[tokio::test]
async fn blocks_as_they_come_and_filled_in_afterwards_give_the_same() {
    let (dir, store, made) = home(made().len()).await;
    let index = start(&dir, &store, scope(false, &[20])).await;
    assert_eq!(index.begin(0, 0).await.unwrap(), 0);
    for (_, fed) in &made {
        index.feed(fed.clone()).await.unwrap();
    }
    index.reached(BLOCKS).await.unwrap();
    whole(&index, payee(20)).await;
    for limit in [1, 4, 100] {
        assert_eq!(
            history(&index, payee(20), limit).await,
            received(20, BLOCKS)
        );
    }
    assert_eq!(index.knows(payee(21)).await.unwrap(), Kept::Not);
    let id = made[4].1.stamps[0].id;
    let found = index.tx(&id).await.unwrap().map(|at| (at.height, at.place));
    assert_eq!(found, Some((5, 0)));
    assert_eq!(index.tx(&TxId([0; 32])).await.unwrap(), None);

    // An account that comes from elsewhere has its past too.
    index.adopt(payee(21), false).await.unwrap();
    whole(&index, payee(21)).await;
    assert_eq!(history(&index, payee(21), 3).await, received(21, BLOCKS));

    // Another home, where all of it is filled in, of everybody.
    let (other, store, _) = home(made.len()).await;
    let filled = start(&other, &store, scope(true, &[])).await;
    assert_eq!(filled.begin(BLOCKS, BLOCKS).await.unwrap(), BLOCKS);
    for seed in [20, 21] {
        whole(&filled, payee(seed)).await;
        assert_eq!(
            history(&filled, payee(seed), 5).await,
            received(seed, BLOCKS)
        );
    }
    assert!(filled.tx(&id).await.unwrap().is_some());
    // The founder's past begins with the genesis.
    let past = history(&filled, founder().account(), 100).await;
    assert_eq!(past.len() as u64, BLOCKS + 1);
    let opening = Amount::from_credits(1_000).0;
    assert_eq!(past.last(), Some(&(0, opening, true)));
}

#[tokio::test]
async fn what_a_crash_lost_is_fed_again_or_filled_in() {
    let (dir, store, made) = home(made().len()).await;
    let feed = async |index: &Index, from: usize, to: usize| {
        for (_, fed) in &made[from..to] {
            index.feed(fed.clone()).await.unwrap();
        }
        index.reached(to as u64).await.unwrap();
    };
    let index = start(&dir, &store, scope(false, &[20])).await;
    index.begin(0, 0).await.unwrap();
    feed(&index, 0, 5).await;
    whole(&index, payee(20)).await;
    index.close().await;
    drop(index);

    // The state of block 4 was kept: what comes after 5 is asked for.
    let index = start(&dir, &store, scope(false, &[20])).await;
    assert_eq!(index.begin(4, 8).await.unwrap(), 5);
    feed(&index, 5, 8).await;
    assert_eq!(history(&index, payee(20), 100).await, received(20, 8));
    index.close().await;
    drop(index);

    // The state of block 10 was kept, though the index never heard of 9 and 10.
    let index = start(&dir, &store, scope(false, &[20])).await;
    assert_eq!(index.begin(10, 10).await.unwrap(), 10);
    feed(&index, 10, 12).await;
    whole(&index, payee(20)).await;
    assert_eq!(history(&index, payee(20), 100).await, received(20, BLOCKS));
    for (_, fed) in &made {
        assert!(index.tx(&fed.stamps[0].id).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn a_narrower_scope_forgets_and_a_wider_one_learns() {
    let (dir, store, _) = home(made().len()).await;
    let index = start(&dir, &store, scope(true, &[20])).await;
    index.begin(BLOCKS, BLOCKS).await.unwrap();
    whole(&index, payee(21)).await;
    index.close().await;
    drop(index);

    let index = start(&dir, &store, scope(false, &[20])).await;
    index.begin(BLOCKS, BLOCKS).await.unwrap();
    assert_eq!(index.knows(payee(21)).await.unwrap(), Kept::Not);
    assert!(history(&index, payee(21), 100).await.is_empty());
    assert_eq!(index.knows(payee(20)).await.unwrap(), Kept::Whole);
    assert_eq!(history(&index, payee(20), 100).await, received(20, BLOCKS));
    index.close().await;
    drop(index);

    let index = start(&dir, &store, scope(true, &[20])).await;
    index.begin(BLOCKS, BLOCKS).await.unwrap();
    whole(&index, payee(21)).await;
    assert_eq!(history(&index, payee(21), 100).await, received(21, BLOCKS));
}

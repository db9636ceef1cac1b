//! The chain's checkpoint, the states that it holds, and what light clients find in the database.

use super::*;
use crate::index::Scope;
use larder_keys::Signer;
use larder_ledger::mempool::Limits;
use larder_ledger::{Consensus, Founding, Mempool, ProofsPool, Proposer, Supply};
use larder_proofs::bls::SecretKey;
use larder_proofs::{Validator, ValidatorSet, check_account};
use larder_types::{Amount, BlockHash, Millis, Params, Profile, Time};
use tempfile::TempDir;

const KEY: [u8; 32] = [1; 32];
const START: Time = Time(1_000_000);

fn genesis() -> Genesis {
    Genesis {
        version: larder_ledger::VERSION,
        network: "test".to_owned(),
        start: START,
        params: Params::profile(Profile::Dev).with_epoch(Millis(2_000)),
        founder: Signer::from_seed(&[3; 32]).account(),
        supply: Supply::Faucet {
            total: Amount::from_credits(1_000),
        },
        consensus: Consensus::Solo,
        validators: vec![Founding::new(
            Signer::from_seed(&KEY).node(),
            &SecretKey::from_seed(&KEY),
        )],
        nonce: [4; 32],
    }
}

/// So many blocks by the validator of `bls`, the first `late` milliseconds after the start.
fn blocks(count: u32, late: u64, bls: [u8; 32]) -> Vec<Certified> {
    let genesis = genesis();
    let mut state = State::genesis(&genesis).unwrap();
    let proposer = Proposer::candidate(Signer::from_seed(&KEY), SecretKey::from_seed(&KEY));
    let signer = Proposer::candidate(Signer::from_seed(&KEY), SecretKey::from_seed(&bls));
    let mut now = START.after(Millis(late));
    (0..count)
        .map(|_| {
            now = now.max(state.earliest_block());
            let (mempool, pool) = (Mempool::new(Limits::default()), ProofsPool::new(START));
            let block = proposer.make(&state, &mempool, &pool, 0, now).unwrap();
            let header = &block.get().header;
            let certificate = signer.certify(header, state.validators(), &genesis.hash());
            state.apply(&block).unwrap();
            Certified {
                block: block.into_inner(),
                certificate: certificate.to_bytes(),
            }
        })
        .collect()
}

async fn chain() -> (TempDir, Chain) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("node.db")).await.unwrap();
    let node = Signer::from_seed(&[9; 32]).node();
    let genesis = genesis();
    let index = Index::start(dir.path(), store.clone(), genesis.clone(), Scope::default()).await;
    let index = index.unwrap().0;
    let chain = Chain::open(store, index, &genesis, node, genesis.founder).await;
    (dir, chain.unwrap())
}

fn point(certified: &Certified) -> Checkpoint {
    Checkpoint {
        height: certified.block.header.height,
        block: certified.block.hash(),
    }
}

#[tokio::test]
async fn a_node_behind_the_checkpoint_refuses_a_longer_uncertified_past() {
    let (honest, fork) = (blocks(4, 0, KEY), blocks(40, 500, KEY));
    let checkpoint = point(&honest[2]);
    let (_dir, mut node) = chain().await;
    node.require(Some(checkpoint)).await.unwrap();
    // Without the validators' certificate nothing is taken, however long it is; at the checkpoint not even
    // that is looked at.
    for forged in blocks(40, 500, [7; 32]) {
        let is_there = forged.block.header.height == checkpoint.height;
        let refused = node.take(forged).await.unwrap_err();
        let is_other = matches!(refused, ChainError::Checkpoint(_));
        let is_forged = matches!(refused, ChainError::Verify(_));
        assert_eq!((is_other, is_forged), (is_there, !is_there), "{refused}");
    }
    // Another past by the validator's own keys ends at the checkpoint, though it is the longer one.
    for block in &fork[..2] {
        node.take(block.clone()).await.unwrap();
    }
    let refused = node.take(fork[2].clone()).await.unwrap_err();
    assert!(matches!(refused, ChainError::Checkpoint(at) if at == checkpoint));
    assert!(!refused.is_ours());
    assert_eq!(node.height(), 2);

    let (_dir, mut node) = chain().await;
    node.require(Some(checkpoint)).await.unwrap();
    for block in honest {
        node.take(block).await.unwrap();
    }
    assert_eq!(node.height(), 4);
}

#[tokio::test]
async fn a_chain_that_is_already_another_than_the_checkpoints_is_not_opened() {
    let (honest, fork) = (blocks(3, 0, KEY), blocks(3, 500, KEY));
    let (_dir, mut node) = chain().await;
    for block in &fork {
        node.take(block.clone()).await.unwrap();
    }
    node.require(Some(point(&fork[1]))).await.unwrap();
    let refused = node.require(Some(point(&honest[1]))).await.unwrap_err();
    assert!(refused.to_string().contains("height 2"), "{refused}");
}

#[tokio::test]
async fn the_newest_states_are_held_and_prove_under_their_own_headers() {
    let (_dir, mut node) = chain().await;
    let made = blocks(20, 0, KEY);
    for block in &made {
        node.take(block.clone()).await.unwrap();
    }
    let ledger = node.ledger();
    let oldest = 20 - u64::try_from(RECENT).unwrap();
    assert_eq!(ledger.held(), (oldest, 20));
    assert!(ledger.at(oldest - 1).is_none() && ledger.at(21).is_none());
    let founder = genesis().founder;
    for height in oldest..=20 {
        let proof = ledger.at(height).unwrap().prove_account(&founder);
        let header = |height: u64| &made[usize::try_from(height).unwrap() - 1].block.header;
        assert!(
            check_account(header(height), &proof, &founder)
                .unwrap()
                .is_some()
        );
        let other = if height == 20 { 19 } else { height + 1 };
        assert!(check_account(header(other), &proof, &founder).is_err());
    }
}

/// The set of the validators of these seeds.
fn set(seeds: &[u8]) -> ValidatorSet {
    let member = |seed: &u8| Validator {
        node: NodeId([*seed; 32]),
        bls: SecretKey::from_seed(&[*seed; 32]).public(),
        power: 1,
    };
    ValidatorSet::new(seeds.iter().map(member).collect()).unwrap()
}

#[tokio::test]
async fn light_clients_find_blocks_by_hash_and_the_changes_of_the_set() {
    let (_dir, node) = chain().await;
    let (first, second) = (set(&[1, 2]), set(&[2, 3]));
    let made = blocks(6, 0, KEY);
    for certified in &made {
        let validators = match certified.block.header.height {
            2 => Some(&first),
            5 => Some(&second),
            _ => None,
        };
        let aftermath = Aftermath {
            validators,
            ..Aftermath::default()
        };
        node.store.append(certified, &aftermath).await.unwrap();
    }
    let store = &node.store;
    let hash = made[3].block.hash();
    assert_eq!(store.height_of(&hash).await.unwrap(), Some(4));
    assert_eq!(store.height_of(&BlockHash([0; 32])).await.unwrap(), None);
    assert_eq!(store.certified(4).await.unwrap().as_ref(), Some(&made[3]));
    assert_eq!(store.certified(7).await.unwrap(), None);
    // A change holds from the next block on.
    for (height, held) in [(1, None), (2, None), (3, Some(&first)), (5, Some(&first))] {
        assert_eq!(store.validators(height).await.unwrap().as_ref(), held);
    }
    assert_eq!(store.validators(6).await.unwrap(), Some(second.clone()));
    let heights = async |from, limit| {
        let changes = store.changes(from, limit).await.unwrap();
        let height = |change: &crate::store::Change| change.certified.block.header.height;
        changes.iter().map(height).collect::<Vec<_>>()
    };
    assert_eq!(heights(0, 100).await, [2, 5]);
    assert_eq!(heights(0, 1).await, [2]);
    assert_eq!(heights(3, 100).await, [5]);
    assert_eq!(store.changes(5, 9).await.unwrap()[0].validators, second);
}

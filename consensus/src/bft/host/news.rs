//! What a validator has to tell its owner besides blocks: bounded, and never waited for. Transactions
//! that nobody fetches are gathered, so that a slow network carries larger batches.

use crate::Committed;
use larder_ledger::Tx;
use larder_proofs::SignedVote;
use larder_types::NodeId;
use std::collections::VecDeque;
use tokio::sync::mpsc;

/// Transactions of one batch: well below 1 MiB of ordinary ones.
const BATCH: usize = 512;
/// Transactions that wait to be told: a full mempool. Those beyond it wait for our own turn.
const MAX_TXS: usize = 16_384;
/// Proofs and pieces of evidence that wait, each.
const MAX_WAITING: usize = 64;

/// The channels to the owner.
pub(in super::super) struct Outward {
    pub(in super::super) commits: mpsc::Sender<Committed>,
    pub(in super::super) gossip: mpsc::Sender<Vec<Tx>>,
    pub(in super::super) forward: mpsc::Sender<(NodeId, Vec<u8>)>,
    pub(in super::super) evidence: mpsc::Sender<[SignedVote; 2]>,
}

impl Outward {
    pub(super) fn split(self) -> (mpsc::Sender<Committed>, News) {
        let news = News {
            txs: VecDeque::new(),
            gossip: self.gossip,
            proofs: VecDeque::new(),
            forward: self.forward,
            pairs: VecDeque::new(),
            evidence: self.evidence,
        };
        (self.commits, news)
    }
}

/// What waits to be told.
pub(super) struct News {
    txs: VecDeque<Tx>,
    gossip: mpsc::Sender<Vec<Tx>>,
    proofs: VecDeque<(NodeId, Vec<u8>)>,
    forward: mpsc::Sender<(NodeId, Vec<u8>)>,
    pairs: VecDeque<[SignedVote; 2]>,
    evidence: mpsc::Sender<[SignedVote; 2]>,
}

impl News {
    pub(super) fn spread(&mut self, txs: Vec<Tx>) {
        let room = MAX_TXS.saturating_sub(self.txs.len());
        self.txs.extend(txs.into_iter().take(room));
    }

    pub(super) fn forward(&mut self, proof: Option<(NodeId, Vec<u8>)>) {
        if self.proofs.len() < MAX_WAITING {
            self.proofs.extend(proof);
        }
    }

    pub(super) fn accuse(&mut self, pair: [SignedVote; 2]) {
        if self.pairs.len() < MAX_WAITING {
            self.pairs.push_back(pair);
        }
    }

    /// Delivers one thing, as soon as its channel has room; never resolves while there is nothing.
    pub(super) async fn deliver(&mut self) {
        tokio::select! {
            permit = self.gossip.reserve(), if !self.txs.is_empty() => {
                let count = self.txs.len().min(BATCH);
                let batch = self.txs.drain(..count).collect();
                match permit {
                    Ok(permit) => permit.send(batch),
                    // Nobody spreads transactions here.
                    Err(_) => self.txs.clear(),
                }
            }
            permit = self.forward.reserve(), if !self.proofs.is_empty() => {
                match (permit, self.proofs.pop_front()) {
                    (Ok(permit), Some(proof)) => permit.send(proof),
                    (Ok(_) | Err(_), _) => self.proofs.clear(),
                }
            }
            permit = self.evidence.reserve(), if !self.pairs.is_empty() => {
                match (permit, self.pairs.pop_front()) {
                    (Ok(permit), Some(pair)) => permit.send(pair),
                    (Ok(_) | Err(_), _) => self.pairs.clear(),
                }
            }
            else => std::future::pending().await,
        }
    }
}

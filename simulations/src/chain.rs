//! The network's one validator: it checks what it is sent, makes a block when one is owed, and
//! keeps the state that all nodes share, since all apply the same blocks.

use larder_engine::io::{Submission, SubmitError};
use larder_keys::Signer;
use larder_ledger::mempool::Limits;
use larder_ledger::propose::{due, has_reason};
use larder_ledger::{
    AdmitError, Block, Event, Genesis, Mempool, ProofRefusal, ProofsPool, Proposer, State, Tx,
    Verified, verify,
};
use larder_proofs::bls::SecretKey;
use larder_types::{Hash, NodeId, Time, TxId};
use std::collections::VecDeque;
use std::sync::Arc;

/// A block with what it did.
#[derive(Debug)]
pub(crate) struct Applied {
    /// The block.
    pub(crate) block: Verified<Block>,
    /// The state after it.
    pub(crate) state: Arc<State>,
    /// The transactions in it.
    pub(crate) txs: Vec<TxId>,
    /// What happened.
    pub(crate) events: Vec<Event>,
}

/// The validator.
#[derive(Debug)]
pub(crate) struct Chain {
    /// The newest state.
    pub(crate) state: Arc<State>,
    /// Which look at the clock counts.
    pub(crate) generation: u64,
    mempool: Mempool,
    pool: ProofsPool,
    proposer: Proposer,
    /// The newest blocks, in order: those that some node has not applied yet.
    log: VecDeque<Arc<Applied>>,
}

impl Chain {
    /// A chain without blocks.
    ///
    /// # Panics
    /// If the genesis is unsound or names other keys, which the scenario excludes.
    pub(crate) fn new(genesis: &Genesis, node: Signer, bls: SecretKey) -> Self {
        let state = State::genesis(genesis).expect("the scenario's genesis is sound");
        let proposer = Proposer::new(node, bls, &state).expect("the genesis names these keys");
        Self {
            generation: 0,
            mempool: Mempool::new(Limits::default()),
            pool: ProofsPool::new(genesis.start),
            proposer,
            state: Arc::new(state),
            log: VecDeque::new(),
        }
    }

    /// The block at `height`, unless every node is past it.
    pub(crate) fn at(&self, height: u64) -> Option<&Arc<Applied>> {
        let first = self.log.front()?.state.head().height;
        self.log
            .get(usize::try_from(height.checked_sub(first)?).ok()?)
    }

    /// No node needs what is older.
    pub(crate) fn forget_before(&mut self, height: u64) {
        while self
            .log
            .front()
            .is_some_and(|oldest| oldest.state.head().height < height)
        {
            self.log.pop_front();
        }
    }

    /// When to look at the clock again, after `now`.
    pub(crate) fn due(&self, now: Time) -> Time {
        due(&self.state, &self.mempool, now).max(Time(now.0 + 1))
    }

    /// Makes the next block if there is a reason and it may be made now.
    ///
    /// # Panics
    /// If the block does not apply to the state it was made for: a bug in the ledger.
    pub(crate) fn make(&mut self, now: Time) -> Option<Arc<Applied>> {
        if !has_reason(&self.state, &self.mempool, now) || now < self.state.earliest_block() {
            return None;
        }
        let block = self
            .proposer
            .make(&self.state, &self.mempool, &self.pool, 0, now)?;
        let mut state = State::clone(&self.state);
        let events = state
            .apply(&block)
            .expect("a block that was proposed for a state applies to it");
        self.mempool.prune(&state, now);
        self.pool.prune(&state);
        self.state = Arc::new(state);
        let txs = block.get().txs.iter().map(Tx::id).collect();
        let applied = Arc::new(Applied {
            block,
            state: Arc::clone(&self.state),
            txs,
            events,
        });
        self.log.push_back(Arc::clone(&applied));
        Some(applied)
    }

    /// Takes a transaction.
    ///
    /// # Errors
    /// As a validator answers.
    pub(crate) fn tx(&mut self, tx: Tx, now: Time) -> Result<(), SubmitError> {
        let refused = |why: String| SubmitError::Refused(why);
        let tx = verify::tx(&self.state.genesis_hash(), tx).map_err(|e| refused(e.to_string()))?;
        match self.mempool.admit(tx, &self.state, now) {
            Ok(_) => Ok(()),
            Err(AdmitError::Full { .. }) => Err(SubmitError::NoAnswer),
            Err(why @ (AdmitError::Refused(_) | AdmitError::TooLarge { .. })) => {
                Err(refused(why.to_string()))
            }
        }
    }

    /// Takes a submission from a node. The second value is the hash of a proof found valid.
    pub(crate) fn submit(
        &mut self,
        from: &NodeId,
        what: Submission,
        now: Time,
    ) -> (Result<(), SubmitError>, Option<Hash>) {
        match what {
            Submission::Tx(tx) => (self.tx(*tx, now), None),
            Submission::Proof { blob, .. } => self.proof(from, &blob, now),
        }
    }

    fn proof(
        &mut self,
        from: &NodeId,
        blob: &[u8],
        now: Time,
    ) -> (Result<(), SubmitError>, Option<Hash>) {
        let challenge = match self.pool.accept(&self.state, from, blob, now) {
            Ok(challenge) => challenge,
            Err(ProofRefusal::Proven) => return (Ok(()), None),
            Err(
                why @ (ProofRefusal::NotAsked | ProofRefusal::Late { .. } | ProofRefusal::Tries),
            ) => return (Err(SubmitError::Refused(why.to_string())), None),
        };
        let checked = larder_proofs::verify(blob, &challenge, &self.state.genesis_hash());
        let hash = Hash(*blake3::hash(blob).as_bytes());
        self.pool.record(&challenge, blob.to_vec(), &checked);
        match checked {
            Ok(()) => (Ok(()), Some(hash)),
            Err(why) => (Err(SubmitError::Refused(why.to_string())), None),
        }
    }
}

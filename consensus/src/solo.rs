//! A network's single validator: one task that admits transactions and proofs, and makes each
//! block when it is owed. `docs/protocol.md` §3.5.
//!
//! **No fork after a crash.** A block goes to the owner as [`Committed`]; the owner makes it
//! durable, acknowledges, and only then publishes it. The task makes no further block before the
//! acknowledgement, and a restarted one starts from the owner's durable state: a height that was
//! published is never made again. A block that was not yet durable was seen by nobody.
//!
//! A founder who validates alone can reorder, roll back and censor; this protects against
//! accidents only.

use larder_ledger::mempool::Limits;
use larder_ledger::{
    AdmitError, Admitted, ApplyError, Block, Certified, Mempool, ProofRefusal, ProofsPool,
    Proposer, State, Tx, Verified, propose, verify,
};
use larder_proofs::{Certificate, Challenge, VerifyError};
use larder_types::{GenesisHash, NodeId, Time};
use std::fmt;
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::{JoinError, JoinHandle, JoinSet};

/// Transactions and proofs that wait for the task, each: a burst from every peer, briefly.
const QUEUE: usize = 64;
/// Proofs checked at a time: a check takes well below a millisecond, mostly hashing.
const MAX_CHECKS: usize = 16;
/// Transactions whose signatures are checked at a time.
const MAX_VERIFIES: usize = 4;

/// Where the task takes the time from.
pub type Clock = Arc<dyn Fn() -> Time + Send + Sync>;

/// A block that was made and waits for its owner.
#[derive(Debug)]
pub struct Committed {
    block: Verified<Block>,
    certificate: Certificate,
    durable: oneshot::Sender<()>,
}

impl Committed {
    /// The block: apply it and write it down.
    #[must_use]
    pub const fn block(&self) -> &Verified<Block> {
        &self.block
    }

    /// What makes it final.
    #[must_use]
    pub const fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The block as it is kept and sent.
    #[must_use]
    pub fn certified(&self) -> Certified {
        Certified {
            block: self.block.get().clone(),
            certificate: self.certificate.to_bytes(),
        }
    }

    /// Says that the block survives a crash from now on, and gives it back to be published.
    #[must_use]
    pub fn durable(self) -> Verified<Block> {
        // If the task has ended meanwhile, nobody waits for the word; the block stands.
        self.durable.send(()).ok();
        self.block
    }
}

/// Why a transaction does not wait for a block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// A signature is bad.
    #[error(transparent)]
    Verify(#[from] verify::VerifyError),
    /// The mempool does not take it.
    #[error(transparent)]
    Admit(#[from] AdmitError),
    /// The validator's task has ended.
    #[error("the validator has stopped")]
    Stopped,
}

/// Why a proof does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// It is not looked at.
    #[error(transparent)]
    Refused(#[from] ProofRefusal),
    /// It does not answer the challenge.
    #[error(transparent)]
    Wrong(#[from] VerifyError),
    /// The validator's task has ended.
    #[error("the validator has stopped")]
    Stopped,
}

/// Why the task ended before its handles were dropped. The node ends with it.
#[derive(Debug, thiserror::Error)]
pub enum SoloEnd {
    /// The owner dropped the receiver or a block without acknowledging it.
    #[error("the ledger's owner has stopped")]
    Owner,
    /// A block of our own does not follow from our own state: a bug.
    #[error("our own block was refused: {0}")]
    Own(#[from] ApplyError),
    /// A check panicked: a bug.
    #[error("a proof check failed: {0}")]
    Check(#[from] JoinError),
}

struct TxRequest {
    tx: Verified<Tx>,
    reply: oneshot::Sender<Result<Admitted, AdmitError>>,
}

struct ProofRequest {
    provider: NodeId,
    blob: Vec<u8>,
    reply: oneshot::Sender<Result<(), ProofError>>,
}

/// A proof that was checked.
struct Checked {
    challenge: Challenge,
    blob: Vec<u8>,
    result: Result<(), VerifyError>,
    reply: oneshot::Sender<Result<(), ProofError>>,
}

/// A handle on the validator's task. The task ends when the last one is dropped.
#[derive(Debug, Clone)]
pub struct Solo {
    genesis: GenesisHash,
    verifies: Arc<Semaphore>,
    txs: mpsc::Sender<TxRequest>,
    proofs: mpsc::Sender<ProofRequest>,
}

/// What `Solo::spawn` starts.
#[derive(Debug)]
pub struct Spawned {
    /// The handle.
    pub solo: Solo,
    /// Every block, in order. Acknowledge each with [`Committed::durable`].
    pub blocks: mpsc::Receiver<Committed>,
    /// The task: it ends well when the last handle is dropped.
    pub task: JoinHandle<Result<(), SoloEnd>>,
}

impl Solo {
    /// Starts making blocks on `state`, which must be the owner's durable one. Call it inside a
    /// tokio runtime.
    #[must_use]
    pub fn spawn(proposer: Proposer, state: State, limits: Limits, clock: Clock) -> Spawned {
        let (txs, tx_requests) = mpsc::channel(QUEUE);
        let (proofs, proof_requests) = mpsc::channel(QUEUE);
        // One place: a block is sent only after the one before was acknowledged.
        let (commits, blocks) = mpsc::channel(1);
        let solo = Self {
            genesis: state.genesis_hash(),
            verifies: Arc::new(Semaphore::new(MAX_VERIFIES)),
            txs,
            proofs,
        };
        let maker = Maker {
            pool: ProofsPool::new(clock()),
            mempool: Mempool::new(limits),
            checks: JoinSet::new(),
            pending: None,
            proposer,
            state,
            clock,
            commits,
        };
        let task = tokio::spawn(maker.run(tx_requests, proof_requests));
        Spawned { solo, blocks, task }
    }

    /// Checks a transaction's signatures and lets it wait for a block.
    ///
    /// # Errors
    /// [`SubmitError`] says why it does not wait.
    pub async fn submit(&self, tx: Tx) -> Result<Admitted, SubmitError> {
        let tx = self.verify(tx).await?;
        let (reply, answer) = oneshot::channel();
        let request = TxRequest { tx, reply };
        self.txs
            .send(request)
            .await
            .map_err(|_| SubmitError::Stopped)?;
        Ok(answer.await.map_err(|_| SubmitError::Stopped)??)
    }

    /// On a blocking thread: an update carries up to 256 signatures.
    async fn verify(&self, tx: Tx) -> Result<Verified<Tx>, SubmitError> {
        let permit = self
            .verifies
            .acquire()
            .await
            .map_err(|_| SubmitError::Stopped)?;
        let genesis = self.genesis;
        let verified = tokio::task::spawn_blocking(move || verify::tx(&genesis, tx)).await;
        drop(permit);
        Ok(verified.map_err(|_| SubmitError::Stopped)??)
    }

    /// Hands in a proof from `provider`, whom the caller has authenticated (its tries are
    /// counted), and resolves once it is checked.
    ///
    /// # Errors
    /// [`ProofError`] says why it does not count.
    pub async fn submit_proof(&self, provider: NodeId, blob: Vec<u8>) -> Result<(), ProofError> {
        if blob.len() > larder_proofs::MAX_BLOB {
            return Err(VerifyError::OtherChallenge.into());
        }
        let (reply, answer) = oneshot::channel();
        let request = ProofRequest {
            provider,
            blob,
            reply,
        };
        self.proofs
            .send(request)
            .await
            .map_err(|_| ProofError::Stopped)?;
        answer.await.map_err(|_| ProofError::Stopped)?
    }
}

/// A block on its way to durability, and the state after it.
struct Pending {
    next: State,
    acknowledged: oneshot::Receiver<()>,
}

/// The task's own half.
struct Maker {
    proposer: Proposer,
    state: State,
    mempool: Mempool,
    pool: ProofsPool,
    checks: JoinSet<Checked>,
    pending: Option<Pending>,
    clock: Clock,
    commits: mpsc::Sender<Committed>,
}

impl Maker {
    async fn run(
        mut self,
        mut txs: mpsc::Receiver<TxRequest>,
        mut proofs: mpsc::Receiver<ProofRequest>,
    ) -> Result<(), SoloEnd> {
        loop {
            let wake = self.make_if_owed()?;
            tokio::select! {
                biased;
                acknowledged = acknowledged(&mut self.pending) => self.advance(acknowledged)?,
                Some(checked) = self.checks.join_next() => self.record(checked?),
                proof = proofs.recv(), if self.checks.len() < MAX_CHECKS => match proof {
                    Some(proof) => self.check(proof),
                    None => return Ok(()),
                },
                tx = txs.recv() => match tx {
                    Some(tx) => self.admit(tx),
                    None => return Ok(()),
                },
                () = sleep(wake) => {}
            }
        }
    }

    /// Makes a block if one is owed now, else says how long until one may be. `None`: an answer
    /// must come first, the owner's or a check's.
    fn make_if_owed(&mut self) -> Result<Option<larder_types::Millis>, SoloEnd> {
        if self.pending.is_some() {
            return Ok(None);
        }
        let now = (self.clock)();
        let due = propose::due(&self.state, &self.mempool, now);
        if due > now {
            return Ok(Some(due.since(now)));
        }
        if propose::unchecked(&self.state, &self.pool, now).is_empty() {
            self.make(now)?;
        }
        Ok(None)
    }

    fn make(&mut self, now: Time) -> Result<(), SoloEnd> {
        let block = self
            .proposer
            .make(&self.state, &self.mempool, &self.pool, 0, now)
            .expect("a block is owed and the clock is past the earliest time for it");
        let mut next = self.state.clone();
        next.apply(&block)?;
        let (durable, acknowledged) = oneshot::channel();
        let header = &block.get().header;
        let (set, genesis) = (self.state.validators(), self.state.genesis_hash());
        let certificate = self.proposer.certify(header, set, &genesis);
        let committed = Committed {
            block,
            certificate,
            durable,
        };
        self.commits
            .try_send(committed)
            .map_err(|_| SoloEnd::Owner)?;
        self.pending = Some(Pending { next, acknowledged });
        Ok(())
    }

    /// The block in flight is durable: it is the head now.
    fn advance(
        &mut self,
        acknowledged: Result<(), oneshot::error::RecvError>,
    ) -> Result<(), SoloEnd> {
        acknowledged.map_err(|_| SoloEnd::Owner)?;
        if let Some(Pending { next, .. }) = self.pending.take() {
            self.state = next;
            self.mempool.prune(&self.state, (self.clock)());
            self.pool.prune(&self.state);
        }
        Ok(())
    }

    fn admit(&mut self, TxRequest { tx, reply }: TxRequest) {
        let result = self.mempool.admit(tx, &self.state, (self.clock)());
        // Who asked may have given up; the transaction waits all the same.
        drop(reply.send(result));
    }

    /// Starts the check of a proof on a blocking thread.
    fn check(
        &mut self,
        ProofRequest {
            provider,
            blob,
            reply,
        }: ProofRequest,
    ) {
        let challenge = match self
            .pool
            .accept(&self.state, &provider, &blob, (self.clock)())
        {
            Ok(challenge) => challenge,
            Err(refusal) => return drop(reply.send(Err(refusal.into()))),
        };
        let genesis = self.state.genesis_hash();
        self.checks.spawn_blocking(move || Checked {
            result: larder_proofs::verify(&blob, &challenge, &genesis),
            blob,
            challenge,
            reply,
        });
    }

    fn record(&mut self, checked: Checked) {
        let Checked {
            challenge,
            blob,
            result,
            reply,
        } = checked;
        self.pool.record(&challenge, blob, &result);
        drop(reply.send(result.map_err(Into::into)));
    }
}

/// Resolves when the block in flight is acknowledged; never if there is none.
async fn acknowledged(pending: &mut Option<Pending>) -> Result<(), oneshot::error::RecvError> {
    match pending {
        Some(pending) => (&mut pending.acknowledged).await,
        None => std::future::pending().await,
    }
}

/// Sleeps for a span, or for ever.
async fn sleep(span: Option<larder_types::Millis>) {
    match span {
        Some(span) => tokio::time::sleep(span.to_std()).await,
        None => std::future::pending().await,
    }
}

impl fmt::Debug for Maker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Maker")
            .field("head", &self.state.head())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

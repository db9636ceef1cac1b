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

use crate::intake::{From, Intake, Requests, Waiting};
use crate::{Clock, Committed, ProofError, SubmitError};
use larder_ledger::mempool::Limits;
use larder_ledger::{Admitted, ApplyError, Proposer, State, Tx, propose};
use larder_types::{NodeId, Time};
use std::fmt;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinHandle};

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

/// A handle on the validator's task. The task ends when the last one is dropped.
#[derive(Debug, Clone)]
pub struct Solo(Intake);

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
        let (intake, requests) = Intake::new(state.genesis_hash());
        // One place: a block is sent only after the one before was acknowledged.
        let (commits, blocks) = mpsc::channel(1);
        let maker = Maker {
            // No acknowledgements: nobody else makes blocks, in which one could stand against it.
            waiting: Waiting::new(limits, Clock::clone(&clock), None),
            pending: None,
            proposer,
            state,
            clock,
            commits,
        };
        let task = tokio::spawn(maker.run(requests));
        Spawned {
            solo: Self(intake),
            blocks,
            task,
        }
    }

    /// Checks a transaction's signatures and lets it wait for a block.
    ///
    /// # Errors
    /// [`SubmitError`] says why it does not wait.
    pub async fn submit(&self, tx: Tx) -> Result<Admitted, SubmitError> {
        self.0.submit(tx, From::Author).await
    }

    /// Hands in a proof from `provider`, whom the caller has authenticated (its tries are
    /// counted), and resolves once it is checked.
    ///
    /// # Errors
    /// [`ProofError`] says why it does not count.
    pub async fn submit_proof(&self, provider: NodeId, blob: Vec<u8>) -> Result<(), ProofError> {
        self.0.submit_proof(provider, blob, None).await.map(drop)
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
    waiting: Waiting,
    pending: Option<Pending>,
    clock: Clock,
    commits: mpsc::Sender<Committed>,
}

impl Maker {
    async fn run(mut self, mut requests: Requests) -> Result<(), SoloEnd> {
        loop {
            let wake = self.make_if_owed()?;
            let has_room = self.waiting.has_room();
            tokio::select! {
                biased;
                acknowledged = acknowledged(&mut self.pending) => self.advance(acknowledged)?,
                checked = self.waiting.checked() => {
                    // Nobody else makes blocks, so nobody else needs the proof.
                    drop(self.waiting.record(checked?));
                }
                proof = requests.proofs.recv(), if has_room => match proof {
                    Some(proof) => self.waiting.check(proof, &self.state),
                    None => return Ok(()),
                },
                txs = requests.txs.recv() => match txs {
                    Some(txs) => drop(self.waiting.admit(txs, &self.state)),
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
        let due = propose::due(&self.state, &self.waiting.mempool, now);
        if due > now {
            return Ok(Some(due.since(now)));
        }
        if propose::unchecked(&self.state, &self.waiting.pool, now).is_empty() {
            self.make(now)?;
        }
        Ok(None)
    }

    fn make(&mut self, now: Time) -> Result<(), SoloEnd> {
        let Waiting { mempool, pool, .. } = &self.waiting;
        let block = self
            .proposer
            .make(&self.state, mempool, pool, 0, now)
            .expect("a block is owed and the clock is past the earliest time for it");
        let mut next = self.state.clone();
        next.apply(&block)?;
        let header = &block.get().header;
        let (set, genesis) = (self.state.validators(), self.state.genesis_hash());
        let certificate = self.proposer.certify(header, set, &genesis);
        let (committed, acknowledged) = Committed::new(block, certificate);
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
            self.waiting.prune(&self.state);
        }
        Ok(())
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
pub(crate) mod tests;

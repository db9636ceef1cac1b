//! What comes in from outside, the same for every way to order blocks: transactions and proofs are
//! checked off the task that decides, then wait for a block. Bounded everywhere.
//! `docs/protocol.md` §3.5, §3.12.

use crate::Clock;
use crate::acks::{Acks, Keeper, Kept};
use larder_ledger::mempool::Limits;
use larder_ledger::{
    AdmitError, Admitted, Forward, ForwardRefusal, Mempool, ProofAck, ProofRefusal, ProofsPool,
    State, Tx, Verified, verify,
};
use larder_proofs::{Challenge, VerifyError};
use larder_types::{GenesisHash, NodeId, Time};
use std::io;
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::{JoinError, JoinSet};

/// Transactions and proofs that wait for the task, each: a burst from every peer, briefly.
const QUEUE: usize = 64;
/// Proofs checked at a time: a check takes well below a millisecond, mostly hashing.
const MAX_CHECKS: usize = 16;
/// Calls whose signatures are checked at a time.
const MAX_VERIFIES: usize = 4;

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
    /// It is not looked at, though a validator forwards it.
    #[error(transparent)]
    Forward(#[from] ForwardRefusal),
    /// It does not answer the challenge.
    #[error(transparent)]
    Wrong(#[from] VerifyError),
    /// The validator's task has ended.
    #[error("the validator has stopped")]
    Stopped,
}

/// Who brought something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    /// Its author, or whoever acts for it: other validators do not know it yet.
    Author,
    /// Another validator, which has told the others too.
    Validator,
}

/// Transactions whose signatures are good.
pub(crate) struct TxRequest {
    txs: Vec<Verified<Tx>>,
    from: From,
    reply: oneshot::Sender<Vec<Result<Admitted, AdmitError>>>,
}

/// What becomes of a proof: an acknowledgement, if its own provider sent it and this validator gives any.
type Taken = Result<Option<ProofAck>, ProofError>;

/// A proof that is to be checked.
pub(crate) struct ProofRequest {
    provider: NodeId,
    blob: Vec<u8>,
    /// The validator that forwards it; `None`: it is the provider's own sending.
    via: Option<NodeId>,
    reply: oneshot::Sender<Taken>,
}

/// What a proof is checked against, and what is to become of it.
enum Question {
    /// The provider's own sending, and when it came.
    Own(Challenge, Time),
    /// The same, of what another validator was faster with: checked already.
    Known(Challenge, Time),
    /// An earlier process acknowledged it.
    Kept(Challenge),
    /// A validator's forwarding.
    Forwarded(Forward),
}

/// What is to become of a proof that was brought.
enum Look {
    /// It is checked.
    Ask(Question),
    /// It is not: the answer to who brought it.
    Answer(Taken),
}

/// A proof that was checked, and written down where it is to be acknowledged.
pub(crate) struct Checked {
    question: Question,
    blob: Vec<u8>,
    result: Result<(), VerifyError>,
    kept: Option<io::Result<ProofAck>>,
    /// Who waits for the answer, if anybody does.
    reply: Option<oneshot::Sender<Taken>>,
}

impl Question {
    fn check(&self, blob: &[u8], genesis: &GenesisHash) -> Result<(), VerifyError> {
        let challenge = match self {
            Self::Own(challenge, _) | Self::Kept(challenge) => challenge,
            Self::Known(..) => return Ok(()),
            Self::Forwarded(forward) => forward.challenge(),
        };
        larder_proofs::verify(blob, challenge, genesis)
    }

    /// What is acknowledged, if the proof is good, and when it came. An acknowledgement is about the
    /// provider's whole tree: its answers for single contracts have none.
    fn to_acknowledge(&self) -> Option<(&Challenge, Time)> {
        match self {
            Self::Own(challenge, came) | Self::Known(challenge, came) => {
                challenge.contract.is_none().then_some((challenge, *came))
            }
            Self::Kept(_) | Self::Forwarded(_) => None,
        }
    }
}

/// The side of those who bring something.
#[derive(Debug, Clone)]
pub(crate) struct Intake {
    genesis: GenesisHash,
    verifies: Arc<Semaphore>,
    txs: mpsc::Sender<TxRequest>,
    proofs: mpsc::Sender<ProofRequest>,
}

/// The task's end of the queues.
pub(crate) struct Requests {
    pub(crate) txs: mpsc::Receiver<TxRequest>,
    pub(crate) proofs: mpsc::Receiver<ProofRequest>,
}

impl Intake {
    pub(crate) fn new(genesis: GenesisHash) -> (Self, Requests) {
        let (txs, tx_requests) = mpsc::channel(QUEUE);
        let (proofs, proof_requests) = mpsc::channel(QUEUE);
        let intake = Self {
            genesis,
            verifies: Arc::new(Semaphore::new(MAX_VERIFIES)),
            txs,
            proofs,
        };
        let requests = Requests {
            txs: tx_requests,
            proofs: proof_requests,
        };
        (intake, requests)
    }

    pub(crate) async fn submit(&self, tx: Tx, from: From) -> Result<Admitted, SubmitError> {
        let mut results = self.submit_all(vec![tx], from).await?;
        results.pop().unwrap_or(Err(SubmitError::Stopped))
    }

    /// What became of each, in the order of `txs`.
    pub(crate) async fn submit_all(
        &self,
        txs: Vec<Tx>,
        from: From,
    ) -> Result<Vec<Result<Admitted, SubmitError>>, SubmitError> {
        let (good, bad): (Vec<_>, Vec<_>) = self
            .verify(txs)
            .await?
            .into_iter()
            .map(|result| result.map_or_else(|why| (None, Some(why)), |tx| (Some(tx), None)))
            .unzip();
        let (reply, answer) = oneshot::channel();
        let request = TxRequest {
            txs: good.into_iter().flatten().collect(),
            from,
            reply,
        };
        self.txs
            .send(request)
            .await
            .map_err(|_| SubmitError::Stopped)?;
        let mut admitted = answer.await.map_err(|_| SubmitError::Stopped)?.into_iter();
        let results = bad.into_iter().map(|bad| match bad {
            Some(why) => Err(why.into()),
            None => match admitted.next() {
                Some(result) => Ok(result?),
                None => Err(SubmitError::Stopped),
            },
        });
        Ok(results.collect())
    }

    /// On a blocking thread: an update carries up to 256 signatures.
    async fn verify(
        &self,
        txs: Vec<Tx>,
    ) -> Result<Vec<Result<Verified<Tx>, verify::VerifyError>>, SubmitError> {
        let permit = self
            .verifies
            .acquire()
            .await
            .map_err(|_| SubmitError::Stopped)?;
        let genesis = self.genesis;
        let check = move || verify::txs(&genesis, txs, &rand::random());
        let verified = tokio::task::spawn_blocking(check).await;
        drop(permit);
        verified.map_err(|_| SubmitError::Stopped)
    }

    pub(crate) async fn submit_proof(
        &self,
        provider: NodeId,
        blob: Vec<u8>,
        via: Option<NodeId>,
    ) -> Taken {
        if blob.len() > larder_proofs::MAX_BLOB {
            return Err(VerifyError::OtherChallenge.into());
        }
        let (reply, answer) = oneshot::channel();
        let request = ProofRequest {
            provider,
            blob,
            via,
            reply,
        };
        self.proofs
            .send(request)
            .await
            .map_err(|_| ProofError::Stopped)?;
        answer.await.map_err(|_| ProofError::Stopped)?
    }
}

/// What waits for a block, and proofs under way to it.
pub(crate) struct Waiting {
    pub(crate) mempool: Mempool,
    pub(crate) pool: ProofsPool,
    checks: JoinSet<Checked>,
    /// What we acknowledged; `None` where nobody would hold it against us.
    acks: Option<Acks>,
    clock: Clock,
}

impl Waiting {
    pub(crate) fn new(limits: Limits, clock: Clock, acks: Option<Acks>) -> Self {
        Self {
            mempool: Mempool::new(limits),
            pool: ProofsPool::new(clock()),
            checks: JoinSet::new(),
            acks,
            clock,
        }
    }

    /// Takes up the proofs again that an earlier process acknowledged: they count as having come when
    /// they did, and the other validators should have them, once each has passed its check anew. Call it
    /// inside a runtime.
    pub(crate) fn take_up(&mut self, kept: Vec<Kept>, state: &State) {
        for Kept { ack, came, blob } in kept {
            // Not asked for any more: then no batch can be held against us.
            if let Ok(challenge) = self.pool.accept(state, &ack.provider, &blob, came) {
                self.spawn(Question::Kept(challenge), blob, (None, None), state);
            }
        }
    }

    /// Takes transactions; gives those that other validators should hear of.
    pub(crate) fn admit(&mut self, request: TxRequest, state: &State) -> Vec<Tx> {
        let TxRequest { txs, from, reply } = request;
        let (now, mut news) = ((self.clock)(), Vec::new());
        let mut admit = |tx: Verified<Tx>| {
            let copy = (from == From::Author).then(|| tx.get().clone());
            let result = self.mempool.admit(tx, state, now);
            if matches!(result, Ok(Admitted::New(_))) {
                news.extend(copy);
            }
            result
        };
        let results = txs.into_iter().map(&mut admit).collect();
        // Who asked may have given up; the transactions wait all the same.
        drop(reply.send(results));
        news
    }

    /// Whether another proof may be checked now.
    pub(crate) fn has_room(&self) -> bool {
        self.checks.len() < MAX_CHECKS
    }

    /// Starts the check of a proof on a blocking thread. What a provider sends counts against its
    /// tries; what another passes on only if it is good.
    pub(crate) fn check(&mut self, request: ProofRequest, state: &State) {
        let ProofRequest {
            provider,
            blob,
            via,
            reply,
        } = request;
        match self.look(state, (via, provider), &blob) {
            Look::Ask(question) => {
                let keeper = self.acks.as_ref().map(Acks::keeper);
                self.spawn(question, blob, (keeper, Some(reply)), state);
            }
            // Who asked may have given up.
            Look::Answer(answer) => drop(reply.send(answer)),
        }
    }

    fn spawn(
        &mut self,
        question: Question,
        blob: Vec<u8>,
        (keeper, reply): (Option<Arc<Keeper>>, Option<oneshot::Sender<Taken>>),
        state: &State,
    ) {
        let genesis = state.genesis_hash();
        self.checks.spawn_blocking(move || {
            let result = question.check(&blob, &genesis);
            let kept = keeper.filter(|_| result.is_ok()).and_then(|keeper| {
                let (challenge, came) = question.to_acknowledge()?;
                Some(keeper.keep(challenge, came, &blob))
            });
            Checked {
                question,
                blob,
                result,
                kept,
                reply,
            }
        });
    }

    /// What is to become of a proof that was brought.
    fn look(
        &mut self,
        state: &State,
        (via, provider): (Option<NodeId>, NodeId),
        blob: &[u8],
    ) -> Look {
        let now = (self.clock)();
        let pool = &mut self.pool;
        match via {
            Some(from) => match pool.accept_forward(state, (&from, &provider), blob, now) {
                Ok(forward) => Look::Ask(Question::Forwarded(forward)),
                Err(refusal) => Look::Answer(Err(refusal.into())),
            },
            None => match pool.accept(state, &provider, blob, now) {
                Ok(challenge) => Look::Ask(Question::Own(challenge, now)),
                Err(ProofRefusal::Proven) => self.again(state, provider, blob),
                Err(refusal) => Look::Answer(Err(refusal.into())),
            },
        }
    }

    /// A provider sends what is known to be good: it has the acknowledgement, again or at last.
    fn again(&mut self, state: &State, provider: NodeId, blob: &[u8]) -> Look {
        let proven = Look::Answer(Err(ProofRefusal::Proven.into()));
        let known = self.pool.known(state, &provider, blob);
        let known = known.filter(|(challenge, _)| challenge.contract.is_none());
        let (Some((challenge, came)), Some(acks)) = (known, self.acks.as_mut()) else {
            return proven;
        };
        let slot = challenge.slot_no;
        match acks.given(slot, provider) {
            Some(ack) if ack.is_of((slot, &provider), blob) => Look::Answer(Ok(Some(ack))),
            None if acks.begin(slot, provider) => Look::Ask(Question::Known(challenge, came)),
            Some(_) | None => proven,
        }
    }

    /// The next proof that was checked; never if none is.
    pub(crate) async fn checked(&mut self) -> Result<Checked, JoinError> {
        match self.checks.join_next().await {
            Some(checked) => checked,
            None => std::future::pending().await,
        }
    }

    /// Records a checked proof; gives it if other validators should have it.
    pub(crate) fn record(&mut self, checked: Checked) -> Option<(NodeId, Vec<u8>)> {
        let Checked {
            question,
            blob,
            result,
            kept,
            reply,
        } = checked;
        let ack = self.acknowledge(&question, kept);
        let news = match &question {
            Question::Own(challenge, _) | Question::Kept(challenge) => {
                let news = result.is_ok().then(|| (challenge.provider, blob.clone()));
                self.pool.record(challenge, blob, &result);
                news
            }
            Question::Forwarded(forward) => {
                self.pool.record_forward(forward, &blob, &result);
                None
            }
            Question::Known(..) => None,
        };
        if let Some(reply) = reply {
            // Who asked may have given up; the proof counts all the same.
            drop(reply.send(result.map(|()| ack).map_err(ProofError::from)));
        }
        news
    }

    /// What a proof's provider is given, now that it is on the disk.
    fn acknowledge(
        &mut self,
        question: &Question,
        kept: Option<io::Result<ProofAck>>,
    ) -> Option<ProofAck> {
        let (acks, (challenge, _)) = (self.acks.as_mut()?, question.to_acknowledge()?);
        match kept? {
            Ok(ack) => {
                acks.gave(ack);
                Some(ack)
            }
            Err(e) => {
                // The proof counts as long as we run. What could be forgotten is not promised.
                tracing::warn!("a proof is not acknowledged, as it cannot be written down: {e}");
                acks.failed(challenge.slot_no, challenge.provider);
                None
            }
        }
    }

    /// Drops what the state has no use for any more.
    pub(crate) fn prune(&mut self, state: &State) {
        self.mempool.prune(state, (self.clock)());
        self.pool.prune(state);
        if let Some(acks) = &mut self.acks {
            acks.prune(state);
        }
    }
}

#[cfg(test)]
mod tests;

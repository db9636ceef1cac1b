//! Where transactions and proofs go: to the validators of the current set, of which this very node may
//! be one. A transaction goes to one after another until one takes it, a proof to all of them at once.
//! What their answers make of it, `larder_engine::handing` says. `docs/protocol.md` §3.5.

use crate::call::{Answer, Call};
use crate::chain::Ledger;
use crate::driver::DriverHandle;
use crate::net::NetHandle;
use crate::seat::Seat;
use larder_consensus::{ProofError, SubmitError as OwnError};
use larder_engine::Input;
use larder_engine::handing::{Handing, Word};
use larder_engine::io::{Submission, SubmitError};
use larder_ledger::{AdmitError, ForwardRefusal, ProofAck, ProofRefusal};
use larder_proofs::ValidatorSet;
use larder_types::{NodeId, codec};
use rand::RngExt as _;
use serde_bytes::ByteBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// How long a validator has to answer.
const WAIT: Duration = Duration::from_secs(10);
/// Validators that may stay silent before a transaction waits for its next try.
const MAX_SILENT: usize = 3;
/// Most validators to which a proof is sent: all, in networks of the size that every validator verifies
/// every proof. `docs/protocol.md` §3.5.
const MAX_PROOFS: usize = 16;

/// The way to the validators.
#[derive(Debug, Clone)]
pub struct Validators {
    /// This node.
    pub own: NodeId,
    /// Who they are now.
    pub ledger: Ledger,
    /// Our own consensus, where this node makes blocks.
    pub seat: Seat,
    /// The transport.
    pub net: NetHandle,
}

impl Validators {
    /// Hands something in. Validators' acknowledgements go to the engine, as they come.
    ///
    /// # Errors
    /// [`SubmitError`].
    pub async fn submit(&self, what: Submission, driver: &DriverHandle) -> Result<(), SubmitError> {
        match what {
            Submission::Tx(_) if self.seat.is_taken() => self.take(self.own, what).await.map(drop),
            Submission::Tx(tx) => self.tx(&codec::encode(&Call::Tx(*tx))).await,
            Submission::Proof { slot, blob } => {
                let call = Call::Proof {
                    slot,
                    blob: ByteBuf::from(blob.clone()),
                };
                let own = self.seat.is_taken().then_some(blob);
                self.to_all(codec::encode(&call), own, Some(driver)).await
            }
        }
    }

    /// To one after another.
    async fn tx(&self, call: &[u8]) -> Result<(), SubmitError> {
        let set = self.set();
        let mut handing = Handing::to(&set);
        let mut silent = 0;
        for peer in self.order(&set).await {
            let (word, _) = self.ask(peer, call.to_vec()).await;
            silent += usize::from(word == Word::Silent);
            if let Some(end) = handing.hear(peer, word) {
                return end;
            }
            if silent == MAX_SILENT {
                break;
            }
        }
        Err(SubmitError::NoAnswer)
    }

    /// A proof, to all at once; `own` is for ourselves. Those that are still being asked when it is
    /// decided are asked to the end, and what they acknowledge goes to the engine.
    async fn to_all(
        &self,
        call: Vec<u8>,
        own: Option<Vec<u8>>,
        driver: Option<&DriverHandle>,
    ) -> Result<(), SubmitError> {
        let set = self.set();
        let (say, mut words) = mpsc::channel(MAX_PROOFS + 1);
        for peer in self.order(&set).await.into_iter().take(MAX_PROOFS) {
            let (validators, call, say) = (self.clone(), call.clone(), say.clone());
            let driver = driver.cloned();
            tokio::spawn(async move {
                let (word, ack) = validators.ask(peer, call).await;
                if let (Some(driver), Some(ack)) = (driver, ack) {
                    let acked = Input::Acked { from: peer, ack };
                    if driver.input(acked).await.is_err() {
                        tracing::debug!("the engine has stopped");
                    }
                }
                if say.send((peer, word)).await.is_err() {
                    tracing::trace!("the proof was taken already");
                }
            });
        }
        drop(say);
        let mut handing = Handing::to(&set);
        if let Some(blob) = own {
            let word = match self.take_proof(self.own, blob).await {
                // Our own acknowledgement would accuse only ourselves.
                Ok(_) => Word::Taken,
                Err(SubmitError::Refused(why)) => Word::Refused(why),
                Err(SubmitError::NoAnswer) => Word::Silent,
            };
            if let Some(end) = handing.hear(self.own, word) {
                return end;
            }
        }
        while let Some((peer, word)) = words.recv().await {
            if let Some(end) = handing.hear(peer, word) {
                return end;
            }
        }
        Err(SubmitError::NoAnswer)
    }

    fn set(&self) -> Arc<ValidatorSet> {
        self.ledger.read().0.authority().validators
    }

    /// The others, from a random one on; those that we are connected to first.
    async fn order(&self, set: &ValidatorSet) -> Vec<NodeId> {
        let nodes = set.members().iter().map(|member| member.node);
        let mut order: Vec<NodeId> = nodes.filter(|node| *node != self.own).collect();
        if order.len() > 1 {
            let first = rand::rng().random_range(0..order.len());
            order.rotate_left(first);
            let peers = self.net.peers().await.unwrap_or_default();
            order.sort_by_key(|node| !peers.iter().any(|peer| peer.node == *node));
        }
        order
    }

    async fn ask(&self, peer: NodeId, call: Vec<u8>) -> (Word, Option<ProofAck>) {
        let answer = self.net.request(peer, call, WAIT).await;
        let word = match answer.ok().and_then(|bytes| codec::decode(&bytes).ok()) {
            Some(Answer::Taken) => Word::Taken,
            Some(Answer::Acknowledged(ack)) => return (Word::Taken, Some(ack)),
            Some(Answer::Refused(why)) => Word::Refused(why),
            Some(
                Answer::Busy
                | Answer::Engine(_)
                | Answer::Blocks(_)
                | Answer::Genesis(_)
                | Answer::Consensus(_),
            )
            | None => Word::Silent,
        };
        (word, None)
    }

    /// Hands on a proof that we accepted to the other validators. They may have it from its provider.
    pub async fn forward(&self, provider: NodeId, blob: Vec<u8>) {
        let call = codec::encode(&Call::Forwarded {
            provider,
            blob: ByteBuf::from(blob),
        });
        if let Err(e) = self.to_all(call, None, None).await {
            tracing::debug!(%provider, "no validator takes a proof that we took: {e:?}");
        }
    }

    /// Whether `node` is a validator now.
    #[must_use]
    pub fn is_one(&self, node: &NodeId) -> bool {
        self.ledger.read().0.validators().place(node).is_some()
    }

    /// Takes what `from` hands us, as the validator that we are; a proof of its own is acknowledged.
    ///
    /// # Errors
    /// [`SubmitError`].
    pub async fn take(
        &self,
        from: NodeId,
        what: Submission,
    ) -> Result<Option<ProofAck>, SubmitError> {
        match what {
            Submission::Tx(tx) => {
                let own = self.seat.own().ok_or(SubmitError::NoAnswer)?;
                let taken = own.submit(*tx).await;
                taken.map_err(|why| not_taken(passes(&why), &why))?;
                Ok(None)
            }
            Submission::Proof { blob, .. } => self.take_proof(from, blob).await,
        }
    }

    /// Takes a proof of `provider` that the validator `from` accepted.
    ///
    /// # Errors
    /// [`SubmitError`].
    pub async fn hear_proof(
        &self,
        from: NodeId,
        provider: NodeId,
        blob: Vec<u8>,
    ) -> Result<(), SubmitError> {
        let own = self.seat.own().ok_or(SubmitError::NoAnswer)?;
        let taken = own.hear_proof(from, provider, blob).await;
        proof_taken(taken.map(|()| None)).map(drop)
    }

    /// Takes a proof of `provider`, as the validator that we are.
    ///
    /// # Errors
    /// [`SubmitError`].
    pub async fn take_proof(
        &self,
        provider: NodeId,
        blob: Vec<u8>,
    ) -> Result<Option<ProofAck>, SubmitError> {
        let own = self.seat.own().ok_or(SubmitError::NoAnswer)?;
        proof_taken(own.submit_proof(provider, blob).await)
    }
}

fn proof_taken(
    taken: Result<Option<ProofAck>, ProofError>,
) -> Result<Option<ProofAck>, SubmitError> {
    match taken {
        Ok(ack) => Ok(ack),
        // Another validator, or the same message twice, was faster.
        Err(
            ProofError::Refused(ProofRefusal::Proven)
            | ProofError::Forward(ForwardRefusal::Proven | ForwardRefusal::Repeated),
        ) => Ok(None),
        Err(why) => Err(not_taken(proof_passes(&why), &why)),
    }
}

/// What passes is tried again; the rest is refused for good.
fn not_taken(passes: Passes, why: &dyn std::fmt::Display) -> SubmitError {
    match passes {
        Passes::Yes => SubmitError::NoAnswer,
        Passes::No => SubmitError::Refused(why.to_string()),
    }
}

/// Whether a refusal may be gone later.
#[derive(Clone, Copy)]
enum Passes {
    Yes,
    No,
}

fn passes(why: &OwnError) -> Passes {
    match why {
        OwnError::Admit(AdmitError::Full { .. }) | OwnError::Stopped => Passes::Yes,
        OwnError::Admit(AdmitError::Refused(_) | AdmitError::TooLarge { .. })
        | OwnError::Verify(_) => Passes::No,
    }
}

fn proof_passes(why: &ProofError) -> Passes {
    match why {
        // Our chain may be a block behind the prover's.
        ProofError::Refused(ProofRefusal::NotAsked)
        | ProofError::Forward(ForwardRefusal::NotAsked)
        | ProofError::Stopped => Passes::Yes,
        ProofError::Refused(
            ProofRefusal::Late { .. } | ProofRefusal::Proven | ProofRefusal::Tries,
        )
        | ProofError::Forward(
            ForwardRefusal::Proven | ForwardRefusal::NotAValidator | ForwardRefusal::Repeated,
        )
        | ProofError::Wrong(_) => Passes::No,
    }
}

#[cfg(test)]
mod tests;

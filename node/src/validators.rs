//! Where transactions and proofs go: to the network's validator, which may be this very node.

use crate::call::{Answer, Call};
use crate::net::NetHandle;
use larder_consensus::{ProofError, Solo, SubmitError as SoloError};
use larder_engine::io::{Submission, SubmitError};
use larder_ledger::{AdmitError, ProofRefusal};
use larder_types::{NodeId, codec};
use serde_bytes::ByteBuf;
use std::time::Duration;

/// How long a validator has to answer.
const WAIT: Duration = Duration::from_secs(10);

/// The way to the validators.
#[derive(Debug, Clone)]
pub struct Validators {
    /// This node.
    pub own: NodeId,
    /// The network's validator.
    pub validator: NodeId,
    /// Our own consensus, where this node is the validator and makes blocks.
    pub solo: Option<Solo>,
    /// The transport.
    pub net: NetHandle,
}

impl Validators {
    /// Hands something to the validator.
    ///
    /// # Errors
    /// [`SubmitError`].
    pub async fn submit(&self, what: Submission) -> Result<(), SubmitError> {
        if self.solo.is_some() {
            return self.take(self.own, what).await;
        }
        if self.validator == self.own {
            return Err(SubmitError::NoAnswer);
        }
        let call = match what {
            Submission::Tx(tx) => Call::Tx(*tx),
            Submission::Proof { slot, blob } => Call::Proof {
                slot,
                blob: ByteBuf::from(blob),
            },
        };
        let answer = self
            .net
            .request(self.validator, codec::encode(&call), WAIT)
            .await;
        match answer.ok().and_then(|bytes| codec::decode(&bytes).ok()) {
            Some(Answer::Taken) => Ok(()),
            Some(Answer::Refused(why)) => Err(SubmitError::Refused(why)),
            Some(Answer::Busy | Answer::Engine(_) | Answer::Blocks(_) | Answer::Genesis(_))
            | None => Err(SubmitError::NoAnswer),
        }
    }

    /// Takes what `from` hands us, as the validator that we are.
    ///
    /// # Errors
    /// [`SubmitError`].
    pub async fn take(&self, from: NodeId, what: Submission) -> Result<(), SubmitError> {
        let Some(solo) = &self.solo else {
            return Err(SubmitError::NoAnswer);
        };
        match what {
            Submission::Tx(tx) => match solo.submit(*tx).await {
                Ok(_) => Ok(()),
                Err(why) => Err(not_taken(passes(&why), &why)),
            },
            Submission::Proof { blob, .. } => match solo.submit_proof(from, blob).await {
                Ok(()) => Ok(()),
                Err(why) => Err(not_taken(proof_passes(&why), &why)),
            },
        }
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

fn passes(why: &SoloError) -> Passes {
    match why {
        SoloError::Admit(AdmitError::Full { .. }) | SoloError::Stopped => Passes::Yes,
        SoloError::Admit(AdmitError::Refused(_) | AdmitError::TooLarge { .. })
        | SoloError::Verify(_) => Passes::No,
    }
}

fn proof_passes(why: &ProofError) -> Passes {
    match why {
        // Our chain may be a block behind the prover's.
        ProofError::Refused(ProofRefusal::NotAsked) | ProofError::Stopped => Passes::Yes,
        ProofError::Refused(
            ProofRefusal::Late { .. } | ProofRefusal::Proven | ProofRefusal::Tries,
        )
        | ProofError::Wrong(_) => Passes::No,
    }
}

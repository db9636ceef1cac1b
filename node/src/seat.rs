//! This node's place among the validators: empty as long as it only follows. It is taken and left
//! while the node runs, as the ledger's set of validators changes.

use larder_consensus::{Bft, ProofError, Solo, SubmitError};
use larder_ledger::{ProofAck, Tx};
use larder_types::NodeId;
use tokio::sync::watch;

/// A consensus of our own, at work.
#[derive(Debug, Clone)]
pub enum Own {
    /// The network's only validator.
    Solo(Solo),
    /// One of several validators.
    Bft(Bft),
}

impl Own {
    /// Checks a transaction and lets it wait for a block.
    ///
    /// # Errors
    /// [`SubmitError`] says why it does not wait.
    pub async fn submit(&self, tx: Tx) -> Result<(), SubmitError> {
        match self {
            Self::Solo(solo) => solo.submit(tx).await.map(drop),
            Self::Bft(bft) => bft.submit(tx).await.map(drop),
        }
    }

    /// Takes transactions that the others have already. Says whether all of them are signed well.
    pub async fn hear(&self, txs: Vec<Tx>) -> bool {
        let is_signed = |taken: &Result<(), SubmitError>| match taken {
            Err(SubmitError::Verify(_)) => false,
            Ok(()) | Err(SubmitError::Admit(_) | SubmitError::Stopped) => true,
        };
        match self {
            Self::Solo(solo) => {
                for tx in txs {
                    if !is_signed(&solo.submit(tx).await.map(drop)) {
                        return false;
                    }
                }
                true
            }
            Self::Bft(bft) => {
                let taken = bft.hear(txs).await.unwrap_or_default();
                taken.into_iter().all(|one| is_signed(&one.map(drop)))
            }
        }
    }

    /// Hands in a proof from `provider`, whom the caller has authenticated. One of several validators
    /// acknowledges it.
    ///
    /// # Errors
    /// [`ProofError`] says why it does not count.
    pub async fn submit_proof(
        &self,
        provider: NodeId,
        blob: Vec<u8>,
    ) -> Result<Option<ProofAck>, ProofError> {
        match self {
            Self::Solo(solo) => solo.submit_proof(provider, blob).await.map(|()| None),
            Self::Bft(bft) => bft.submit_proof(provider, blob).await,
        }
    }

    /// Takes a proof of `provider` that the validator `from`, whom the caller has authenticated,
    /// accepted.
    ///
    /// # Errors
    /// [`ProofError`] says why it does not count.
    pub async fn hear_proof(
        &self,
        from: NodeId,
        provider: NodeId,
        blob: Vec<u8>,
    ) -> Result<(), ProofError> {
        match self {
            // Its set has nobody else.
            Self::Solo(_) => Err(ProofError::Stopped),
            Self::Bft(bft) => bft.hear_proof(from, provider, blob).await,
        }
    }

    /// Says that there is a final block of this height.
    pub fn wake(&self, height: u64) {
        match self {
            Self::Solo(_) => {}
            Self::Bft(bft) => bft.wake(height),
        }
    }
}

/// The place. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Seat(watch::Sender<Option<Own>>);

impl Default for Seat {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl Seat {
    /// What makes blocks here, if anything does.
    #[must_use]
    pub fn own(&self) -> Option<Own> {
        self.0.borrow().clone()
    }

    /// Whether this node makes blocks.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// From now on `own` makes blocks here.
    pub fn take(&self, own: Own) {
        self.0.send_replace(Some(own));
    }

    /// From now on this node only follows. Its consensus ends with its last handle.
    pub fn leave(&self) {
        self.0.send_replace(None);
    }

    /// Tells when the place is taken or left.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<Option<Own>> {
        self.0.subscribe()
    }
}

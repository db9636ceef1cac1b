//! A block that was decided on, on its way to the ledger's owner.

use larder_ledger::{Block, Certified, Verified};
use larder_proofs::Certificate;
use tokio::sync::oneshot;

/// A block that was made final and waits for its owner.
#[derive(Debug)]
pub struct Committed {
    block: Verified<Block>,
    certificate: Certificate,
    durable: oneshot::Sender<()>,
}

impl Committed {
    /// The block, and what resolves once it is durable.
    pub(crate) fn new(
        block: Verified<Block>,
        certificate: Certificate,
    ) -> (Self, oneshot::Receiver<()>) {
        let (durable, acknowledged) = oneshot::channel();
        let committed = Self {
            block,
            certificate,
            durable,
        };
        (committed, acknowledged)
    }

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

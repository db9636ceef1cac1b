//! What a validator signs when it has checked a proof and found it valid in time. If the batch that it
//! then proposes says otherwise, this is evidence against it ([`crate::censorship`]): a validator keeps
//! what it acknowledged before it says so. `docs/protocol.md` §3.5, §3.8.

use larder_keys::{Signer, Tag, verify};
use larder_types::layout::Layout;
use larder_types::{GenesisHash, Hash, NodeId, Signature, SlotNo};
use serde::{Deserialize, Serialize};

const PROOF_ACK: Tag = Tag("proof ack");

/// A proof that was valid, and came before its slot's window had closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProofAck {
    /// The slot.
    pub slot: SlotNo,
    /// Who proved.
    pub provider: NodeId,
    /// BLAKE3 of the proof as it was received.
    pub blob_hash: Hash,
    /// The validator that says so.
    pub by: NodeId,
    /// By its node key.
    pub sig: Signature,
}

impl ProofAck {
    /// slot u64 ‖ provider[32] ‖ blob_hash[32].
    fn to_layout(self) -> Vec<u8> {
        Layout::new()
            .u64(self.slot)
            .fixed(self.provider)
            .fixed(self.blob_hash)
            .finish()
    }

    /// Acknowledges a proof with a validator's node key.
    #[must_use]
    pub fn sign(
        validator: &Signer,
        slot: SlotNo,
        provider: NodeId,
        blob: &[u8],
        genesis: &GenesisHash,
    ) -> Self {
        let mut ack = Self {
            slot,
            provider,
            blob_hash: Hash(*blake3::hash(blob).as_bytes()),
            by: validator.node(),
            sig: Signature::default(),
        };
        ack.sig = validator.sign(PROOF_ACK, genesis, &ack.to_layout());
        ack
    }

    /// Whether it is about this proof, by this provider for this slot.
    #[must_use]
    pub fn is_of(&self, (slot, provider): (SlotNo, &NodeId), blob: &[u8]) -> bool {
        (self.slot, &self.provider) == (slot, provider)
            && self.blob_hash.0 == *blake3::hash(blob).as_bytes()
    }

    /// Whether its validator signed it on this network.
    #[must_use]
    pub fn is_signed(&self, genesis: &GenesisHash) -> bool {
        verify(&self.by.0, PROOF_ACK, genesis, &self.to_layout(), &self.sig)
    }
}

//! A block's header: all that its hash covers, and so all that a certificate vouches for. It names who
//! made the block, the validators that make it final and those that come after, so that whoever knows
//! one set can follow to the next without the blocks between. `docs/protocol.md` §3.5, §3.8.

use crate::Reveal;
use larder_keys::{Signer, Tag, verify};
use larder_types::layout::Layout;
use larder_types::{BlockHash, Epoch, GenesisHash, Hash, NodeId, Signature, SlotNo, Time};
use serde::{Deserialize, Serialize};

const BLOCK: Tag = Tag("block");
const HEADER_CONTEXT: &str = "larder v1 block header";

/// What a block's hash covers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// 1 for the first block.
    pub height: u64,
    /// The round of consensus for which it was made, from 0.
    pub round: u32,
    /// When its proposer made it.
    pub time: Time,
    /// The block before; for the first one, the genesis hash.
    pub prev: BlockHash,
    /// The validator that made and signed it.
    pub proposer: NodeId,
    /// The set of validators whose certificate makes it final.
    pub validators: Hash,
    /// The set for the block after it.
    pub next_validators: Hash,
    /// The epoch that holds `time`.
    pub epoch: Epoch,
    /// The slot that this block opens, if it opens one.
    pub slot: Option<SlotNo>,
    /// The proposer's reveal of that slot's beacon; there iff `slot` is.
    pub beacon: Option<Reveal>,
    /// Merkle root over the transactions' ids.
    pub tx_root: Hash,
    /// Merkle root over the verdict batches, then the evidence.
    pub verdict_root: Hash,
    /// The state's root after this block.
    pub state_root: Hash,
}

impl Header {
    /// `height u64 ‖ round u32 ‖ time u64 ‖ prev[32] ‖ proposer[32] ‖ validators[32] ‖
    /// next_validators[32] ‖ epoch u32 ‖ has_slot u8 ‖ slot u64 ‖ has_beacon u8 ‖ beacon[96] ‖
    /// tx_root[32] ‖ verdict_root[32] ‖ state_root[32]`, zeros where there is none.
    #[must_use]
    pub fn to_layout(&self) -> Vec<u8> {
        let reveal = self.beacon.map_or([0; 96], |reveal| reveal.0);
        Layout::new()
            .u64(self.height)
            .u32(self.round)
            .u64(self.time.0)
            .fixed(self.prev)
            .fixed(self.proposer)
            .fixed(self.validators)
            .fixed(self.next_validators)
            .u32(self.epoch)
            .u8(u8::from(self.slot.is_some()))
            .u64(self.slot.unwrap_or(0))
            .u8(u8::from(self.beacon.is_some()))
            .fixed(reveal)
            .fixed(self.tx_root)
            .fixed(self.verdict_root)
            .fixed(self.state_root)
            .finish()
    }

    /// The block's hash.
    #[must_use]
    pub fn hash(&self) -> BlockHash {
        BlockHash(blake3::derive_key(HEADER_CONTEXT, &self.to_layout()))
    }

    /// Signs the header with its proposer's node key.
    #[must_use]
    pub fn sign(&self, proposer: &Signer, genesis: &GenesisHash) -> Signature {
        proposer.sign(BLOCK, genesis, &self.hash().0)
    }

    /// Whether its proposer signed it.
    #[must_use]
    pub fn verify(&self, sig: &Signature, genesis: &GenesisHash) -> bool {
        verify(&self.proposer.0, BLOCK, genesis, &self.hash().0, sig)
    }
}

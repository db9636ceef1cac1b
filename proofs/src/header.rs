//! A block's header: all that its hash covers, and so all that a certificate vouches for. It names who
//! made the block, the validators that make it final and those that come after, so that whoever knows
//! one set can follow to the next without the blocks between. `docs/protocol.md` §3.5, §3.8.

use crate::Reveal;
use crate::layout_reader::Reader;
use larder_keys::{Signer, Tag, verify};
use larder_types::codec::DecodeError;
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

    /// Reads what [`to_layout`](Self::to_layout) gives.
    ///
    /// # Errors
    /// Another length, or other than zeros where the header says that there is nothing.
    pub fn from_layout(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let header = Self {
            height: reader.u64("height")?,
            round: reader.u32("round")?,
            time: Time(reader.u64("time")?),
            prev: BlockHash(reader.array("prev")?),
            proposer: NodeId(reader.array("proposer")?),
            validators: Hash(reader.array("validators")?),
            next_validators: Hash(reader.array("next_validators")?),
            epoch: reader.u32("epoch")?,
            slot: {
                let has = reader.u8("has_slot")? != 0;
                Some(reader.u64("slot")?).filter(|_| has)
            },
            beacon: {
                let has = reader.u8("has_beacon")? != 0;
                Some(Reveal(reader.array("beacon")?)).filter(|_| has)
            },
            tx_root: Hash(reader.array("tx_root")?),
            verdict_root: Hash(reader.array("verdict_root")?),
            state_root: Hash(reader.array("state_root")?),
        };
        reader.end()?;
        match header.to_layout() == bytes {
            true => Ok(header),
            false => Err(reader.bad("canonical form")),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layout_reads_as_written_and_has_one_form() {
        let bare = Header {
            height: 1,
            round: 2,
            time: Time(3),
            prev: BlockHash([4; 32]),
            proposer: NodeId([5; 32]),
            validators: Hash([6; 32]),
            next_validators: Hash([7; 32]),
            epoch: 8,
            slot: None,
            beacon: None,
            tx_root: Hash([9; 32]),
            verdict_root: Hash([10; 32]),
            state_root: Hash([11; 32]),
        };
        let opens = Header {
            slot: Some(12),
            beacon: Some(Reveal([13; 96])),
            ..bare.clone()
        };
        for header in [&bare, &opens] {
            let bytes = header.to_layout();
            assert_eq!(Header::from_layout(&bytes), Ok(header.clone()));
            assert!(Header::from_layout(&bytes[1..]).is_err());
            assert!(Header::from_layout(&[&bytes[..], &[0]].concat()).is_err());
        }
        // A slot under a header that opens none, and a truth other than 1.
        let (none, some) = (bare.to_layout(), opens.to_layout());
        let has_slot = 8 + 4 + 8 + 4 * 32 + 4;
        let mut bent = none;
        bent[has_slot + 1] = 1;
        assert!(Header::from_layout(&bent).is_err());
        let mut bent = some;
        bent[has_slot] = 2;
        assert!(Header::from_layout(&bent).is_err());
    }
}

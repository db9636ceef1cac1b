//! Blocks: hash-linked, signed by the validator. The hash covers the header's fixed layout; the
//! header covers everything else through roots. `docs/protocol.md` §3.5, §3.8.

use crate::verdict::merkle_root;
use crate::{Evidence, Tx, VerdictBatch};
use larder_keys::{Signer, Tag, verify};
use larder_proofs::Reveal;
use larder_types::layout::Layout;
use larder_types::{BlockHash, Epoch, GenesisHash, Hash, NodeId, Signature, SlotNo, Time, codec};
use serde::{Deserialize, Serialize};

const BLOCK: Tag = Tag("block");
const HEADER_CONTEXT: &str = "larder v1 block header";
const TXS_CONTEXT: &str = "larder v1 tx root";
const VERDICTS_CONTEXT: &str = "larder v1 verdict root";

/// Most bytes of transactions in one block.
pub const MAX_BLOCK_TX_BYTES: usize = 1 << 20;
/// Most transactions in one block.
pub const MAX_BLOCK_TXS: usize = 4096;

/// What a block's hash covers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// 1 for the first block.
    pub height: u64,
    /// When the validator made it.
    pub time: Time,
    /// The block before; for the first one, the genesis hash.
    pub prev: BlockHash,
    /// The epoch that holds `time`.
    pub epoch: Epoch,
    /// The slot that this block opens, if it opens one.
    pub slot: Option<SlotNo>,
    /// The reveal of that slot's beacon; there iff `slot` is.
    pub beacon: Option<Reveal>,
    /// Merkle root over the transactions' ids.
    pub tx_root: Hash,
    /// Merkle root over the verdict batches, then the evidence.
    pub verdict_root: Hash,
    /// The state's root after this block.
    pub state_root: Hash,
}

/// A block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Block {
    /// The header.
    pub header: Header,
    /// By the validator's node key, over the header's hash.
    pub sig: Signature,
    /// In the order in which they act.
    pub txs: Vec<Tx>,
    /// Verdicts on slots whose windows have closed.
    pub verdicts: Vec<VerdictBatch>,
    /// The false proofs behind their FAILs, in the same order.
    pub evidence: Vec<Evidence>,
}

impl Header {
    /// The block's hash.
    #[must_use]
    pub fn hash(&self) -> BlockHash {
        let reveal = self.beacon.map_or([0; 96], |reveal| reveal.0);
        let bytes = Layout::new()
            .u64(self.height)
            .u64(self.time.0)
            .fixed(self.prev)
            .u32(self.epoch)
            .u8(u8::from(self.slot.is_some()))
            .u64(self.slot.unwrap_or(0))
            .u8(u8::from(self.beacon.is_some()))
            .fixed(reveal)
            .fixed(self.tx_root)
            .fixed(self.verdict_root)
            .fixed(self.state_root)
            .finish();
        BlockHash(blake3::derive_key(HEADER_CONTEXT, &bytes))
    }

    /// Signs the header with the validator's node key.
    #[must_use]
    pub fn sign(&self, validator: &Signer, genesis: &GenesisHash) -> Signature {
        validator.sign(BLOCK, genesis, &self.hash().0)
    }

    /// Whether `validator` signed it.
    #[must_use]
    pub fn verify(&self, sig: &Signature, validator: &NodeId, genesis: &GenesisHash) -> bool {
        verify(&validator.0, BLOCK, genesis, &self.hash().0, sig)
    }
}

impl Block {
    /// The block's hash: its header's.
    #[must_use]
    pub fn hash(&self) -> BlockHash {
        self.header.hash()
    }
}

/// The root over transactions.
#[must_use]
pub fn tx_root(txs: &[Tx]) -> Hash {
    let ids: Vec<Hash> = txs.iter().map(|tx| Hash(tx.id().0)).collect();
    merkle_root(TXS_CONTEXT, &ids)
}

/// The root over verdict batches and evidence. Their encodings name different fields, so that none
/// can be taken for the other.
#[must_use]
pub fn verdict_root(batches: &[VerdictBatch], evidence: &[Evidence]) -> Hash {
    let hash = |bytes: Vec<u8>| Hash(*blake3::hash(&bytes).as_bytes());
    let batches = batches.iter().map(codec::encode).map(hash);
    let pieces = evidence.iter().map(codec::encode).map(hash);
    let hashes: Vec<Hash> = batches.chain(pieces).collect();
    merkle_root(VERDICTS_CONTEXT, &hashes)
}

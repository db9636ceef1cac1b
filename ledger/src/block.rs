//! Blocks: hash-linked, signed by their proposer, made final by a certificate. The header
//! ([`Header`]) covers everything else through roots. `docs/protocol.md` §3.5, §3.8.

use crate::verdict::merkle_root;
use crate::{Evidence, Stamp, Tx, VerdictBatch};
use larder_proofs::Header;
use larder_types::{BlockHash, Hash, Signature, TxId, codec};
use serde::{Deserialize, Serialize};

const TXS_CONTEXT: &str = "larder v1 tx root";
const VERDICTS_CONTEXT: &str = "larder v1 verdict root";

/// Most bytes of transactions in one block.
pub const MAX_BLOCK_TX_BYTES: usize = 1 << 20;
/// Most transactions in one block.
pub const MAX_BLOCK_TXS: usize = 4096;

/// A block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Block {
    /// The header.
    pub header: Header,
    /// By its proposer's node key, over the header's hash.
    pub sig: Signature,
    /// In the order in which they act.
    pub txs: Vec<Tx>,
    /// Verdicts on slots whose windows have closed.
    pub verdicts: Vec<VerdictBatch>,
    /// The false proofs behind their FAILs, in the same order.
    pub evidence: Vec<Evidence>,
}

/// A block with what makes it final: as nodes keep it and send it to each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certified {
    /// The block.
    pub block: Block,
    /// Its certificate ([`larder_proofs::Certificate::to_bytes`]).
    #[serde(with = "serde_bytes")]
    pub certificate: Vec<u8>,
}

impl Block {
    /// The block's hash: its header's.
    #[must_use]
    pub fn hash(&self) -> BlockHash {
        self.header.hash()
    }

    /// Whether the body is the one that the header covers; `stamps` are its transactions'.
    pub(crate) fn is_whole(&self, stamps: &[Stamp]) -> bool {
        tx_root_of(stamps.iter().map(|stamp| stamp.id)) == self.header.tx_root
            && verdict_root(&self.verdicts, &self.evidence) == self.header.verdict_root
    }
}

/// The root over transactions.
#[must_use]
pub fn tx_root(txs: &[Tx]) -> Hash {
    tx_root_of(txs.iter().map(Tx::id))
}

/// The root over transactions with these ids.
pub(crate) fn tx_root_of(ids: impl Iterator<Item = TxId>) -> Hash {
    let ids: Vec<Hash> = ids.map(|id| Hash(id.0)).collect();
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

//! `chain_*` and `ledger_getProof`: what a wallet needs to check what the chain says, without trusting the
//! node. Bytes are `0x` and hex; what they hold is in `docs/protocol.md` §3.8.

use crate::values::{Moment, Text};
use larder_types::{AccountId, BlockHash, GenesisHash, Hash, NodeId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which block.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AtParams {
    /// `latest` (when absent) or `finalized`, which are the same; a height; a hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

/// A block's header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BlockHeader {
    /// The block's hash.
    pub hash: Text<BlockHash>,
    /// Its height.
    pub height: u64,
    /// The round of consensus for which it was made.
    pub round: u32,
    /// When it was made.
    pub time: Moment,
    /// The block before; for the first one, the genesis hash.
    pub prev: Text<BlockHash>,
    /// The validator that made it.
    pub proposer: Text<NodeId>,
    /// The set of validators whose certificate makes it final.
    pub validators: Text<Hash>,
    /// The set for the block after it.
    pub next_validators: Text<Hash>,
    /// The epoch that it lies in.
    pub epoch: u32,
    /// The state's root after it.
    pub state_root: Text<Hash>,
    /// All of the header as its hash covers it: its layout.
    pub layout: String,
}

/// A block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Block {
    /// Its header.
    pub header: BlockHeader,
    /// How many transactions are in it.
    pub transactions: u32,
    /// All of it, in DAG-CBOR.
    pub block: String,
    /// What makes it final.
    pub certificate: String,
}

/// What makes a block final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BlockCertificate {
    /// The block's height.
    pub height: u64,
    /// The round in which it was decided.
    pub round: u32,
    /// The block.
    pub block_hash: Text<BlockHash>,
    /// The validators that signed.
    pub signers: Vec<Text<NodeId>>,
    /// The certificate's layout.
    pub certificate: String,
}

/// One of those whose certificate makes a block final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChainValidator {
    /// Its node key.
    pub node: Text<NodeId>,
    /// Its BLS key.
    pub bls: String,
    /// The weight of its vote.
    pub power: Text<u64>,
}

/// The validators whose certificate makes the block at a height final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChainValidators {
    /// The block's height.
    pub height: u64,
    /// What headers name them by.
    pub hash: Text<Hash>,
    /// The weight that makes a block final.
    pub quorum: Text<u64>,
    /// They.
    pub validators: Vec<ChainValidator>,
    /// All of them, in DAG-CBOR.
    pub set: String,
}

/// The document that the network began with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GenesisDocument {
    /// Its hash, which names the network.
    pub genesis: Text<GenesisHash>,
    /// The document, in DAG-CBOR.
    pub document: String,
}

/// From which height on, and which page.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangesParams {
    /// The lowest height.
    pub from: u64,
    /// The `nextCursor` of the page before; absent: the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// At most this many items (1 to 100; 100 when absent).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// A block after which others validate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ValidatorChange {
    /// Its header.
    pub header: BlockHeader,
    /// What makes it final.
    pub certificate: String,
    /// The validators after it, in DAG-CBOR.
    pub next: String,
}

/// What is to be shown; one of the two.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProofParams {
    /// An account's record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Text<AccountId>>,
    /// A provider's record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<Text<NodeId>>,
    /// In the state after which block, as in `chain_getHeader`; only the newest few are held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

/// What a state root is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StateRoots {
    /// The map of accounts.
    pub accounts: Text<Hash>,
    /// The map of providers.
    pub providers: Text<Hash>,
    /// All else.
    pub rest: Text<Hash>,
}

/// A record, or that there is none, with all that it takes to check it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Proof {
    /// The record, in DAG-CBOR; absent: there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// From its place to its map's root.
    pub path: String,
    /// From there to the state's.
    pub roots: StateRoots,
    /// The header that holds it.
    pub header: BlockHeader,
    /// What makes that block final.
    pub certificate: String,
}

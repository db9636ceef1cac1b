//! What subscriptions tell.

use crate::values::{Moment, Text};
use larder_types::{AccountId, BlockHash, TxId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Notices that this subscriber missed, as it was too slow; what they told can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Lagged {
    /// How many.
    pub lagged: u64,
}

/// A block, just applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BlockNotice {
    /// Its height.
    pub height: u64,
    /// Its hash.
    pub hash: Text<BlockHash>,
    /// When it was made.
    pub time: Moment,
    /// The epoch that it lies in.
    pub epoch: u32,
    /// How many transactions it holds.
    pub transactions: u32,
}

/// Which transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TxFilter {
    /// Those that moved this account's credit; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Text<AccountId>>,
    /// This one; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tx: Option<Text<TxId>>,
}

/// A transaction that a block holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TxNotice {
    /// Its id.
    pub tx: Text<TxId>,
    /// What it does: `transfer`, `put`, ….
    pub kind: String,
    /// The block's height.
    pub height: u64,
    /// The block's hash.
    pub block_hash: Text<BlockHash>,
    /// The accounts whose credit it moved.
    pub accounts: Vec<Text<AccountId>>,
}

/// Which jobs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JobFilter {
    /// This one; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
}

/// How the node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeNotice {
    /// Whether it can do its work.
    pub ready: bool,
    /// The newest block's height.
    pub height: u64,
    /// The epoch.
    pub epoch: u32,
    /// Connected peers.
    pub peers: u32,
    /// Jobs that wait or run.
    pub jobs: u32,
    /// Open alerts: `node_alerts` tells which.
    pub alerts: u32,
}

//! `backup_recover`: an account's data found again from its words alone.

use crate::values::{Nano, Text};
use larder_types::AccountId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What to know before a recovery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RecoverParams {
    /// Whether no other device of the account is in use: what they looked after is this one's at once,
    /// and not only when they have not shown that they live.
    #[serde(default)]
    pub alone: bool,
}

/// What the account's heads said: the small records that providers keep for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HeadsFound {
    /// Devices of the account that had one.
    pub found: u32,
    /// Peers that showed an older one than another did.
    pub stale_peers: u32,
    /// Heads that are not the account's or do not verify.
    pub refused: u32,
    /// The highest number of any.
    pub seq: u64,
}

/// What a recovery found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RecoverSummary {
    /// The account.
    pub account: Text<AccountId>,
    /// What it can spend.
    pub balance: Nano,
    /// Contracts that it rents.
    pub contracts: u32,
    /// Their providers that did not answer.
    pub providers_silent: u32,
    /// Segments known again.
    pub segments: u64,
    /// Snapshots known again.
    pub snapshots: u64,
    /// Bytes of the files in all snapshots.
    pub bytes: u64,
    /// What the heads said.
    pub heads: HeadsFound,
    /// Segments with fewer shards than when whole.
    pub segments_below_full: u64,
    /// Segments that cannot be brought back now.
    pub lost: u64,
    /// The first 1,000 of them, and why.
    pub failures: Vec<SegmentFailure>,
    /// Contracts of which the ledger has newer revisions than every head that was shown.
    pub uncovered: u32,
    /// Shards under the contracts that belong to no segment that the heads and catalogues name.
    pub strangers: u64,
    /// Providers that hold the new device's own head.
    pub head_holders: u32,
    /// How long it took.
    pub seconds: f64,
}

/// A segment that could not be brought back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SegmentFailure {
    /// The segment's id.
    pub segment: String,
    /// Why.
    pub reason: String,
}

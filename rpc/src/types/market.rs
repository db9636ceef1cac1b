//! `market_*` and `renter_*`: what is offered, and what one has in it.

use crate::values::{Moment, Nano, Text};
use larder_types::{AccountId, ContractId, NodeId, SegmentId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A provider's valid offer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Offer {
    /// The provider's node id.
    pub provider: Text<NodeId>,
    /// The account that it is paid to.
    pub account: Text<AccountId>,
    /// Price per GiB and 30 days.
    pub price: Nano,
    /// Price per MiB read beyond what is included.
    pub egress_price: Nano,
    /// Bytes free.
    pub free: u64,
    /// Shortest term, epochs.
    pub min_term: u32,
    /// Longest term, epochs.
    pub max_term: u32,
    /// Its region.
    pub region: String,
    /// Its operator.
    pub operator: String,
    /// Where it can be dialled.
    pub addresses: Vec<String>,
    /// When it was signed.
    pub issued: Moment,
    /// Until when it holds.
    pub expires: Moment,
}

/// One of the home's contracts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RenterContract {
    /// The contract's id.
    pub contract: Text<ContractId>,
    /// Who stores.
    pub provider: Text<NodeId>,
    /// Its operator.
    pub operator: String,
    /// Its region.
    pub region: String,
    /// The newest revision that both sides signed.
    pub revision: u64,
    /// Whether the ledger shows this revision as active.
    pub settled: bool,
    /// First epoch.
    pub start_epoch: u32,
    /// The epoch after the last.
    pub end_epoch: u32,
    /// The epoch in which it ends before that, because notice was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaves_in: Option<u32>,
    /// Bytes leased.
    pub capacity: u64,
    /// Bytes stored.
    pub used: u64,
    /// Pay per epoch.
    pub rate: Nano,
    /// Audits by this home that the provider passed, of the last 64 to 128.
    pub audits_passed: u32,
    /// Those whose answer was false, or that it does not hold what was asked for.
    pub audits_failed: u32,
    /// Those without an answer.
    pub audits_silent: u32,
    /// Whether the provider takes no shards, though it was asked again and again.
    pub refuses: bool,
}

/// A segment that has lost shards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SegmentHealth {
    /// The segment.
    pub segment: Text<SegmentId>,
    /// Shards needed.
    pub k: u16,
    /// Shards when whole.
    pub n: u16,
    /// Repair begins at this many.
    pub repair_at: u16,
    /// Shards that providers hold, suspect ones included.
    pub alive: u16,
    /// Those among them whose provider is silent or has missed its last challenges.
    pub suspect: u16,
    /// Shards that nobody holds.
    pub lost: u16,
    /// What is done about it.
    pub state: RepairState,
}

/// How far a repair is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RepairState {
    /// Too few shards can be read: it cannot be repaired now.
    Lost,
    /// It waits for its turn, for a provider with room, or for an epoch to pass.
    Waiting,
    /// The shards that are needed are being fetched.
    Fetching,
    /// The missing ones are being rebuilt.
    Rebuilding,
    /// They are being placed with providers.
    Placing,
    /// It has ended: the segment was whole.
    Done,
}

/// A repair, under way or ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Repair {
    /// Of which segment.
    pub segment: Text<SegmentId>,
    /// How far it is.
    pub state: RepairState,
    /// Shards that it replaces, as far as that is known.
    pub shards: u16,
    /// Bytes fetched for it.
    pub bytes_read: u64,
    /// Bytes placed.
    pub bytes_written: u64,
    /// When it began, or was taken up after a restart.
    pub began: Moment,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Moment>,
}

/// The redundancy of all that the home has stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Repairs {
    /// Segments with providers.
    pub segments: u64,
    /// Those with fewer shards than when whole.
    pub segments_below_full: u64,
    /// Those that cannot be read now.
    pub segments_lost: u64,
    /// Whether every segment is whole.
    pub full_redundancy: bool,
    /// Those with shards whose provider is silent, though not lost.
    pub suspect: u64,
    /// Those that are being repaired now.
    pub repairing: u64,
    /// Shards that repair has placed anew, ever.
    pub shards_repaired: u64,
    /// Bytes that it fetched for that.
    pub bytes_read: u64,
    /// Bytes that it placed.
    pub bytes_written: u64,
    /// Why no provider is found for what is to be repaired, if none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// The worst of those below full, at most 1,000.
    pub below_full: Vec<SegmentHealth>,
    /// Repairs under way, then the last ones that ended, newest first.
    pub repairs: Vec<Repair>,
}

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
    /// Bytes leased.
    pub capacity: u64,
    /// Bytes stored.
    pub used: u64,
    /// Pay per epoch.
    pub rate: Nano,
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
    /// Shards believed alive.
    pub alive: u16,
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
    /// The worst of those below full, at most 1,000.
    pub below_full: Vec<SegmentHealth>,
}

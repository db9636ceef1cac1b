//! `market_*` and `renter_*`: what storing costs, and what is known of providers.

use crate::types::market::Offer;
use crate::types::wallet::TxStatus;
use crate::values::{AsOf, Moment, Nano, Secret, Text};
use larder_types::{Class, ContractId, NodeId, TxId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is to be stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct QuoteParams {
    /// Bytes, before coding.
    pub bytes: u64,
    /// `low`, `normal`, `high` or `critical`; absent: `normal`.
    #[serde(
        rename = "redundancyClass",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub class: Option<Text<Class>>,
    /// For how many epochs; absent: about 30 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epochs: Option<u32>,
}

/// What storing would cost, by the offers that hold now. Nothing is reserved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Quote {
    /// The class.
    pub class: Text<Class>,
    /// Shards needed.
    pub k: u16,
    /// Shards made.
    pub n: u16,
    /// Repair begins at this many.
    pub repair_at: u16,
    /// The probability that a segment is lost within a year.
    pub annual_loss: f64,
    /// Whether that is what the class allows.
    pub class_met: bool,
    /// Providers that would hold a share, those rented from already among them.
    pub providers: u32,
    /// The contracts that would be opened.
    pub contracts: Vec<QuotedContract>,
    /// What all of them cost for their terms: it is set aside when they open, and paid as epochs are
    /// proven.
    pub cost: Nano,
    /// What they cost in an epoch.
    pub per_epoch: Nano,
    /// Whether the home's account could pay that now.
    pub affordable: bool,
}

/// A contract that would be opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct QuotedContract {
    /// With whom.
    pub provider: Text<NodeId>,
    /// Its operator.
    pub operator: String,
    /// Its region.
    pub region: String,
    /// Price per GiB and 30 days.
    pub price: Nano,
    /// Bytes leased.
    pub capacity: u64,
    /// Term, epochs.
    pub epochs: u32,
    /// Pay per epoch.
    pub rate: Nano,
    /// What it costs for its term.
    pub cost: Nano,
    /// What the provider locks for it.
    pub collateral: Nano,
}

/// What is known of a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MarketProvider {
    /// Its node id.
    pub provider: Text<NodeId>,
    /// Its offer, if one holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offer: Option<Offer>,
    /// Whether the ledger knows it.
    pub registered: bool,
    /// Collateral that is free.
    pub collateral_free: Nano,
    /// Collateral of open contracts.
    pub collateral_locked: Nano,
    /// Capacity under contract, bytes.
    pub contracted: u64,
    /// Missed epochs among the last 30.
    pub strikes: u32,
    /// Those of them that came last, in a row.
    pub misses_in_a_row: u32,
    /// Whether it is FAULTED.
    pub faulted: bool,
    /// Epochs that it proved since it registered.
    pub proven: u64,
    /// Epochs that it did not.
    pub missed: u64,
    /// Audits by this home that it passed, of the last 64 to 128.
    pub audits_passed: u32,
    /// Those whose answer was false.
    pub audits_failed: u32,
    /// Those without an answer.
    pub audits_silent: u32,
    /// The ledger's state that this shows.
    pub as_of: AsOf,
}

/// The offers that hold now, as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MarketStats {
    /// Providers with an offer that holds.
    pub providers: u32,
    /// Different operators among them; those that name none count each.
    pub operators: u32,
    /// Bytes free.
    pub free: u64,
    /// Prices per GiB and 30 days; absent without an offer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prices: Option<Prices>,
    /// The same by region, by name; the empty one names none.
    pub regions: Vec<RegionStats>,
    /// Providers that the ledger knows.
    pub registered: u32,
    /// Capacity under contract, bytes, by the ledger.
    pub contracted: u64,
    /// The ledger's state that this shows.
    pub as_of: AsOf,
}

/// The lowest, the (lower) median and the highest price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Prices {
    /// The lowest.
    pub lowest: Nano,
    /// The median; of an even number the lower of the two in the middle.
    pub median: Nano,
    /// The highest.
    pub highest: Nano,
}

/// The offers of one region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RegionStats {
    /// Its name.
    pub region: String,
    /// Providers with an offer that holds.
    pub providers: u32,
    /// Bytes free.
    pub free: u64,
    /// Prices per GiB and 30 days.
    pub prices: Prices,
}

/// What is rented, and what it costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Spending {
    /// Contracts in force.
    pub contracts: u32,
    /// What they cost in an epoch.
    pub per_epoch: Nano,
    /// What is set aside for epochs to come.
    pub reserved: Nano,
    /// Credit that is free to renew them.
    pub free: Nano,
    /// For how many epochs that would pay for all of them; absent if they cost nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epochs_covered: Option<u64>,
    /// What was set aside for contracts so far, and not returned.
    pub set_aside: Nano,
    /// Whether that covers all of the account's history, or its last 10,000 movements only.
    pub whole_history: bool,
    /// The most that contracts may cost in 30 days; absent: what the account has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowance: Option<Nano>,
}

/// The most that contracts may cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AllowanceParams {
    /// For 30 days; absent: what the account has. What is rented already stays and is renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowance: Option<Nano>,
}

/// A contract that is to end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CancelParams {
    /// The contract's id.
    pub contract: Text<ContractId>,
    /// The account's 24 words: what lies there is given up, and no device may do that alone. They are
    /// used for this one signature and kept nowhere.
    pub words: Secret,
    /// Even if something could be read no more without what lies there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
}

/// Notice that was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Cancelled {
    /// The contract.
    pub contract: Text<ContractId>,
    /// The transaction that gives notice.
    pub tx: Text<TxId>,
    /// What became of it.
    pub status: TxStatus,
    /// The epoch in which the contract ends; absent until a block holds the notice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaves_in: Option<u32>,
}

/// How one of the home's contracts is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContractHealth {
    /// The contract.
    pub contract: Text<ContractId>,
    /// Who stores.
    pub provider: Text<NodeId>,
    /// Whether both sides have signed.
    pub signed: bool,
    /// Whether it is active on the ledger.
    pub active: bool,
    /// The epoch after the last.
    pub end_epoch: u32,
    /// When that is.
    pub ends: Moment,
    /// Whether it ends soon, though it should have been renewed.
    pub lapsing: bool,
    /// Shards that lie there.
    pub shards: u64,
    /// Segments that could be read no more without them.
    pub segments_that_need_it: u64,
    /// The provider's missed epochs in a row.
    pub misses_in_a_row: u32,
    /// Whether it proved in one of the last two epochs.
    pub proved_lately: bool,
    /// Whether it, or this contract by itself, is FAULTED.
    pub faulted: bool,
    /// Whether the provider takes no shards, though it was asked again and again.
    pub refuses: bool,
    /// Audits by this home that the provider passed, of the last 64 to 128.
    pub audits_passed: u32,
    /// Those whose answer was false.
    pub audits_failed: u32,
    /// Those without an answer.
    pub audits_silent: u32,
}

/// What is to be rented.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RentParams {
    /// From whom.
    pub provider: Text<NodeId>,
    /// At least so many bytes; whole steps are rented.
    pub size: u64,
}

/// Which of the home's contracts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RentedParams {
    /// The contract's id.
    pub contract: Text<ContractId>,
}

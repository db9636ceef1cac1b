//! `provider_*`: what a node offers, where its shards lie, how the ledger judges it.

use crate::types::wallet::Sent;
use crate::values::{Moment, Nano, Text};
use larder_types::{AccountId, ContractId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a provider takes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Taking {
    /// Whatever the quota allows.
    #[default]
    All,
    /// No new contracts; those that there are may be extended and renewed.
    Paused,
    /// Nothing: contracts run out.
    Leaving,
}

/// What a node offers, and what stands in its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProviderOffer {
    /// Quota, bytes.
    pub quota: u64,
    /// Capacity under contract, bytes.
    pub contracted: u64,
    /// Bytes of shards on disk.
    pub used: u64,
    /// What may still be bought, bytes: what quota and disks leave.
    pub free: u64,
    /// Price per GiB and 30 days.
    pub price: Nano,
    /// Price per MiB read.
    pub egress_price: Nano,
    /// Its region.
    pub region: String,
    /// Its operator.
    pub operator: String,
    /// What it takes on.
    pub taking: Taking,
    /// Why it takes on nothing now, whatever it is meant to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refuses: Option<String>,
    /// Contracts in force.
    pub contracts: u32,
    /// The epoch in which the last of them has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_end_epoch: Option<u32>,
    /// When that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_end: Option<Moment>,
    /// Collateral that is free.
    pub collateral_free: Nano,
    /// Collateral of open contracts.
    pub collateral_locked: Nano,
    /// The newest absence that was announced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<Absence>,
    /// Settings that this run was given by a flag or the environment: they go before the file when
    /// the node starts that way again.
    pub given: Vec<String>,
}

/// How much free collateral to take back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WithdrawParams {
    /// How much; absent: all that is free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Nano>,
}

/// Free collateral on its way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Withdrawn {
    /// How much.
    pub amount: Nano,
    /// How far it is.
    pub sent: Sent,
}

/// What is to be offered from now on; what is absent stays.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OfferChange {
    /// Quota, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<u64>,
    /// Price per GiB and 30 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Nano>,
    /// The region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,
    /// What is taken on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taking: Option<Taking>,
}

/// Which epochs the provider will be away in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AbsenceParams {
    /// The first of them, at least two after the current one.
    pub first: u32,
    /// How many, 1 to 3.
    pub epochs: u32,
}

/// An announced absence: unpaid, not struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Absence {
    /// The first epoch.
    pub first: u32,
    /// How many.
    pub epochs: u32,
    /// When it begins.
    pub begins: Moment,
    /// When it is over.
    pub ends: Moment,
    /// The first epoch in which the next absence may begin.
    pub next_from: u32,
}

/// How the ledger judged an epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Audit {
    /// Which; the first, if there are several.
    pub epoch: u32,
    /// How many.
    pub epochs: u32,
    /// Whether it was paid.
    pub paid: bool,
    /// What was paid, or withheld in each of them.
    pub amount: Nano,
    /// What was taken from the collateral.
    pub charged: Nano,
    /// In words.
    pub reason: String,
}

/// A place where shards lie.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Volume {
    /// Its number; 0 is the home itself.
    pub id: u32,
    /// Its folder.
    pub path: String,
    /// The most that may lie there, bytes; absent: what its disk has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Bytes of shards and what is kept beside them.
    pub used: u64,
    /// Bytes that may still come.
    pub free: u64,
    /// Shards that lie there.
    pub shards: u64,
    /// What is wrong with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Whether it is being emptied.
    pub emptying: bool,
}

/// Which volume, and how large.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VolumeParams {
    /// Its folder, absolute.
    pub path: String,
    /// The most that may lie there, bytes; absent: what its disk has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

/// Which volume is to go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RemoveVolumeParams {
    /// Its folder, absolute.
    pub path: String,
    /// The operator's word that its disk is gone for good: its shards are declared lost.
    #[serde(default)]
    pub lost: bool,
}

/// What becomes of a volume that was to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VolumeRemoved {
    /// Shards that are being moved to the others, or declared lost.
    pub shards: u64,
    /// Whether it is being emptied; it goes when it is.
    pub emptying: bool,
}

/// A contract that the node provides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HeldContract {
    /// The contract's id.
    pub contract: Text<ContractId>,
    /// Who pays.
    pub renter: Text<AccountId>,
    /// Whether it is active on the ledger.
    pub active: bool,
    /// First epoch.
    pub start_epoch: u32,
    /// The epoch after the last.
    pub end_epoch: u32,
    /// When that is.
    pub ends: Moment,
    /// Bytes leased.
    pub capacity: u64,
    /// Bytes stored.
    pub used: u64,
    /// Credit per epoch.
    pub rate: Nano,
    /// Collateral.
    pub collateral: Nano,
}

/// What a provider earned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Earnings {
    /// What it was paid since it registered, before fees.
    pub earned: Nano,
    /// Epochs that it was paid for.
    pub proven: u64,
    /// Epochs that it was not paid for.
    pub missed: u64,
    /// What was taken from its collateral, as far as the remembered verdicts go: 10,000.
    pub charged: Nano,
    /// What was withheld in the same epochs.
    pub withheld: Nano,
    /// Pay that has not vested yet.
    pub vesting: Nano,
    /// What renters have set aside with it for epochs to come.
    pub escrow: Nano,
    /// The verdicts, the newest first.
    pub epochs: Vec<Audit>,
    /// Hand it back for the next page of them; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

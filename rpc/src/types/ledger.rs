//! `chain_*` and `ledger_*`: what the applied chain says.

use crate::values::{AsOf, Moment, Nano, Text};
use larder_types::{AccountId, BlockHash, ContractId, GenesisHash, NodeId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The newest block applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Head {
    /// Its height.
    pub height: u64,
    /// Its hash.
    pub hash: Text<BlockHash>,
    /// Its time.
    pub time: Moment,
    /// The epoch that it lies in.
    pub epoch: u32,
    /// The newest slot opened, counted from genesis.
    pub slot: u64,
}

/// Which account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccountParams {
    /// The account's id.
    pub account: Text<AccountId>,
    /// In the state after which block, as in `chain_getHeader`; only the newest few are held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

/// Which account, and which page of its history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HistoryParams {
    /// The account's id.
    pub account: Text<AccountId>,
    /// The `nextCursor` of the page before; absent: the newest movements. It stays good while blocks come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// At most this many items (1 to 1,000; 1,000 when absent).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Which provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProviderParams {
    /// The provider's node id.
    pub provider: Text<NodeId>,
}

/// Which contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContractParams {
    /// The contract's id.
    pub contract: Text<ContractId>,
    /// In the state after which block, as in `chain_getHeader`; only the newest few are held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

/// What an account can spend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Balance {
    /// The account.
    pub account: Text<AccountId>,
    /// What it can spend now.
    pub available: Nano,
    /// The block that says so.
    pub as_of: AsOf,
}

/// All that the ledger holds of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Account {
    /// The account.
    pub account: Text<AccountId>,
    /// What it can spend now.
    pub available: Nano,
    /// What lies in escrow for its contracts.
    pub escrowed: Nano,
    /// What it earned and cannot spend yet.
    pub vesting: Nano,
    /// The nonce of its next transaction.
    pub next_nonce: Text<u64>,
    /// The block that says so.
    pub as_of: AsOf,
}

/// All that the ledger holds of a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LedgerProvider {
    /// The provider's node id.
    pub provider: Text<NodeId>,
    /// The account that it is paid to.
    pub account: Text<AccountId>,
    /// Collateral that no contract binds.
    pub collateral_free: Nano,
    /// Collateral that contracts bind.
    pub collateral_locked: Nano,
    /// Bytes that it must prove in the current epoch.
    pub active_bytes: u64,
    /// Challenges passed since it registered.
    pub passed: u64,
    /// Challenges missed, failed or declared lost.
    pub missed: u64,
    /// Misses in a row up to the last epoch.
    #[serde(default)]
    pub misses_in_a_row: u32,
    /// Since which epoch it is FAULTED; absent: it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub faulted_since_epoch: Option<u32>,
    /// The last epoch in which it passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_passed_epoch: Option<u32>,
    /// Paid for proofs since it registered.
    pub earned: Nano,
    /// The block that says so.
    pub as_of: AsOf,
}

/// A contract as it is active on the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LedgerContract {
    /// The contract's id.
    pub contract: Text<ContractId>,
    /// Who stores.
    pub provider: Text<NodeId>,
    /// Who pays.
    pub renter: Text<AccountId>,
    /// The active revision.
    pub revision: u64,
    /// First epoch.
    pub start_epoch: u32,
    /// The epoch after the last.
    pub end_epoch: u32,
    /// Bytes leased.
    pub capacity: u64,
    /// Bytes proven in each epoch.
    pub used: u64,
    /// Pay per epoch.
    pub rate: Nano,
    /// Collateral bound.
    pub collateral: Nano,
    /// The block that says so.
    pub as_of: AsOf,
}

/// The network's parameters, as its genesis fixes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LedgerParams {
    /// The network's name.
    pub network: String,
    /// The genesis hash.
    pub genesis: Text<GenesisHash>,
    /// The genesis's time.
    pub start: Moment,
    /// All credit that there is.
    pub supply: Nano,
    /// `dev`, `private` or `public`.
    pub profile: String,
    /// An epoch's length.
    pub epoch_ms: u64,
    /// Slots in an epoch.
    pub slots: u32,
    /// How long a proof may take.
    pub window_ms: u64,
    /// Draws that a proof answers.
    pub challenges: u8,
    /// The fee on pay, parts per million.
    pub fee_ppm: u32,
    /// What of pay is burned, parts per million.
    pub burn_ppm: u32,
    /// Epochs until pay vests.
    pub vesting_epochs: u32,
    /// Shortest term, epochs.
    pub min_term: u32,
    /// Longest term, epochs.
    pub max_term: u32,
    /// Capacity is bought in steps of this many bytes.
    pub capacity_step: u64,
    /// What the faucet grants each new account; absent: no faucet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub faucet: Option<Nano>,
}

//! `wallet_*`: the home's own account.

use crate::values::{Moment, Nano, Text};
use larder_types::{AccountId, TxId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whom to pay how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SendParams {
    /// The account that receives.
    pub to: Text<AccountId>,
    /// How much.
    pub amount: Nano,
}

/// What became of a transaction handed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TxStatus {
    /// It waits for a block.
    Submitted,
    /// It was handed in before.
    Known,
    /// It is in a block.
    Included,
}

/// A transaction handed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sent {
    /// The transaction's id.
    pub tx: Text<TxId>,
    /// What became of it.
    pub status: TxStatus,
    /// The block that holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u64>,
}

/// What a movement of credit was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Movement {
    /// Held since genesis.
    Genesis,
    /// The faucet's grant.
    Faucet,
    /// A transfer between accounts.
    Transfer,
    /// Into or out of a provider's collateral.
    Collateral,
    /// Into or out of a contract's escrow.
    Escrow,
    /// Pay for proven storage.
    Pay,
}

/// One movement of the account's credit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Transaction {
    /// The block that holds it.
    pub height: u64,
    /// The block's time.
    pub time: Moment,
    /// What it was for.
    pub kind: Movement,
    /// Whether the account received (`true`) or gave.
    pub received: bool,
    /// How much.
    pub amount: Nano,
    /// The other account, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<Text<AccountId>>,
    /// The transaction, where one caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tx: Option<Text<TxId>>,
}

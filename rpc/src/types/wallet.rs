//! `wallet_*`: the home's own account.

use crate::values::{AsOf, Moment, Nano, Text};
use larder_types::{AccountId, GenesisHash, SubKeyId, TxId};
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

/// A transfer, not yet signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Unsigned {
    /// The network.
    pub genesis: Text<GenesisHash>,
    /// The account that pays.
    pub from: Text<AccountId>,
    /// The account that receives.
    pub to: Text<AccountId>,
    /// How much.
    pub amount: Nano,
    /// Good once.
    pub nonce: Text<u64>,
    /// The last block that may hold it.
    pub expiry: u64,
    /// The 32 bytes that the account key signs, in hex.
    pub signing_payload: String,
}

/// A signed transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SubmitParams {
    /// Its canonical DAG-CBOR, `0x` and hex.
    pub tx: String,
}

/// What a device may do with the account's credit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limit {
    /// The account.
    pub account: Text<AccountId>,
    /// The device's sub-key.
    pub subkey: Text<SubKeyId>,
    /// Whether the ledger takes its word.
    pub authorised: bool,
    /// What it may do: `open`, `add`, `renew`, `transfer`.
    pub may: Vec<String>,
    /// What it may spend in an epoch; absent: all there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cap: Option<Nano>,
    /// What it has spent in this epoch.
    pub spent: Nano,
    /// Until when it is authorised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Moment>,
    /// The block that says so.
    pub as_of: AsOf,
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

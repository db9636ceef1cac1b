//! `wallet_*`: the accounts whose keys lie in the home: `home`, which this device spends from by its
//! sub-key, and those in key files.

use crate::values::{AsOf, Moment, Nano, Secret, Text};
use larder_types::{AccountId, SubKeyId, TxId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whom to pay how much.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SendParams {
    /// The account that receives.
    pub to: Text<AccountId>,
    /// How much.
    pub amount: Nano,
    /// Which wallet pays; `home` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wallet: Option<String>,
}

/// Which wallet.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WalletParams {
    /// Its name; `home` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wallet: Option<String>,
}

/// Which wallet, and which page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WalletPageParams {
    /// The `nextCursor` of the page before; absent: the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// At most this many items (1 to 1,000; 1,000 when absent).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// The wallet's name; `home` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wallet: Option<String>,
}

/// A new wallet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WalletCreateParams {
    /// Its name: 1 to 32 of `a-z`, `0-9`, `-` and `_`; not `home`.
    pub wallet: String,
    /// What its key file is sealed under. Without one the key lies in a file of mode 0600, and whoever reads
    /// the disk has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passphrase: Option<Secret>,
}

/// A wallet from its words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WalletImportParams {
    /// Its name, as in `wallet_create`.
    pub wallet: String,
    /// The account's 24 words.
    pub words: Secret,
    /// As in `wallet_create`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passphrase: Option<Secret>,
}

/// A wallet that was made, and its words. They are said this once and kept nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WalletCreated {
    /// Its name.
    pub wallet: String,
    /// Its account.
    pub account: Text<AccountId>,
    /// The 24 words that give the account anywhere.
    pub words: Secret,
    /// Whether a passphrase seals its key.
    pub is_sealed: bool,
}

/// Whether a wallet can sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WalletState {
    /// It is the home's: this device's sub-key signs, within its limit.
    Device,
    /// It has no passphrase, and can always sign.
    Open,
    /// Its passphrase is needed.
    Locked,
    /// Its key is in memory, for a while.
    Unlocked,
}

/// A wallet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WalletShown {
    /// Its name.
    pub wallet: String,
    /// Its account.
    pub account: Text<AccountId>,
    /// Whether it can sign.
    pub state: WalletState,
    /// Until when it is unlocked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Moment>,
}

/// What is to be signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignParams {
    /// A transfer of the wallet's account in canonical DAG-CBOR, `0x` and hex: `unsigned` of `tx_build`.
    pub tx: String,
    /// Which wallet signs; `home` when absent, where the device's sub-key does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wallet: Option<String>,
}

/// A transaction that was signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Signed {
    /// Its id.
    pub tx: Text<TxId>,
    /// Its canonical DAG-CBOR, which `tx_submit` takes.
    pub signed: String,
}

/// Which wallet to unlock, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UnlockParams {
    /// Its name.
    pub wallet: String,
    /// What its key is sealed under.
    pub passphrase: Secret,
    /// For so many seconds, 1 to 86,400; 300 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u32>,
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
    /// Pay for what was proven or read.
    Pay,
    /// What a transaction cost, or a block's fees to who made it.
    Fee,
    /// Into or out of a validator's bond.
    Bond,
    /// Set aside for another's debts, or paid for them.
    Guarantee,
    /// Set aside for as long as the account stands.
    Existence,
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
    /// The other account, provider or validator, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<Text<AccountId>>,
    /// The transaction, where one caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tx: Option<Text<TxId>>,
}

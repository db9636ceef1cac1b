//! `tx_*`: transactions from what is wanted to the block that holds them, signed by whoever has the key.
//! Bytes are `0x` and hex.

use crate::values::{AsOf, Moment, Nano, Text};
use larder_types::{AccountId, BlockHash, GenesisHash, TxId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A transfer that is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BuildParams {
    /// The account that receives.
    pub to: Text<AccountId>,
    /// How much.
    pub amount: Nano,
    /// The account that pays, whose own key will sign; the home's when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Text<AccountId>>,
    /// The last block that may hold it; when absent, 2,000 blocks from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiry: Option<u64>,
    /// The nonce, one of the account's window that is not spent; when absent, one that nothing which waits
    /// here uses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<Text<u64>>,
}

/// A transfer, not yet signed: what is to be signed, and all that it takes to check that and to assemble
/// the signed transaction.
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
    /// What it costs beside the amount.
    pub fee: Nano,
    /// The context string of BLAKE3's key derivation, `larder v1 transfer`.
    pub context: String,
    /// The layout: from, to (32 bytes each), amount, nonce, expiry (8 bytes each, little endian), and 33 zeros,
    /// for no sub-key signs.
    pub layout: String,
    /// The 32 bytes that the account key signs: `derive_key(context, genesis ‖ layout)`.
    pub signing_payload: String,
    /// The transaction in canonical DAG-CBOR with a signature of 64 zeros.
    pub unsigned: String,
    /// Where in it the 64 bytes of the signature stand. With the signature there, `tx_submit` takes it.
    pub signature_at: u32,
}

/// A transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SubmitParams {
    /// Its canonical DAG-CBOR, `0x` and hex.
    pub tx: String,
}

/// What is to be priced: a transfer, or a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FeeParams {
    /// How much a transfer would move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Nano>,
    /// The account whose own key would sign it; when absent, this device signs, for the home's account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Text<AccountId>>,
    /// Instead of both, a transaction in canonical DAG-CBOR, signed or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tx: Option<String>,
}

/// What a transaction costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FeeEstimate {
    /// What its signer pays beside what it moves. It depends on the length alone, not on who else pays.
    pub fee: Nano,
    /// Its length, bytes.
    pub bytes: u32,
    /// What a byte costs on this network.
    pub per_byte: Nano,
    /// The block that says so.
    pub as_of: AsOf,
}

/// Whether a transaction's signatures are good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SignatureState {
    /// All of them, on this network.
    Good,
    /// One is not, or was made for another network.
    Bad,
}

/// A transaction as it reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Decoded {
    /// Its id.
    pub tx: Text<TxId>,
    /// Its kind, like `transfer`.
    pub kind: String,
    /// Its length, bytes.
    pub bytes: u32,
    /// What it costs its signer beside what it moves.
    pub fee: Nano,
    /// Its fields: ids as multibase strings, other bytes as `0x` and hex, amounts and nonces as decimal
    /// strings.
    pub content: serde_json::Value,
    /// Whether it is signed well.
    pub signature: SignatureState,
    /// Why the next block could not hold it, as things stand; absent: it could.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
}

/// Which transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TxParams {
    /// Its id.
    pub tx: Text<TxId>,
}

/// Which transaction, and for how long to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WaitParams {
    /// Its id.
    pub tx: Text<TxId>,
    /// At most so many seconds, 0 to 60; 20 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u32>,
}

/// Where a transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TxState {
    /// It was handed in here and is in no block yet.
    Waiting,
    /// It is in a block.
    Included,
    /// It is in no block and does not wait here: never seen, refused, or expired.
    Unknown,
}

/// A transaction, as far as this node knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TxShown {
    /// Its id.
    pub tx: Text<TxId>,
    /// Where it is.
    pub status: TxState,
    /// The block that holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u64>,
    /// That block's hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_hash: Option<Text<BlockHash>>,
    /// That block's time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Moment>,
    /// Its place in that block, from 0 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<u32>,
    /// Its canonical DAG-CBOR, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<String>,
    /// The newest block that was looked at.
    pub as_of: AsOf,
}

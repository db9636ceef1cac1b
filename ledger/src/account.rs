//! An account's record: its balance, what it spent of its nonces, whether the faucet served it.
//! Its sub-keys stand apart ([`crate::SubKeys`]). `docs/protocol.md` §3.1, §3.3.

use crate::Nonces;
use larder_types::{Amount, Time};
use serde::{Deserialize, Serialize};

/// One account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Free credit.
    pub balance: Amount,
    /// Spent and unspent nonces.
    pub nonces: Nonces,
    /// Whether it has had its grant.
    pub granted: bool,
    /// Its admin key, once it has delegated.
    #[serde(with = "serde_bytes")]
    pub admin: Option<[u8; 32]>,
    /// When its newest revocation was signed: no delegation from before makes a sub-key.
    pub revoked: Time,
}

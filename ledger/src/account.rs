//! An account's record: its balance, what it spent of its nonces, whether the faucet served it.
//! Admin keys, sub-keys and existence deposits join it in later issues. `docs/protocol.md` §3.3.

use crate::Nonces;
use larder_types::Amount;
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
}

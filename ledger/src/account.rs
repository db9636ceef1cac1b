//! An account's record: its balance, what is set aside for as long as the record stands, what it spent of
//! its nonces, whether the faucet served it. Its sub-keys stand apart ([`crate::SubKeys`]), and so does
//! what it may owe ([`crate::Line`]). `docs/protocol.md` §3.1, §3.3, §3.12.

use crate::Nonces;
use larder_types::{Amount, Time};
use serde::{Deserialize, Serialize};

/// One account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Free credit.
    pub balance: Amount,
    /// Set aside when it first appeared; returned when it leaves.
    pub deposit: Amount,
    /// Spent and unspent nonces.
    pub nonces: Nonces,
    /// Whether it has had its grant.
    pub granted: bool,
    /// Its admin key, once it has delegated.
    #[serde(with = "serde_bytes")]
    pub admin: Option<[u8; 32]>,
    /// When its newest revocation was signed: no delegation from before makes a sub-key.
    pub revoked: Time,
    /// Contracts that it pays for, providers that are paid to it, validators that it answers for, and
    /// accounts that it vouches for or that vouch for it: while there are any it cannot leave.
    pub ties: u32,
}

impl Account {
    /// One more thing holds it.
    pub(crate) const fn tie(&mut self) {
        self.ties = self.ties.saturating_add(1);
    }

    /// One thing less does.
    pub(crate) const fn untie(&mut self) {
        self.ties = self.ties.saturating_sub(1);
    }
}

//! Why an operation that waited had no effect at the epoch's boundary: one variant for each rule, with a
//! number that stays. `docs/protocol.md` §3.3.

use serde::{Deserialize, Serialize};

/// Why an operation was skipped at the boundary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Skip {
    /// The leaf does not start at the epoch that begins.
    #[error("it does not start at the epoch that begins")]
    Start,
    /// The end is no multiple of seven, or the term is not allowed.
    #[error("its term is not allowed")]
    Term,
    /// The end would come earlier, or shards or flags would be dropped: that takes the admin key.
    #[error("it would drop what the contract promises")]
    Drops,
    /// Capacity below the network's least or below what is used.
    #[error("its capacity is too small")]
    Capacity,
    /// Rate below the network's least.
    #[error("its rate is too low")]
    Rate,
    /// Collateral below the network's least or above its most, in epochs of pay.
    #[error("its collateral is not what the network allows")]
    Collateral,
    /// The renter has not enough.
    #[error("the renter cannot pay")]
    Balance,
    /// The provider has not enough free collateral.
    #[error("the provider's free collateral does not suffice")]
    Free,
    /// The provider was slashed so far that it opens nothing until all its contracts are closed.
    #[error("the provider must close all contracts first")]
    Slashed,
    /// Money moves, but no nonce and expiry are given.
    #[error("it moves money without a nonce")]
    NoAuth,
    /// The nonce was spent meanwhile.
    #[error("its nonce is spent")]
    Nonce,
    /// The sub-key that signed it is not authorised, or not for this.
    #[error("its sub-key is not authorised for it")]
    SubKey,
    /// It is more than the sub-key that signed it may spend in this epoch.
    #[error("it is beyond its sub-key's cap")]
    Cap,
    /// A newer revision is active already.
    #[error("a newer revision is active")]
    Stale,
    /// The contract is active with another provider or renter.
    #[error("the contract is another's")]
    Foreign,
    /// The renter has a contract with this provider already.
    #[error("the renter has a contract with this provider already")]
    Second,
    /// The contract to close is not there.
    #[error("no such contract")]
    Unknown,
    /// The provider is FAULTED: nothing opens with it until all of its contracts are closed.
    #[error("the provider is faulted")]
    Faulted,
    /// The declared shards are not in the active tree.
    #[error("the declared shards are not in the active tree")]
    Content,
    /// Shards of the contract were declared lost at this boundary: what was signed before is void.
    #[error("shards of the contract were declared lost")]
    Lost,
    /// It has not agreed to renew by itself, or it is not the time.
    #[error("it does not renew by itself, or not yet")]
    Renewal,
    /// What opens elsewhere is not what closes here.
    #[error("it may not move like this")]
    Handover,
    /// Its renter gave notice: no new terms.
    #[error("its renter gave notice")]
    Notice,
    /// The contract's id is not that of its provider, renter and nonce.
    #[error("the contract's id does not follow from its parties")]
    Identity,
    /// The contract to close has not ended.
    #[error("the contract has not ended")]
    Running,
    /// A voucher that is not for the active terms, or whose contract was neither revised nor closed nor
    /// moved.
    #[error("nothing settled its voucher")]
    Voucher,
    /// The provider would hold more than it may yet: what a new one may, doubled for each thirty clean
    /// epochs.
    #[error("the provider may not hold so much yet")]
    Trial,
    /// An amount does not fit.
    #[error("an amount is out of range")]
    Overflow,
}

impl Skip {
    /// The number in logs and in RPC answers; never reused.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::Start => 201,
            Self::Term => 202,
            Self::Drops => 203,
            Self::Capacity => 204,
            Self::Rate => 205,
            Self::Collateral => 206,
            Self::Balance => 207,
            Self::Free => 208,
            Self::Slashed => 209,
            Self::NoAuth => 210,
            Self::Nonce => 211,
            Self::SubKey => 212,
            Self::Cap => 213,
            Self::Stale => 214,
            Self::Foreign => 215,
            Self::Second => 216,
            Self::Unknown => 217,
            Self::Faulted => 218,
            Self::Content => 219,
            Self::Lost => 220,
            Self::Renewal => 221,
            Self::Handover => 222,
            Self::Notice => 223,
            Self::Identity => 224,
            Self::Running => 225,
            Self::Voucher => 226,
            Self::Overflow => 227,
            Self::Trial => 228,
        }
    }
}

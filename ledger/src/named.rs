//! What a transaction says of itself to readers: its kind in a word, the accounts that it names, and who pays
//! for it.

use crate::tx::Tx;
use larder_types::AccountId;

impl Tx {
    /// Its kind, as the surface names it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Faucet(_) => "faucet",
            Self::Transfer(_) => "transfer",
            Self::Register(_) => "register",
            Self::Deposit(_) => "deposit",
            Self::TreeUpdate(_) => "treeUpdate",
            Self::CloseFaulted(_) => "closeFaulted",
            Self::Maintenance(_) => "maintenance",
            Self::CloseByRenter(_) => "closeByRenter",
            Self::ForceRevision(_) => "forceRevision",
            Self::Targeted(_) => "targeted",
            Self::Delegate(_) => "delegate",
            Self::Revoke(_) => "revoke",
            Self::Vouch(_) => "vouch",
            Self::Leave(_) => "leave",
            Self::Candidacy(_) => "candidacy",
            Self::Approve(_) => "approve",
            Self::Resign(_) => "resign",
            Self::Equivocation(_) => "equivocation",
            Self::Censored(_) => "censored",
            Self::Withdraw(_) => "withdraw",
        }
    }

    /// The accounts that it names, who gives first; none where it names nodes only.
    #[must_use]
    pub fn accounts(&self) -> Vec<AccountId> {
        match self {
            Self::Faucet(tx) => vec![tx.account],
            Self::Transfer(tx) => vec![tx.from, tx.to],
            Self::Register(tx) => vec![tx.account],
            Self::Deposit(tx) => vec![tx.from],
            Self::CloseFaulted(tx) => vec![tx.renter],
            Self::CloseByRenter(tx) => vec![tx.renter],
            Self::Targeted(tx) => vec![tx.renter],
            Self::Delegate(tx) => vec![tx.account],
            Self::Revoke(tx) => vec![tx.account],
            Self::Vouch(tx) => vec![tx.guarantor, tx.member],
            Self::Leave(tx) => vec![tx.account, tx.to],
            Self::Candidacy(tx) => vec![tx.account],
            Self::Equivocation(tx) => tx.reporter.into_iter().collect(),
            Self::Withdraw(tx) => vec![tx.account],
            Self::TreeUpdate(_)
            | Self::Maintenance(_)
            | Self::ForceRevision(_)
            | Self::Approve(_)
            | Self::Resign(_)
            | Self::Censored(_) => Vec::new(),
        }
    }

    /// The account that pays its fee, if it has one that an account pays.
    #[must_use]
    pub fn payer(&self) -> Option<AccountId> {
        match self {
            Self::Transfer(tx) => Some(tx.from),
            Self::Register(tx) => Some(tx.account),
            Self::Deposit(tx) => Some(tx.from),
            Self::ForceRevision(tx) => Some(tx.revision.signed().leaf.renter),
            Self::Targeted(tx) => Some(tx.renter),
            Self::Vouch(tx) => Some(tx.guarantor),
            Self::Leave(tx) => Some(tx.account),
            Self::Candidacy(tx) => Some(tx.account),
            Self::Withdraw(tx) => Some(tx.account),
            Self::Faucet(_)
            | Self::TreeUpdate(_)
            | Self::CloseFaulted(_)
            | Self::Maintenance(_)
            | Self::CloseByRenter(_)
            | Self::Delegate(_)
            | Self::Revoke(_)
            | Self::Approve(_)
            | Self::Resign(_)
            | Self::Equivocation(_)
            | Self::Censored(_) => None,
        }
    }
}

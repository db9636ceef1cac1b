//! The sub-keys that accounts have authorised: what each may do, and what it may still spend in
//! this epoch. `docs/protocol.md` §3.1.

use crate::buckets::Buckets;
use larder_types::{AccountId, Amount, Epoch, Hash, SubKeyId, Time};
use serde::{Deserialize, Serialize};

/// Most sub-keys of one account at a time.
pub const MAX_SUB_KEYS: usize = 16;

/// A set of verbs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct May(pub u8);

impl May {
    /// What every sub-key may do: ask the faucet, end a contract with a FAULTED provider.
    pub const NOTHING: Self = Self(0);
    /// Open contracts.
    pub const OPEN: Self = Self(1);
    /// Add content to contracts, or capacity.
    pub const ADD: Self = Self(2);
    /// Put a contract's end off.
    pub const RENEW: Self = Self(4);
    /// Send credit, deposit it, register a provider with it.
    pub const TRANSFER: Self = Self(8);
    /// All of it.
    pub const ALL: Self = Self(15);
    /// Each verb alone.
    pub const EACH: [Self; 4] = [Self::OPEN, Self::ADD, Self::RENEW, Self::TRANSFER];

    /// Whether all verbs of `need` are in it.
    #[must_use]
    pub const fn allows(self, need: Self) -> bool {
        self.0 & need.0 == need.0
    }

    /// The verbs of both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// A sub-key's record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubKey {
    /// What it may do.
    pub may: May,
    /// What it may spend in an epoch; `None`: all there is.
    pub cap: Option<Amount>,
    /// When its newest delegation was signed.
    pub issued: Time,
    /// Until when it holds.
    pub until: Time,
    /// What it spent, in the epoch in which it spent last.
    pub spent: (Epoch, Amount),
}

impl SubKey {
    /// What it has spent in `epoch`.
    #[must_use]
    pub fn spent_in(&self, epoch: Epoch) -> Amount {
        match self.spent {
            (last, amount) if last == epoch => amount,
            _ => Amount::ZERO,
        }
    }
}

/// What a signature is to be good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deed {
    /// The verbs it takes.
    pub need: May,
    /// What it spends.
    pub amount: Amount,
    /// In which epoch.
    pub epoch: Epoch,
    /// When.
    pub time: Time,
}

/// Why a sub-key's signature is good for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SubKeyError {
    /// It was never authorised, or revoked, or its time is over.
    #[error("the sub-key is not authorised")]
    Unauthorised,
    /// It may not do this.
    #[error("the sub-key may not do this")]
    Verb,
    /// It may not spend so much in this epoch.
    #[error("{needed} needed, the sub-key may spend {left} in this epoch")]
    Cap {
        /// What it takes.
        needed: Amount,
        /// What is left of the cap.
        left: Amount,
    },
}

/// Every sub-key that is authorised.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SubKeys(Buckets<(AccountId, SubKeyId), SubKey>);

impl SubKeys {
    /// A sub-key's record.
    #[must_use]
    pub fn get(&self, account: &AccountId, id: &SubKeyId) -> Option<&SubKey> {
        self.0.get(&(*account, *id))
    }

    /// An account's sub-keys.
    pub fn of(&self, account: &AccountId) -> impl Iterator<Item = (SubKeyId, &SubKey)> {
        let all = (*account, SubKeyId([0; 32]))..=(*account, SubKeyId([u8::MAX; 32]));
        self.0.range(all).map(|((_, id), key)| (*id, key))
    }

    /// Whether a signature for `account` by `by` is good for `deed`. The account's own key always
    /// is.
    ///
    /// # Errors
    /// [`SubKeyError`].
    pub fn permit(
        &self,
        account: &AccountId,
        by: Option<SubKeyId>,
        deed: &Deed,
    ) -> Result<(), SubKeyError> {
        self.spending(account, by, deed).map(drop)
    }

    /// The record of the sub-key `by` after `deed`; nothing for the account's own key.
    fn spending(
        &self,
        account: &AccountId,
        by: Option<SubKeyId>,
        deed: &Deed,
    ) -> Result<Option<(SubKeyId, SubKey)>, SubKeyError> {
        let Some(id) = by else {
            return Ok(None);
        };
        let key = self
            .get(account, &id)
            .filter(|key| deed.time < key.until)
            .ok_or(SubKeyError::Unauthorised)?;
        if !key.may.allows(deed.need) {
            return Err(SubKeyError::Verb);
        }
        let spent = key.spent_in(deed.epoch);
        let left = key.cap.map(|cap| cap.saturating_sub(spent));
        if let Some(left) = left.filter(|left| *left < deed.amount) {
            let needed = deed.amount;
            return Err(SubKeyError::Cap { needed, left });
        }
        // Without a cap a sum may not fit; then it does not matter either.
        let sum = spent.checked_add(deed.amount).unwrap_or(Amount(u64::MAX));
        let spent = (deed.epoch, sum);
        Ok(Some((id, SubKey { spent, ..*key })))
    }

    /// Counts what a permitted `deed` spends.
    pub(crate) fn spend(
        &mut self,
        account: &AccountId,
        by: Option<SubKeyId>,
        deed: &Deed,
    ) -> Result<(), SubKeyError> {
        if let Some((id, key)) = self.spending(account, by, deed)? {
            self.0.insert((*account, id), key);
        }
        Ok(())
    }

    /// Puts a record in, and those of the account that have ended by `now` out.
    pub(crate) fn authorise(&mut self, account: AccountId, id: SubKeyId, key: SubKey, now: Time) {
        let ended: Vec<SubKeyId> = self
            .of(&account)
            .filter(|(_, key)| key.until <= now)
            .map(|(id, _)| id)
            .collect();
        for id in ended {
            self.0.remove(&(account, id));
        }
        self.0.insert((account, id), key);
    }

    /// Takes a record out.
    pub(crate) fn revoke(&mut self, account: AccountId, id: SubKeyId) {
        self.0.remove(&(account, id));
    }

    /// Takes all records of an account out.
    pub(crate) fn forget(&mut self, account: &AccountId) {
        let all: Vec<SubKeyId> = self.of(account).map(|(id, _)| id).collect();
        for id in all {
            self.revoke(*account, id);
        }
    }

    /// Every record, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&(AccountId, SubKeyId), &SubKey)> {
        self.0.iter()
    }

    /// Of every record.
    pub(crate) fn digest(&self) -> Hash {
        self.0.digest()
    }
}

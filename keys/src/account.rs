//! Who signs for an account: its own key, which the words give, or a ledger sub-key to which it has
//! delegated. What is signed says which, so that a check needs no guess. `docs/protocol.md` §3.1.

use crate::{Signer, Tag};
use larder_types::{AccountId, GenesisHash, Signature, SubKeyId};

/// An account and a key that signs for it.
#[derive(Clone, Debug)]
pub struct AccountSigner {
    account: AccountId,
    key: Signer,
}

impl AccountSigner {
    /// The account whose own key is `key`.
    #[must_use]
    pub fn own(key: Signer) -> Self {
        Self {
            account: key.account(),
            key,
        }
    }

    /// `account`, by its sub-key `key`.
    #[must_use]
    pub const fn sub(account: AccountId, key: Signer) -> Self {
        Self { account, key }
    }

    /// The account.
    #[must_use]
    pub const fn account(&self) -> AccountId {
        self.account
    }

    /// The sub-key that signs; `None` if it is the account's own key.
    #[must_use]
    pub fn by(&self) -> Option<SubKeyId> {
        let public = self.key.public();
        (public != self.account.0).then_some(SubKeyId(public))
    }

    /// The key itself.
    #[must_use]
    pub const fn key(&self) -> &Signer {
        &self.key
    }

    /// Signs `bytes` as a `tag` of the network `genesis`.
    #[must_use]
    pub fn sign(&self, tag: Tag, genesis: &GenesisHash, bytes: &[u8]) -> Signature {
        self.key.sign(tag, genesis, bytes)
    }
}

/// The public key that a signature for `account` by `by` is checked against. Whether the account
/// has delegated to that key, the ledger knows.
#[must_use]
pub fn signing_key(account: &AccountId, by: Option<SubKeyId>) -> [u8; 32] {
    by.map_or(account.0, |by| by.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_signs_by_itself_or_by_a_named_key() {
        let (account, device) = (Signer::from_seed(&[1; 32]), Signer::from_seed(&[2; 32]));
        let own = AccountSigner::own(account.clone());
        assert_eq!((own.account(), own.by()), (account.account(), None));
        let sub = AccountSigner::sub(account.account(), device.clone());
        let by = Some(SubKeyId(device.public()));
        assert_eq!((sub.account(), sub.by()), (account.account(), by));
        assert_eq!(signing_key(&own.account(), own.by()), account.public());
        assert_eq!(signing_key(&sub.account(), sub.by()), device.public());
    }
}

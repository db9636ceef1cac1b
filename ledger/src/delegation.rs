//! How an account authorises sub-keys and takes their authority away. Both take keys that only the
//! words give, so a device can do neither. They carry no nonce, as they are made before a ledger is
//! at hand: what protects against replay is the time at which they were signed, which only rises.
//! `docs/protocol.md` §3.1.

use crate::May;
use larder_keys::{Signer, Tag, verify};
use larder_types::layout::Layout;
use larder_types::{AccountId, Amount, GenesisHash, Signature, SubKeyId, Time};
use serde::{Deserialize, Serialize};

const DELEGATE: Tag = Tag("delegate");
const DELEGATE_ADMIN: Tag = Tag("delegate admin");
const REVOKE: Tag = Tag("revoke");

/// An account lets a sub-key sign for it. Fee-free.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delegate {
    /// The account.
    pub account: AccountId,
    /// Its admin key: the first delegation puts it in the account's record, later ones name the
    /// same.
    #[serde(with = "serde_bytes")]
    pub admin: [u8; 32],
    /// The key that may sign.
    pub subkey: SubKeyId,
    /// What it may do.
    pub may: May,
    /// What it may spend in an epoch; `None`: what the network's parameters say.
    pub cap: Option<Amount>,
    /// When it was signed: of two for one sub-key the later counts.
    pub issued: Time,
    /// Until when it holds.
    pub until: Time,
    /// By the account key.
    pub sig_account: Signature,
    /// By the admin key, over the same bytes.
    pub sig_admin: Signature,
}

/// What a delegation grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// What the sub-key may do.
    pub may: May,
    /// What it may spend in an epoch; `None`: what the network's parameters say.
    pub cap: Option<Amount>,
    /// From when on.
    pub issued: Time,
    /// Until when.
    pub until: Time,
}

/// An account takes a sub-key's authority away. What was delegated to it before is void, whether
/// the ledger has seen it or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revoke {
    /// The account.
    pub account: AccountId,
    /// Its admin key, as its record has it.
    #[serde(with = "serde_bytes")]
    pub admin: [u8; 32],
    /// The key that may sign no more.
    pub subkey: SubKeyId,
    /// When it was signed.
    pub issued: Time,
    /// By the admin key.
    pub sig_admin: Signature,
}

impl Delegate {
    fn to_layout(&self) -> Vec<u8> {
        Layout::new()
            .fixed(self.account)
            .fixed(self.admin)
            .fixed(self.subkey)
            .u8(self.may.0)
            .option(self.cap.map(|cap| cap.0.to_le_bytes()))
            .u64(self.issued.0)
            .u64(self.until.0)
            .finish()
    }

    /// Authorises `subkey` with both of the account's keys.
    #[must_use]
    pub fn sign(
        account: &Signer,
        admin: &Signer,
        subkey: SubKeyId,
        grant: Grant,
        genesis: &GenesisHash,
    ) -> Self {
        let Grant {
            may,
            cap,
            issued,
            until,
        } = grant;
        let mut delegate = Self {
            account: account.account(),
            admin: admin.public(),
            subkey,
            may,
            cap,
            issued,
            until,
            sig_account: Signature::default(),
            sig_admin: Signature::default(),
        };
        let bytes = delegate.to_layout();
        delegate.sig_account = account.sign(DELEGATE, genesis, &bytes);
        delegate.sig_admin = admin.sign(DELEGATE_ADMIN, genesis, &bytes);
        delegate
    }

    /// Whether both keys signed it.
    #[must_use]
    pub fn verify(&self, genesis: &GenesisHash) -> bool {
        let (bytes, account) = (self.to_layout(), &self.account.0);
        verify(account, DELEGATE, genesis, &bytes, &self.sig_account)
            && verify(
                &self.admin,
                DELEGATE_ADMIN,
                genesis,
                &bytes,
                &self.sig_admin,
            )
    }
}

impl Revoke {
    fn to_layout(&self) -> Vec<u8> {
        Layout::new()
            .fixed(self.account)
            .fixed(self.admin)
            .fixed(self.subkey)
            .u64(self.issued.0)
            .finish()
    }

    /// Revokes `subkey` of `account` with its admin key.
    #[must_use]
    pub fn sign(
        account: AccountId,
        admin: &Signer,
        subkey: SubKeyId,
        issued: Time,
        genesis: &GenesisHash,
    ) -> Self {
        let mut revoke = Self {
            account,
            admin: admin.public(),
            subkey,
            issued,
            sig_admin: Signature::default(),
        };
        revoke.sig_admin = admin.sign(REVOKE, genesis, &revoke.to_layout());
        revoke
    }

    pub(crate) fn verify(&self, genesis: &GenesisHash) -> bool {
        verify(
            &self.admin,
            REVOKE,
            genesis,
            &self.to_layout(),
            &self.sig_admin,
        )
    }
}

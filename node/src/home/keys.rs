//! The keys of an opened home, as types.

use super::safe::{Safe, take};
use super::{HomeError, random_key, read_cert, read_delegation};
use larder_engine::head::DeviceCert;
use larder_keys::{AccountSigner, Signer, VaultKeys};
use larder_ledger::Delegate;
use larder_proofs::bls;
use larder_types::{AccountId, SubKeyId};
use std::path::Path;
use zeroize::Zeroizing;

/// The keys that rest on the device. The words, the account key and the admin key never do.
#[derive(Debug)]
pub struct Keys {
    /// The node: libp2p identity, provider id, and the validator's block key.
    pub node: Signer,
    /// The device: it signs heads.
    pub device: Signer,
    /// What certifies the device; none in homes made before there were heads.
    pub cert: Option<DeviceCert>,
    /// What the rendezvous key is derived from; none in homes made before there were heads.
    pub rendezvous: Option<Zeroizing<[u8; 32]>>,
    /// The device's ledger sub-key: it signs for the account.
    pub ledger: Signer,
    /// What authorises it.
    pub delegation: Delegate,
    /// What the vault's data is named, sealed and masked with.
    pub vault: VaultKeys,
    /// The BLS key of the validator that this node is, or may be one day.
    pub bls: bls::SecretKey,
}

impl Keys {
    /// The account.
    #[must_use]
    pub const fn account(&self) -> AccountId {
        self.delegation.account
    }

    /// The device's sub-key.
    #[must_use]
    pub fn sub_key(&self) -> SubKeyId {
        SubKeyId(self.ledger.public())
    }

    /// What signs for the account: the sub-key.
    #[must_use]
    pub fn ledger_key(&self) -> AccountSigner {
        AccountSigner::sub(self.account(), self.ledger.clone())
    }

    /// Those of the home in `dir`, out of its opened safe.
    pub(super) fn read(dir: &Path, safe: &Safe) -> Result<Self, HomeError> {
        let mut secrets = safe.read()?;
        if !secrets.contains_key("validator-bls") {
            // Homes of an earlier version have one only where a network was founded.
            let bls = random_key();
            safe.keep("validator-bls", &bls)?;
            secrets.insert("validator-bls".to_owned(), bls);
        }
        let rendezvous = secrets.remove("rendezvous");
        let mut take = |name| take(dir, &mut secrets, name);
        Ok(Self {
            cert: read_cert(dir)?,
            rendezvous,
            node: Signer::from_seed(&*take("node")?),
            device: Signer::from_seed(&*take("device")?),
            ledger: Signer::from_seed(&*take("ledger")?),
            delegation: read_delegation(dir)?,
            vault: VaultKeys::from_root(&*take("vault")?),
            bls: bls::SecretKey::from_seed(&*take("validator-bls")?),
        })
    }
}

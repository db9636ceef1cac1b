//! How a renter ends a contract before its end: together with the provider, or alone after a
//! notice; and how it takes back what a contract promises. For an append-only contract all of it
//! takes the admin key, which no device holds. `docs/protocol.md` §3.3, §3.10.

use crate::check::Place;
use crate::{Event, State, TxRefusal};
use larder_contracts::SignedLeaf;
use larder_keys::{Signer, Tag, verify};
use larder_proofs::{APPEND_ONLY, ContractLeaf};
use larder_types::layout::Layout;
use larder_types::{AccountId, ContractId, GenesisHash, NodeId, Signature};
use serde::{Deserialize, Serialize};

const MUTUAL: Tag = Tag("close mutual");
const NOTICE: Tag = Tag("close by renter");
const REDUCE: Tag = Tag("reduce");

/// A renter's word that a contract ends. It carries no nonce: it returns credit to those whom it
/// belongs to, and once, as the contract is gone then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Closing {
    /// Which contract.
    pub contract: ContractId,
    /// Who pays for it.
    pub renter: AccountId,
    /// The key that signs: the account's admin key if the contract is append-only.
    #[serde(with = "serde_bytes")]
    pub key: [u8; 32],
    /// The last height at which it may be included.
    pub expiry: u64,
    /// By that key.
    pub sig: Signature,
}

/// A revision that takes back what the contract promises: shards, flags, or the end of its term.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reduction {
    /// The revision, signed like every other.
    pub signed: SignedLeaf,
    /// The key that allows it: the account's admin key if the contract is append-only.
    #[serde(with = "serde_bytes")]
    pub key: [u8; 32],
    /// By that key, over the same bytes.
    pub sig: Signature,
}

impl Closing {
    /// contract[32] ‖ renter[32] ‖ key[32] ‖ expiry u64.
    pub(crate) fn to_layout(&self) -> Vec<u8> {
        Layout::new()
            .fixed(self.contract)
            .fixed(self.renter)
            .fixed(self.key)
            .u64(self.expiry)
            .finish()
    }

    /// The renter's half of a close that its provider posts.
    #[must_use]
    pub fn mutual(
        key: &Signer,
        renter: AccountId,
        contract: ContractId,
        expiry: u64,
        genesis: &GenesisHash,
    ) -> Self {
        Self::sign(MUTUAL, key, renter, contract, expiry, genesis)
    }

    /// A close after the network's notice, which nobody can refuse.
    #[must_use]
    pub fn notice(
        key: &Signer,
        renter: AccountId,
        contract: ContractId,
        expiry: u64,
        genesis: &GenesisHash,
    ) -> Self {
        Self::sign(NOTICE, key, renter, contract, expiry, genesis)
    }

    fn sign(
        tag: Tag,
        key: &Signer,
        renter: AccountId,
        contract: ContractId,
        expiry: u64,
        genesis: &GenesisHash,
    ) -> Self {
        let mut closing = Self {
            contract,
            renter,
            key: key.public(),
            expiry,
            sig: Signature::default(),
        };
        closing.sig = key.sign(tag, genesis, &closing.to_layout());
        closing
    }

    pub(crate) fn is_mutual(&self, genesis: &GenesisHash) -> bool {
        verify(&self.key, MUTUAL, genesis, &self.to_layout(), &self.sig)
    }

    pub(crate) fn is_notice(&self, genesis: &GenesisHash) -> bool {
        verify(&self.key, NOTICE, genesis, &self.to_layout(), &self.sig)
    }
}

impl Reduction {
    /// Allows `signed`, a revision of a contract with `provider`.
    #[must_use]
    pub fn sign(
        signed: SignedLeaf,
        provider: &NodeId,
        key: &Signer,
        genesis: &GenesisHash,
    ) -> Self {
        let sig = key.sign(REDUCE, genesis, &signed.to_layout(provider));
        Self {
            signed,
            key: key.public(),
            sig,
        }
    }

    /// Whether both signatures are good: the revision's, and that of the key that allows it. Whether that
    /// key may, the state knows.
    #[must_use]
    pub fn verify(&self, provider: &NodeId, genesis: &GenesisHash) -> bool {
        let bytes = self.signed.to_layout(provider);
        self.signed.verify(provider, genesis)
            && verify(&self.key, REDUCE, genesis, &bytes, &self.sig)
    }
}

impl State {
    /// Whether `key` may take back what a contract promises. An account that has not delegated has
    /// no admin key in its record; then no device signs for it, and its own key is enough.
    pub(crate) fn may_take_back(&self, leaf: &ContractLeaf, key: &[u8; 32]) -> bool {
        let admin = self.account(&leaf.renter).and_then(|account| account.admin);
        let is_own = *key == leaf.renter.0;
        match admin {
            Some(admin) if leaf.flags & APPEND_ONLY != 0 => *key == admin,
            Some(admin) => is_own || *key == admin,
            None => is_own,
        }
    }

    /// The rules of a close that the renter signed; its provider.
    pub(crate) fn check_closing(
        &self,
        closing: &Closing,
        place: Place,
    ) -> Result<NodeId, TxRefusal> {
        self.check_expiry(closing.expiry, place)?;
        let contract = self.contract(&closing.contract);
        let (_, provider, leaf) = contract.ok_or(TxRefusal::NoContract)?;
        if leaf.renter != closing.renter {
            return Err(TxRefusal::NotTheRenter);
        }
        if !self.may_take_back(leaf, &closing.key) {
            return Err(TxRefusal::Admin);
        }
        Ok(provider)
    }

    /// One notice a contract: a second would only put it off.
    pub(crate) fn check_notice(&self, tx: &Closing, place: Place) -> Result<(), TxRefusal> {
        self.check_closing(tx, place)?;
        match self.notices.contains_key(&tx.contract) {
            true => Err(TxRefusal::Stale),
            false => Ok(()),
        }
    }

    /// The contract ends after the notice.
    pub(crate) fn give_notice(&mut self, tx: &Closing) -> Result<Vec<Event>, TxRefusal> {
        let contract = tx.contract;
        let (_, provider, _) = self.contract(&contract).ok_or(TxRefusal::NoContract)?;
        let epoch = self
            .epoch
            .saturating_add(1)
            .saturating_add(self.params.notice);
        self.notices.insert(contract, epoch);
        Ok(vec![Event::NoticeGiven {
            provider,
            renter: tx.renter,
            contract,
            epoch,
        }])
    }

    /// In which epoch a contract ends because its renter gave notice.
    #[must_use]
    pub fn leaves_in(&self, contract: &ContractId) -> Option<larder_types::Epoch> {
        self.notices.get(contract).copied()
    }
}

//! What a lost keeper comes back from. A *head* is the account's small, sealed, signed, numbered
//! record: which segments there are, where the catalogues of the older ones lie, which contracts
//! there were, who holds them. Every contracted provider keeps it. `docs/protocol.md` §3.9.
//!
//! Here are the formats, what is signed and what is sealed; [`choose`] picks among what peers give.

mod choose;
mod device;

pub use choose::{Chosen, FoundHead, MAX_ANSWER, StalePeer, choose};
pub use device::{DeviceId, Doom, MAX_DOOMS, Revocation, SeenHead};
pub use larder_keys::RecoveryKeys;

use larder_coding::manifest::{Manifest, ManifestError};
use larder_coding::sealed::{MAX_SEALED, TooLong, open_message, seal_message};
use larder_keys::{Signer, Tag, sign_layout, verify};
use larder_types::codec::{self, DecodeError};
use larder_types::layout::Layout;
use larder_types::{
    AccountId, Class, ContractId, GenesisHash, Hash, NodeId, Signature, SubKeyId, Time,
};
use serde::{Deserialize, Serialize};

/// Most bytes of a sealed head.
pub const MAX_HEAD: usize = MAX_SEALED;
/// The account key's tag on its admin key.
pub const ADMIN_KEY: Tag = Tag("admin key");
/// The admin key's tag on a device.
pub const DEVICE_CERT: Tag = Tag("device cert");
/// The device's tag on a head.
pub const HEAD: Tag = Tag("head");
/// What a head's hash is derived under.
const HEAD_LINK: Tag = Tag("head link");

/// One segment, as a head or a catalogue describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegmentEntry {
    /// Its class.
    pub class: Class,
    /// Whether it holds metadata.
    pub meta: bool,
    /// Whether it is a catalogue of other segments.
    pub catalogue: bool,
    /// Id, length, code and the n roots.
    pub manifest: Manifest,
}

/// What a head says, before it is sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Its number: each head of a device, and of one that recovered from it, has a higher one.
    pub seq: u64,
    /// Catalogues first, then the segments that stand in none of them.
    pub segments: Vec<SegmentEntry>,
    /// The contracts that this device revises, their providers and newest revisions.
    pub contracts: Vec<HeadContract>,
    /// When it was made, by the device's clock: shown, and decides nothing.
    #[serde(default, skip_serializing_if = "is_default")]
    pub time: Time,
    /// What the device's machine is called.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The sub-key that the device signs with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subkey: Option<SubKeyId>,
    /// The hash of the device's head before this one, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prev: Option<Hash>,
    /// How far the device has taken over what the account's other devices' heads say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seen: Vec<SeenHead>,
    /// Segments that are about to go: no device is to need them anew.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dooms: Vec<Doom>,
    /// The devices that the words have revoked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revoked: Vec<Revocation>,
}

impl Head {
    /// A head that says nothing yet.
    #[must_use]
    pub fn empty(seq: u64) -> Self {
        Self {
            seq,
            segments: Vec::new(),
            contracts: Vec::new(),
            time: Time(0),
            name: String::new(),
            subkey: None,
            prev: None,
            seen: Vec::new(),
            dooms: Vec::new(),
            revoked: Vec::new(),
        }
    }
}

pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A contract, as a head names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadContract {
    /// Which.
    pub contract: ContractId,
    /// With whom.
    pub provider: NodeId,
    /// The newest revision that both signed.
    pub revision: u64,
    /// Where the provider was last heard at, as multiaddrs.
    pub addrs: Vec<String>,
    /// How often it has passed to another device. Of two devices that name it the higher number
    /// revises it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub claim: u32,
}

/// The words' holder certifies a device. The account's signature binds the admin key to the
/// account until the ledger's record holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceCert {
    /// Whose device.
    pub account: AccountId,
    /// The account's admin key.
    #[serde(with = "serde_bytes")]
    pub admin_pk: [u8; 32],
    /// The device's key.
    #[serde(with = "serde_bytes")]
    pub device_pk: [u8; 32],
    /// Until when.
    pub expiry: Time,
    /// By the account key, over account and admin key.
    pub sig_account: Signature,
    /// By the admin key, over all of the above.
    pub sig_admin: Signature,
}

/// A head as it travels and rests with others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedHead {
    /// The rendezvous key: a hash of what only the words give.
    pub key: Hash,
    /// The head's number.
    pub seq: u64,
    /// The sealed [`Head`].
    #[serde(with = "serde_bytes")]
    pub sealed: Vec<u8>,
    /// Who made it.
    pub cert: DeviceCert,
    /// By the device, over key, number and sealed bytes.
    pub sig: Signature,
}

/// Why a head is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// Longer than a head may be.
    #[error("the head has {len} bytes, at most {MAX_HEAD} are allowed")]
    TooLong {
        /// Its bytes.
        len: usize,
    },
    /// Kept under another rendezvous key.
    #[error("the head is kept under another key")]
    Key,
    /// Another account's.
    #[error("the head is another account's")]
    Account,
    /// The account did not name the admin key, or that key not the device.
    #[error("the device's certificate does not verify")]
    Cert,
    /// The device did not sign it.
    #[error("the device did not sign the head")]
    Signature,
    /// It was sealed for other keys, another number or another device.
    #[error("the head's seal does not open")]
    Seal,
    /// What was sealed is no head.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The number inside is not the one outside.
    #[error("the head says {inside} inside and {outside} outside")]
    Number {
        /// What was sealed.
        inside: u64,
        /// What was signed.
        outside: u64,
    },
    /// A segment is described in a way that this build cannot decode.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

impl DeviceCert {
    /// Certifies the device key `device_pk` of the account until `expiry`. Takes the words' keys.
    #[must_use]
    pub fn sign(
        account: &Signer,
        admin: &Signer,
        device_pk: [u8; 32],
        expiry: Time,
        net: &GenesisHash,
    ) -> Self {
        let mut cert = Self {
            account: account.account(),
            admin_pk: admin.public(),
            device_pk,
            expiry,
            sig_account: Signature::default(),
            sig_admin: Signature::default(),
        };
        cert.sig_account = account.sign(ADMIN_KEY, net, &cert.admin_layout());
        cert.sig_admin = admin.sign(DEVICE_CERT, net, &cert.device_layout());
        cert
    }

    /// account\[32\] ‖ admin_pk\[32\].
    fn admin_layout(&self) -> Vec<u8> {
        Layout::new()
            .fixed(self.account)
            .fixed(self.admin_pk)
            .finish()
    }

    /// account\[32\] ‖ admin_pk\[32\] ‖ device_pk\[32\] ‖ expiry u64 ‖ sig_account\[64\].
    fn device_layout(&self) -> Vec<u8> {
        Layout::new()
            .fixed(self.account)
            .fixed(self.admin_pk)
            .fixed(self.device_pk)
            .u64(self.expiry.0)
            .fixed(self.sig_account.0)
            .finish()
    }

    /// Whether the account named the admin key and that key the device; not whether it is past.
    #[must_use]
    pub fn verify(&self, net: &GenesisHash) -> bool {
        verify(
            &self.account.0,
            ADMIN_KEY,
            net,
            &self.admin_layout(),
            &self.sig_account,
        ) && verify(
            &self.admin_pk,
            DEVICE_CERT,
            net,
            &self.device_layout(),
            &self.sig_admin,
        )
    }

    /// Whether it verifies and still holds.
    #[must_use]
    pub fn holds(&self, now: Time, net: &GenesisHash) -> bool {
        now <= self.expiry && self.verify(net)
    }

    /// The canonical encoding: what `keys/device.cert` holds.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Reads [`DeviceCert::to_bytes`]; nothing is verified.
    ///
    /// # Errors
    /// [`DecodeError`] if it is no canonical encoding of one.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        codec::decode(bytes)
    }
}

impl SignedHead {
    /// Seals and signs a head for the device whose key and certificate these are. `nonce` must be
    /// fresh random bytes.
    ///
    /// # Errors
    /// [`TooLong`] if the head does not fit.
    pub fn seal(
        head: &Head,
        nonce: [u8; 12],
        keys: &RecoveryKeys,
        (device, cert): (&Signer, &DeviceCert),
        net: &GenesisHash,
    ) -> Result<Self, TooLong> {
        let context = seal_context(&keys.key, head.seq, &cert.device_pk);
        let sealed = seal_message(&keys.seal, nonce, &context, &codec::encode(head))?;
        let mut signed = Self {
            key: keys.key,
            seq: head.seq,
            sealed,
            cert: cert.clone(),
            sig: Signature::default(),
        };
        signed.sig = device.sign(HEAD, net, &signed.layout());
        Ok(signed)
    }

    /// account\[32\] ‖ key\[32\] ‖ seq u64 ‖ length u32 ‖ sealed bytes: nobody else's certificate goes
    /// with it.
    fn layout(&self) -> Vec<u8> {
        Layout::new()
            .fixed(self.cert.account)
            .fixed(self.key)
            .u64(self.seq)
            .var(&self.sealed)
            .finish()
    }

    /// Which device made it.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        DeviceId(self.cert.device_pk)
    }

    /// By what the next head of its device names it.
    #[must_use]
    pub fn hash(&self, net: &GenesisHash) -> Hash {
        let layout = Layout::new().var(self.layout()).fixed(self.sig.0);
        Hash(sign_layout(HEAD_LINK, net, &layout.finish()))
    }

    /// What anyone can check: its length, the certificate, the device's signature.
    ///
    /// # Errors
    /// [`HeadError::TooLong`], [`HeadError::Cert`] or [`HeadError::Signature`].
    pub fn verify(&self, net: &GenesisHash) -> Result<(), HeadError> {
        if self.sealed.len() > MAX_HEAD {
            let len = self.sealed.len();
            return Err(HeadError::TooLong { len });
        }
        if !self.cert.verify(net) {
            return Err(HeadError::Cert);
        }
        let signed = verify(&self.cert.device_pk, HEAD, net, &self.layout(), &self.sig);
        signed.then_some(()).ok_or(HeadError::Signature)
    }

    /// Verifies and opens a head of `account`.
    ///
    /// # Errors
    /// [`HeadError`] for whatever is not, bit for bit, a head that a device of the account made
    /// for these keys.
    pub fn open(
        &self,
        keys: &RecoveryKeys,
        account: &AccountId,
        net: &GenesisHash,
    ) -> Result<Head, HeadError> {
        if self.key != keys.key {
            return Err(HeadError::Key);
        }
        if self.cert.account != *account {
            return Err(HeadError::Account);
        }
        self.verify(net)?;
        let context = seal_context(&self.key, self.seq, &self.cert.device_pk);
        let bytes =
            open_message(&keys.seal, &context, &self.sealed).map_err(|_| HeadError::Seal)?;
        let head: Head = codec::decode(&bytes)?;
        if head.seq != self.seq {
            let (inside, outside) = (head.seq, self.seq);
            return Err(HeadError::Number { inside, outside });
        }
        head.segments
            .iter()
            .try_for_each(|entry| entry.manifest.check())?;
        Ok(head)
    }
}

/// The seal's associated data: key\[32\] ‖ seq u64 ‖ device_pk\[32\].
fn seal_context(key: &Hash, seq: u64, device_pk: &[u8; 32]) -> Vec<u8> {
    Layout::new().fixed(key).u64(seq).fixed(device_pk).finish()
}

#[cfg(test)]
mod tests;

//! What a lost keeper comes back from. A *head* is the account's small, sealed, signed, numbered
//! record: which segments there are, where the catalogues of the older ones lie, which contracts
//! there were, who holds them. Every contracted provider keeps it. `docs/protocol.md` §3.9.

use larder_coding::manifest::Manifest;
use larder_types::{AccountId, Class, ContractId, Hash, NodeId, Signature, Time};
use serde::{Deserialize, Serialize};

/// Most bytes of a sealed head.
pub const MAX_HEAD: usize = 64 << 10;

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
    /// The contracts that the account rents, their providers and newest revisions.
    pub contracts: Vec<HeadContract>,
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

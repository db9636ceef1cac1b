//! Several devices of one account: what one head says of the others, and the word by which one of
//! them is put out. `docs/protocol.md` §3.9.

use larder_keys::{Signer, Tag, verify};
use larder_types::layout::Layout;
use larder_types::{AccountId, GenesisHash, SegmentId, Signature};
use serde::{Deserialize, Serialize};

/// The admin key's tag on a revocation.
const DEVICE_REVOKED: Tag = Tag("device revoked");

/// A device of an account: its key.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct DeviceId(#[serde(with = "serde_bytes")] pub [u8; 32]);

/// Segments that a head can announce as about to go: 9 KiB.
pub const MAX_DOOMS: usize = 1_024;

/// How far a device has taken over what another one's heads say: an acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeenHead {
    /// Which device.
    pub device: DeviceId,
    /// Its head's number.
    pub seq: u64,
}

/// A segment that is about to go, by the first bytes of its id: enough to tell it apart from those
/// of one account. To take one for it that stays costs some deduplication and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Doom(#[serde(with = "serde_bytes")] pub [u8; 8]);

impl From<&SegmentId> for Doom {
    fn from(id: &SegmentId) -> Self {
        let mut first = [0; 8];
        first.copy_from_slice(&id.0[..8]);
        Self(first)
    }
}

/// The words put a device out: its heads count up to a number, and none above.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// Which device.
    pub device: DeviceId,
    /// The number of its last head that counts.
    pub seq: u64,
    /// By the account's admin key.
    pub sig: Signature,
}

impl Revocation {
    /// Puts a device out. Takes the words' admin key.
    #[must_use]
    pub fn sign(
        account: &AccountId,
        admin: &Signer,
        (device, seq): (DeviceId, u64),
        net: &GenesisHash,
    ) -> Self {
        let mut it = Self {
            device,
            seq,
            sig: Signature::default(),
        };
        it.sig = admin.sign(DEVICE_REVOKED, net, &it.layout(account));
        it
    }

    /// account\[32\] ‖ device\[32\] ‖ seq u64.
    fn layout(&self, account: &AccountId) -> Vec<u8> {
        Layout::new()
            .fixed(account)
            .fixed(self.device.0)
            .u64(self.seq)
            .finish()
    }

    /// Whether this admin key of the account said so.
    #[must_use]
    pub fn verify(&self, account: &AccountId, admin_pk: &[u8; 32], net: &GenesisHash) -> bool {
        verify(
            admin_pk,
            DEVICE_REVOKED,
            net,
            &self.layout(account),
            &self.sig,
        )
    }
}

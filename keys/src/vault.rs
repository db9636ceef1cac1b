//! Vault keys: what a keeper's data is named, sealed and masked with. All are derived from one
//! 32-byte root by label. `docs/protocol.md` §3.2.

use crate::Signer;
use larder_types::{BlobId, SegmentId};
use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// The keys of one vault epoch. The root is what rests on a device (file mode 0600).
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct VaultKeys {
    root: [u8; 32],
    blob_id: [u8; 32],
    seal: [u8; 32],
    mask: [u8; 32],
}

fn derive(context: &str, material: &[&[u8]]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(context);
    for part in material {
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}

impl VaultKeys {
    /// The keys below `root`.
    #[must_use]
    pub fn from_root(root: &[u8; 32]) -> Self {
        Self {
            root: *root,
            blob_id: derive("larder v1 vault blob id", &[root]),
            seal: derive("larder v1 vault seal", &[root]),
            mask: derive("larder v1 vault mask", &[root]),
        }
    }

    /// The root, to be kept in a file of mode 0600.
    #[must_use]
    pub fn root(&self) -> &[u8; 32] {
        &self.root
    }

    /// The key of blob ids: `BlobId = keyed_hash(key, plaintext)`.
    #[must_use]
    pub fn blob_id_key(&self) -> &[u8; 32] {
        &self.blob_id
    }

    /// The AEAD key of one blob: it depends on the cipher and the blob's id alone.
    #[must_use]
    pub fn blob_key(&self, cipher: u8, id: &BlobId) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(derive(
            "larder v1 blob key",
            &[&self.seal, &[cipher], &id.0],
        ))
    }

    /// The key of a segment's outer encryption, which repair agents never hold.
    #[must_use]
    pub fn segment_key(&self, id: &SegmentId) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(derive("larder v1 segment key", &[&self.seal, &id.0]))
    }

    /// The key that seals heads. `docs/protocol.md` §3.9.
    #[must_use]
    pub fn head_key(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(derive("larder v1 vault head", &[&self.root]))
    }

    /// The key that reads for the holder of one share. `docs/protocol.md` §3.13.
    #[must_use]
    pub fn reader_key(&self, share: &[u8; 16]) -> Signer {
        let seed = Zeroizing::new(derive("larder v1 share reader", &[&self.root, share]));
        Signer::from_seed(&seed)
    }

    /// `MK_seg`, from which each position's mask is derived.
    #[must_use]
    pub fn mask_key(&self, id: &SegmentId) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(derive("larder v1 segment mask", &[&self.mask, &id.0]))
    }
}

impl fmt::Debug for VaultKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VaultKeys(secret)")
    }
}

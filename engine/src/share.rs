//! A share: what it takes to read one folder of a snapshot, and nothing else of the account. It names
//! the folder's blobs with a key each, the segments in which they lie with their roots and holders,
//! and the rights to read exactly those roots. Signed by a device of the owner's for one recipient,
//! sealed to that person's sharing key. `docs/protocol.md` §3.13.

use crate::Engine;
use crate::head::DeviceCert;
use crate::wire::ReadCap;
use larder_coding::blob::MAX_PLAIN;
use larder_coding::manifest::{Manifest, ManifestError};
use larder_keys::sharing::{BadSharingKey, UnsealError};
use larder_keys::{AccountSigner, GivenKey, SharingCert, SharingKey, Signer, Tag, verify};
use larder_types::codec::{self, DecodeError};
use larder_types::layout::Layout;
use larder_types::{
    AccountId, BlobId, ContractId, GenesisHash, NodeId, SegmentId, Signature, Time,
};
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Most bytes of a share before it is sealed: some 200,000 blobs and their segments, 300 GB of large
/// files.
pub const MAX_SHARE: usize = 32 << 20;
/// Most bytes of its file: what the seal adds is far below this.
pub const MAX_SEALED_SHARE: usize = MAX_SHARE + (64 << 10);
/// Most bytes of a share's name.
pub const MAX_NAME: usize = 256;
/// The device's tag on a share.
pub const SHARE: Tag = Tag("share");

/// What a share says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// Its id: 16 random bytes.
    #[serde(with = "serde_bytes")]
    pub id: [u8; 16],
    /// What the owner calls it.
    pub name: String,
    /// When it was made; one that was made anew has the same id and a later time.
    pub created: Time,
    /// Until when its rights hold.
    pub expiry: Time,
    /// Files in it.
    pub files: u64,
    /// Folders in it.
    pub dirs: u64,
    /// Bytes of its files.
    pub bytes: u64,
    /// What is shared, as the backup describes it.
    #[serde(with = "serde_bytes")]
    pub tree: Vec<u8>,
    /// The seed of the key that the rights name as their reader.
    pub reader: GivenKey,
    /// Who holds the segments.
    pub providers: Vec<SharedProvider>,
    /// The segments in which the blobs lie.
    pub segments: Vec<SegmentShare>,
    /// Every blob of what is shared, trees and lists included.
    pub blobs: Vec<SharedBlob>,
}

/// A provider and where it was last heard at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SharedProvider {
    /// Who.
    pub node: NodeId,
    /// Multiaddrs.
    pub addrs: Vec<String>,
}

/// A segment that may be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegmentShare {
    /// Id, length, code and roots.
    pub manifest: Manifest,
    /// The key of its outer encryption.
    pub outer: GivenKey,
    /// The key of its masks.
    pub mask: GivenKey,
    /// Where its shards lie.
    pub places: Vec<SharedPlace>,
}

/// A shard that may be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SharedPlace {
    /// Its position.
    pub position: u16,
    /// Who holds it.
    pub provider: NodeId,
    /// The right to read it.
    pub cap: ReadCap,
}

/// A blob and its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SharedBlob {
    /// Which.
    #[serde(rename = "i")]
    pub id: BlobId,
    /// What opens it.
    #[serde(rename = "k")]
    pub key: GivenKey,
    /// The segment it lies in, counted from 0.
    #[serde(rename = "s")]
    pub segment: u32,
    /// Byte of the segment at which it begins.
    #[serde(rename = "o")]
    pub offset: u32,
    /// Bytes, header included.
    #[serde(rename = "l")]
    pub len: u32,
    /// Bytes of its plaintext.
    #[serde(rename = "p")]
    pub plain_len: u32,
}

/// A share as it is sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedShare {
    /// The encoded [`Share`].
    #[serde(with = "serde_bytes")]
    pub share: Vec<u8>,
    /// Whose device made it.
    pub cert: DeviceCert,
    /// By that device, over recipient and share.
    pub sig: Signature,
}

/// A segment that a share lets us read, as the engine takes it.
#[derive(Clone, Debug)]
pub struct SharedSegment {
    /// Id, length, code and roots.
    pub manifest: Manifest,
    /// Where its shards lie, and the rights to read them.
    pub places: Vec<SharedPlace>,
    /// The key that the rights name.
    pub reader: Signer,
}

/// A segment of ours as it stands with providers, before anybody may read it.
#[derive(Clone, Debug)]
pub struct Lendable {
    /// Id, length, code and roots.
    pub manifest: Manifest,
    /// The positions that are held: position, provider, contract.
    pub held: Vec<(u16, NodeId, ContractId)>,
}

/// Who knows that a reader's rights are void.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revocation {
    /// Providers that have said so.
    pub told: Vec<NodeId>,
    /// Providers that are still to be told.
    pub untold: Vec<NodeId>,
    /// Contracts that have ended, under which nothing is served anyhow.
    pub ended: u32,
}

/// Why a share is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShareError {
    /// More than there may be.
    #[error("a share has at most {MAX_SHARE} bytes, this one has {len}: share a smaller folder")]
    TooLong {
        /// Its bytes.
        len: usize,
    },
    /// It was not sealed to us.
    #[error(transparent)]
    Sealed(#[from] UnsealError),
    /// Nothing can be sealed to the recipient.
    #[error(transparent)]
    Recipient(#[from] BadSharingKey),
    /// What was sealed is no share.
    #[error("the share is damaged: {0}")]
    Decode(#[from] DecodeError),
    /// The account does not know the device that signed, or no more.
    #[error("the certificate of the device that made the share does not hold; ask for a new share")]
    Cert,
    /// The device did not sign it for us.
    #[error("the device did not sign the share for this account")]
    Signature,
    /// A segment that this build cannot decode.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// Parts that do not belong together.
    #[error("the share is damaged: bad {0}")]
    Parts(&'static str),
}

impl Lendable {
    /// The rights to read all that is held of it, for `reader` until `expiry`: exactly its roots.
    #[must_use]
    pub fn grant(
        &self,
        (reader, expiry): (NodeId, Time),
        owner: &AccountSigner,
        net: &GenesisHash,
    ) -> Vec<SharedPlace> {
        let place = |(position, provider, contract): &(u16, NodeId, ContractId)| {
            let root = *self.manifest.roots.get(usize::from(*position))?;
            Some(SharedPlace {
                position: *position,
                provider: *provider,
                cap: ReadCap::sign(*contract, root, reader, expiry, owner, net),
            })
        };
        self.held.iter().filter_map(place).collect()
    }
}

impl Engine {
    /// Those of `segments` that are ours and coded, and who holds them.
    #[must_use]
    pub fn lendable(&self, segments: &[SegmentId]) -> Vec<Lendable> {
        let lendable = |id: &SegmentId| {
            let row = self.renter.segments.get(id)?;
            let manifest = Manifest::new(*id, row.len, row.code, row.roots.clone()).ok()?;
            let held = (0..row.code.n()).filter_map(|position| {
                let (contract, provider, _) = self.renter.holder(id, position)?;
                Some((position, provider, contract))
            });
            Some(Lendable {
                held: held.collect(),
                manifest,
            })
        };
        segments.iter().filter_map(lendable).collect()
    }

    /// Where providers were last heard at.
    #[must_use]
    pub fn heard_at(&self, providers: &BTreeSet<NodeId>) -> Vec<SharedProvider> {
        let provider = |node: &NodeId| SharedProvider {
            node: *node,
            addrs: self.renter.addrs(node),
        };
        providers.iter().map(provider).collect()
    }

    /// How far the word has come that a reader's rights are void.
    #[must_use]
    pub fn revocation(&self, reader: &NodeId) -> Revocation {
        self.renter.revocation(reader)
    }

    /// Whether a provider said of one of these borrowed segments that its owner has taken the right
    /// back.
    #[must_use]
    pub fn is_taken_back(&self, segments: &[SegmentId]) -> bool {
        self.renter.is_taken_back(segments)
    }

    /// Whether a segment is this account's own.
    #[must_use]
    pub fn owns(&self, segment: &SegmentId) -> bool {
        self.renter.segments.contains_key(segment)
    }
}

impl Share {
    /// Signs it for `to` by a device of the owner's, and seals it.
    ///
    /// # Errors
    /// [`ShareError::TooLong`]; [`ShareError::Recipient`] if the recipient's key is none.
    pub fn seal(
        &self,
        (device, cert): (&Signer, &DeviceCert),
        to: &SharingCert,
        net: &GenesisHash,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, ShareError> {
        let share = codec::encode(self);
        if share.len() > MAX_SHARE {
            let len = share.len();
            return Err(ShareError::TooLong { len });
        }
        let layout = layout(&cert.account, (&to.account, &to.sharing_pk), &share);
        let signed = SignedShare {
            sig: device.sign(SHARE, net, &layout),
            cert: cert.clone(),
            share,
        };
        Ok(to.seal(&codec::encode(&signed), net, rng)?)
    }

    /// Opens what was sealed to `key` of the account `me`: the share, and whose it is.
    ///
    /// # Errors
    /// [`ShareError`] for whatever is not, bit for bit, a share that a certified device made for us.
    pub fn open(
        sealed: &[u8],
        (me, key): (&AccountId, &SharingKey),
        now: Time,
        net: &GenesisHash,
    ) -> Result<(Self, AccountId), ShareError> {
        if sealed.len() > MAX_SEALED_SHARE {
            let len = sealed.len();
            return Err(ShareError::TooLong { len });
        }
        let signed: SignedShare = codec::decode(&key.open(me, net, sealed)?)?;
        let from = signed.cert.account;
        if !signed.cert.holds(now, net) {
            return Err(ShareError::Cert);
        }
        let layout = layout(&from, (me, &key.public()), &signed.share);
        if !verify(&signed.cert.device_pk, SHARE, net, &layout, &signed.sig) {
            return Err(ShareError::Signature);
        }
        let share: Self = codec::decode(&signed.share)?;
        share.check()?;
        Ok((share, from))
    }

    /// The reader that the rights name.
    #[must_use]
    pub fn reader(&self) -> Signer {
        Signer::from_seed(&self.reader.0)
    }

    /// Whether the parts fit together; what they promise only reading shows.
    ///
    /// # Errors
    /// [`ShareError::Manifest`] or [`ShareError::Parts`].
    pub fn check(&self) -> Result<(), ShareError> {
        let bad = |part| Err(ShareError::Parts(part));
        let is_odd = self.name.is_empty() || self.name.contains(char::is_control);
        if is_odd || self.name.len() > MAX_NAME {
            return bad("name");
        }
        let reader = self.reader().node();
        let mut ids = BTreeSet::new();
        for segment in &self.segments {
            segment.manifest.check()?;
            if !ids.insert(segment.manifest.segment) {
                return bad("segments");
            }
            let mut positions = BTreeSet::new();
            for place in &segment.places {
                let root = segment.manifest.roots.get(usize::from(place.position));
                let fits = root == Some(&place.cap.root) && place.cap.reader == reader;
                if !fits || place.cap.pass.is_some() || !positions.insert(place.position) {
                    return bad("places");
                }
            }
        }
        for blob in &self.blobs {
            let index = usize::try_from(blob.segment).unwrap_or(usize::MAX);
            let segment = self.segments.get(index);
            let end = u64::from(blob.offset) + u64::from(blob.len);
            let lies_inside = segment.is_some_and(|s| end <= s.manifest.segment_len);
            let plain = usize::try_from(blob.plain_len).unwrap_or(usize::MAX);
            if !lies_inside || plain > MAX_PLAIN {
                return bad("blobs");
            }
        }
        Ok(())
    }

    /// The segments as the engine takes them.
    #[must_use]
    pub fn to_borrow(&self) -> Vec<SharedSegment> {
        let reader = self.reader();
        let segment = |s: &SegmentShare| SharedSegment {
            manifest: s.manifest.clone(),
            places: s.places.clone(),
            reader: reader.clone(),
        };
        self.segments.iter().map(segment).collect()
    }
}

/// owner\[32\] ‖ recipient\[32\] ‖ sharing_pk\[32\] ‖ length u32 ‖ share: handed on to somebody else it
/// is worth nothing.
fn layout(from: &AccountId, to: (&AccountId, &[u8; 32]), share: &[u8]) -> Vec<u8> {
    Layout::new()
        .fixed(from)
        .fixed(to.0)
        .fixed(to.1)
        .var(share)
        .finish()
}

#[cfg(test)]
mod tests;

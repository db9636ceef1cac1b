//! Manifests: what it takes to bring a segment back. The private [`Manifest`] names the segment and
//! stays with the owner's metadata; the [`RepairManifest`] is what an agent may see: roots and
//! places, no key and no segment id. Canonical DAG-CBOR, named by CID. `docs/protocol.md` §3.11.

use crate::layout::{Code, is_shard_len, shard_len};
use larder_types::cid::document;
use larder_types::codec::{self, DecodeError};
use larder_types::{ContractId, Hash, NodeId, SegmentId, ShardRoot};
use serde::{Deserialize, Serialize};

/// The owner's record of a coded segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The segment.
    pub segment: SegmentId,
    /// Bytes of C.
    pub segment_len: u64,
    /// Its code.
    pub code: Code,
    /// L, bytes of each shard.
    pub shard_len: u64,
    /// How parity was computed: [`Code::descriptor`].
    pub rs: String,
    /// `R_0 … R_{n−1}`.
    pub roots: Vec<ShardRoot>,
}

/// What a repair agent works from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepairManifest {
    /// The segment under its repair id.
    pub repair_id: Hash,
    /// Its code.
    pub code: Code,
    /// L, bytes of each shard.
    pub shard_len: u64,
    /// How parity was computed: [`Code::descriptor`].
    pub rs: String,
    /// `R_0 … R_{n−1}`.
    pub roots: Vec<ShardRoot>,
    /// Who holds each position, and under which contract; `None` while nobody does.
    pub places: Vec<Option<Place>>,
}

/// Where a position is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The provider.
    pub provider: NodeId,
    /// The contract that pays for it.
    pub contract: ContractId,
}

/// Why a manifest is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// No canonical encoding of one.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Not one root, or one place, for each position.
    #[error("{got} {what} for {n} positions")]
    Count {
        /// `roots` or `places`.
        what: &'static str,
        /// How many there are.
        got: usize,
        /// Positions of the code.
        n: u16,
    },
    /// L is not the length that the segment and the code give.
    #[error("shards of {got} bytes where the segment and the code give {want}")]
    ShardLen {
        /// The least multiple of 16 KiB that fits.
        want: u64,
        /// What the manifest says.
        got: u64,
    },
    /// L is no length of a shard: not a positive multiple of 16 KiB below 256 GiB.
    #[error("no shard has {got} bytes")]
    Length {
        /// What the manifest says.
        got: u64,
    },
    /// Another way of computing parity than this build's.
    #[error("the shards were coded with {got:?}, this build has {want:?}")]
    Scheme {
        /// What this build computes for the code.
        want: String,
        /// What the manifest says.
        got: String,
    },
}

/// The id under which agents and providers know a segment. It tells nothing of the segment's own.
#[must_use]
pub fn repair_id(segment: &SegmentId) -> Hash {
    Hash(blake3::derive_key("larder v1 repair id", &segment.0))
}

/// A shard leaf's tag, by which a segment's shards are found in a contract: the first eight bytes
/// of keyed(repair id, j). `docs/protocol.md` §3.3.
#[must_use]
pub fn shard_tag(repair_id: &Hash, position: u16) -> [u8; 8] {
    let hash = blake3::keyed_hash(&repair_id.0, &position.to_le_bytes());
    let mut tag = [0; 8];
    tag.copy_from_slice(&hash.as_bytes()[..8]);
    tag
}

impl Manifest {
    /// The manifest of a segment that was coded by this build.
    ///
    /// # Errors
    /// [`ManifestError::Count`] unless there is a root for each position.
    pub fn new(
        segment: SegmentId,
        segment_len: u64,
        code: Code,
        roots: Vec<ShardRoot>,
    ) -> Result<Self, ManifestError> {
        count("roots", roots.len(), code)?;
        Ok(Self {
            segment,
            segment_len,
            code,
            shard_len: shard_len(segment_len, code.k()),
            rs: code.descriptor(),
            roots,
        })
    }

    /// The canonical encoding.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Decodes and checks.
    ///
    /// # Errors
    /// [`ManifestError`] unless it is canonical, whole and decodable by this build.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ManifestError> {
        let m: Self = codec::decode(bytes)?;
        m.check()?;
        Ok(m)
    }

    /// Whether the parts fit together: for a manifest that came within another document.
    ///
    /// # Errors
    /// [`ManifestError`] unless it is whole and decodable by this build.
    pub fn check(&self) -> Result<(), ManifestError> {
        count("roots", self.roots.len(), self.code)?;
        scheme(&self.rs, self.code)?;
        length(self.shard_len)?;
        let (want, got) = (shard_len(self.segment_len, self.code.k()), self.shard_len);
        if got == want {
            Ok(())
        } else {
            Err(ManifestError::ShardLen { want, got })
        }
    }

    /// The manifest's CID as text, `bafyr4i…`.
    #[must_use]
    pub fn cid(&self) -> String {
        document(&self.to_bytes()).to_string()
    }

    /// The id under which agents know the segment.
    #[must_use]
    pub fn repair_id(&self) -> Hash {
        repair_id(&self.segment)
    }

    /// The part an agent may see, with the places known now (fewer than n are filled up).
    #[must_use]
    pub fn repair(&self, mut places: Vec<Option<Place>>) -> RepairManifest {
        places.resize(usize::from(self.code.n()), None);
        RepairManifest {
            repair_id: self.repair_id(),
            code: self.code,
            shard_len: self.shard_len,
            rs: self.rs.clone(),
            roots: self.roots.clone(),
            places,
        }
    }
}

impl RepairManifest {
    /// The canonical encoding.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Decodes and checks.
    ///
    /// # Errors
    /// [`ManifestError`] unless it is canonical, whole and decodable by this build.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ManifestError> {
        let m: Self = codec::decode(bytes)?;
        m.check()?;
        Ok(m)
    }

    /// Whether the parts fit together: all n roots and places, an L that a shard can have, and a
    /// code that this build computes.
    ///
    /// # Errors
    /// [`ManifestError`] unless it is whole and can be rebuilt from by this build.
    pub fn check(&self) -> Result<(), ManifestError> {
        count("roots", self.roots.len(), self.code)?;
        count("places", self.places.len(), self.code)?;
        scheme(&self.rs, self.code)?;
        length(self.shard_len)
    }

    /// The manifest's CID as text, `bafyr4i…`.
    #[must_use]
    pub fn cid(&self) -> String {
        document(&self.to_bytes()).to_string()
    }

    /// The tag of a position's shard leaf.
    #[must_use]
    pub fn tag(&self, position: u16) -> [u8; 8] {
        shard_tag(&self.repair_id, position)
    }
}

fn count(what: &'static str, got: usize, code: Code) -> Result<(), ManifestError> {
    let n = code.n();
    if got == usize::from(n) {
        Ok(())
    } else {
        Err(ManifestError::Count { what, got, n })
    }
}

fn scheme(got: &str, code: Code) -> Result<(), ManifestError> {
    let want = code.descriptor();
    if got == want {
        Ok(())
    } else {
        let got = got.to_owned();
        Err(ManifestError::Scheme { want, got })
    }
}

fn length(got: u64) -> Result<(), ManifestError> {
    if is_shard_len(got) {
        Ok(())
    } else {
        Err(ManifestError::Length { got })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let code = Code::new(4, 8, 6).unwrap();
        let roots = (0..8).map(|j| ShardRoot([j; 32])).collect();
        Manifest::new(SegmentId([9; 32]), 1 << 20, code, roots).unwrap()
    }

    #[test]
    fn manifests_read_back_and_have_a_cid() {
        let m = manifest();
        assert_eq!(Manifest::from_bytes(&m.to_bytes()), Ok(m.clone()));
        assert!(m.cid().starts_with("bafyr4i"));
        let place = Place {
            provider: NodeId([1; 32]),
            contract: ContractId([2; 32]),
        };
        let repair = m.repair(vec![None, Some(place)]);
        assert_eq!(RepairManifest::from_bytes(&repair.to_bytes()), Ok(repair));
    }

    #[test]
    fn a_repair_manifest_does_not_name_the_segment() {
        let bytes = manifest().repair(Vec::new()).to_bytes();
        assert!(!bytes.windows(32).any(|w| w == [9; 32]));
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        type Spoil = fn(&mut Manifest);
        let cases: [(&str, Spoil); 9] = [
            ("a root too few", |m| m.roots.truncate(7)),
            ("a root too many", |m| m.roots.push(ShardRoot([0; 32]))),
            ("no roots", |m| m.roots.clear()),
            ("a longer shard", |m| m.shard_len += 16 << 10),
            ("no shard", |m| m.shard_len = 0),
            ("a shard beyond all", |m| {
                (m.segment_len, m.shard_len) = (u64::MAX, u64::MAX);
            }),
            ("a longer segment", |m| m.segment_len += 1),
            ("the other rate", |m| m.rs = m.rs.replace("high", "low")),
            ("another version", |m| {
                m.rs = m.rs.replace("simd 3", "simd 4")
            }),
        ];
        for (name, spoil) in cases {
            let mut m = manifest();
            spoil(&mut m);
            assert!(Manifest::from_bytes(&m.to_bytes()).is_err(), "{name}");
        }
        let good = manifest().to_bytes();
        let longer = [&good[..], &[0]].concat();
        assert!(Manifest::from_bytes(&longer).is_err(), "a trailing byte");
        assert!(Manifest::from_bytes(&good[1..]).is_err(), "a byte less");
    }

    #[test]
    fn a_repair_manifest_is_whole_or_refused() {
        type Spoil = fn(&mut RepairManifest);
        let cases: [(&str, Spoil); 7] = [
            ("a root too few", |m| m.roots.truncate(7)),
            ("a place too few", |m| m.places.truncate(7)),
            ("a place too many", |m| m.places.push(None)),
            ("no whole groups", |m| m.shard_len += 1),
            ("no shard", |m| m.shard_len = 0),
            ("a shard beyond all", |m| m.shard_len = u64::MAX),
            ("the other rate", |m| m.rs = m.rs.replace("high", "low")),
        ];
        for (name, spoil) in cases {
            let mut m = manifest().repair(Vec::new());
            spoil(&mut m);
            assert!(RepairManifest::from_bytes(&m.to_bytes()).is_err(), "{name}");
        }
    }

    #[test]
    fn tags_differ_by_position_and_segment() {
        let (a, b) = (
            repair_id(&SegmentId([1; 32])),
            repair_id(&SegmentId([2; 32])),
        );
        assert_ne!(shard_tag(&a, 0), shard_tag(&a, 1));
        assert_ne!(shard_tag(&a, 0), shard_tag(&b, 0));
    }
}

//! An authenticated map: one root for many records under 32-byte keys, and short proofs that a
//! record is there, or that there is none. A trie over the bits of the key, the highest first: a
//! part with one record is that record's leaf, a part with none is empty, every other part is the
//! node of its two halves. So the root follows from the records alone. `docs/protocol.md` §3.8.

use crate::hashes::{MAP_LEAF, MAP_NODE, MAP_VALUE};
use crate::layout_reader::Reader;
use larder_types::Hash;
use larder_types::codec::DecodeError;
use larder_types::layout::Layout;

/// A record's key: an account, a provider.
pub type Key = [u8; 32];

/// Bits of a key, and the most siblings of a proof.
pub const BITS: usize = 256;

/// A part of the map: all records whose keys begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Part {
    /// No record.
    #[default]
    Empty,
    /// One record.
    Leaf(Hash),
    /// More than one.
    Node(Hash),
}

impl Part {
    /// The part of one record.
    #[must_use]
    pub fn leaf(key: &Key, value: &[u8]) -> Self {
        Self::Leaf(leaf(key, &value_digest(value)))
    }

    /// The part of which these are the halves: keys with the next bit 0, and 1.
    #[must_use]
    pub fn join(left: Self, right: Self) -> Self {
        match (left, right) {
            (Self::Empty, Self::Empty) => Self::Empty,
            (Self::Leaf(_), Self::Empty) => left,
            (Self::Empty, Self::Leaf(_)) => right,
            (Self::Node(_), _) | (_, Self::Node(_)) | (Self::Leaf(_), Self::Leaf(_)) => {
                Self::Node(node(&left.hash(), &right.hash()))
            }
        }
    }

    /// The part of these records, in the order of their keys, which have their first `depth` bits in
    /// common.
    #[must_use]
    pub fn of(records: &[(Key, Self)], depth: usize) -> Self {
        match records {
            [] => Self::Empty,
            [(_, leaf)] => *leaf,
            _ => {
                let (left, right) = halves(records, depth);
                Self::join(Self::of(left, depth + 1), Self::of(right, depth + 1))
            }
        }
    }

    /// 32 zeros for nothing.
    #[must_use]
    pub const fn hash(self) -> Hash {
        match self {
            Self::Empty => Hash([0; 32]),
            Self::Leaf(hash) | Self::Node(hash) => hash,
        }
    }
}

/// What a proof says of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Its record is there.
    Here,
    /// Nothing is where it would be.
    Nothing,
    /// Another record is where it would be: its key, and its value's digest.
    Other(Key, Hash),
}

/// That a key has this record, or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapProof {
    /// What is at the end of the key's way.
    pub end: End,
    /// The other halves on the way, from the root down.
    pub siblings: Vec<Hash>,
}

/// Why a proof shows nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MapError {
    /// It makes another root.
    #[error("it belongs to another root")]
    Root,
    /// More halves than a key has bits.
    #[error("a proof has at most {BITS} siblings, not {0}")]
    Long(usize),
    /// It shows a record, and a value was not given, or the other way round.
    #[error("it does not say what was asked")]
    Other,
    /// The other record is the key's own, or does not lie on the key's way.
    #[error("the record that it shows is not in the key's way")]
    Astray,
}

impl MapProof {
    /// What `records`, in the order of their keys, say of `key`. `digest` gives the digest of the
    /// value of the record at a place.
    #[must_use]
    pub fn of(records: &[(Key, Part)], key: &Key, digest: impl Fn(usize) -> Hash) -> Self {
        Self::below(0, records, key, digest)
    }

    /// As [`of`](Self::of), of all records whose keys have their first `top` bits in common with `key`,
    /// or of the only record on its way: the lower end of a proof, without the first `top` siblings.
    #[must_use]
    pub fn below(
        top: usize,
        records: &[(Key, Part)],
        key: &Key,
        digest: impl Fn(usize) -> Hash,
    ) -> Self {
        let (mut rest, mut begin) = (records, 0);
        let mut siblings = Vec::new();
        for depth in top..BITS {
            if rest.len() < 2 {
                break;
            }
            let (left, right) = halves(rest, depth);
            let (mine, other) = if bit(key, depth) {
                begin += left.len();
                (right, left)
            } else {
                (left, right)
            };
            siblings.push(Part::of(other, depth + 1).hash());
            rest = mine;
        }
        let end = match rest {
            [(found, _)] if found == key => End::Here,
            [(found, _), ..] => End::Other(*found, digest(begin)),
            [] => End::Nothing,
        };
        Self { end, siblings }
    }

    /// Whether under `root` the key has this value, or, without one, no record.
    ///
    /// # Errors
    /// [`MapError`]: why it does not show that.
    pub fn verify(&self, root: &Hash, key: &Key, value: Option<&[u8]>) -> Result<(), MapError> {
        if self.siblings.len() > BITS {
            return Err(MapError::Long(self.siblings.len()));
        }
        let end = match (&self.end, value) {
            (End::Here, Some(value)) => Part::leaf(key, value).hash(),
            (End::Nothing, None) => Part::Empty.hash(),
            (End::Other(other, digest), None) => {
                let on_the_way = (0..self.siblings.len()).all(|d| bit(other, d) == bit(key, d));
                if other == key || !on_the_way {
                    return Err(MapError::Astray);
                }
                leaf(other, digest)
            }
            (End::Here, None) | (End::Nothing | End::Other(..), Some(_)) => {
                return Err(MapError::Other);
            }
        };
        let upwards = self.siblings.iter().enumerate().rev();
        let made = upwards.fold(end, |below, (depth, sibling)| {
            if bit(key, depth) {
                node(sibling, &below)
            } else {
                node(&below, sibling)
            }
        });
        if made == *root {
            Ok(())
        } else {
            Err(MapError::Root)
        }
    }

    /// `end u8 ‖ [key[32] ‖ digest[32]] ‖ count u16 ‖ siblings[32] each`: 0 the record is there, 1
    /// nothing is, 2 another is, of this key and value's digest.
    ///
    /// # Panics
    /// With more than 65,535 siblings, which no key has bits for.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let end = match &self.end {
            End::Here => Layout::new().u8(0),
            End::Nothing => Layout::new().u8(1),
            End::Other(key, digest) => Layout::new().u8(2).fixed(key).fixed(digest),
        };
        let count = u16::try_from(self.siblings.len()).expect("a proof has at most 256 siblings");
        let siblings = self.siblings.iter();
        let begun = end.fixed(count.to_le_bytes());
        siblings.fold(begun, Layout::fixed).finish()
    }

    /// Reads what [`to_bytes`](Self::to_bytes) gives.
    ///
    /// # Errors
    /// Another end than those, more siblings than a key has bits, or another length.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let end = match reader.u8("end")? {
            0 => End::Here,
            1 => End::Nothing,
            2 => End::Other(reader.array("key")?, Hash(reader.array("digest")?)),
            _ => {
                return Err(DecodeError::Field {
                    field: "end",
                    offset: 0,
                });
            }
        };
        let count = usize::from(reader.u16("count")?);
        if count > BITS || reader.left() != 32 * count {
            return Err(reader.bad("siblings"));
        }
        let siblings = (0..count).map(|_| reader.array("sibling").map(Hash));
        Ok(Self {
            end,
            siblings: siblings.collect::<Result<_, _>>()?,
        })
    }
}

/// The digest of a value, as a proof of another key shows it.
#[must_use]
pub fn value_digest(value: &[u8]) -> Hash {
    MAP_VALUE.hash(value)
}

/// Of a record: key ‖ digest of its value.
fn leaf(key: &Key, digest: &Hash) -> Hash {
    MAP_LEAF.hash(&[*key, digest.0].concat())
}

/// Of two halves; an empty one is 32 zeros.
fn node(left: &Hash, right: &Hash) -> Hash {
    MAP_NODE.hash(&[left.0, right.0].concat())
}

/// The key's bit at a depth, the highest of the first byte first.
fn bit(key: &Key, depth: usize) -> bool {
    key[depth / 8] >> (7 - depth % 8) & 1 == 1
}

/// The records whose bit at `depth` is 0, and those where it is 1.
fn halves(records: &[(Key, Part)], depth: usize) -> (&[(Key, Part)], &[(Key, Part)]) {
    let middle = records.partition_point(|(key, _)| !bit(key, depth));
    records.split_at(middle)
}

#[cfg(test)]
#[path = "map/tests.rs"]
mod tests;

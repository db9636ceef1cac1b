//! A leaf of a contract's content tree: one masked shard, or the hole that a lost one left. 48
//! bytes, little endian. `docs/protocol.md` §3.3.

use crate::hashes;
use crate::layout_reader::{Reader, serde_as_bytes};
use larder_types::codec::DecodeError;
use larder_types::layout::Layout;
use larder_types::{Hash, ShardRoot};

/// One shard as its contract commits it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ShardLeaf {
    /// The plain BLAKE3 root of the masked shard.
    pub root: ShardRoot,
    /// Its length in chunks of 1 KiB: above 0 and a multiple of 16.
    pub chunks: u64,
    /// The first eight bytes of keyed(segment repair id, position), for lookup.
    pub tag: [u8; 8],
}

impl ShardLeaf {
    /// Bytes of the layout.
    pub const LEN: usize = 48;
    /// A hole: the place of a shard that was lost. All zeros; in the tree it is an empty leaf.
    pub const EMPTY: Self = Self {
        root: ShardRoot([0; 32]),
        chunks: 0,
        tag: [0; 8],
    };

    /// The layout `root[32] | chunks u64 | tag[8]`.
    ///
    /// # Panics
    /// Never: the layout has this length.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let bytes = Layout::new()
            .fixed(self.root)
            .u64(self.chunks)
            .fixed(self.tag)
            .finish();
        bytes.try_into().expect("the layout is 48 bytes")
    }

    /// Reads the layout: a sound leaf or a hole.
    ///
    /// # Errors
    /// A wrong length, or a number of chunks that is not a multiple of 16, or 0 in what is no
    /// hole.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let leaf = Self {
            root: ShardRoot(reader.array("root")?),
            chunks: reader.u64("chunks")?,
            tag: reader.array("tag")?,
        };
        reader.end()?;
        if leaf.is_sound() || leaf.is_empty() {
            Ok(leaf)
        } else {
            Err(DecodeError::Field {
                field: "chunks",
                offset: 32,
            })
        }
    }

    /// Whether it is a hole.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::EMPTY
    }

    /// Whether it is a shard, of a length that a shard can have.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.chunks > 0 && self.chunks.is_multiple_of(16)
    }

    /// The leaf's hash in the content tree; that of an empty leaf for a hole.
    #[must_use]
    pub fn hash(&self) -> Hash {
        if self.is_empty() {
            return hashes::CONTENT_EMPTY.hash(b"");
        }
        hashes::CONTENT_LEAF.hash(&self.to_bytes())
    }
}

serde_as_bytes!(ShardLeaf);

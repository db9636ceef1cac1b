//! The content tree: a contract's shards, in order; the sum counts 1-KiB chunks. Append-only: the
//! tree of an older revision is a prefix of the newer list. `docs/protocol.md` §3.3.

use crate::ShardLeaf;
use crate::hashes;
use crate::layout_reader::{Reader, serde_as_bytes};
use crate::provider::TreeError;
use crate::sum_tree::{Node, SumTree, empties};
use larder_types::Hash;
use larder_types::codec::DecodeError;
use larder_types::layout::Layout;
use std::sync::LazyLock;

/// A node: hash and number of chunks below. 40 bytes on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ContentNode {
    pub(crate) hash: Hash,
    pub(crate) chunks: u64,
}

static EMPTY: LazyLock<[ContentNode; 33]> = LazyLock::new(|| {
    empties(ContentNode {
        hash: hashes::CONTENT_EMPTY.hash(b""),
        chunks: 0,
    })
});

impl Node for ContentNode {
    fn empty(height: u8) -> Self {
        EMPTY[usize::from(height)]
    }

    fn join(left: &Self, right: &Self, height: u8) -> Option<Self> {
        let chunks = left.chunks.checked_add(right.chunks)?;
        let bytes = Layout::new()
            .fixed(left.hash)
            .fixed(right.hash)
            .u64(left.chunks)
            .u64(right.chunks)
            .u8(height)
            .finish();
        Some(Self {
            hash: hashes::CONTENT_NODE.hash(&bytes),
            chunks,
        })
    }

    fn sum(&self) -> u64 {
        self.chunks
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.hash.0);
        out.extend_from_slice(&self.chunks.to_le_bytes());
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            hash: Hash(reader.array("content sibling")?),
            chunks: reader.u64("content sibling")?,
        })
    }
}

impl From<&ShardLeaf> for ContentNode {
    fn from(leaf: &ShardLeaf) -> Self {
        Self {
            hash: leaf.hash(),
            chunks: leaf.chunks,
        }
    }
}

/// A node beside a path, on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sibling {
    /// Its hash.
    pub hash: Hash,
    /// Chunks below it.
    pub chunks: u64,
}

/// A shard that is to leave a content tree, with its path.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LostShard {
    /// Its place.
    pub index: u32,
    /// Its leaf.
    pub leaf: ShardLeaf,
    /// Siblings, bottom up: as many as the tree is deep.
    pub path: Vec<Sibling>,
}

/// A contract's shards and the tree over them. The depth is the least that has room for them.
#[derive(Clone, Debug)]
pub struct ContentTree {
    leaves: Vec<ShardLeaf>,
    nodes: SumTree<ContentNode>,
}

impl PartialEq for ContentTree {
    fn eq(&self, other: &Self) -> bool {
        self.leaves == other.leaves
    }
}

impl Eq for ContentTree {}

impl Default for ContentTree {
    fn default() -> Self {
        Self::new()
    }
}

impl ContentTree {
    /// The tree of a contract that holds nothing.
    #[must_use]
    pub fn new() -> Self {
        Self {
            leaves: Vec::new(),
            nodes: SumTree::empty(0),
        }
    }

    /// The tree over `leaves`, in their order.
    ///
    /// # Errors
    /// If together they have more than 2^64 − 1 chunks.
    pub fn from_leaves(leaves: Vec<ShardLeaf>) -> Result<Self, TreeError> {
        let mut tree = Self::new();
        for leaf in leaves {
            tree.push(leaf)?;
        }
        Ok(tree)
    }

    /// Adds a shard at the end.
    ///
    /// # Errors
    /// If the chunks would overflow or the tree is full; then nothing changes.
    pub fn push(&mut self, leaf: ShardLeaf) -> Result<(), TreeError> {
        let index = u32::try_from(self.leaves.len()).map_err(|_| TreeError::Full)?;
        if !self.nodes.set(index, (&leaf).into()) {
            return Err(TreeError::SumOverflow);
        }
        self.leaves.push(leaf);
        Ok(())
    }

    /// The shards, in order.
    #[must_use]
    pub fn leaves(&self) -> &[ShardLeaf] {
        &self.leaves
    }

    /// The root's hash: a contract leaf's `content_root`.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.nodes.root().hash
    }

    /// Chunks of 1 KiB in all shards: a contract leaf's `used_chunks`.
    #[must_use]
    pub fn chunks(&self) -> u64 {
        self.nodes.root().chunks
    }

    /// Levels above the leaves: a contract leaf's `depth`.
    #[must_use]
    pub fn depth(&self) -> u8 {
        self.nodes.depth()
    }

    /// The tree as it was when it had exactly `chunks` chunks; `None` if it never did.
    #[must_use]
    pub fn prefix_with_chunks(&self, chunks: u64) -> Option<Self> {
        let mut prefix = Self::new();
        for leaf in &self.leaves {
            if prefix.chunks() >= chunks {
                break;
            }
            prefix.push(*leaf).ok()?;
        }
        (prefix.chunks() == chunks).then_some(prefix)
    }

    /// The shard leaves one after another, 48 bytes each.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.leaves.iter().flat_map(ShardLeaf::to_bytes).collect()
    }

    /// Reads [`ContentTree::to_bytes`] and rebuilds the tree.
    ///
    /// # Errors
    /// A length that is no multiple of 48, an unsound leaf, or an overflow.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let leaves = bytes
            .chunks(ShardLeaf::LEN)
            .map(ShardLeaf::from_bytes)
            .collect::<Result<_, _>>()?;
        Self::from_leaves(leaves).map_err(|_| DecodeError::Field {
            field: "chunks",
            offset: 0,
        })
    }

    pub(crate) fn nodes(&self) -> &SumTree<ContentNode> {
        &self.nodes
    }
}

serde_as_bytes!(ContentTree);

//! The content tree: a contract's shards, in order; the sum counts 1-KiB chunks. Shards are added
//! at the end, so that the tree of an older revision is a prefix of the newer list. A shard that
//! was lost leaves a hole, which keeps its place: list and root say the same at both ends, and the
//! depth stays. `docs/protocol.md` §3.3.

use crate::ShardLeaf;
use crate::commitments::{PAGE, PAGE_HEIGHT};
use crate::contract_leaf::MAX_DEPTH;
use crate::hashes;
use crate::layout_reader::{Reader, serde_as_bytes};
use crate::provider::TreeError;
use crate::sum_tree::{Levels, Node, Rows, empties, fold};
use larder_types::Hash;
use larder_types::codec::DecodeError;
use larder_types::layout::Layout;
use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

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

impl From<ContentNode> for Sibling {
    fn from(node: ContentNode) -> Self {
        Self {
            hash: node.hash,
            chunks: node.chunks,
        }
    }
}

impl From<Sibling> for ContentNode {
    fn from(node: Sibling) -> Self {
        Self {
            hash: node.hash,
            chunks: node.chunks,
        }
    }
}

/// A shard that is to leave a content tree, or to come into it, with its path.
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

impl LostShard {
    /// The tree's root without this shard; before it was `root`, at `depth`.
    fn cleared(&self, root: ContentNode, depth: u8) -> Result<ContentNode, ClearError> {
        if !self.leaf.is_sound() {
            return Err(ClearError::NoShard { index: self.index });
        }
        let within = u64::from(self.index) >> depth == 0;
        if !within || self.path.len() != usize::from(depth) {
            return Err(ClearError::Depth { index: self.index });
        }
        if self.above((&self.leaf).into()) != Some(root) {
            return Err(ClearError::Root { index: self.index });
        }
        // What is left is less than there was, so its sums fit.
        self.above(ContentNode::empty(0))
            .ok_or(ClearError::Root { index: self.index })
    }

    /// The tree's root with this shard, in whose place there was none.
    fn appended(&self, root: ContentNode, depth: u8) -> Result<ContentNode, ClearError> {
        let refusal = ClearError::Root { index: self.index };
        if !self.leaf.is_sound() {
            return Err(ClearError::NoShard { index: self.index });
        }
        if self.path.len() != usize::from(depth) {
            return Err(ClearError::Depth { index: self.index });
        }
        if self.above(ContentNode::empty(0)) != Some(root) {
            return Err(refusal);
        }
        self.above((&self.leaf).into()).ok_or(refusal)
    }

    /// The root that follows from `leaf` in the shard's place; `None` if sums overflow.
    fn above(&self, leaf: ContentNode) -> Option<ContentNode> {
        let mut node = leaf;
        for (height, sibling) in (1u8..).zip(&self.path) {
            let sibling = ContentNode::from(*sibling);
            let is_right = (u64::from(self.index) >> (height - 1)) & 1 == 1;
            let (left, right) = if is_right {
                (sibling, node)
            } else {
                (node, sibling)
            };
            node = ContentNode::join(&left, &right, height)?;
        }
        Some(node)
    }
}

/// Why shards cannot leave a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClearError {
    /// No shard is named.
    #[error("no shard is named")]
    Nothing,
    /// Indices do not ascend.
    #[error("shard {index} is out of order")]
    Order {
        /// Its index.
        index: u32,
    },
    /// The leaf is none of a shard.
    #[error("leaf {index} is no shard")]
    NoShard {
        /// Its index.
        index: u32,
    },
    /// The place is not in a tree of this depth, or its path has another length.
    #[error("the path of shard {index} does not fit the tree's depth")]
    Depth {
        /// Its index.
        index: u32,
    },
    /// The path does not lead to the root.
    #[error("the path of shard {index} does not lead to the root")]
    Root {
        /// Its index.
        index: u32,
    },
}

/// The root and the chunks of a tree without `lost`; before, they were `root` and `chunks`. Shards
/// ascend by index, and each path is against the tree that the ones before have left. The depth
/// stays. Work: two hashes a sibling.
///
/// # Errors
/// [`ClearError`] names the first shard that is not in the tree as it says.
pub fn cleared(
    root: Hash,
    chunks: u64,
    depth: u8,
    lost: &[LostShard],
) -> Result<(Hash, u64), ClearError> {
    let ascend = lost.windows(2).find(|two| two[0].index >= two[1].index);
    if let Some(two) = ascend {
        return Err(ClearError::Order {
            index: two[1].index,
        });
    }
    if lost.is_empty() {
        return Err(ClearError::Nothing);
    }
    let before = ContentNode { hash: root, chunks };
    let left = lost
        .iter()
        .try_fold(before, |root, shard| shard.cleared(root, depth))?;
    Ok((left.hash, left.chunks))
}

/// Root, chunks and depth of a tree with `added`; before, they were `root`, `chunks` and `depth`.
/// Shards ascend by index, come into places that are empty, and each path is against the tree that
/// the ones before have made, grown until it holds the place. Work: two hashes a sibling.
///
/// # Errors
/// [`ClearError`] names the first shard that cannot come in as it says.
pub fn appended(
    root: Hash,
    chunks: u64,
    depth: u8,
    added: &[LostShard],
) -> Result<(Hash, u64, u8), ClearError> {
    let descend = added.windows(2).find(|two| two[0].index >= two[1].index);
    if let Some(two) = descend {
        return Err(ClearError::Order {
            index: two[1].index,
        });
    }
    if added.is_empty() {
        return Err(ClearError::Nothing);
    }
    let mut node = ContentNode { hash: root, chunks };
    let mut depth = depth;
    for shard in added {
        while u64::from(shard.index) >> depth != 0 {
            let empty = ContentNode::empty(depth);
            depth += 1;
            node = ContentNode::join(&node, &empty, depth)
                .ok_or(ClearError::Depth { index: shard.index })?;
        }
        node = shard.appended(node, depth)?;
    }
    Ok((node.hash, node.chunks, depth))
}

/// Nodes below this height are not kept, but computed from their at most 16 leaves: so a shard
/// costs 53 bytes in memory and not 128.
const LOW: u8 = 4;

/// A contract's shards and the tree over them. The depth is the least that has room for the list,
/// holes included. A clone shares all with its original, until one of them changes.
#[derive(Clone, Debug)]
pub struct ContentTree {
    leaves: Arc<Vec<ShardLeaf>>,
    /// From height [`LOW`] up; also where the tree is less deep.
    above: Arc<Rows<ContentNode>>,
    depth: u8,
    root: ContentNode,
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

/// The least depth that has room for so many places.
fn depth_for(places: usize) -> Result<u8, TreeError> {
    (0..=MAX_DEPTH)
        .find(|depth| places as u64 <= 1 << depth)
        .ok_or(TreeError::Full)
}

/// The node of `height`, at least that of its row of leaves.
pub(crate) fn node_over(leaves: &[ShardLeaf], height: u8) -> Option<ContentNode> {
    fold(leaves.iter().map(ContentNode::from).collect(), 0, height)
}

impl ContentTree {
    /// The tree of a contract that holds nothing.
    ///
    /// # Panics
    /// Never: nothing overflows.
    #[must_use]
    pub fn new() -> Self {
        Self::from_leaves(Vec::new()).expect("nothing overflows")
    }

    /// The tree over `leaves`, in their order, holes in their places.
    ///
    /// # Errors
    /// If together they have more than 2^64 − 1 chunks, or are more than 2^32.
    pub fn from_leaves(leaves: Vec<ShardLeaf>) -> Result<Self, TreeError> {
        let depth = depth_for(leaves.len())?;
        let blocks = leaves
            .chunks(1 << LOW)
            .map(|block| node_over(block, LOW))
            .collect::<Option<_>>();
        let above = blocks.and_then(|blocks| Rows::build(LOW, depth.max(LOW), blocks));
        let mut tree = Self {
            leaves: Arc::new(leaves),
            above: Arc::new(above.ok_or(TreeError::SumOverflow)?),
            depth,
            root: ContentNode::empty(0),
        };
        tree.root = tree.node(depth, 0);
        Ok(tree)
    }

    /// Adds a shard at the end, after all holes; or a hole, where a list is read that has one.
    ///
    /// # Errors
    /// If the chunks would overflow or the tree is full; then nothing changes.
    pub fn push(&mut self, leaf: ShardLeaf) -> Result<(), TreeError> {
        let index = u32::try_from(self.leaves.len()).map_err(|_| TreeError::Full)?;
        let sum = self.chunks().checked_add(leaf.chunks);
        sum.ok_or(TreeError::SumOverflow)?;
        self.depth = depth_for(self.leaves.len() + 1)?;
        Arc::make_mut(&mut self.leaves).push(leaf);
        self.changed(index);
        Ok(())
    }

    /// Adds a shard at the end, and gives it with its path, as [`appended`] takes it.
    ///
    /// # Errors
    /// As [`ContentTree::push`].
    pub fn push_shown(&mut self, leaf: ShardLeaf) -> Result<LostShard, TreeError> {
        let index = u32::try_from(self.leaves.len()).map_err(|_| TreeError::Full)?;
        self.push(leaf)?;
        let path = self.path(index);
        Ok(LostShard { index, leaf, path })
    }

    /// Takes a lost shard out and gives it; its place is a hole from now on. `None` if there is no
    /// shard in that place.
    pub fn clear(&mut self, index: u32) -> Option<ShardLeaf> {
        let held = self.leaves.get(index as usize);
        let lost = held.copied().filter(|leaf| !leaf.is_empty())?;
        Arc::make_mut(&mut self.leaves)[index as usize] = ShardLeaf::EMPTY;
        self.changed(index);
        Some(lost)
    }

    /// Recomputes what is above a leaf that has changed. The sum of all must fit.
    fn changed(&mut self, index: u32) {
        let block = index >> LOW;
        let node = self.computed(LOW, block);
        Arc::make_mut(&mut self.above).set(block, node);
        self.root = self.node(self.depth, 0);
    }

    /// A node of at most [`LOW`] levels, from its leaves.
    fn computed(&self, height: u8, index: u32) -> ContentNode {
        let first = (index as usize) << height;
        let end = self.leaves.len().min(first + (1 << height));
        let leaves = self.leaves.get(first..end).unwrap_or(&[]);
        node_over(leaves, height).expect("the whole sum was checked")
    }

    /// The siblings of a place, bottom up: as many as the tree is deep.
    #[must_use]
    pub fn path(&self, index: u32) -> Vec<Sibling> {
        let nodes = self.siblings(&[index]);
        nodes.into_iter().map(Sibling::from).collect()
    }

    /// These shards with their paths, as [`cleared`] takes them. `None` if one of them is not
    /// there.
    #[must_use]
    pub fn lost_shards(&self, indices: &BTreeSet<u32>) -> Option<Vec<LostShard>> {
        let mut rest = self.clone();
        let take = |index: &u32| {
            let path = rest.path(*index);
            let leaf = rest.clear(*index)?;
            Some(LostShard {
                index: *index,
                leaf,
                path,
            })
        };
        indices.iter().map(take).collect()
    }

    /// The nodes over its pages: see [`crate::Commitments::pages`].
    ///
    /// # Panics
    /// Never: the whole sum was checked.
    #[must_use]
    pub fn pages(&self) -> Vec<Sibling> {
        let node = |page: &[ShardLeaf]| node_over(page, PAGE_HEIGHT);
        let pages: Option<Vec<_>> = if self.depth < PAGE_HEIGHT {
            self.leaves.chunks(PAGE).map(node).collect()
        } else {
            let pages = self.leaves.len().div_ceil(PAGE);
            (0..)
                .take(pages)
                .map(|page| Some(self.node(PAGE_HEIGHT, page)))
                .collect()
        };
        let pages = pages.expect("the whole sum was checked");
        pages.into_iter().map(Sibling::from).collect()
    }

    /// The shards, in order, and [`ShardLeaf::EMPTY`] in each hole.
    #[must_use]
    pub fn leaves(&self) -> &[ShardLeaf] {
        &self.leaves
    }

    /// The root's hash: a contract leaf's `content_root`.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.root.hash
    }

    /// Chunks of 1 KiB in all shards: a contract leaf's `used_chunks`.
    #[must_use]
    pub fn chunks(&self) -> u64 {
        self.root.chunks
    }

    /// Levels above the leaves: a contract leaf's `depth`.
    #[must_use]
    pub fn depth(&self) -> u8 {
        self.depth
    }

    /// The tree of the first leaves that has this root and this number of chunks: an older
    /// revision's, if nothing of it was lost since. Holes at its end belong to it, as far as the
    /// root is the same with them: what comes next goes after them. `None` if there is none.
    #[must_use]
    pub fn prefix_with_root(&self, root: Hash, chunks: u64) -> Option<Self> {
        let wanted = ContentNode { hash: root, chunks };
        if self.root == wanted {
            return Some(self.clone());
        }
        let mut tried = None;
        for end in self.ends_at(chunks).into_iter().rev() {
            // Holes at the end change the root only by the depth that they take.
            let depth = depth_for(end).ok()?;
            if tried.replace(depth) == Some(depth) {
                continue;
            }
            let prefix = Self::from_leaves(self.leaves[..end].to_vec()).ok()?;
            if prefix.root == wanted {
                return Some(prefix);
            }
        }
        None
    }

    /// The lengths of the prefixes of so many chunks: one, and one more for each hole behind it.
    fn ends_at(&self, chunks: u64) -> Vec<usize> {
        let mut sum = 0;
        let mut ends = Vec::new();
        for (end, next) in (0..).zip(self.leaves.iter().map(Some).chain([None])) {
            if sum == chunks {
                ends.push(end);
            }
            sum += next.map_or(0, |leaf| leaf.chunks);
            if sum > chunks {
                break;
            }
        }
        ends
    }

    /// The shard leaves one after another, 48 bytes each, holes as zeros: so the list's length,
    /// and with it the depth, is kept.
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
}

impl Levels<ContentNode> for ContentTree {
    fn depth(&self) -> u8 {
        self.depth
    }

    fn node(&self, height: u8, index: u32) -> ContentNode {
        if height < LOW {
            return self.computed(height, index);
        }
        self.above.node(height, index)
    }
}

serde_as_bytes!(ContentTree);

#[cfg(test)]
#[path = "content/tests.rs"]
mod tests;

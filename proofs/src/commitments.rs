//! What a provider has committed to, wherever it lies: the provider tree in memory, shared with the
//! ledger's state; the lists of shards in memory or on disk, read by the page. A proof holds at
//! most 64 pages, whatever the provider stores. `docs/protocol.md` §3.3.

use crate::content::{ContentNode, Sibling, node_over};
use crate::sum_tree::{Levels, Rows};
use crate::{ContentTree, ContractLeaf, ProviderTree, ShardLeaf};
use larder_types::ContractId;
use std::collections::BTreeMap;
use std::convert::Infallible;

/// Levels of the content tree within a page.
pub const PAGE_HEIGHT: u8 = 8;
/// Shards of a page, the last page of a list apart: 12 KiB.
pub const PAGE: usize = 1 << PAGE_HEIGHT;

/// All that a provider has committed to. A list of shards may be longer than the contract's leaf
/// knows: of what was added since, nothing is shown.
pub trait Commitments {
    /// Why a read fails.
    type Error: std::error::Error;

    /// Its contracts.
    fn tree(&self) -> &ProviderTree;

    /// The content node of height [`PAGE_HEIGHT`] over each page of a contract's list, in order:
    /// see [`page_node`]. Not asked for where one page is all.
    ///
    /// # Errors
    /// If they cannot be read; a contract that is not known has none.
    fn pages(&self, contract: &ContractId) -> Result<Vec<Sibling>, Self::Error>;

    /// The leaves of one page, at most [`PAGE`].
    ///
    /// # Errors
    /// If it cannot be read; what is not known is empty.
    fn page(&self, contract: &ContractId, page: u32) -> Result<Vec<ShardLeaf>, Self::Error>;
}

/// The node over a page, as a store keeps it beside the page's leaves. `None` if their chunks
/// overflow or they are more than a page.
#[must_use]
pub fn page_node(leaves: &[ShardLeaf]) -> Option<Sibling> {
    let node = (leaves.len() <= PAGE).then(|| node_over(leaves, PAGE_HEIGHT));
    node.flatten().map(Sibling::from)
}

/// A commitment in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commitment {
    /// Its contracts.
    pub tree: ProviderTree,
    /// Each contract's shards. A list may be longer than the leaf in `tree` knows.
    pub contents: BTreeMap<ContractId, ContentTree>,
}

impl Commitments for Commitment {
    type Error = Infallible;

    fn tree(&self) -> &ProviderTree {
        &self.tree
    }

    fn pages(&self, contract: &ContractId) -> Result<Vec<Sibling>, Infallible> {
        let content = self.contents.get(contract);
        Ok(content.map_or_else(Vec::new, ContentTree::pages))
    }

    fn page(&self, contract: &ContractId, page: u32) -> Result<Vec<ShardLeaf>, Infallible> {
        let content = self.contents.get(contract);
        let page = content.and_then(|content| content.leaves().chunks(PAGE).nth(page as usize));
        Ok(page.map_or_else(Vec::new, <[_]>::to_vec))
    }
}

/// A contract's shards as its leaf commits them: the nodes above the pages, and those pages that
/// draws name.
#[derive(Debug)]
pub(crate) struct Committed {
    leaf: ContractLeaf,
    above: Rows<ContentNode>,
    pages: BTreeMap<u32, Vec<ShardLeaf>>,
}

/// Why a list is not what a leaf commits.
#[derive(Debug)]
pub(crate) enum OpenError<E> {
    /// Nothing is known of the contract.
    Unknown,
    /// No beginning of the list makes root and chunks.
    Other,
    /// It cannot be read.
    Read(E),
}

impl Committed {
    /// Finds in a contract's list the tree that its leaf commits. Reads the nodes over the pages,
    /// and the page that the tree ends in if the list has grown since.
    pub(crate) fn open<C: Commitments>(
        store: &C,
        leaf: &ContractLeaf,
    ) -> Result<Self, OpenError<C::Error>> {
        let mut committed = Self {
            leaf: *leaf,
            above: Rows::build(0, 0, Vec::new()).expect("nothing overflows"),
            pages: BTreeMap::new(),
        };
        if leaf.used_chunks > 0 {
            let nodes = committed.nodes(store)?;
            let (low, depth) = (leaf.depth.min(PAGE_HEIGHT), leaf.depth);
            let above = Rows::build(low, depth, nodes).ok_or(OpenError::Other)?;
            let root = ContentNode {
                hash: leaf.content_root,
                chunks: leaf.used_chunks,
            };
            if above.root() != root {
                return Err(OpenError::Other);
            }
            committed.above = above;
        }
        Ok(committed)
    }

    /// The nodes over the pages of the committed list: one of the tree's depth, if that is no deeper
    /// than a page.
    fn nodes<C: Commitments>(
        &mut self,
        store: &C,
    ) -> Result<Vec<ContentNode>, OpenError<C::Error>> {
        let (used, depth) = (self.leaf.used_chunks, self.leaf.depth);
        if depth <= PAGE_HEIGHT {
            return Ok(vec![self.cut(store, 0, used, depth)?]);
        }
        let pages = store.pages(&self.leaf.contract_id);
        let pages = pages.map_err(OpenError::Read)?;
        if pages.is_empty() {
            return Err(OpenError::Unknown);
        }
        let mut nodes = Vec::with_capacity(pages.len());
        let mut left = used;
        for (page, node) in (0..).zip(pages) {
            if node.chunks > left {
                nodes.push(self.cut(store, page, left, PAGE_HEIGHT)?);
                return Ok(nodes);
            }
            left -= node.chunks;
            nodes.push(node.into());
            if left == 0 {
                return Ok(nodes);
            }
        }
        Err(OpenError::Other)
    }

    /// Reads a page of which only the first `used` chunks are committed, and gives its node.
    fn cut<C: Commitments>(
        &mut self,
        store: &C,
        page: u32,
        used: u64,
        height: u8,
    ) -> Result<ContentNode, OpenError<C::Error>> {
        let leaves = store.page(&self.leaf.contract_id, page);
        let mut leaves = leaves.map_err(OpenError::Read)?;
        if leaves.is_empty() {
            return Err(OpenError::Unknown);
        }
        let mut left = used;
        let committed = leaves.iter().take_while(|leaf| {
            let fits = left > 0 && leaf.chunks <= left;
            left = left.saturating_sub(leaf.chunks);
            fits
        });
        let count = committed.count();
        leaves.truncate(count);
        if count > 1 << height {
            return Err(OpenError::Other);
        }
        let node = node_over(&leaves, height).ok_or(OpenError::Other)?;
        self.pages.insert(page, leaves);
        Ok(node)
    }

    /// The shard that owns a position among the contract's chunks, and the chunk's number in it.
    /// Reads at most one page.
    pub(crate) fn locate<C: Commitments>(
        &mut self,
        store: &C,
        position: u64,
    ) -> Result<(u32, u64), OpenError<C::Error>> {
        let low = self.leaf.depth.min(PAGE_HEIGHT);
        let (page, mut at) = self.above.find(position, low);
        if !self.pages.contains_key(&page) {
            let leaves = store.page(&self.leaf.contract_id, page);
            let leaves = leaves.map_err(OpenError::Read)?;
            let node = node_over(&leaves, PAGE_HEIGHT).filter(|_| leaves.len() <= PAGE);
            if node != Some(self.above.node(PAGE_HEIGHT, page)) {
                return Err(OpenError::Other);
            }
            self.pages.insert(page, leaves);
        }
        for (index, shard) in (page << PAGE_HEIGHT..).zip(&self.pages[&page]) {
            if at < shard.chunks {
                return Ok((index, at));
            }
            at -= shard.chunks;
        }
        Err(OpenError::Other)
    }

    /// A shard that [`Committed::locate`] found.
    pub(crate) fn shard(&self, index: u32) -> &ShardLeaf {
        &self.pages[&(index >> PAGE_HEIGHT)][index as usize % PAGE]
    }

    pub(crate) fn leaf(&self) -> &ContractLeaf {
        &self.leaf
    }
}

impl Levels<ContentNode> for Committed {
    fn depth(&self) -> u8 {
        self.leaf.depth
    }

    /// Below the pages, only in those that were read.
    fn node(&self, height: u8, index: u32) -> ContentNode {
        if height >= self.leaf.depth.min(PAGE_HEIGHT) {
            return self.above.node(height, index);
        }
        let first = (index as usize) << height;
        let leaves = &self.pages[&(index >> (PAGE_HEIGHT - height))];
        let first = first % PAGE;
        let end = leaves.len().min(first + (1 << height));
        let leaves = leaves.get(first..end).unwrap_or(&[]);
        node_over(leaves, height).expect("the whole sum was checked")
    }
}

#[cfg(test)]
#[path = "commitments/tests.rs"]
mod tests;

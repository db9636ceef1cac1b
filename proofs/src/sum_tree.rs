//! The Merkle sum tree under both commitments: a node is a hash and a sum, a leaf owns as much of
//! the sum's range as it weighs, so that a position in the range names one leaf. Missing leaves
//! are empty ones; a tree of depth d has 2^d places. `docs/protocol.md` §3.3.

use crate::layout_reader::Reader;
use larder_types::codec::DecodeError;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

/// A node of one of the two trees.
pub(crate) trait Node: Copy + Eq + fmt::Debug + 'static {
    /// The root of an empty subtree of this height (0 is an empty leaf; at most 32).
    fn empty(height: u8) -> Self;
    /// The parent at `height`; `None` if the sums overflow.
    fn join(left: &Self, right: &Self, height: u8) -> Option<Self>;
    /// The weight below this node.
    fn sum(&self) -> u64;
    /// Appends the wire form, of a fixed width.
    fn write(&self, out: &mut Vec<u8>);
    /// Reads the wire form.
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError>;
}

/// Computes the 33 empty subtrees of a kind of node; each kind keeps them in a static.
pub(crate) fn empties<N: Node>(leaf: N) -> [N; 33] {
    let mut all = [leaf; 33];
    for height in 1..=32u8 {
        let below = all[usize::from(height) - 1];
        all[usize::from(height)] =
            N::join(&below, &below, height).expect("two empty sums do not overflow");
    }
    all
}

/// A whole tree, with every inner node kept; only the right, empty edge is left out.
#[derive(Clone, Debug)]
pub(crate) struct SumTree<N> {
    /// `levels[h]` holds the nodes of height h from the left; the last level is the root's.
    levels: Vec<Vec<N>>,
}

impl<N: Node> SumTree<N> {
    /// 2^depth empty places.
    pub(crate) fn empty(depth: u8) -> Self {
        Self {
            levels: vec![Vec::new(); usize::from(depth) + 1],
        }
    }

    pub(crate) fn depth(&self) -> u8 {
        u8::try_from(self.levels.len() - 1).expect("a tree has at most 32 levels above its leaves")
    }

    pub(crate) fn root(&self) -> N {
        self.node(self.depth(), 0)
    }

    /// The leaf at `index`, an empty one where nothing was ever set.
    pub(crate) fn leaf(&self, index: u32) -> N {
        self.node(0, index)
    }

    fn node(&self, height: u8, index: u32) -> N {
        self.levels[usize::from(height)]
            .get(index as usize)
            .copied()
            .unwrap_or_else(|| N::empty(height))
    }

    /// Puts a leaf and recomputes its path; grows the tree if it has too few places. `false`, with
    /// nothing changed, if the sum would overflow.
    #[must_use]
    pub(crate) fn set(&mut self, index: u32, leaf: N) -> bool {
        let others = self.root().sum() - self.leaf(index).sum();
        if others.checked_add(leaf.sum()).is_none() {
            return false;
        }
        self.grow(index);
        let mut at = index;
        let mut node = leaf;
        for height in 0..=self.depth() {
            let level = &mut self.levels[usize::from(height)];
            if level.len() <= at as usize {
                level.resize(at as usize + 1, N::empty(height));
            }
            level[at as usize] = node;
            if height < self.depth() {
                at >>= 1;
                let (left, right) = (self.node(height, at << 1), self.node(height, (at << 1) | 1));
                node = N::join(&left, &right, height + 1).expect("the whole sum was checked");
            }
        }
        true
    }

    /// Adds levels until `index` is a place: root' = node(root, empty).
    fn grow(&mut self, index: u32) {
        while u64::from(index) >> self.depth() != 0 {
            let (root, height) = (self.root(), self.depth() + 1);
            let occupied = self.levels.iter().any(|level| !level.is_empty());
            self.levels.push(Vec::new());
            if occupied {
                let above = N::join(&root, &N::empty(height - 1), height)
                    .expect("an empty sum adds nothing");
                self.levels[usize::from(height)].push(above);
            }
        }
    }

    /// The leaf that owns position `at` of the sum, and the position within it.
    ///
    /// # Panics
    /// If `at` is not below the root's sum.
    pub(crate) fn find(&self, mut at: u64) -> (u32, u64) {
        assert!(at < self.root().sum(), "position {at} beyond the sum");
        let mut index = 0;
        for height in (0..self.depth()).rev() {
            index <<= 1;
            let left = self.node(height, index).sum();
            if at >= left {
                at -= left;
                index |= 1;
            }
        }
        (index, at)
    }

    /// The siblings that rebuild the root from the leaves at `indices` (sorted): bottom-up, each
    /// level from left to right.
    pub(crate) fn siblings(&self, indices: &[u32]) -> Vec<N> {
        let mut out = Vec::new();
        let mut level = indices.to_vec();
        for height in 0..self.depth() {
            for &index in &level {
                if level.binary_search(&(index ^ 1)).is_err() {
                    out.push(self.node(height, index ^ 1));
                }
            }
            for index in &mut level {
                *index >>= 1;
            }
            level.dedup();
        }
        out
    }
}

/// The part of a tree that some leaves and their siblings show.
#[derive(Debug)]
pub(crate) struct PartialTree<N> {
    levels: Vec<BTreeMap<u32, N>>,
}

impl<N: Node> PartialTree<N> {
    /// Rebuilds the root. Siblings come from `sibling`, in the order of [`SumTree::siblings`];
    /// it fails as `sibling` fails, or gives `None` if sums overflow.
    ///
    /// The leaves must not be empty, and lie within 2^depth places.
    pub(crate) fn rebuild<E>(
        depth: u8,
        leaves: BTreeMap<u32, N>,
        mut sibling: impl FnMut() -> Result<N, E>,
    ) -> Result<Option<Self>, E> {
        let mut levels = vec![leaves];
        for height in 1..=depth {
            let mut above = BTreeMap::new();
            let below = levels.last_mut().expect("the leaves' level is there");
            let known: Vec<u32> = below.keys().copied().collect();
            for index in known {
                if above.contains_key(&(index >> 1)) {
                    continue;
                }
                if let Entry::Vacant(place) = below.entry(index ^ 1) {
                    place.insert(sibling()?);
                }
                let Some(parent) = N::join(&below[&(index & !1)], &below[&(index | 1)], height)
                else {
                    return Ok(None);
                };
                above.insert(index >> 1, parent);
            }
            levels.push(above);
        }
        Ok(Some(Self { levels }))
    }

    pub(crate) fn root(&self) -> N {
        self.levels.last().expect("the leaves' level is there")[&0]
    }

    /// The leaf that owns position `at`; `None` if the part shown does not reach it.
    pub(crate) fn find(&self, mut at: u64) -> Option<(u32, u64)> {
        if at >= self.root().sum() {
            return None;
        }
        let mut index = 0;
        for level in self.levels.iter().rev().skip(1) {
            index <<= 1;
            let left = level.get(&index)?.sum();
            if at >= left {
                at -= left;
                index |= 1;
            }
        }
        Some((index, at))
    }
}

#[cfg(test)]
#[path = "sum_tree/tests.rs"]
mod tests;

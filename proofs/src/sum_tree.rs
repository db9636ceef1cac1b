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

/// The root of the subtree of height `to` over `row`, nodes of height `from` from the left; where
/// the row ends, empty ones follow. `None` if sums overflow.
///
/// The row must not be longer than that subtree is wide.
pub(crate) fn fold<N: Node>(mut row: Vec<N>, from: u8, to: u8) -> Option<N> {
    for height in from + 1..=to {
        row = parents(&row, height)?;
    }
    let root = row.first().copied();
    Some(root.unwrap_or_else(|| N::empty(to)))
}

/// The row at `height` above this one. `None` if sums overflow.
fn parents<N: Node>(row: &[N], height: u8) -> Option<Vec<N>> {
    let empty = N::empty(height - 1);
    let parent = |pair: &[N]| match pair {
        [left, right] if (left, right) != (&empty, &empty) => N::join(left, right, height),
        [left] if *left != empty => N::join(left, &empty, height),
        _ => Some(N::empty(height)),
    };
    row.chunks(2).map(parent).collect()
}

/// A tree whose nodes can be had, kept or computed.
pub(crate) trait Levels<N: Node> {
    /// Levels above the leaves.
    fn depth(&self) -> u8;

    /// The node at `height`, at most the depth, in place `index` from the left.
    fn node(&self, height: u8, index: u32) -> N;

    /// The node above all.
    fn root(&self) -> N {
        self.node(self.depth(), 0)
    }

    /// The node of height `down_to` that owns position `at` of the sum, and the position within it.
    ///
    /// # Panics
    /// If `at` is not below the root's sum.
    fn find(&self, mut at: u64, down_to: u8) -> (u32, u64) {
        assert!(at < self.root().sum(), "position {at} beyond the sum");
        let mut index = 0;
        for height in (down_to..self.depth()).rev() {
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
    fn siblings(&self, indices: &[u32]) -> Vec<N> {
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

/// The nodes of a tree from height `low` up, each kept; only the right, empty edge is left out.
/// What is below, its owner computes from the leaves.
#[derive(Clone, Debug)]
pub(crate) struct Rows<N> {
    low: u8,
    /// `rows[h]` holds the nodes of height low + h from the left; the last row is the root's.
    rows: Vec<Vec<N>>,
}

impl<N: Node> Rows<N> {
    /// The rows over `row`, nodes of height `low`, up to the root of a tree of `depth`, at least
    /// `low`. `None` if sums overflow, or the row is wider than the tree.
    pub(crate) fn build(low: u8, depth: u8, row: Vec<N>) -> Option<Self> {
        if row.len() as u64 > 1 << (depth - low) {
            return None;
        }
        let mut rows = vec![row];
        for height in low + 1..=depth {
            rows.push(parents(rows.last()?, height)?);
        }
        Some(Self { low, rows })
    }

    /// Puts a node of height `low` and recomputes what is above; grows the tree if it has too few
    /// places.
    ///
    /// # Panics
    /// If the whole sum overflows.
    pub(crate) fn set(&mut self, index: u32, node: N) {
        self.grow(index);
        let (mut at, mut node) = (index, node);
        for height in self.low..=self.depth() {
            let row = &mut self.rows[usize::from(height - self.low)];
            if row.len() <= at as usize {
                row.resize(at as usize + 1, N::empty(height));
            }
            row[at as usize] = node;
            if height < self.depth() {
                at >>= 1;
                let (left, right) = (self.node(height, at << 1), self.node(height, (at << 1) | 1));
                node = N::join(&left, &right, height + 1).expect("the whole sum was checked");
            }
        }
    }

    /// Adds levels until `index` is a place: root' = node(root, empty).
    fn grow(&mut self, index: u32) {
        while u64::from(index) >> (self.depth() - self.low) != 0 {
            let above = parents(self.rows.last().expect("a root's row"), self.depth() + 1);
            self.rows.push(above.expect("an empty sum adds nothing"));
        }
    }
}

impl<N: Node> Levels<N> for Rows<N> {
    fn depth(&self) -> u8 {
        let above = self.rows.len() - 1;
        self.low + u8::try_from(above).expect("a tree has at most 32 levels above its leaves")
    }

    fn node(&self, height: u8, index: u32) -> N {
        self.rows[usize::from(height - self.low)]
            .get(index as usize)
            .copied()
            .unwrap_or_else(|| N::empty(height))
    }
}

/// The part of a tree that some leaves and their siblings show.
#[derive(Debug)]
pub(crate) struct PartialTree<N> {
    levels: Vec<BTreeMap<u32, N>>,
}

impl<N: Node> PartialTree<N> {
    /// Rebuilds the root. Siblings come from `sibling`, in the order of [`Levels::siblings`];
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

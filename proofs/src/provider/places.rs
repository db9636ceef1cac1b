//! The places of a provider tree as a persistent structure: eight contracts to a part, eight parts
//! to the part above. Each part keeps its own node of the tree, a multiple of three levels up; those
//! between are computed when they are asked for. Beside its leaf a contract costs some 14 bytes
//! where there are many of them; a change copies the parts above one place. `docs/protocol.md` §3.3.

use crate::ContractLeaf;
use crate::provider::ProviderRoot;
use crate::sum_tree::{Node as _, fold};
use std::sync::Arc;

/// Levels of the tree in a part.
const STEP: u8 = 3;
/// What is in one.
const WIDTH: usize = 1 << STEP;
/// No node is higher.
const TOP: u8 = 32;

/// Places 0..2^32, some with a contract, and the tree over them.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// All that there is; its node is the tree's root.
    top: Part,
    /// Of `top`: the least multiple of [`STEP`] that is at least `depth`, and not 0.
    height: u8,
    /// Levels of the tree.
    depth: u8,
}

/// Eight to the power of its height, in places.
#[derive(Clone, Debug)]
struct Part {
    /// Over all of it, at its own height; of `top`, at the tree's depth.
    node: ProviderRoot,
    below: Below,
}

/// As far as the last that holds something.
#[derive(Clone, Debug)]
enum Below {
    Nothing,
    /// Of the lowest height; `taken` has one bit a place.
    Leaves {
        taken: u8,
        leaves: Arc<[ContractLeaf]>,
    },
    /// `full` if no place below is free.
    Parts {
        full: bool,
        parts: Arc<[Part]>,
    },
}

impl Below {
    fn is_nothing(&self) -> bool {
        matches!(self, Self::Nothing)
    }

    fn is_full(&self) -> bool {
        match self {
            Self::Nothing => false,
            Self::Leaves { taken, .. } => *taken == u8::MAX,
            Self::Parts { full, .. } => *full,
        }
    }

    /// Leaves with their marks.
    fn leaves(taken: u8, leaves: Arc<[ContractLeaf]>) -> Self {
        match taken {
            0 => Self::Nothing,
            _ => Self::Leaves { taken, leaves },
        }
    }

    /// The parts of what has this height.
    fn parts(height: u8, parts: Arc<[Part]>) -> Self {
        let used = parts.iter().rposition(|part| !part.below.is_nothing());
        let Some(last) = used else {
            return Self::Nothing;
        };
        // The highest has room for four only: 2^33 places there are not.
        let most = 1 << (TOP.min(height) - (height - STEP));
        let is_full = parts.len() == most && parts.iter().all(|part| part.below.is_full());
        let parts = match last + 1 == parts.len() {
            true => parts,
            false => parts[..=last].iter().cloned().collect(),
        };
        Self::Parts {
            full: is_full,
            parts,
        }
    }

    /// What has this height and holds these leaves.
    fn build(leaves: &[Option<ContractLeaf>], height: u8) -> Self {
        let end = leaves.iter().rposition(Option::is_some);
        let leaves = &leaves[..end.map_or(0, |last| last + 1)];
        if height == STEP {
            let taken = (0..).zip(leaves).filter(|(_, leaf)| leaf.is_some());
            let taken = taken.map(|(bit, _): (u8, _)| 1 << bit).sum();
            let leaves = leaves.iter().map(|leaf| leaf.unwrap_or_default());
            return Self::leaves(taken, leaves.collect());
        }
        let from = height - STEP;
        let parts = leaves.chunks(1 << from);
        let parts = parts.map(|leaves| Part::over(Self::build(leaves, from), from, from));
        Self::parts(height, parts.collect())
    }

    /// Puts a contract in a place of what has this height, or frees it.
    fn set(&mut self, height: u8, index: u64, leaf: Option<ContractLeaf>) {
        let at = digit(index, height);
        let old = std::mem::replace(self, Self::Nothing);
        if height == STEP {
            let (taken, leaves) = match old {
                Self::Leaves { taken, leaves } => (taken, leaves),
                Self::Nothing | Self::Parts { .. } => (0, Arc::default()),
            };
            let taken = taken & !(1 << at) | u8::from(leaf.is_some()) << at;
            let len = (u8::BITS - taken.leading_zeros()) as usize;
            let leaf_at = |place: usize| match place == at {
                true => leaf.unwrap_or_default(),
                false => leaves.get(place).copied().unwrap_or_default(),
            };
            *self = Self::leaves(taken, (0..len).map(leaf_at).collect());
            return;
        }
        let from = height - STEP;
        let mut parts = match old {
            Self::Parts { parts, .. } => parts,
            Self::Nothing | Self::Leaves { .. } => Arc::default(),
        };
        if at >= parts.len() {
            let empty = || Part::over(Self::Nothing, from, from);
            let part_at = |place| parts.get(place).cloned().unwrap_or_else(empty);
            parts = (0..=at).map(part_at).collect();
        }
        let part = &mut Arc::make_mut(&mut parts)[at];
        part.below.set(from, index, leaf);
        part.node = part.below.above(from, from, 0);
        *self = Self::parts(height, parts);
    }

    /// The node of height `to` in place `index` of what has this height.
    fn above(&self, height: u8, to: u8, index: usize) -> ProviderRoot {
        let range = |from: u8, len: usize| {
            let levels = to - from;
            let end = len.min((index + 1) << levels);
            (index << levels).min(end)..end
        };
        let (row, from) = match self {
            Self::Nothing => (Vec::new(), to),
            Self::Leaves { taken, leaves } => {
                let node = |at: usize| match taken >> at & 1 {
                    1 => ProviderRoot::from(&leaves[at]),
                    _ => ProviderRoot::empty(0),
                };
                (range(0, leaves.len()).map(node).collect(), 0)
            }
            Self::Parts { parts, .. } => {
                let from = height - STEP;
                let parts = &parts[range(from, parts.len())];
                (parts.iter().map(|part| part.node).collect(), from)
            }
        };
        fold(row, from, to).expect("the whole sum was checked")
    }
}

impl Part {
    /// What has this height, with its node of height `to`.
    fn over(below: Below, height: u8, to: u8) -> Self {
        let node = below.above(height, to, 0);
        Self { node, below }
    }
}

/// Which of eight a place is in, within a part of this height.
fn digit(index: u64, height: u8) -> usize {
    usize::try_from(index >> (height - STEP)).expect("a place is a u32") % WIDTH
}

/// The least depth of a tree that has this place.
fn depth_of(index: u32) -> u8 {
    u8::try_from(u32::BITS - index.leading_zeros()).expect("at most 32")
}

impl Places {
    pub(crate) fn new() -> Self {
        Self::build(0, &[])
    }

    /// A tree of at least `depth` levels with these leaves in these places, of which there are at
    /// most 2^32. Their rates together must fit.
    pub(crate) fn build(depth: u8, leaves: &[Option<ContractLeaf>]) -> Self {
        let last = leaves.iter().rposition(Option::is_some).unwrap_or(0);
        let last = u32::try_from(last).expect("there are at most 2^32 places");
        let depth = depth.max(depth_of(last));
        let height = STEP * depth.div_ceil(STEP).max(1);
        Self {
            top: Part::over(Below::build(leaves, height), height, depth),
            height,
            depth,
        }
    }

    /// Levels of the tree.
    pub(crate) fn depth(&self) -> u8 {
        self.depth
    }

    /// The node above all.
    pub(crate) fn root(&self) -> ProviderRoot {
        self.top.node
    }

    pub(crate) fn get(&self, index: u32) -> Option<&ContractLeaf> {
        let index = u64::from(index);
        let (mut below, mut height) = (&self.top.below, self.height);
        if index >> height != 0 {
            return None;
        }
        loop {
            let at = digit(index, height);
            match below {
                Below::Nothing => return None,
                Below::Leaves { taken, leaves } => {
                    return leaves.get(at).filter(|_| taken >> at & 1 == 1);
                }
                Below::Parts { parts, .. } => below = &parts.get(at)?.below,
            }
            height -= STEP;
        }
    }

    /// Puts a contract in a place, or frees it; the tree grows until it has the place. The rates
    /// together must fit.
    pub(crate) fn set(&mut self, index: u32, leaf: Option<ContractLeaf>) {
        self.depth = self.depth.max(depth_of(index));
        while self.height < self.depth {
            let below = std::mem::replace(&mut self.top.below, Below::Nothing);
            let part = Part::over(below, self.height, self.height);
            self.height += STEP;
            self.top.below = Below::parts(self.height, Arc::from([part]));
        }
        self.top.below.set(self.height, u64::from(index), leaf);
        self.top.node = self.top.below.above(self.height, self.depth, 0);
    }

    /// The lowest place without a contract; 2^32 if there is none.
    pub(crate) fn lowest_free(&self) -> u64 {
        let (mut below, mut height, mut first) = (&self.top.below, self.height, 0);
        if below.is_full() {
            return 1 << height.min(TOP);
        }
        loop {
            match below {
                Below::Nothing => return first,
                Below::Leaves { taken, .. } => return first + u64::from(taken.trailing_ones()),
                Below::Parts { parts, .. } => {
                    height -= STEP;
                    let full = parts.iter().take_while(|part| part.below.is_full());
                    let at = full.count();
                    first += (at as u64) << height;
                    let Some(next) = parts.get(at) else {
                        return first;
                    };
                    below = &next.below;
                }
            }
        }
    }

    /// The node of `height`, at most the depth, in place `index` from the left.
    pub(crate) fn node(&self, height: u8, index: u32) -> ProviderRoot {
        let first = u64::from(index) << height;
        if first >> self.depth != 0 {
            return ProviderRoot::empty(height);
        }
        if height == self.depth {
            return self.top.node;
        }
        let (mut below, mut at) = (&self.top.below, self.height);
        loop {
            let parts = match below {
                Below::Nothing => return ProviderRoot::empty(height),
                Below::Parts { parts, .. } if height <= at - STEP => parts,
                Below::Leaves { .. } | Below::Parts { .. } => {
                    let within = u64::from(index) % (1 << (at - height));
                    let within = usize::try_from(within).expect("at most 8");
                    return below.above(at, height, within);
                }
            };
            let Some(part) = parts.get(digit(first, at)) else {
                return ProviderRoot::empty(height);
            };
            at -= STEP;
            if height == at {
                return part.node;
            }
            below = &part.below;
        }
    }

    /// The contracts with their places, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &ContractLeaf)> {
        let mut rest = vec![(0_u64, self.height, &self.top.below)];
        let blocks = std::iter::from_fn(move || {
            loop {
                let (first, height, below) = rest.pop()?;
                match below {
                    Below::Nothing => {}
                    Below::Leaves { taken, leaves } => return Some((first, *taken, leaves)),
                    Below::Parts { parts, .. } => {
                        let height = height - STEP;
                        let parts = (0_u64..).zip(parts.iter());
                        let parts: Vec<_> = parts
                            .map(|(at, part)| (first + (at << height), height, &part.below))
                            .collect();
                        rest.extend(parts.into_iter().rev());
                    }
                }
            }
        });
        blocks.flat_map(|(first, taken, leaves)| {
            let held = (0_u64..).zip(leaves.iter());
            let held = held.filter(move |(at, _)| taken >> at & 1 == 1);
            held.map(move |(at, leaf)| {
                let index = u32::try_from(first + at).expect("a place is a u32");
                (index, leaf)
            })
        })
    }

    /// The places up to the last that is taken.
    pub(crate) fn to_vec(&self) -> Vec<Option<ContractLeaf>> {
        let mut all = Vec::new();
        for (index, leaf) in self.iter() {
            all.resize(index as usize, None);
            all.push(Some(*leaf));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_is_kept_beside_the_leaves() {
        assert!(size_of::<Part>() <= 72);
        assert!(size_of::<Places>() <= 80);
        assert!(size_of::<ContractLeaf>() <= 232);
        assert_eq!(WIDTH, u8::BITS as usize, "`taken` has a bit for each");
    }

    #[test]
    fn a_full_tree_says_so_at_every_height() {
        for places in [1_u32, 7, 8, 9, 63, 64, 65, 512, 513] {
            let leaves: Vec<_> = (0..places).map(|_| Some(ContractLeaf::default())).collect();
            let mut tree = Places::build(0, &leaves);
            assert_eq!(tree.lowest_free(), u64::from(places));
            tree.set(places - 1, None);
            assert_eq!(tree.lowest_free(), u64::from(places) - 1);
            tree.set(0, None);
            assert_eq!(tree.lowest_free(), 0);
        }
    }
}

//! The places of a provider tree as a persistent structure: eight contracts to a block, eight
//! blocks to a fork, eight forks to a fork. Each keeps its own node of the tree, a multiple of three
//! levels up; those between are computed when they are asked for. A contract costs 250 bytes, a
//! change copies one block and the forks above it. `docs/protocol.md` §3.3.

use crate::ContractLeaf;
use crate::provider::ProviderRoot;
use crate::sum_tree::{Node as _, fold};
use std::sync::Arc;

/// Levels of the tree in a block or a fork.
const STEP: u8 = 3;
/// What is in one.
const WIDTH: usize = 1 << STEP;
/// No node is higher.
const TOP: u8 = 32;

/// Places 0..2^32, some with a contract.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    top: Part,
    /// Of `top`: a multiple of [`STEP`].
    height: u8,
}

#[derive(Clone, Debug)]
enum Part {
    Empty,
    Block(Arc<Block>),
    Fork(Arc<Fork>),
}

/// Up to eight contracts, as far as the last place that was taken.
#[derive(Clone, Debug)]
struct Block {
    node: ProviderRoot,
    /// One bit a place.
    taken: u8,
    leaves: Vec<ContractLeaf>,
}

#[derive(Clone, Debug)]
struct Fork {
    node: ProviderRoot,
    /// Contracts below.
    count: u64,
    parts: [Part; WIDTH],
}

impl Block {
    fn new(leaves: &[Option<ContractLeaf>]) -> Self {
        let taken = (0..).zip(leaves).filter(|(_, leaf)| leaf.is_some());
        let mut block = Self {
            node: ProviderRoot::empty(STEP),
            taken: taken.map(|(bit, _)| 1 << bit).sum(),
            leaves: leaves.iter().map(|leaf| leaf.unwrap_or_default()).collect(),
        };
        block.node = block.above(STEP, 0);
        block
    }

    fn get(&self, at: usize) -> Option<&ContractLeaf> {
        let taken = self.taken >> at & 1 == 1;
        self.leaves.get(at).filter(|_| taken)
    }

    fn set(&mut self, at: usize, leaf: Option<ContractLeaf>) {
        let missing = (at + 1).saturating_sub(self.leaves.len());
        self.leaves.reserve_exact(missing);
        let len = self.leaves.len() + missing;
        self.leaves.resize_with(len, ContractLeaf::default);
        self.leaves[at] = leaf.unwrap_or_default();
        self.taken = self.taken & !(1 << at) | u8::from(leaf.is_some()) << at;
        self.node = self.above(STEP, 0);
    }

    /// The node of `height` in place `index` of this block.
    fn above(&self, height: u8, index: usize) -> ProviderRoot {
        let node = |at| self.get(at).map_or(ProviderRoot::empty(0), Into::into);
        let below = (index << height)..(index + 1) << height;
        fold(below.map(node).collect(), 0, height).expect("the whole sum was checked")
    }
}

impl Fork {
    fn new(parts: [Part; WIDTH], height: u8) -> Self {
        let mut fork = Self {
            node: ProviderRoot::empty(TOP.min(height)),
            count: 0,
            parts,
        };
        fork.refresh(height);
        fork
    }

    /// Recomputes what it keeps of its parts; it is of this height.
    fn refresh(&mut self, height: u8) {
        self.count = self.parts.iter().map(Part::count).sum();
        self.node = self.above(height - STEP, TOP.min(height), 0);
    }

    /// The node of `height` in place `index` of this fork, whose parts have height `from`.
    fn above(&self, from: u8, height: u8, index: usize) -> ProviderRoot {
        let levels = height - from;
        let below = &self.parts[(index << levels)..(index + 1) << levels];
        let nodes = below.iter().map(|part| part.node(from)).collect();
        fold(nodes, from, height).expect("the whole sum was checked")
    }
}

impl Part {
    fn node(&self, height: u8) -> ProviderRoot {
        match self {
            Self::Empty => ProviderRoot::empty(height),
            Self::Block(block) => block.node,
            Self::Fork(fork) => fork.node,
        }
    }

    fn count(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Block(block) => u64::from(block.taken.count_ones()),
            Self::Fork(fork) => fork.count,
        }
    }

    /// The part of this height over these leaves.
    fn build(leaves: &[Option<ContractLeaf>], height: u8) -> Self {
        if leaves.iter().all(Option::is_none) {
            return Self::Empty;
        }
        if height == STEP {
            let end = leaves.iter().rposition(Option::is_some);
            return Self::Block(Arc::new(Block::new(&leaves[..=end.unwrap_or(0)])));
        }
        let mut below = leaves.chunks(1 << (height - STEP));
        let parts = std::array::from_fn(|_| {
            let leaves = below.next();
            leaves.map_or(Self::Empty, |leaves| Self::build(leaves, height - STEP))
        });
        Self::Fork(Arc::new(Fork::new(parts, height)))
    }

    fn set(&mut self, height: u8, index: u64, leaf: Option<ContractLeaf>) {
        if let Self::Empty = self {
            *self = if height == STEP {
                Self::Block(Arc::new(Block::new(&[])))
            } else {
                Self::Fork(Arc::new(Fork::new([const { Self::Empty }; WIDTH], height)))
            };
        }
        match self {
            Self::Empty => {}
            Self::Block(block) => Arc::make_mut(block).set(digit(index, STEP), leaf),
            Self::Fork(fork) => {
                let fork = Arc::make_mut(fork);
                fork.parts[digit(index, height)].set(height - STEP, index, leaf);
                fork.refresh(height);
            }
        }
        if self.count() == 0 {
            *self = Self::Empty;
        }
    }
}

/// Which of eight a place is in, within a part of this height.
fn digit(index: u64, height: u8) -> usize {
    usize::try_from(index >> (height - STEP) & 7).expect("below 8")
}

impl Places {
    pub(crate) fn new() -> Self {
        Self {
            top: Part::Empty,
            height: STEP,
        }
    }

    /// These leaves in these places. Their rates together must fit.
    pub(crate) fn build(leaves: &[Option<ContractLeaf>]) -> Self {
        let mut height = STEP;
        while leaves.len() as u64 > 1 << height {
            height += STEP;
        }
        let top = Part::build(leaves, height);
        Self { top, height }
    }

    pub(crate) fn get(&self, index: u32) -> Option<&ContractLeaf> {
        let index = u64::from(index);
        let (mut part, mut height) = (&self.top, self.height);
        if index >> height != 0 {
            return None;
        }
        loop {
            match part {
                Part::Empty => return None,
                Part::Block(block) => return block.get(digit(index, STEP)),
                Part::Fork(fork) => part = &fork.parts[digit(index, height)],
            }
            height -= STEP;
        }
    }

    /// Puts a contract in a place, or frees it. The rates together must fit.
    pub(crate) fn set(&mut self, index: u32, leaf: Option<ContractLeaf>) {
        while u64::from(index) >> self.height != 0 {
            let below = std::mem::replace(&mut self.top, Part::Empty);
            self.height += STEP;
            if below.count() > 0 {
                let mut parts = [const { Part::Empty }; WIDTH];
                parts[0] = below;
                self.top = Part::Fork(Arc::new(Fork::new(parts, self.height)));
            }
        }
        self.top.set(self.height, u64::from(index), leaf);
    }

    /// The lowest place without a contract; 2^32 if there is none.
    pub(crate) fn lowest_free(&self) -> u64 {
        let (mut part, mut height, mut first) = (&self.top, self.height, 0);
        if part.count() == 1 << height {
            return 1 << height;
        }
        loop {
            match part {
                Part::Empty => return first,
                Part::Block(block) => return first + u64::from(block.taken.trailing_ones()),
                Part::Fork(fork) => {
                    height -= STEP;
                    let has_room = |part: &&Part| part.count() < 1 << height;
                    let mut with_room = (0..).zip(&fork.parts).filter(|(_, p)| has_room(p));
                    let (at, next): (u64, _) = with_room.next().expect("it is not full");
                    first += at << height;
                    part = next;
                }
            }
        }
    }

    /// The node of `height` in place `index` from the left.
    pub(crate) fn node(&self, height: u8, index: u32) -> ProviderRoot {
        let first = u64::from(index) << height;
        if height > self.height {
            let nodes = vec![self.top.node(self.height.min(TOP))];
            let leftmost = || fold(nodes, self.height, height).expect("an empty sum adds nothing");
            return if index == 0 {
                leftmost()
            } else {
                ProviderRoot::empty(height)
            };
        }
        if first >> self.height != 0 {
            return ProviderRoot::empty(height);
        }
        let (mut part, mut at) = (&self.top, self.height);
        loop {
            if height == at.min(TOP) {
                return part.node(height);
            }
            let from = at - STEP;
            let within = |height: u8| {
                let places = 1_u64 << (at - height);
                usize::try_from(u64::from(index) % places).expect("at most 8")
            };
            match part {
                Part::Empty => return ProviderRoot::empty(height),
                Part::Block(block) => return block.above(height, within(height)),
                Part::Fork(fork) if height > from => {
                    return fork.above(from, height, within(height));
                }
                Part::Fork(fork) => part = &fork.parts[digit(first, at)],
            }
            at = from;
        }
    }

    /// The contracts with their places, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &ContractLeaf)> {
        let mut rest = vec![(0_u64, self.height, &self.top)];
        let blocks = std::iter::from_fn(move || {
            loop {
                let (first, height, part) = rest.pop()?;
                match part {
                    Part::Empty => {}
                    Part::Block(block) => return Some((first, block)),
                    Part::Fork(fork) => {
                        let height = height - STEP;
                        let parts = (0_u64..).zip(&fork.parts);
                        let parts: Vec<_> = parts
                            .map(|(at, part)| (first + (at << height), height, part))
                            .collect();
                        rest.extend(parts.into_iter().rev());
                    }
                }
            }
        });
        blocks.flat_map(|(first, block)| {
            (0..WIDTH).filter_map(move |at| {
                let index = u32::try_from(first + at as u64).expect("a place is a u32");
                Some((index, block.get(at)?))
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

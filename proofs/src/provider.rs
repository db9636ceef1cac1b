//! The provider tree: a provider's contracts by index; the sum is credit per epoch, so the sum in
//! the tree is the money. Free places are empty leaves, the lowest is reused, and the tree never
//! loses depth. `docs/protocol.md` §3.3.

use crate::ContractLeaf;
use crate::hashes;
use crate::layout_reader::{Reader, serde_as_bytes};
use crate::sum_tree::{Levels, Node, empties};
use larder_types::Hash;
use larder_types::codec::DecodeError;
use larder_types::layout::Layout;
use places::Places;
use serde::{Deserialize, Serialize};
use std::sync::LazyLock;

mod places;

/// A node of the provider tree, above all its root. 44 bytes on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ProviderRoot {
    /// The node's hash.
    pub hash: Hash,
    /// Nano per epoch of all contracts below.
    pub sum: u64,
    /// The least `end_epoch` of all contracts below; 2^32 − 1 if there is none.
    pub min_end: u32,
}

/// Why a tree does not take a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// The weights together would pass 2^64 − 1.
    #[error("the tree's sum would overflow")]
    SumOverflow,
    /// All 2^32 places are taken.
    #[error("the tree is full")]
    Full,
    /// No leaf has this index.
    #[error("no leaf at index {0}")]
    NoLeaf(u32),
}

static EMPTY: LazyLock<[ProviderRoot; 33]> = LazyLock::new(|| {
    empties(ProviderRoot {
        hash: hashes::PROVIDER_EMPTY.hash(b""),
        sum: 0,
        min_end: u32::MAX,
    })
});

impl ProviderRoot {
    /// Bytes of the wire form.
    pub const LEN: usize = 44;

    /// `hash[32] | sum u64 | min_end u32`.
    ///
    /// # Panics
    /// Never: the layout has this length.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let bytes = Layout::new()
            .fixed(self.hash)
            .u64(self.sum)
            .u32(self.min_end)
            .finish();
        bytes.try_into().expect("the layout is 44 bytes")
    }

    /// Reads the wire form.
    ///
    /// # Errors
    /// A wrong length.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let root = Self::read(&mut reader)?;
        reader.end()?;
        Ok(root)
    }
}

serde_as_bytes!(ProviderRoot);

impl Default for ProviderRoot {
    /// The root of a provider without contracts, at depth 0.
    fn default() -> Self {
        Self::empty(0)
    }
}

impl Node for ProviderRoot {
    fn empty(height: u8) -> Self {
        EMPTY[usize::from(height)]
    }

    fn join(left: &Self, right: &Self, height: u8) -> Option<Self> {
        let sum = left.sum.checked_add(right.sum)?;
        let bytes = Layout::new()
            .fixed(left.hash)
            .fixed(right.hash)
            .u64(left.sum)
            .u64(right.sum)
            .u32(left.min_end)
            .u32(right.min_end)
            .u8(height)
            .finish();
        Some(Self {
            hash: hashes::PROVIDER_NODE.hash(&bytes),
            sum,
            min_end: left.min_end.min(right.min_end),
        })
    }

    fn sum(&self) -> u64 {
        self.sum
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_bytes());
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            hash: Hash(reader.array("provider node")?),
            sum: reader.u64("provider node")?,
            min_end: reader.u32("provider node")?,
        })
    }
}

impl From<&ContractLeaf> for ProviderRoot {
    fn from(leaf: &ContractLeaf) -> Self {
        Self {
            hash: leaf.hash(),
            sum: leaf.rate.0,
            min_end: leaf.end_epoch,
        }
    }
}

/// A provider's contracts and the tree over them. A clone shares all with its original, and a change
/// copies one path, of some 3 KiB: the ledger keeps as many trees as there are states.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(into = "Stored", try_from = "Stored")]
pub struct ProviderTree {
    places: Places,
}

/// What of a tree is kept: the rest follows from it.
#[derive(Serialize, Deserialize)]
struct Stored {
    depth: u8,
    leaves: Vec<Option<ContractLeaf>>,
}

impl From<ProviderTree> for Stored {
    fn from(tree: ProviderTree) -> Self {
        Self {
            depth: tree.depth(),
            leaves: tree.places.to_vec(),
        }
    }
}

impl TryFrom<Stored> for ProviderTree {
    type Error = TreeError;
    fn try_from(stored: Stored) -> Result<Self, TreeError> {
        Self::from_leaves(stored.depth, stored.leaves)
    }
}

impl PartialEq for ProviderTree {
    fn eq(&self, other: &Self) -> bool {
        let told = |tree: &Self| (tree.depth(), tree.root());
        told(self) == told(other) && self.iter().eq(other.iter())
    }
}

impl Eq for ProviderTree {}

impl Default for ProviderTree {
    fn default() -> Self {
        Self::new()
    }
}

impl ProviderTree {
    /// The tree of a provider without contracts.
    #[must_use]
    pub fn new() -> Self {
        Self {
            places: Places::new(),
        }
    }

    /// The tree of depth 0 that is this contract alone: its root is the leaf. So whoever knows a
    /// contract's leaf can be shown what it commits.
    ///
    /// # Panics
    /// Never: one rate does not overflow.
    #[must_use]
    pub fn of_one(leaf: ContractLeaf) -> Self {
        Self::from_leaves(0, vec![Some(leaf)]).expect("one rate does not overflow")
    }

    /// The tree of at least `depth` levels with these leaves in these places.
    ///
    /// # Errors
    /// If the rates overflow, or there are more than 2^32 places or 32 levels.
    pub fn from_leaves(depth: u8, leaves: Vec<Option<ContractLeaf>>) -> Result<Self, TreeError> {
        if depth > 32 {
            return Err(TreeError::Full);
        }
        let mut rates = leaves.iter().flatten().map(|leaf| leaf.rate.0);
        let sum = rates.try_fold(0_u64, u64::checked_add);
        sum.ok_or(TreeError::SumOverflow)?;
        let last = leaves.iter().rposition(Option::is_some).unwrap_or(0);
        u32::try_from(last).map_err(|_| TreeError::Full)?;
        let places = Places::build(depth, &leaves);
        Ok(Self { places })
    }

    /// Puts a new contract in the lowest free place, which it returns.
    ///
    /// # Errors
    /// If the rates would overflow or no place is free; then nothing changes.
    pub fn insert(&mut self, leaf: ContractLeaf) -> Result<u32, TreeError> {
        let index = self.lowest_free()?;
        self.put(index, leaf)?;
        Ok(index)
    }

    /// Puts another leaf in the place of one, which it returns.
    ///
    /// # Errors
    /// If there is no leaf at `index` or the rates would overflow; then nothing changes.
    pub fn replace(&mut self, index: u32, leaf: ContractLeaf) -> Result<ContractLeaf, TreeError> {
        let old = *self.get(index).ok_or(TreeError::NoLeaf(index))?;
        self.put(index, leaf)?;
        Ok(old)
    }

    /// Takes a contract out; its place is free.
    ///
    /// # Errors
    /// If there is no leaf at `index`.
    pub fn remove(&mut self, index: u32) -> Result<ContractLeaf, TreeError> {
        let old = *self.get(index).ok_or(TreeError::NoLeaf(index))?;
        self.places.set(index, None);
        Ok(old)
    }

    /// The index that the next new contract gets.
    fn lowest_free(&self) -> Result<u32, TreeError> {
        u32::try_from(self.places.lowest_free()).map_err(|_| TreeError::Full)
    }

    fn put(&mut self, index: u32, leaf: ContractLeaf) -> Result<(), TreeError> {
        let old = self.get(index).map_or(0, |leaf| leaf.rate.0);
        let sum = (self.root().sum - old).checked_add(leaf.rate.0);
        sum.ok_or(TreeError::SumOverflow)?;
        self.places.set(index, Some(leaf));
        Ok(())
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> ProviderRoot {
        self.places.root()
    }

    /// Levels above the leaves.
    #[must_use]
    pub fn depth(&self) -> u8 {
        self.places.depth()
    }

    /// The contract at `index`.
    #[must_use]
    pub fn get(&self, index: u32) -> Option<&ContractLeaf> {
        self.places.get(index)
    }

    /// The contracts with their indices, in order.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &ContractLeaf)> {
        self.places.iter()
    }
}

impl Levels<ProviderRoot> for ProviderTree {
    fn depth(&self) -> u8 {
        self.places.depth()
    }

    fn node(&self, height: u8, index: u32) -> ProviderRoot {
        self.places.node(height, index)
    }
}

#[cfg(test)]
#[path = "provider/tests.rs"]
mod tests;

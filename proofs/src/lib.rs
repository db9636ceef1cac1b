//! Proofs that a provider holds what it is paid for: the trees that commit it, the challenge that
//! a beacon draws, the proof that answers it and the check of that proof. `docs/protocol.md` §3.2–3.8.
#![deny(clippy::float_arithmetic)]

pub mod challenge;
pub mod content;
pub mod contract_leaf;
mod hashes;
mod layout_reader;
pub mod provider;
pub mod shard_leaf;
mod sum_tree;

pub use challenge::Challenge;
pub use content::ContentTree;
pub use contract_leaf::ContractLeaf;
pub use provider::{ProviderRoot, ProviderTree, TreeError};
pub use shard_leaf::ShardLeaf;

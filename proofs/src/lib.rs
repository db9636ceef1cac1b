//! Proofs that a provider holds what it is paid for: the trees that commit it, the challenge that
//! a beacon draws, the proof that answers it and the check of that proof. `docs/protocol.md` §3.2–3.8.
#![deny(clippy::float_arithmetic)]

pub mod beacon;
mod blob;
pub mod bls;
pub mod certificate;
pub mod challenge;
pub mod chunk;
pub mod commitments;
pub mod content;
pub mod contract_leaf;
mod hasher;
mod hashes;
pub mod header;
mod layout_reader;
pub mod light;
pub mod map;
mod outboard;
pub mod prove;
pub mod provider;
#[cfg(test)]
mod reference;
mod shard_leaf;
pub mod state_proof;
mod sum_tree;
#[cfg(test)]
mod testing;
pub mod validators;
#[cfg(test)]
mod vectors;
mod verify;
pub mod vote;

pub use beacon::{Reveal, Single};
pub use blob::{MAX_BLOB, MAX_DRAWS};
pub use certificate::{Certificate, CertificateError, Final};
pub use challenge::{Challenge, Kind, audit_seed};
pub use commitments::{Commitment, Commitments};
pub use content::{ClearError, ContentTree, LostShard, Sibling, appended, cleared};
pub use contract_leaf::{APPEND_ONLY, AUTO_RENEW, ContractLeaf, TRANSFERABLE};
pub use hasher::ShardHasher;
pub use header::Header;
pub use light::{Checkpoint, LightError, Trusted};
pub use outboard::Outboard;
pub use prove::{Pick, Plan, PlanError, ProveError, ShardReader, prove};
pub use provider::{ProviderRoot, ProviderTree, TreeError};
pub use shard_leaf::ShardLeaf;
pub use state_proof::{Roots, StateProof, StateProofError, check_account, check_provider};
pub use validators::{SetError, Validator, ValidatorSet};
pub use verify::{VerifyError, convicts, verify};
pub use vote::{SignedVote, Vote, VoteKind, is_equivocation};

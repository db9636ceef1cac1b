//! Who decides the order of blocks, with its clock and its queues. Two ways: `solo`, a network with
//! a single validator, and `bft`, validators that agree. What a block may hold is `larder-ledger`'s
//! to say. `docs/protocol.md` §3.5, §3.8.

#[cfg(test)]
extern crate self as larder_consensus;

mod acks;
pub mod bft;
mod committed;
mod intake;
pub mod solo;

pub use bft::Bft;
pub use committed::Committed;
pub use intake::{ProofError, SubmitError};
pub use solo::{Solo, SoloEnd};

use larder_types::Time;
use std::sync::Arc;

/// Where a validator takes the time from.
pub type Clock = Arc<dyn Fn() -> Time + Send + Sync>;

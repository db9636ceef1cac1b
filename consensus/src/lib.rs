//! Who decides the order of blocks, with its clock and its queues. So far one way: `solo`, a
//! network with a single validator. What a block may hold is `larder-ledger`'s to say.
//! `docs/protocol.md` §3.5, §3.8.

pub mod solo;

pub use solo::{Clock, Committed, ProofError, Solo, SoloEnd, SubmitError};

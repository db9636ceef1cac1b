//! The credit ledger as pure code: genesis, transactions, blocks, and the state that a block
//! advances; what enters a block and who checks it. `docs/protocol.md` §3.3–3.6, §3.12.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::float_arithmetic
)]

pub mod block;
pub mod event;
pub mod genesis;
pub mod tx;
pub mod verdict;

pub use block::{Block, Header, Reveal};
pub use event::{Event, Skip, Unpaid};
pub use genesis::Genesis;
pub use tx::{Deposit, Faucet, Op, Register, Transfer, TreeUpdate, Tx};
pub use verdict::{Verdict, VerdictBatch};

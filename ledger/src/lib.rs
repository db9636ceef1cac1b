//! The credit ledger as pure code: genesis, transactions, blocks, and the state that a block
//! advances; what enters a block and who checks it. `docs/protocol.md` §3.3–3.6, §3.12.

#![deny(clippy::float_arithmetic)]
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

pub mod account;
pub mod ack;
pub mod appear;
pub mod apply;
pub mod approval;
mod asking;
pub mod block;
mod boundary;
mod buckets;
pub mod candidacy;
pub mod censorship;
pub mod check;
pub mod closing;
mod deal;
pub mod delegation;
mod egress;
mod ends;
pub mod equivocation;
pub mod event;
pub mod evidence;
pub mod fee;
pub mod forced;
pub mod genesis;
pub mod handover;
pub mod maintenance;
mod memo;
pub mod mempool;
pub mod movement;
mod named;
pub mod nonce;
pub mod objection;
mod pairs;
mod pay;
pub mod proofs_pool;
pub mod propose;
pub mod proposer;
pub mod provider;
pub mod purse;
mod records;
pub mod refusal;
pub mod skip;
pub mod state;
pub mod strikes;
pub mod subkey;
pub mod targeted;
mod terms;
mod transact;
pub mod tx;
pub mod unsigned;
pub mod validator;
pub mod verdict;
pub mod verify;
pub mod vouch;
pub mod withdraw;

pub use account::Account;
pub use ack::ProofAck;
pub use appear::{Leave, Left};
pub use apply::ApplyError;
pub use approval::{Approve, Change};
pub use block::{Block, Certified};
pub use candidacy::{Candidacy, Resign};
pub use censorship::Censored;
pub use closing::{Closing, Reduction};
pub use delegation::{Delegate, Grant, Revoke};
pub use equivocation::Equivocation;
pub use event::{Ended, Event, Unpaid};
pub use evidence::Evidence;
pub use forced::{AckedShard, ForceRevision, Forced};
pub use genesis::{Consensus, Founding, Genesis, GenesisError, Supply, VERSION};
pub use handover::Handover;
pub use larder_proofs::{Header, Reveal};
pub use maintenance::{Absence, Maintenance};
pub use mempool::{AdmitError, Admitted, Mempool};
pub use movement::{Applied, Cause, Movement};
pub use nonce::{NonceError, Nonces};
pub use objection::{Objection, objection};
pub use proofs_pool::{Forward, ForwardRefusal, ProofRefusal, ProofsPool};
pub use proposer::{NotTheValidator, Proposer};
pub use provider::Provider;
pub use purse::{Line, Purse};
pub use refusal::TxRefusal;
pub use skip::Skip;
pub use state::{Head, State, verbs};
pub use subkey::{Deed, May, SubKey, SubKeyError, SubKeys};
pub use targeted::Targeted;
pub use tx::{CloseFaulted, Deposit, Faucet, Loss, Op, Register, Stamp, Transfer, TreeUpdate, Tx};
pub use validator::{Parting, Standing, ValidatorRecord};
pub use verdict::{Reason, Verdict, VerdictBatch};
pub use verify::{Authority, Stamped, Verified, VerifyError};
pub use vouch::Vouch;
pub use withdraw::Withdraw;

#[cfg(test)]
mod tests;

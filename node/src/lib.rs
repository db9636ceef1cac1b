//! The shell around Larder's pure crates: one node as a process. `engine` and `ledger` decide;
//! here are the transport, the database, the workers, the RPC, the command line and the demo.

pub mod api;
pub mod app;
pub mod blocks;
pub mod bulk;
pub mod call;
pub mod chain;
pub mod cli;
pub mod demo;
pub mod doomed;
pub mod driver;
pub mod follow;
pub mod home;
pub mod invite;
pub mod jobs;
pub mod net;
mod own;
pub mod pool;
pub mod pump;
pub mod segments;
pub mod shards;
mod shown;
pub mod spool;
pub mod store;
pub mod validators;

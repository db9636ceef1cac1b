//! The command line: a client of the node's own RPC, and the two verbs that are the node itself.

mod args;
mod backup;
mod call;
mod connect;
mod cost;
mod device;
mod doctor;
mod dump;
mod exit;
mod friend;
mod health;
mod init;
mod key;
mod listing;
mod look;
mod market;
mod mount;
mod network;
mod offer;
pub mod options;
mod output;
mod policy;
pub(crate) mod progress;
mod recover;
mod repairs;
mod restore;
mod retention;
mod run;
mod schedule;
mod share;
mod simulate;
mod status;
mod texts;
mod token;
mod up;
mod upkeep;
mod verify;
mod volume;
mod wallet;
mod words;

pub use run::run;

pub(crate) use connect::runtime;
pub(crate) use exit::{DAMAGE, FAILED, Failure, USAGE};
pub(crate) use output::Out;
pub(crate) use up::PARENT;

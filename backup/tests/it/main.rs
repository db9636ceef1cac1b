//! Backups and restores end to end, over segments in a local folder.
#![allow(clippy::unwrap_used, reason = "a test says by failing what was wrong")]

mod catalogue;
mod common;
mod crash;
mod fidelity;
mod hostile;
mod loss;
mod prune;
mod recovery;
mod retention;
mod shared;
mod unchanged;
mod verify;
mod view;

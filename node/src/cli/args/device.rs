//! The words for the account's devices, and for one that joins or comes back.

use super::key::UnlockArgs;
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum DeviceCommand {
    /// List the account's devices, as far as their heads are known here.
    #[command(after_help = "Examples:\n  larder device list\n  larder device list --json")]
    List,
    /// Put a device out: its later heads count for nothing, what it stored stays.
    #[command(
        after_help = "Examples:\n  larder device revoke laptop\n  larder device revoke 0x3f2a --words-file words.txt\n\nTakes the words. This device looks after what the other one did."
    )]
    Revoke {
        /// Its name, or the beginning of its key.
        device: String,
        /// Read the words from this file instead of asking for them.
        #[arg(long, value_name = "FILE")]
        words_file: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct RecoverArgs {
    /// The invite string of the network that the account is on.
    #[arg(long, value_name = "INVITE")]
    pub(crate) join: String,
    /// Read the words from this file instead of asking for them.
    #[arg(long, value_name = "FILE")]
    pub(crate) words_file: Option<PathBuf>,
    /// No other device of the account is in use: do not wait for signs of life.
    #[arg(long)]
    pub(crate) alone: bool,
    #[command(flatten)]
    pub(crate) unlock: UnlockArgs,
}

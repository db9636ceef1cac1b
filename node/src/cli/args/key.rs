//! The words of `larder key`, and of whatever opens a sealed home.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// What opens a sealed home.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct UnlockArgs {
    /// A file with the home's passphrase, if it is sealed; asked for without it.
    #[arg(long, value_name = "FILE", env = "LARDER_PASSPHRASE_FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum KeyCommand {
    /// Add a passphrase. The first one seals the home; each of several opens it.
    #[command(
        after_help = "Examples:\n  larder key add\n  larder key add laptop --passphrase-file old.txt --new-passphrase-file new.txt\n\nOf a home that is not sealed yet, --passphrase-file is the new one's too. Without any passphrase a\nsealed home opens no more; the twenty-four words still bring a new one."
    )]
    Add {
        /// What to call it [default: the next of key-1, key-2 …].
        name: Option<String>,
        /// A file with the new passphrase; asked for without it.
        #[arg(long, value_name = "FILE")]
        new_passphrase_file: Option<PathBuf>,
        #[command(flatten)]
        unlock: UnlockArgs,
    },
    /// List the keys. Takes no passphrase.
    #[command(after_help = "Example:\n  larder key list --json")]
    List,
    /// Remove a key; its passphrase opens the home no more.
    #[command(
        after_help = "Examples:\n  larder key remove laptop\n  larder key remove key-1 --unseal     the last one\n\nAny passphrase of the home will do. An old copy of the home still opens by the old passphrase."
    )]
    Remove {
        /// Its name.
        name: String,
        /// It is the last one: leave the home's secrets in the clear.
        #[arg(long)]
        unseal: bool,
        #[command(flatten)]
        unlock: UnlockArgs,
    },
    /// Change a passphrase: that of the key which the old one is of.
    #[command(
        after_help = "Examples:\n  larder key passwd\n  larder key passwd --passphrase-file old.txt --new-passphrase-file new.txt"
    )]
    Passwd {
        /// A file with the new passphrase; asked for without it.
        #[arg(long, value_name = "FILE")]
        new_passphrase_file: Option<PathBuf>,
        #[command(flatten)]
        unlock: UnlockArgs,
    },
    /// Print a page with the words and all that a recovery takes.
    #[command(
        after_help = "Examples:\n  larder key export --paper | lpr\n  larder key export --paper --html --out page.html\n  larder key export --paper --words-file words.txt --out page.txt\n\nThe words are asked for, as no home keeps them, and must be this home's. Print the page, then\ndelete the file: who has it has the account and its backups."
    )]
    Export(ExportArgs),
}

/// What the page is to be.
#[derive(Debug, Clone, Args)]
pub(crate) struct ExportArgs {
    /// As a page to print.
    #[arg(long, required = true)]
    pub(crate) paper: bool,
    /// Read the words from this file instead of asking for them.
    #[arg(long, value_name = "FILE")]
    pub(crate) words_file: Option<PathBuf>,
    /// Name the peers of this invite, instead of those that the home joined by.
    #[arg(long, value_name = "INVITE")]
    pub(crate) join: Option<String>,
    /// A page for a browser, with codes to scan.
    #[arg(long)]
    pub(crate) html: bool,
    /// Write it to this file, which only you may read, instead of standard output.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Replace the file if it is there.
    #[arg(long, requires = "out")]
    pub(crate) force: bool,
}

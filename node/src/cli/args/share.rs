//! The words of `share`, `shares`, `unshare` and `shared`.

use super::UnlockArgs;
use clap::{Args, Subcommand};
use larder_types::Millis;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum ShareVerb {
    /// Share a folder or file of a snapshot with one person; nothing is uploaded again.
    #[command(
        after_help = "Examples:\n  larder share latest:/home/me/album --to lshare1…\n  larder share latest:/home/me/album --to lshare1… --name Album --expires 90d\n  larder share refresh 3f2a     writes the file anew, after repairs moved its data\n\nThe file that this writes opens for that person alone: hand it over in any way. The person prints\nthe address with `larder shared address`."
    )]
    Share(ShareArgs),
    /// List what you shared with others.
    #[command(after_help = "Examples:\n  larder shares\n  larder shares --json")]
    Shares,
    /// Take a share back: providers serve it no more. What was fetched stays with its recipient.
    #[command(after_help = "Example:\n  larder unshare 3f2a")]
    Unshare {
        /// The share's id, or the beginning of it.
        id: String,
    },
    /// What others shared with you: list, open, and the address that they need.
    #[command(
        after_help = "Examples:\n  larder shared\n  larder shared address\n  larder shared open Album.larder-share --target ./album"
    )]
    Shared {
        #[command(subcommand)]
        command: Option<SharedCommand>,
    },
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct ShareArgs {
    #[command(subcommand)]
    pub(crate) command: Option<ShareCommand>,
    /// The snapshot (an id, a prefix of one, or `latest`) and the path in it.
    #[arg(value_name = "SNAPSHOT:/PATH", required = true)]
    pub(crate) what: Option<String>,
    /// The recipient's share address.
    #[arg(long, value_name = "ADDRESS", required = true)]
    pub(crate) to: Option<String>,
    /// What to call it; the path's last name unless said.
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// For how long it may be read.
    #[arg(long, value_name = "DURATION", default_value = "30d")]
    pub(crate) expires: Millis,
    /// The file to write; NAME.larder-share here unless said.
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ShareCommand {
    /// Write a share's file anew, with the places where its data lies now.
    #[command(after_help = "Example:\n  larder share refresh 3f2a --file Album-2.larder-share")]
    Refresh {
        /// The share's id, or the beginning of it.
        id: String,
        /// The file to write; NAME.larder-share here unless said.
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum SharedCommand {
    /// Print the address that others need to share something with you.
    #[command(
        after_help = "Examples:\n  larder shared address\n  larder shared address --words-file words.txt    once, in a home older than shares"
    )]
    Address {
        /// Make the home's sharing key from the words in this file first.
        #[arg(long, value_name = "FILE")]
        words_file: Option<PathBuf>,
        #[command(flatten)]
        unlock: UnlockArgs,
    },
    /// List what others shared with you.
    #[command(after_help = "Example:\n  larder shared list --json")]
    List,
    /// Open a share's file and keep it; with a target, fetch what was shared.
    #[command(
        after_help = "Examples:\n  larder shared open Album.larder-share\n  larder shared open Album.larder-share --target ./album\n  larder shared open 3f2a --target ./album     one that was opened before"
    )]
    Open {
        /// The file, or the id of a share that was opened before.
        #[arg(value_name = "FILE|ID")]
        what: PathBuf,
        /// The folder to restore into; made if it is not there.
        #[arg(long, value_name = "DIR")]
        target: Option<PathBuf>,
    },
}

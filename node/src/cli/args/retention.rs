//! The words for what is kept for how long.

use clap::{Args, Subcommand, ValueEnum};
use larder_rpc::GroupBy;
use larder_types::Millis;
use std::path::PathBuf;

/// Verbs of retention. They take data away, or bring it back: they ask for the words.
#[derive(Debug, Subcommand)]
pub(crate) enum RetentionCommand {
    /// Hide snapshots: named ones, or those that no rule keeps. They can be brought back for seven days.
    #[command(
        after_help = "Examples:\n  larder forget 3f2a 91bc\n  larder forget --keep-daily 7 --keep-weekly 5 --keep-monthly 12 -n\n  larder forget --keep-within 90d --group-by host\n\nRules look at each host and set of paths apart, and never drop the newest. Hours, days, weeks, months\nand years are those of UTC. `larder undelete` brings back what was forgotten."
    )]
    Forget(ForgetArgs),
    /// Bring forgotten snapshots back, while their delay lasts.
    #[command(
        after_help = "Examples:\n  larder undelete 3f2a\n  larder undelete --all\n\n`larder snapshots --all` lists what was forgotten."
    )]
    Undelete(UndeleteArgs),
    /// Free what nothing needs any more: what was forgotten, once its delay is over.
    #[command(
        after_help = "Examples:\n  larder prune -n\n  larder prune --max-unused 5\n\nWhat is needed in part is written anew first. Providers give shards up at the end of an epoch, and keep\nthem in their trash for seven days."
    )]
    Prune(PruneArgs),
    /// Change the tags of snapshots.
    #[command(after_help = "Example:\n  larder tag latest --add thesis --remove draft")]
    Tag(TagArgs),
}

#[derive(Debug, Args)]
pub(crate) struct SnapshotsArgs {
    /// Forgotten ones too.
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ForgetArgs {
    /// Snapshots: ids, or prefixes of them.
    #[arg(value_name = "SNAPSHOT", conflicts_with = "KeepArgs")]
    pub(crate) snapshots: Vec<String>,
    #[command(flatten)]
    pub(crate) keep: KeepArgs,
    /// What the rules look at apart; `none` for all snapshots together.
    #[arg(
        long,
        value_name = "HOW",
        value_delimiter = ',',
        default_value = "host,paths"
    )]
    pub(crate) group_by: Vec<GroupArg>,
    /// Only snapshots of this path.
    #[arg(long, value_name = "PATH")]
    pub(crate) path: Option<PathBuf>,
    /// For how long they can be brought back, in epochs of the ledger [default: 7d].
    #[arg(long, value_name = "DURATION")]
    pub(crate) lock: Option<Millis>,
    /// Prune afterwards.
    #[arg(long)]
    pub(crate) prune: bool,
    /// Say what would be forgotten, and do nothing.
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
    /// Read the words from this file instead of asking for them.
    #[arg(long, value_name = "FILE")]
    pub(crate) words_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[group(id = "KeepArgs", multiple = true)]
pub(crate) struct KeepArgs {
    /// Keep the last N.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) keep_last: u32,
    /// Keep the newest of each of the last N hours that have one.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) keep_hourly: u32,
    /// Of each of N days.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) keep_daily: u32,
    /// Of each of N weeks.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) keep_weekly: u32,
    /// Of each of N months.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) keep_monthly: u32,
    /// Of each of N years.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) keep_yearly: u32,
    /// Keep all that are at most this much older than the newest.
    #[arg(long, value_name = "DURATION")]
    pub(crate) keep_within: Option<Millis>,
    /// Keep all that carry this tag; may be given more than once.
    #[arg(long = "keep-tag", value_name = "TAG")]
    pub(crate) keep_tags: Vec<String>,
}

/// What makes a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum GroupArg {
    /// The host.
    Host,
    /// The paths backed up.
    Paths,
    /// The tags.
    Tags,
    /// Nothing: all are one group.
    None,
}

impl GroupArg {
    pub(crate) const fn by(self) -> Option<GroupBy> {
        match self {
            Self::Host => Some(GroupBy::Host),
            Self::Paths => Some(GroupBy::Paths),
            Self::Tags => Some(GroupBy::Tags),
            Self::None => None,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct PruneArgs {
    /// How much may stay that nothing needs, in percent of what is needed.
    #[arg(long, value_name = "PERCENT", default_value_t = 10)]
    pub(crate) max_unused: u32,
    /// Say what would go, and do nothing.
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
    /// Read the words from this file instead of asking for them.
    #[arg(long, value_name = "FILE")]
    pub(crate) words_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct UndeleteArgs {
    /// Snapshots: ids, or prefixes of them.
    #[arg(value_name = "SNAPSHOT", required_unless_present = "all")]
    pub(crate) snapshots: Vec<String>,
    /// All that can be.
    #[arg(long, conflicts_with = "snapshots")]
    pub(crate) all: bool,
    /// Read the words from this file instead of asking for them.
    #[arg(long, value_name = "FILE")]
    pub(crate) words_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct TagArgs {
    /// Snapshots: ids, prefixes of them, or `latest`.
    #[arg(value_name = "SNAPSHOT", required = true)]
    pub(crate) snapshots: Vec<String>,
    /// Add this tag; may be given more than once.
    #[arg(long, value_name = "TAG", required_unless_present = "remove")]
    pub(crate) add: Vec<String>,
    /// Take this tag away; may be given more than once.
    #[arg(long, value_name = "TAG")]
    pub(crate) remove: Vec<String>,
    /// Read the words from this file instead of asking for them.
    #[arg(long, value_name = "FILE")]
    pub(crate) words_file: Option<PathBuf>,
}

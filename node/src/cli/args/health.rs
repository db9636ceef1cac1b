//! The words of `larder check` and `larder drill`.

use clap::{Args, Subcommand};
use larder_types::Millis;

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Read all that is stored: every shard, every blob.
    #[arg(long)]
    pub(crate) read_data: bool,
    /// Read only so much, at random: a share or a size.
    #[arg(long, value_name = "P%|SIZE", conflicts_with = "read_data")]
    pub(crate) read_data_subset: Option<String>,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct DrillArgs {
    #[command(subcommand)]
    pub(crate) command: Option<DrillCommand>,
    /// The snapshot (an id, a prefix of one, or `latest`) [default: latest].
    #[arg(value_name = "SNAPSHOT", conflicts_with = "every")]
    pub(crate) snapshot: Option<String>,
    /// How much of its files, at random: a share or a size [default: 1%], at most 1,000 files.
    #[arg(long, value_name = "P%|SIZE")]
    pub(crate) sample: Option<String>,
    /// Not now, but so often from now on, of the latest snapshot each time.
    #[arg(long, value_name = "DURATION")]
    pub(crate) every: Option<Millis>,
}

#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum DrillCommand {
    /// List the last hundred drills, and whether this device signed them.
    #[command(after_help = "Example:\n  larder drill list --json")]
    List,
}

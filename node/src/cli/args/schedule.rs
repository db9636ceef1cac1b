//! The words of `larder schedule`.

use clap::{Args, Subcommand};
use larder_types::{Class, Millis};
use std::path::PathBuf;

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum ScheduleCommand {
    /// Set when paths are backed up; a schedule of the same name is replaced.
    #[command(
        after_help = "Examples:\n  larder schedule set ~/Documents --every 24h --warn-after 3d\n  larder schedule set ~ --at 03:00 --name nightly --class high\n  larder schedule set /srv --cron '0 3 * * 1-5' --before 'pg_dumpall > /srv/db.sql'\n  larder schedule set ~/work --watch --settle 1m\n\nTimes are local. A run that was missed, because the machine slept, is made up for once. A schedule\nnever runs beside another backup: it waits. Commands are run by the node, as its user."
    )]
    Set(Box<ScheduleSetArgs>),
    /// List them: when each is due, when its last good backup was, what went wrong.
    #[command(after_help = "Example:\n  larder schedule list --json")]
    List,
    /// Take one away.
    #[command(after_help = "Example:\n  larder schedule remove nightly")]
    Remove {
        /// Its name.
        name: String,
    },
    /// Run one now, commands and all.
    #[command(after_help = "Example:\n  larder schedule run nightly")]
    Run {
        /// Its name.
        name: String,
    },
}

#[derive(Debug, Clone, Args)]
#[command(group = clap::ArgGroup::new("when").args(["every", "at", "cron"]))]
pub(crate) struct ScheduleSetArgs {
    /// Files and folders.
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// What it is called [default: the name of the first path].
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// So long after it ran last.
    #[arg(long, value_name = "DURATION")]
    pub(crate) every: Option<Millis>,
    /// Each day at this local time.
    #[arg(long, value_name = "HH:MM")]
    pub(crate) at: Option<String>,
    /// By a cron expression: minute, hour, day, month, weekday; local time.
    #[arg(long, value_name = "EXPRESSION")]
    pub(crate) cron: Option<String>,
    /// When files have changed; may stand beside a time.
    #[arg(long, required_unless_present = "when")]
    pub(crate) watch: bool,
    /// After changes, wait until there was none for so long [default: 30s], at most 20 times as long.
    #[arg(long, value_name = "DURATION", requires = "watch")]
    pub(crate) settle: Option<Millis>,
    /// Run this command first; if it fails there is no backup.
    #[arg(long, value_name = "COMMAND")]
    pub(crate) before: Option<String>,
    /// Run this command after the backup, with its outcome in $LARDER_RESULT, $LARDER_SNAPSHOT.
    #[arg(long, value_name = "COMMAND")]
    pub(crate) after: Option<String>,
    /// Kill a command that takes longer [default: 10m].
    #[arg(long, value_name = "DURATION")]
    pub(crate) hook_limit: Option<Millis>,
    /// An alert if the last good backup is older than this, and only then.
    #[arg(long, value_name = "DURATION")]
    pub(crate) warn_after: Option<Millis>,
    /// How safe: low, normal, high or critical [default: as `larder class` says, else normal].
    #[arg(long, value_name = "CLASS")]
    pub(crate) class: Option<Class>,
    /// A word to find the snapshots by; may be given more than once.
    #[arg(long = "tag", value_name = "TAG")]
    pub(crate) tags: Vec<String>,
}

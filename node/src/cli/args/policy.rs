//! The words for what holds per folder: classes, what is left out, when it is backed up.

use super::schedule::ScheduleCommand;
use clap::Subcommand;
use larder_types::Class;
use std::path::PathBuf;

/// Verbs that say what holds per folder.
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// How safe folders are kept: low, normal, high or critical.
    #[command(
        subcommand,
        after_help = "Examples:\n  larder class set ~/Pictures high\n  larder class set / low            what no other path says\n  larder class list\n  larder class unset ~/Pictures\n\nThe longest path that a backed up one lies below counts; `backup --class` goes before it. A folder\nbelow a backed up path that asks for more gets a snapshot of its own beside."
    )]
    Class(ClassCommand),
    /// What backups leave out, beside caches and temporary files.
    #[command(
        subcommand,
        after_help = "Examples:\n  larder exclude add '*.iso'\n  larder exclude add target/ node_modules/ --path ~/src\n  larder exclude add '!keep.iso' --path ~/disks\n  larder exclude list\n  larder exclude remove '*.iso'\n\nPatterns are those of .gitignore; without a leading slash they match at any depth below the path.\n`!` takes back what a path above left out."
    )]
    Exclude(ExcludeCommand),
    /// Backups that begin by themselves.
    #[command(
        subcommand,
        after_help = "Examples:\n  larder schedule set ~/Documents --every 24h --warn-after 3d\n  larder schedule list\n  larder schedule run Documents\n  larder schedule remove Documents"
    )]
    Schedule(ScheduleCommand),
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum ClassCommand {
    /// Set the class of a path, for the backups to come.
    #[command(after_help = "Example:\n  larder class set ~/Pictures high")]
    Set {
        /// A file or folder; `/` for all that no other path says.
        path: PathBuf,
        /// low, normal, high or critical.
        class: Class,
    },
    /// List the paths that have one.
    #[command(after_help = "Example:\n  larder class list --json")]
    List,
    /// Take it away: a path above it counts again.
    #[command(after_help = "Example:\n  larder class unset ~/Pictures")]
    Unset {
        /// The path.
        path: PathBuf,
    },
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum ExcludeCommand {
    /// Leave out what matches, in the backups to come.
    #[command(after_help = "Example:\n  larder exclude add target/ node_modules/ --path ~/src")]
    Add {
        /// A pattern as in .gitignore; several may be given.
        #[arg(required = true, value_name = "GLOB")]
        globs: Vec<String>,
        /// Only below this path.
        #[arg(long, value_name = "PATH", default_value = "/")]
        path: PathBuf,
    },
    /// List what is left out.
    #[command(after_help = "Example:\n  larder exclude list --path ~/src")]
    List {
        /// Only of this path.
        #[arg(long, value_name = "PATH")]
        path: Option<PathBuf>,
    },
    /// Leave it out no more.
    #[command(after_help = "Example:\n  larder exclude remove '*.iso'")]
    Remove {
        /// The pattern, as `larder exclude list` shows it.
        #[arg(required = true, value_name = "GLOB")]
        globs: Vec<String>,
        /// The path that it was added for.
        #[arg(long, value_name = "PATH", default_value = "/")]
        path: PathBuf,
    },
}

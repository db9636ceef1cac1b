//! The words for looking: into snapshots, at what is kept and what it costs, at what is wrong.

use super::health::{CheckArgs, DrillArgs};
use clap::{Args, Subcommand};
use larder_types::amount::ParseAmountError;
use larder_types::{Amount, Bytes, Class, ContractId};
use std::path::PathBuf;
use std::str::FromStr;

/// Verbs that look, and the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum LookCommand {
    /// List the open alerts, then those that were cleared lately.
    #[command(
        after_help = "Examples:\n  larder alerts\n  larder config set alerts.webhook https://example.org/hook"
    )]
    Alerts,
    /// Show the configuration, or change a key of it.
    #[command(
        after_help = "Examples:\n  larder config\n  larder config set alerts.backup_after 2d\n  larder config set alerts.webhook https://a.example/x https://b.example/y\n  larder config unset alerts.webhook"
    )]
    Config(ConfigArgs),
    /// Find files in snapshots by a glob.
    #[command(
        after_help = "Examples:\n  larder find '*.odt'\n  larder find thesis.tex --snapshot latest\n  larder find '*.jpg' --path /home/me/Pictures"
    )]
    Find(FindArgs),
    /// Show what differs between two snapshots: + added, - removed, M modified, U mode, owner or time.
    #[command(
        after_help = "Examples:\n  larder diff 3f2a latest\n  larder diff 3f2a latest --path /home/me"
    )]
    Diff(DiffArgs),
    /// Check that providers hold what the snapshots need; with --read-data that it is what was stored.
    #[command(
        after_help = "Examples:\n  larder check\n  larder check --read-data\n  larder check --read-data-subset 5%\n  larder check --read-data-subset 10GiB\n\nWithout reading, what is known is judged. Reading fetches every shard there is, redundancy included,\nopens every blob, and names the files that lie in what is damaged. Exit code 22: damage was found;\n`larder repair` mends it."
    )]
    Check(CheckArgs),
    /// Mend what lacks shards now, and wait until it is whole.
    #[command(
        after_help = "Examples:\n  larder check --read-data || larder repair\n  larder repair --json\n\nA running node repairs by itself when it is time. What is known to be damaged or lost is rebuilt\nfrom what is left, and placed with other providers."
    )]
    Repair,
    /// Restore a random sample, compare it with what the snapshot says, delete it, sign the result.
    #[command(
        after_help = "Examples:\n  larder drill\n  larder drill 3f2a --sample 5GiB\n  larder drill --every 30d --sample 1%\n  larder drill list"
    )]
    Drill(DrillArgs),
    /// Show how much is kept, how safe it is, and what would be lost with an operator or a region.
    #[command(
        after_help = "Examples:\n  larder stats\n  larder stats --what-if lose=de\n  larder stats --what-if lose=ann --what-if lose=12D3KooW…\n\nWhat is lost is a region, an operator or a provider; several are gone at once."
    )]
    Stats(StatsArgs),
    /// Write a file of a snapshot, or a folder as a tar archive, to standard output.
    #[command(
        after_help = "Examples:\n  larder dump latest:/home/me/notes.txt\n  larder dump latest:/home/me/photos | tar -t\n  larder dump 3f2a > all.tar"
    )]
    Dump {
        /// The snapshot (an id, a prefix of one, or `latest`), with a path if wanted.
        #[arg(value_name = "SNAPSHOT[:/PATH]")]
        what: String,
    },
    /// Show the snapshots as a read-only folder, until it is unmounted or this command is stopped.
    #[command(
        after_help = "Examples:\n  mkdir -p ~/snapshots && larder mount ~/snapshots\n  ls ~/snapshots/latest/home/me\n  cp -a ~/snapshots/by-time/2026-11-29T08:03:06Z/home/me/letter.odt .\n  umount ~/snapshots                 or Ctrl-C where it was mounted\n\nBelow the folder stand a folder for each snapshot, named as `larder snapshots` names them, `latest`,\nand `by-time`. Only what is read is fetched. The node mounts it, as root or with fusermount3\n(`apt install fuse3`); only the user that runs the node can look in, unless --allow-other is given.\nExit code 3: something could not be read; it was told when it was met."
    )]
    Mount(MountArgs),
    /// Say what storing so much would cost now. Nothing is reserved.
    #[command(
        after_help = "Examples:\n  larder quote 100GiB\n  larder quote 1TiB --class high --epochs 90\n  larder quote 1TiB --afresh"
    )]
    Quote(QuoteArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    pub(crate) command: Option<ConfigCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Set a key.
    Set {
        /// Its name, as `larder config` lists it.
        key: String,
        /// Its value; several for a list.
        #[arg(required = true)]
        values: Vec<String>,
    },
    /// Take a key out of the file: the default counts again.
    Unset {
        /// Its name.
        key: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct FindArgs {
    /// A glob as in .gitignore; without a slash it matches names at any depth.
    #[arg(value_name = "GLOB")]
    pub(crate) pattern: String,
    /// Only in this snapshot [default: in all of them, the newest first].
    #[arg(long, value_name = "SNAPSHOT")]
    pub(crate) snapshot: Option<String>,
    /// Only below this path.
    #[arg(long, value_name = "PATH")]
    pub(crate) path: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct StatsArgs {
    /// Say what would be left without a region, an operator or a provider, with no repair.
    #[arg(long, value_name = "lose=NAME", value_parser = lost)]
    pub(crate) what_if: Vec<String>,
}

/// The name in `lose=NAME`.
fn lost(text: &str) -> Result<String, String> {
    let name = text.strip_prefix("lose=").filter(|name| !name.is_empty());
    let name = name.ok_or("write lose=REGION, lose=OPERATOR or lose=PEER")?;
    Ok(name.to_owned())
}

#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// The older snapshot.
    #[arg(value_name = "SNAPSHOT")]
    pub(crate) from: String,
    /// The newer one.
    #[arg(value_name = "SNAPSHOT", default_value = "latest")]
    pub(crate) to: String,
    /// Only below this path.
    #[arg(long, value_name = "PATH")]
    pub(crate) path: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct MountArgs {
    /// An empty folder; made if it is not there.
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Let other users look in, as far as the recorded owners and modes allow.
    #[arg(long)]
    pub(crate) allow_other: bool,
}

#[derive(Debug, Args)]
pub(crate) struct QuoteArgs {
    /// How much.
    #[arg(value_name = "SIZE")]
    pub(crate) size: Bytes,
    /// How safe: low, normal, high or critical.
    #[arg(long, value_name = "CLASS", default_value = "normal")]
    pub(crate) class: Class,
    /// For how many epochs [default: about 30 days].
    #[arg(long, value_name = "N")]
    pub(crate) epochs: Option<u32>,
    /// As for an account that rents nothing yet.
    #[arg(long)]
    pub(crate) afresh: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ContractsArgs {
    #[command(subcommand)]
    pub(crate) command: Option<ContractsCommand>,
}

/// The most that contracts may cost in 30 days; `None`: what the account has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AllowanceArg(pub(crate) Option<Amount>);

impl FromStr for AllowanceArg {
    type Err = ParseAmountError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "none" => Ok(Self(None)),
            credits => credits.parse().map(|amount| Self(Some(amount))),
        }
    }
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum ContractsCommand {
    /// Show a contract as the ledger holds it.
    Show {
        /// The contract.
        contract: ContractId,
    },
    /// Show how a contract is, and what depends on it.
    Health {
        /// The contract.
        contract: ContractId,
    },
    /// Show what all contracts cost, and how long the credit lasts.
    Spending,
    /// Give notice: the contract ends, and what lies there is rebuilt elsewhere before.
    #[command(
        after_help = "Example:\n  larder contracts cancel CONTRACT --words-file words.txt\n\nIt takes the account's words: no device may give up what is stored."
    )]
    Cancel {
        /// The contract.
        contract: ContractId,
        /// Read the words from this file instead of asking for them.
        #[arg(long, value_name = "FILE")]
        words_file: Option<PathBuf>,
        /// Even if something could be read no more without it.
        #[arg(long)]
        force: bool,
    },
    /// Set the most that contracts may cost in 30 days.
    #[command(
        after_help = "Examples:\n  larder contracts allowance 25\n  larder contracts allowance none\n\nWhat is rented already stays and is renewed as it is."
    )]
    Allowance {
        /// Credits for 30 days, or `none`: whatever the account has.
        credits: AllowanceArg,
    },
}

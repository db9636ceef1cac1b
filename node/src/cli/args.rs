//! The words of the command line, their help and their examples.

mod call;
mod device;
mod friend;
mod key;
mod look;
mod network;
pub(crate) mod retention;
mod share;
mod wallet;

pub(crate) use self::call::{CallArgs, TokenCommand};
pub(crate) use self::device::{DeviceCommand, RecoverArgs};
pub(crate) use self::friend::FriendCommand;
mod health;
mod policy;
mod schedule;

pub(crate) use self::health::{DrillArgs, DrillCommand};
pub(crate) use self::key::{ExportArgs, KeyCommand, UnlockArgs};
pub(crate) use self::look::{
    ConfigCommand, ContractsArgs, ContractsCommand, DiffArgs, FindArgs, LookCommand, MountArgs,
    QuoteArgs, StatsArgs,
};
pub(crate) use self::network::{ConsensusArg, NetworkCommand, PeerArg};
pub(crate) use self::policy::{ClassCommand, ExcludeCommand, PolicyCommand};
use self::retention::{RetentionCommand, SnapshotsArgs};
pub(crate) use self::schedule::{ScheduleCommand, ScheduleSetArgs};
pub(crate) use self::share::{ShareArgs, ShareCommand, ShareVerb, SharedCommand};
pub(crate) use self::wallet::{LimitArg, PassphraseArgs, VerifyArgs, WalletArg, WalletCommand};

use crate::demo::DemoArgs;
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use larder_types::{Amount, Bytes, Class, Millis, Profile};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Trade disk space: encrypted, spread over many, paid for what is proven to be there.
#[derive(Debug, Parser)]
#[command(
    name = "larder",
    version,
    propagate_version = true,
    after_help = "Examples:\n  larder demo                                   the whole thing on this machine\n  larder --home a init --new-network            found a network\n  larder --home a up --validate                 run its first node\n  larder --home b init --join \"$(larder --home a invite)\"\n  larder --home b up --provide 20GiB            offer disk space\n  larder backup ~/Documents && larder snapshots\n  larder restore latest --target /tmp/back\n\nExit codes: 0 done, 1 failed, 2 usage, 3 done in part, 10 no such home, 11 locked or not running,\n12 wrong words or passphrase, 20 saved below the class's durability, 21 no quota, credit or peers,\n22 damage, 130 interrupted."
)]
pub(crate) struct Cli {
    /// The folder that holds identity, config and data.
    #[arg(long, global = true, value_name = "DIR", env = "LARDER_HOME")]
    pub(crate) home: Option<PathBuf>,
    /// Print one JSON object a line, each with a `message_type`.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print results and errors only.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Print more; the node logs more.
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make an identity and a config, and print the words once.
    #[command(
        after_help = "Examples:\n  larder init --new-network\n  larder init --new-network --epoch 8s\n  larder init --new-network --consensus bft\n  larder init --join INVITE\n  larder init --join INVITE --words-file words.txt"
    )]
    Init(InitArgs),
    /// Bring a lost home back from its words.
    #[command(
        after_help = "Examples:\n  larder recover --join INVITE\n  larder --home new recover --join INVITE --words-file words.txt\n\nThe words are asked for unless a file is named. Interrupted, the same command goes on. Other\ndevices of the account may go on meanwhile; what those looked after that do not show themselves within\nminutes passes to the new home."
    )]
    Recover(RecoverArgs),
    /// Run the node.
    #[command(
        after_help = "Examples:\n  larder up\n  larder up --provide 20GiB --price 2 --region de --operator me\n  larder up --validate --rpc 127.0.0.1:0\n  larder up --passphrase-file pass.txt        a sealed home; asked for without it"
    )]
    Up(UpArgs),
    /// Print the network's invite string: joining is one paste.
    Invite,
    /// Show the node at a glance.
    Status,
    /// Say what is wrong and how to mend it.
    Doctor,
    /// Make a snapshot of files and folders.
    #[command(
        after_help = "Examples:\n  larder backup ~/Documents ~/Pictures\n  larder backup . --class high --tag work --exclude '*.o'\n  larder backup / -n"
    )]
    Backup(BackupArgs),
    /// List the snapshots.
    Snapshots(SnapshotsArgs),
    #[command(flatten)]
    Retention(RetentionCommand),
    /// List what lies in a folder of a snapshot.
    #[command(
        after_help = "Examples:\n  larder ls latest\n  larder ls latest:/home/me -l\n  larder ls 3f2a -R"
    )]
    Ls(LsArgs),
    /// Recreate a snapshot's files below a folder.
    #[command(
        after_help = "Examples:\n  larder restore latest --target /tmp/back\n  larder restore latest:/home/me/photos --target ./photos\n  larder restore 3f2a --target /tmp/back --include '*.txt' --verify"
    )]
    Restore(RestoreArgs),
    /// Credit: address, balance, payments.
    #[command(subcommand)]
    Wallet(WalletCommand),
    /// The passphrases that open this home, and a page for the day when it is gone.
    #[command(
        subcommand,
        after_help = "Examples:\n  larder key add                          the first one seals the home\n  larder key add laptop --new-passphrase-file new.txt\n  larder key list\n  larder key passwd\n  larder key remove laptop\n  larder key remove key-1 --unseal        the last one: the home lies open again\n  larder key export --paper --html --out page.html\n\nStop the node first; `export` and `list` may run beside it."
    )]
    Key(KeyCommand),
    /// The provider's own offer and its way out.
    #[command(
        after_help = "Examples:\n  larder offer\n  larder offer set --price 1.5 --quota 40GiB\n  larder offer pause\n  larder offer maintenance --in 2d --for 1\n  larder offer shrink 10GiB\n  larder offer exit\n  larder offer withdraw"
    )]
    Offer(OfferArgs),
    /// Running a ledger together: the network's rules and who makes its blocks.
    #[command(
        subcommand,
        after_help = "Examples:\n  larder network params\n  larder network validators --json\n  larder network add-validator 12D3KooW…      its node runs with --validate\n  larder network remove-validator 12D3KooW…\n\nMore than two thirds of the validators must approve a change: each runs the command on its own node."
    )]
    Network(NetworkCommand),
    /// The places where a provider's shards lie.
    #[command(
        subcommand,
        after_help = "Examples:\n  larder volume list\n  larder volume add /mnt/disk2 --size 2TiB\n  larder volume remove /mnt/disk2           moves its shards to the others first\n  larder volume remove /mnt/disk2 --lost    the disk is gone for good"
    )]
    Volume(VolumeCommand),
    /// People who give each other disk for nothing.
    #[command(
        subcommand,
        after_help = "Examples:\n  larder friend add anna --give 50GiB\n  larder friend accept larderfriend1… --name bob --give 20GiB\n  larder friend list\n  larder friend remove anna"
    )]
    Friend(FriendCommand),
    /// The devices of the account: list them, or put one out.
    #[command(
        subcommand,
        after_help = "Examples:\n  larder device list\n  larder device revoke laptop --words-file words.txt\n\nA device joins with the words: `larder recover` on its machine, while the others go on."
    )]
    Device(DeviceCommand),
    /// List the valid offers of providers.
    Offers,
    /// List the connected peers.
    Peers,
    /// List the home's contracts, or show one as the ledger holds it.
    Contracts(ContractsArgs),
    /// Show what is lost, being rebuilt and done.
    Repairs,
    /// Let other programs call this node's RPC, within a scope.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Call any method of the node's RPC; of a subscription, print what it tells.
    #[command(
        after_help = "Examples:\n  larder call chain_head\n  larder call ledger_getBalance '{\"account\":\"z…\"}'\n  larder call chain_subscribe\n\n`docs/rpc.md` names the methods, and so does `larder call rpc.discover`."
    )]
    Call(CallArgs),
    #[command(flatten)]
    Look(LookCommand),
    #[command(flatten)]
    Policy(PolicyCommand),
    #[command(flatten)]
    Share(ShareVerb),
    /// Run a simulation over the production engine and ledger.
    #[command(subcommand)]
    Simulate(SimulateCommand),
    /// Show the whole thing on this machine, with real processes and real files.
    #[command(
        after_help = "Examples:\n  larder demo\n  larder demo ~/Documents --json\n  larder demo --providers 16 --kill 2 --keep\n  larder demo --validators 4"
    )]
    Demo(DemoArgs),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Print the manual page, or write all pages into a folder.
    Man {
        /// Where to write the pages.
        dir: Option<PathBuf>,
    },
    /// Print the version.
    Version,
}

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Found a network; this account holds its credit.
    #[arg(long, required_unless_present = "join", conflicts_with = "join")]
    pub(crate) new_network: bool,
    /// The length of an epoch; slots and windows scale with it.
    #[arg(long, value_name = "DURATION", conflicts_with = "join")]
    pub(crate) epoch: Option<Millis>,
    /// The network's parameters: dev, private or public.
    #[arg(
        long,
        value_name = "PROFILE",
        default_value = "dev",
        conflicts_with = "join"
    )]
    pub(crate) profile: Profile,
    /// Who puts the new network's blocks in order. It stays so.
    #[arg(
        long,
        value_name = "KIND",
        default_value = "solo",
        conflicts_with = "join"
    )]
    pub(crate) consensus: ConsensusArg,
    /// Join a network by its invite string.
    #[arg(long, value_name = "INVITE")]
    pub(crate) join: Option<String>,
    /// Use the words in this file instead of new ones.
    #[arg(long, value_name = "FILE")]
    pub(crate) words_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// Listen on this multiaddr; may be given more than once.
    #[arg(
        long,
        value_name = "MULTIADDR",
        env = "LARDER_LISTEN",
        value_delimiter = ','
    )]
    pub(crate) listen: Vec<String>,
    /// Where the RPC listens; port 0 means any.
    #[arg(long, value_name = "ADDR:PORT", env = "LARDER_RPC")]
    pub(crate) rpc: Option<SocketAddr>,
    /// Offer this much disk space.
    #[arg(long, value_name = "SIZE", env = "LARDER_PROVIDE")]
    pub(crate) provide: Option<Bytes>,
    /// The price in credits per GiB and 30 days.
    #[arg(long, value_name = "CREDITS", env = "LARDER_PRICE")]
    pub(crate) price: Option<Amount>,
    /// The region that the provider says it is in.
    #[arg(long, value_name = "CODE", env = "LARDER_REGION")]
    pub(crate) region: Option<String>,
    /// Who runs the provider.
    #[arg(long, value_name = "NAME", env = "LARDER_OPERATOR")]
    pub(crate) operator: Option<String>,
    /// Make blocks: at once if this node is a validator, else it stands as a candidate, with a bond of
    /// its account's, and begins when the validators have taken it in.
    #[arg(long, env = "LARDER_VALIDATE")]
    pub(crate) validate: bool,
    /// Where validators' consensus listens [default: the port after the first of --listen].
    #[arg(long, value_name = "MULTIADDR", env = "LARDER_CONSENSUS_LISTEN")]
    pub(crate) consensus_listen: Option<String>,
    #[command(flatten)]
    pub(crate) unlock: UnlockArgs,
}

#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// Files and folders.
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// How safe: low, normal, high or critical [default: as `larder class` says, else normal].
    #[arg(long, value_name = "CLASS")]
    pub(crate) class: Option<Class>,
    /// A word to find the snapshot by; may be given more than once.
    #[arg(long = "tag", value_name = "TAG")]
    pub(crate) tags: Vec<String>,
    /// Leave out what matches, as in .gitignore; may be given more than once.
    #[arg(long = "exclude", value_name = "GLOB")]
    pub(crate) excludes: Vec<String>,
    /// Read everything, store nothing.
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    /// The snapshot (an id, a prefix of one, or `latest`), with a path if wanted.
    #[arg(value_name = "SNAPSHOT[:/PATH]", default_value = "latest")]
    pub(crate) what: String,
    /// Show mode, owner, size and time too.
    #[arg(short, long)]
    pub(crate) long: bool,
    /// Go down into folders.
    #[arg(short = 'R', long)]
    pub(crate) recursive: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// The snapshot (an id, a prefix of one, or `latest`), with a folder if only its contents are
    /// wanted.
    #[arg(value_name = "SNAPSHOT[:/PATH]")]
    pub(crate) what: String,
    /// The folder to restore into; made if it is not there.
    #[arg(long, value_name = "DIR")]
    pub(crate) target: PathBuf,
    /// Only what matches; may be given more than once.
    #[arg(long, value_name = "GLOB")]
    pub(crate) include: Vec<String>,
    /// Nothing that matches; may be given more than once.
    #[arg(long, value_name = "GLOB")]
    pub(crate) exclude: Vec<String>,
    /// Read all that was written once more and compare.
    #[arg(long)]
    pub(crate) verify: bool,
}

#[derive(Debug, Args)]
pub(crate) struct OfferArgs {
    #[command(subcommand)]
    pub(crate) command: Option<OfferCommand>,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum OfferCommand {
    /// Show the offer, what stands in its way, and how the ledger judged the last epochs.
    #[command(after_help = "Examples:\n  larder offer\n  larder offer show --json")]
    Show,
    /// Change the offer, for good and at once. Contracts keep the price they were made at.
    #[command(after_help = "Example:\n  larder offer set --price 1.5 --quota 40GiB --region de")]
    Set(OfferSetArgs),
    /// Take no new contracts; those that there are may be extended and renewed.
    #[command(after_help = "Example:\n  larder offer pause")]
    Pause,
    /// Take contracts again, after `pause` or `exit`.
    #[command(after_help = "Example:\n  larder offer resume")]
    Resume,
    /// Announce an absence, at least two epochs ahead: its epochs are not paid, and no strike.
    #[command(
        after_help = "Examples:\n  larder offer maintenance --in 2d --for 1\n  larder offer maintenance --from 1234 --for 3\n\nAt most three epochs, and once in 60. Contracts stay; whoever wants to read meanwhile waits."
    )]
    Maintenance(MaintenanceArgs),
    /// Offer less: what is free goes at once, what is used when its contracts have ended.
    #[command(after_help = "Example:\n  larder offer shrink 10GiB")]
    Shrink {
        /// What remains, in all; 0 leaves nothing.
        size: Bytes,
    },
    /// Leave: nothing new, no renewals; all is over when the last contract has ended.
    #[command(
        after_help = "Examples:\n  larder offer exit\n  larder offer        shows when the last contract ends\n  larder offer resume stays after all"
    )]
    Exit,
    /// Take free collateral back to the account.
    #[command(
        after_help = "Examples:\n  larder offer withdraw          all that is free\n  larder offer withdraw 12.5\n\nWhat is taken back cannot be locked by new contracts."
    )]
    Withdraw {
        /// How many credits; all that is free unless said.
        amount: Option<Amount>,
    },
}

#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct OfferSetArgs {
    /// Credits per GiB and 30 days, for new contracts and renewals.
    #[arg(long, value_name = "CREDITS")]
    pub(crate) price: Option<Amount>,
    /// How much disk in all.
    #[arg(long, value_name = "SIZE")]
    pub(crate) quota: Option<Bytes>,
    /// The region that the provider says it is in.
    #[arg(long, value_name = "CODE")]
    pub(crate) region: Option<String>,
    /// Who runs it.
    #[arg(long, value_name = "NAME")]
    pub(crate) operator: Option<String>,
}

#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct MaintenanceArgs {
    /// The first epoch away.
    #[arg(long, value_name = "EPOCH", required_unless_present = "begins_in")]
    pub(crate) from: Option<u32>,
    /// The epoch that it will be then is the first one away.
    #[arg(long = "in", value_name = "DURATION", conflicts_with = "from")]
    pub(crate) begins_in: Option<Millis>,
    /// For how many epochs.
    #[arg(long = "for", value_name = "EPOCHS", default_value_t = 1)]
    pub(crate) epochs: u32,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum VolumeCommand {
    /// List them: what lies there, what may still come, what is wrong.
    #[command(after_help = "Example:\n  larder volume list --json")]
    List,
    /// Add one; or look again for one whose disk was not there.
    #[command(after_help = "Example:\n  larder volume add /mnt/disk2 --size 2TiB")]
    Add {
        /// A folder, on a disk of its own most likely.
        path: PathBuf,
        /// The most that may lie there; without it, what the disk has.
        #[arg(long, value_name = "SIZE")]
        size: Option<Bytes>,
    },
    /// Change how much may lie there; less deletes nothing.
    #[command(after_help = "Example:\n  larder volume resize /mnt/disk2 1TiB")]
    Resize {
        /// Its folder.
        path: PathBuf,
        /// The most that may lie there; without it, what the disk has.
        size: Option<Bytes>,
    },
    /// Take one away: its shards are moved to the others first.
    #[command(
        after_help = "Examples:\n  larder volume remove /mnt/disk2\n  larder volume remove /mnt/disk2 --lost\n\nInterrupted, the node goes on with it. Killed, it forgets that, and nothing is lost: say it again."
    )]
    Remove {
        /// Its folder.
        path: PathBuf,
        /// The disk is gone for good: declare its shards lost, which costs half of their collateral.
        #[arg(long)]
        lost: bool,
    },
}

#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum SimulateCommand {
    /// Nodes come, go and die; keepers repair. Money, proofs and data are checked all along.
    #[command(
        after_help = "Examples:\n  larder simulate churn --seed 7 --nodes 50 --years 1\n  larder \
                      simulate churn --seed 7 --nodes 20 --days 60 --json"
    )]
    Churn {
        #[command(flatten)]
        run: SimulateArgs,
        /// How many virtual years.
        #[arg(long, default_value_t = 1, conflicts_with = "days", value_parser = clap::value_parser!(u32).range(1..=100))]
        years: u32,
    },
    /// Crashes, deaths, full disks, flipped bytes, storms and splits, which then stop: after that
    /// everything settles.
    #[command(
        after_help = "Examples:\n  larder simulate faults --seed 7\n  larder simulate faults --seed \
                      7 --nodes 30 --days 7 --json"
    )]
    Faults {
        #[command(flatten)]
        run: SimulateArgs,
    },
    /// The network falls in two for ten epochs: nothing is rebuilt that need not be.
    #[command(after_help = "Example:\n  larder simulate split --seed 7")]
    Split {
        #[command(flatten)]
        run: SimulateArgs,
    },
    /// One provider cheats, in each of six ways, beside its honest twin on the same network: no
    /// cheat ends with more, counted in nano, with what storing costs taken off.
    #[command(
        after_help = "Examples:\n  larder simulate adversaries --seed 7\n  larder simulate \
                      adversaries --seed 7 --nodes 12 --days 3 --json"
    )]
    Adversaries {
        #[command(flatten)]
        run: SimulateArgs,
    },
}

/// What every scenario is told.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct SimulateArgs {
    /// Where all randomness comes from: the same seed, the same run.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// How many nodes (50 for churn, else 12).
    #[arg(long, value_parser = clap::value_parser!(u32).range(4..=250))]
    pub(crate) nodes: Option<u32>,
    /// How many virtual days (a year for churn, 3 for adversaries, else 2).
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=36500))]
    pub(crate) days: Option<u32>,
    /// Fewer backups: the short form that the tests run.
    #[arg(long)]
    pub(crate) quick: bool,
}

#[cfg(test)]
mod tests;

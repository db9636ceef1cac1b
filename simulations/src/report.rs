//! What a run found: figures, checkers, and the hash of everything that happened.

use crate::checkers::purse::Account;
use crate::run::{Options, Scenario, command};
use serde::Serialize;

/// What one checker found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checker {
    /// What it checks.
    pub name: String,
    /// Whether it held.
    pub ok: bool,
    /// How often it looked.
    pub checks: u64,
    /// Where it did not hold; the first few.
    pub violations: Vec<String>,
}

/// The outcome of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What was simulated.
    pub scenario: Scenario,
    /// Where all chance came from.
    pub seed: u64,
    /// Machines.
    pub nodes: u32,
    /// Those that provide.
    pub providers: u32,
    /// Those that back up.
    pub keepers: u32,
    /// Virtual days.
    pub days: u32,
    /// Whether there were fewer backups and checkpoints.
    pub quick: bool,
    /// Blocks made.
    pub blocks: u64,
    /// Epochs begun after the first.
    pub epochs: u32,
    /// Verdicts that were passes.
    pub passes: u64,
    /// Verdicts that were misses.
    pub misses: u64,
    /// Verdicts that were failures or excuses.
    pub others: u64,
    /// What providers were paid, gross, credit as a decimal.
    pub paid: String,
    /// Segments that keepers handed over.
    pub segments: u64,
    /// Segments that were told durable.
    pub durable: u64,
    /// Shards that providers took in.
    pub shards: u64,
    /// Segments read back and equal.
    pub restores: u64,
    /// Segments that could not be read back when asked for, with too many providers away.
    pub unavailable: u64,
    /// Backups for which no room could be made when they were due.
    pub unprepared: u64,
    /// Starts of nodes after the first.
    pub restarts: u64,
    /// Stops in the middle of a step's effects.
    pub crashes: u64,
    /// Providers that were gone for good, with what they stored.
    pub deaths: u64,
    /// Providers that joined later.
    pub joined: u64,
    /// Bytes of shards that flipped on a disk.
    pub rotted: u64,
    /// How often the ledger found a provider FAULTED.
    pub faulted: u64,
    /// Losses that providers declared.
    pub declared: u64,
    /// Shards that keepers rebuilt.
    pub rebuilt: u64,
    /// Bytes that were decoded for it.
    pub repair_read: u64,
    /// Bytes of the rebuilt shards.
    pub repair_written: u64,
    /// Bytes that keepers fetched, for restores and repairs.
    pub bytes_read: u64,
    /// Segments lost because more holders were gone at once than the code bears.
    pub beyond: u64,
    /// Deaths after which every shard found another holder.
    pub healed: u64,
    /// How long that took on average, minutes.
    pub healed_minutes: u64,
    /// Contracts opened, and changed in their money terms since.
    pub contracts: u64,
    /// Extensions and renewals that took effect.
    pub extensions: u64,
    /// Contracts closed.
    pub closed: u64,
    /// Operations that the ledger skipped at a boundary.
    pub skipped: u64,
    /// Engine steps.
    pub steps: u64,
    /// Shards that a cheating provider threw away.
    pub dropped: u64,
    /// Epochs in which a cheating provider's draws hit what it had thrown away.
    pub caught: u64,
    /// What a watched provider has in the end; the honest twin's first.
    pub purses: Vec<Account>,
    /// What the checkers found.
    pub checkers: Vec<Checker>,
    /// BLAKE3 over the ordered trace, hex.
    pub trace_hash: String,
}

impl Report {
    /// A report of nothing yet.
    pub(crate) fn new(scenario: Scenario, options: Options, providers: u32, keepers: u32) -> Self {
        Self {
            scenario,
            seed: options.seed,
            nodes: options.nodes,
            providers,
            keepers,
            days: options.days,
            quick: options.quick,
            blocks: 0,
            epochs: 0,
            passes: 0,
            misses: 0,
            others: 0,
            paid: String::new(),
            segments: 0,
            durable: 0,
            shards: 0,
            restores: 0,
            unavailable: 0,
            unprepared: 0,
            restarts: 0,
            crashes: 0,
            deaths: 0,
            joined: 0,
            rotted: 0,
            faulted: 0,
            declared: 0,
            rebuilt: 0,
            repair_read: 0,
            repair_written: 0,
            bytes_read: 0,
            beyond: 0,
            healed: 0,
            healed_minutes: 0,
            contracts: 0,
            extensions: 0,
            closed: 0,
            skipped: 0,
            steps: 0,
            dropped: 0,
            caught: 0,
            purses: Vec::new(),
            checkers: Vec::new(),
            trace_hash: String::new(),
        }
    }

    /// The command that gives the same report again.
    #[must_use]
    pub fn command(&self) -> String {
        command(
            self.scenario,
            Options {
                seed: self.seed,
                nodes: self.nodes,
                days: self.days,
                quick: self.quick,
                adversary: None,
            },
        )
    }

    /// Whether every checker held.
    #[must_use]
    pub fn ok(&self) -> bool {
        self.checkers.iter().all(|c| c.ok)
    }
}

//! Which alerts are open: facts about the node in, changes out. An alert is raised once its cause
//! has lasted as long as its kind demands, and cleared once the cause has been gone for a while, so
//! that none comes and goes with every look. Each names its mend. Whoever holds [`Alerts`] looks
//! every few seconds, and tells people and programs of the [`Change`]s.

mod judge;
mod own;
#[cfg(test)]
mod tests;

use self::judge::{Finding, Memory, findings};
use larder_types::{Amount, Bytes, Millis, Time};
use std::collections::{BTreeMap, VecDeque};

/// Alerts that are remembered after they were cleared.
const MAX_CLEARED: usize = 100;
/// Between two looks so far apart the machine slept: what was about to be raised is judged anew.
const SLEPT: Millis = Millis(60_000);

/// What an alert is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlertCode {
    /// Contracts near their end are not renewed.
    ContractsLapsing,
    /// A volume cannot be read or written, or has little room.
    DiskFailing,
    /// Shards were found damaged.
    ShardsDamaged,
    /// The ledger missed proofs of this provider.
    ProofsMissed,
    /// No peer is connected.
    NoPeers,
    /// The newest snapshot is old.
    BackupOld,
    /// There is little credit for what is rented.
    CreditLow,
    /// Segments have fewer shards than they should.
    RedundancyLow,
    /// No block comes, though one is due.
    LedgerStalled,
    /// This machine's clock and the blocks' times disagree.
    ClockWrong,
    /// The newest drill did not bring everything back.
    DrillFailed,
}

impl AlertCode {
    /// All of them, in order.
    pub const ALL: [Self; 11] = [
        Self::ContractsLapsing,
        Self::DiskFailing,
        Self::ShardsDamaged,
        Self::ProofsMissed,
        Self::NoPeers,
        Self::BackupOld,
        Self::CreditLow,
        Self::RedundancyLow,
        Self::LedgerStalled,
        Self::ClockWrong,
        Self::DrillFailed,
    ];

    /// The name that programs know it by.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ContractsLapsing => "contracts_lapsing",
            Self::DiskFailing => "disk_failing",
            Self::ShardsDamaged => "shards_damaged",
            Self::ProofsMissed => "proofs_missed",
            Self::NoPeers => "no_peers",
            Self::BackupOld => "backup_old",
            Self::CreditLow => "credit_low",
            Self::RedundancyLow => "redundancy_low",
            Self::LedgerStalled => "ledger_stalled",
            Self::ClockWrong => "clock_wrong",
            Self::DrillFailed => "drill_failed",
        }
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It wants looking at.
    Warning,
    /// Data, pay or collateral is at stake now.
    Critical,
}

/// An alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// What it is about.
    pub code: AlertCode,
    /// Which volume; empty where there is only one of its kind.
    pub subject: String,
    /// How bad it was at its worst.
    pub severity: Severity,
    /// When its cause was first seen.
    pub since: Time,
    /// When it was cleared.
    pub cleared: Option<Time>,
    /// What was found last, and how to mend it.
    pub message: String,
}

/// What a look changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// An alert was raised, or has become critical.
    Raised(Alert),
    /// It is over.
    Cleared(Alert),
}

/// From when on something is an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// No peer for so long.
    pub peers_after: Millis,
    /// No block for so long after one was due.
    pub ledger_after: Millis,
    /// The clock and the blocks' times apart by so much.
    pub clock_off: Millis,
    /// The newest snapshot so old.
    pub backup_after: Millis,
    /// Free credit pays what is rented for less than this.
    pub credit_for: Millis,
    /// Segments below full for so long.
    pub redundancy_after: Millis,
    /// Less free space than this on a disk.
    pub disk_free: Bytes,
    /// Damage counts for so long after it was found.
    pub damage_for: Millis,
    /// A cause that has been gone for so long is over.
    pub calm: Millis,
}

impl Thresholds {
    /// The defaults on a network with epochs of this length: lazy repair may take one, so that two
    /// are too long.
    #[must_use]
    pub const fn usual(epoch: Millis) -> Self {
        const MINUTE: u64 = 60_000;
        const DAY: u64 = 24 * 60 * MINUTE;
        Self {
            peers_after: Millis(2 * MINUTE),
            ledger_after: Millis(2 * MINUTE),
            clock_off: Millis(MINUTE / 2),
            backup_after: Millis(7 * DAY),
            credit_for: Millis(7 * DAY),
            redundancy_after: Millis(epoch.0.saturating_mul(2)),
            disk_free: Bytes(1 << 30),
            damage_for: Millis(7 * DAY),
            calm: Millis(MINUTE),
        }
    }
}

/// What a look found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Connected peers.
    pub peers: u32,
    /// The chain; nothing before the first block.
    pub chain: Option<ChainFacts>,
    /// When the newest snapshot was made; nothing if there is none, and then none can be old.
    pub newest_snapshot: Option<Time>,
    /// Schedules whose last good backup may become too old.
    pub schedules: Vec<ScheduleFacts>,
    /// The newest drill.
    pub drill: Option<DrillFacts>,
    /// What is rented.
    pub rent: RentFacts,
    /// What is stored with others.
    pub segments: SegmentFacts,
    /// What is stored for others, if anything.
    pub provider: Option<ProviderFacts>,
    /// The disks: the home's, and each volume's.
    pub disks: Vec<DiskFacts>,
}

/// A schedule of backups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleFacts {
    /// Its name.
    pub name: String,
    /// When its last good backup was made; before the first one, when it was set.
    pub good: Time,
    /// How old that may be.
    pub allowed: Millis,
}

/// A drill: a restore of some files, to see whether they come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrillFacts {
    /// Files restored.
    pub files: u64,
    /// Those that did not come back as they were.
    pub failures: u64,
}

/// The newest block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainFacts {
    /// Its height.
    pub height: u64,
    /// Its time.
    pub time: Time,
    /// When the next one is due at the latest.
    pub due: Time,
}

/// The contracts that the account rents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RentFacts {
    /// Those that hold shards.
    pub contracts: u32,
    /// Those of them that end soon, though they should have been renewed.
    pub lapsing: u32,
    /// What all of them cost in an epoch.
    pub per_epoch: Amount,
    /// An epoch.
    pub epoch: Millis,
    /// Credit that is free to renew them.
    pub free: Amount,
}

/// The segments stored with others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SegmentFacts {
    /// Those with fewer shards than when whole.
    pub below_full: u64,
    /// Those with fewer shards than are needed.
    pub lost: u64,
}

/// How the ledger judges this node's provider, and what its scrubber found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProviderFacts {
    /// Missed epochs among the last 30.
    pub strikes: u32,
    /// Those of them that came last, in a row.
    pub misses_in_a_row: u32,
    /// Further ones that make it FAULTED.
    pub misses_left: u32,
    /// Whether it is.
    pub faulted: bool,
    /// Shards that were found damaged, ever.
    pub damaged: u64,
}

/// A disk that the node writes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskFacts {
    /// The folder on it.
    pub path: String,
    /// What is wrong with it.
    pub trouble: Option<String>,
    /// What it has left; unknown while it cannot be read.
    pub free: Option<Bytes>,
}

/// The alerts of one node.
#[derive(Clone, Debug, Default)]
pub struct Alerts {
    /// Causes that have not lasted long enough yet, since when.
    pending: BTreeMap<Key, Time>,
    open: BTreeMap<Key, Open>,
    /// The newest last.
    cleared: VecDeque<Alert>,
    memory: Memory,
    looked: Option<Time>,
}

/// One cause: its kind and what it befell.
type Key = (AlertCode, String);

#[derive(Clone, Debug)]
struct Open {
    alert: Alert,
    /// When the cause was seen last.
    seen: Time,
}

impl Alerts {
    /// Takes in what a look at `now` found.
    pub fn step(&mut self, now: Time, facts: &Facts, limits: &Thresholds) -> Vec<Change> {
        if self.looked.is_some_and(|last| now.since(last) > SLEPT) {
            self.pending.clear();
        }
        self.looked = Some(now);
        self.memory.take(now, facts, limits);
        let found = findings(now, facts, limits, &self.memory, |code, subject| {
            self.open.contains_key(&(code, subject.to_owned()))
        });
        self.pending
            .retain(|key, _| found.iter().any(|f| f.key == *key));
        let mut changes: Vec<Change> = found
            .into_iter()
            .filter_map(|finding| self.found(now, finding))
            .collect();
        changes.extend(self.clear(now, limits.calm));
        changes
    }

    /// The open ones, the worst first, then the oldest.
    #[must_use]
    pub fn open(&self) -> Vec<Alert> {
        let mut open: Vec<Alert> = self.open.values().map(|o| o.alert.clone()).collect();
        open.sort_by_key(|a| (std::cmp::Reverse(a.severity), a.since, a.code));
        open
    }

    /// Those that were cleared, the newest first.
    pub fn cleared(&self) -> impl Iterator<Item = &Alert> {
        self.cleared.iter().rev()
    }

    /// A cause is there: it may be news.
    fn found(&mut self, now: Time, finding: Finding) -> Option<Change> {
        let Finding {
            key,
            severity,
            hold,
            message,
        } = finding;
        if let Some(open) = self.open.get_mut(&key) {
            open.seen = now;
            open.alert.message = message;
            let worse = severity > open.alert.severity;
            open.alert.severity = severity.max(open.alert.severity);
            return worse.then(|| Change::Raised(open.alert.clone()));
        }
        let since = *self.pending.entry(key.clone()).or_insert(now);
        if now.since(since) < hold {
            return None;
        }
        self.pending.remove(&key);
        let alert = Alert {
            code: key.0,
            subject: key.1.clone(),
            severity,
            since,
            cleared: None,
            message,
        };
        let raised = Change::Raised(alert.clone());
        self.open.insert(key, Open { alert, seen: now });
        Some(raised)
    }

    /// Closes what has been gone for long enough.
    fn clear(&mut self, now: Time, calm: Millis) -> Vec<Change> {
        let over = |open: &Open| open.seen < now && now.since(open.seen) >= calm;
        let gone: Vec<Key> = self
            .open
            .iter()
            .filter(|(_, open)| over(open))
            .map(|(key, _)| key.clone())
            .collect();
        let closed = gone.iter().filter_map(|key| self.open.remove(key));
        let closed: Vec<Alert> = closed
            .map(|open| Alert {
                cleared: Some(now),
                ..open.alert
            })
            .collect();
        self.cleared.extend(closed.iter().cloned());
        while self.cleared.len() > MAX_CLEARED {
            self.cleared.pop_front();
        }
        closed.into_iter().map(Change::Cleared).collect()
    }
}

//! What is wrong, by the facts of one look and what earlier looks left behind: one function a kind.

use super::{
    AlertCode, ChainFacts, DiskFacts, DrillFacts, Facts, Key, ProviderFacts, ScheduleFacts,
    Severity, Thresholds,
};
use larder_types::{Amount, Millis, Time};

/// Something is wrong.
pub(super) struct Finding {
    pub(super) key: Key,
    pub(super) severity: Severity,
    /// How long it must last before it is an alert.
    pub(super) hold: Millis,
    pub(super) message: String,
}

/// A snapshot so many times older than it may be is critical.
const FAR_TOO_OLD: u64 = 4;
/// What is open is over only when it is better than the threshold by a quarter.
const BETTER: (u64, u64) = (5, 4);
/// Blocks whose times advance faster than this against the clock are being caught up with.
const CATCHING_UP: u64 = 2;

/// What earlier looks left behind.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Memory {
    /// The newest look, and the chain then.
    last: Option<(Time, ChainFacts)>,
    /// Whether the chain stood where it stands now.
    stands: bool,
    /// By how much the clock is ahead of the blocks that come.
    ahead: Millis,
    /// Damaged shards, as many as were known, and when one was found last.
    damaged: Option<u64>,
    damage_at: Option<Time>,
}

impl Memory {
    pub(super) fn take(&mut self, now: Time, facts: &Facts, limits: &Thresholds) {
        self.stands = false;
        if let Some(chain) = facts.chain {
            if let Some((at, before)) = self.last {
                self.stands = chain.height == before.height;
                let (came, passed) = (chain.time.since(before.time), now.since(at));
                let live = came.0 <= passed.0.saturating_mul(CATCHING_UP);
                if !self.stands && live {
                    self.ahead = now.since(chain.time);
                }
            }
            self.last = Some((now, chain));
        }
        let damaged = facts.provider.map_or(0, |p| p.damaged);
        if self.damaged.is_some_and(|known| damaged > known) {
            self.damage_at = Some(now);
        }
        self.damaged = Some(damaged);
        self.damage_at = self
            .damage_at
            .filter(|at| now.since(*at) < limits.damage_for);
    }
}

/// Everything that is wrong now; `open` says whether there is an alert about it already.
pub(super) fn findings(
    now: Time,
    facts: &Facts,
    limits: &Thresholds,
    memory: &Memory,
    open: impl Fn(AlertCode, &str) -> bool,
) -> Vec<Finding> {
    let mut found = vec![
        peers(facts, limits),
        clock(now, facts, limits, memory),
        ledger(now, facts, limits, memory),
        backup(now, facts, limits),
        lapsing(facts),
        credit(facts, limits, open(AlertCode::CreditLow, "")),
        redundancy(facts, limits),
        facts.provider.as_ref().and_then(proofs),
        damage(facts, memory),
        facts.drill.and_then(drill),
    ];
    let late = facts.schedules.iter().map(|it| schedule(now, it));
    found.extend(late);
    found.extend(facts.disks.iter().map(|disk| {
        let is_open = open(AlertCode::DiskFailing, &disk.path);
        self::disk(disk, limits, is_open)
    }));
    found.into_iter().flatten().collect()
}

fn finding(code: AlertCode, severity: Severity, hold: Millis, message: String) -> Finding {
    Finding {
        key: (code, String::new()),
        severity,
        hold,
        message,
    }
}

const AT_ONCE: Millis = Millis(0);

fn peers(facts: &Facts, limits: &Thresholds) -> Option<Finding> {
    let message = "no peer is connected: check this machine's network and that the invite's \
                   addresses can be reached; invite others with `larder invite`";
    (facts.peers == 0).then(|| {
        let code = AlertCode::NoPeers;
        finding(
            code,
            Severity::Warning,
            limits.peers_after,
            message.to_owned(),
        )
    })
}

fn clock(now: Time, facts: &Facts, limits: &Thresholds, memory: &Memory) -> Option<Finding> {
    let behind = facts.chain.map_or(Millis(0), |chain| chain.time.since(now));
    let (off, word) = if behind > limits.clock_off {
        (behind, "behind")
    } else if memory.ahead > limits.clock_off {
        (memory.ahead, "ahead of")
    } else {
        return None;
    };
    let seconds = off.0 / 1_000;
    let message = format!(
        "this machine's clock is {seconds} s {word} the network's blocks: set it, and keep it right \
         with NTP (`timedatectl set-ntp true`)"
    );
    let code = AlertCode::ClockWrong;
    Some(finding(
        code,
        Severity::Warning,
        limits.ledger_after,
        message,
    ))
}

fn ledger(now: Time, facts: &Facts, limits: &Thresholds, memory: &Memory) -> Option<Finding> {
    let chain = facts.chain.filter(|_| memory.stands)?;
    let overdue = now > chain.due;
    let seconds = now.since(chain.time).0 / 1_000;
    let message = format!(
        "no block since height {}, {seconds} s ago: check that the validators run and can be \
         reached (`larder network validators`, `larder peers`)",
        chain.height
    );
    overdue.then(|| {
        let code = AlertCode::LedgerStalled;
        finding(code, Severity::Critical, limits.ledger_after, message)
    })
}

fn backup(now: Time, facts: &Facts, limits: &Thresholds) -> Option<Finding> {
    let age = now.since(facts.newest_snapshot?);
    if age <= limits.backup_after {
        return None;
    }
    let far = limits.backup_after.0.saturating_mul(FAR_TOO_OLD);
    let severity = if age.0 > far {
        Severity::Critical
    } else {
        Severity::Warning
    };
    let message = format!(
        "the newest snapshot is {} old: make one with `larder backup`",
        rough(age)
    );
    Some(finding(AlertCode::BackupOld, severity, AT_ONCE, message))
}

fn schedule(now: Time, it: &ScheduleFacts) -> Option<Finding> {
    let age = now.since(it.good);
    let far = it.allowed.0.saturating_mul(FAR_TOO_OLD);
    let severity = match age.0 > far {
        true => Severity::Critical,
        false => Severity::Warning,
    };
    let message = format!(
        "schedule {} has made no good backup for {}: see why in `larder schedule list`, and run it \
         with `larder schedule run {0}`",
        it.name,
        rough(age)
    );
    (age > it.allowed).then(|| Finding {
        key: (AlertCode::BackupOld, it.name.clone()),
        severity,
        hold: AT_ONCE,
        message,
    })
}

fn drill(it: DrillFacts) -> Option<Finding> {
    let message = format!(
        "{} of the {} files of the last drill did not come back as they were: find out what is \
         damaged with `larder check --read-data`, mend it with `larder repair`, then `larder drill`",
        it.failures, it.files
    );
    let code = AlertCode::DrillFailed;
    (it.failures > 0).then(|| finding(code, Severity::Critical, AT_ONCE, message))
}

fn lapsing(facts: &Facts) -> Option<Finding> {
    let rent = facts.rent;
    let message = format!(
        "{} of {} contracts with data end soon and are not renewed: see `larder contracts`; keep \
         this node running, with enough credit, so that it can renew them or move what they hold",
        rent.lapsing, rent.contracts
    );
    (rent.lapsing > 0).then(|| {
        finding(
            AlertCode::ContractsLapsing,
            Severity::Critical,
            AT_ONCE,
            message,
        )
    })
}

fn credit(facts: &Facts, limits: &Thresholds, is_open: bool) -> Option<Finding> {
    let rent = facts.rent;
    if rent.contracts == 0 || rent.per_epoch == Amount::ZERO {
        return None;
    }
    let epochs = limits.credit_for.0.div_ceil(rent.epoch.0.max(1));
    let enough = raised(
        u128::from(rent.per_epoch.nano()) * u128::from(epochs),
        is_open,
    );
    if u128::from(rent.free.nano()) >= enough {
        return None;
    }
    let severity = if rent.free < rent.per_epoch {
        Severity::Critical
    } else {
        Severity::Warning
    };
    let lasts = rent.free.nano() / rent.per_epoch.nano();
    let lasts = Millis(lasts.saturating_mul(rent.epoch.0));
    let message = format!(
        "{} credits are free, enough to renew what is rented for {}: fund the account \
         (`larder wallet address`)",
        rent.free,
        rough(lasts)
    );
    Some(finding(AlertCode::CreditLow, severity, AT_ONCE, message))
}

fn redundancy(facts: &Facts, limits: &Thresholds) -> Option<Finding> {
    let code = AlertCode::RedundancyLow;
    let segments = facts.segments;
    if segments.lost > 0 {
        let message = format!(
            "{} segments have too few shards left to be read: leave the node running, so that they \
             come back when their providers do (`larder repairs`), and back up again",
            segments.lost
        );
        return Some(finding(code, Severity::Critical, AT_ONCE, message));
    }
    let message = format!(
        "{} segments have fewer shards than they should and are not repaired yet: `larder repairs` \
         says what is missing, providers or credit",
        segments.below_full
    );
    (segments.below_full > 0)
        .then(|| finding(code, Severity::Warning, limits.redundancy_after, message))
}

fn proofs(provider: &ProviderFacts) -> Option<Finding> {
    let code = AlertCode::ProofsMissed;
    if provider.faulted {
        let message = "this provider is FAULTED: nothing new opens with it until all of its \
                       contracts are closed; `larder offer show` says why proofs were missed";
        return Some(finding(
            code,
            Severity::Critical,
            AT_ONCE,
            message.to_owned(),
        ));
    }
    let severity = if provider.misses_left <= 1 {
        Severity::Critical
    } else {
        Severity::Warning
    };
    let message = format!(
        "{} epochs in a row were not proven, {} of the last 30; {} more make this provider FAULTED: \
         keep the node running, and see `larder offer show` for the reasons",
        provider.misses_in_a_row, provider.strikes, provider.misses_left
    );
    (provider.misses_in_a_row > 0).then(|| finding(code, severity, AT_ONCE, message))
}

fn damage(facts: &Facts, memory: &Memory) -> Option<Finding> {
    memory.damage_at?;
    let damaged = facts.provider.map_or(0, |p| p.damaged);
    let message = format!(
        "the disk does not give back what was stored on it: {damaged} shards were found damaged so \
         far; look at its health (`smartctl -a`), and move its shards with `larder volume remove`"
    );
    let code = AlertCode::ShardsDamaged;
    Some(finding(code, Severity::Warning, AT_ONCE, message))
}

fn disk(disk: &DiskFacts, limits: &Thresholds, is_open: bool) -> Option<Finding> {
    let path = &disk.path;
    let least = raised(u128::from(limits.disk_free.0), is_open);
    let low = disk.free.filter(|free| u128::from(free.0) < least);
    let (severity, message) = match (&disk.trouble, low) {
        (Some(trouble), _) => (
            Severity::Critical,
            format!(
                "{path}: {trouble}; mount or mend the disk before the next proof is due, or let it go \
                 with `larder volume remove`"
            ),
        ),
        (None, Some(free)) => (
            Severity::Warning,
            format!("{path}: {free} are free on its disk: free some space, or offer less"),
        ),
        (None, None) => return None,
    };
    Some(Finding {
        key: (AlertCode::DiskFailing, path.clone()),
        severity,
        hold: AT_ONCE,
        message,
    })
}

/// The threshold, or while the alert is open what is better than it.
fn raised(threshold: u128, is_open: bool) -> u128 {
    if is_open {
        threshold * u128::from(BETTER.0) / u128::from(BETTER.1)
    } else {
        threshold
    }
}

/// A span in one unit, rounded down.
fn rough(span: Millis) -> String {
    let seconds = span.0 / 1_000;
    let units = [(86_400, "days"), (3_600, "hours"), (60, "minutes")];
    let unit = units.into_iter().find(|(unit, _)| seconds >= *unit);
    let (unit, name) = unit.unwrap_or((1, "seconds"));
    format!("{} {name}", seconds / unit)
}

//! Each alert raised and cleared, and none that flaps.

use super::*;

const EPOCH: Millis = Millis(3_600_000);
const LOOK: Millis = Millis(5_000);
const START: Time = Time(1_700_000_000_000);

/// Alerts, and a clock that moves by one look each time.
struct Bench {
    alerts: Alerts,
    now: Time,
    limits: Thresholds,
    /// Whether blocks come.
    chain: bool,
    height: u64,
}

impl Bench {
    fn new() -> Self {
        Self {
            alerts: Alerts::default(),
            now: START,
            limits: Thresholds::usual(EPOCH),
            chain: true,
            height: 7,
        }
    }

    fn well(&self) -> Facts {
        Facts {
            peers: 3,
            chain: Some(ChainFacts {
                height: self.height,
                time: self.now,
                due: self.now.after(EPOCH),
            }),
            newest_snapshot: Some(self.now),
            schedules: vec![ScheduleFacts {
                name: "nightly".to_owned(),
                good: self.now,
                allowed: Millis(2 * 86_400_000),
            }],
            drill: Some(DrillFacts {
                files: 9,
                failures: 0,
            }),
            rent: RentFacts {
                contracts: 2,
                lapsing: 0,
                per_epoch: Amount(1_000),
                epoch: EPOCH,
                free: Amount(1_000_000),
            },
            segments: SegmentFacts::default(),
            provider: Some(ProviderFacts {
                misses_left: 4,
                ..ProviderFacts::default()
            }),
            disks: vec![DiskFacts {
                path: "/mnt/a".into(),
                trouble: None,
                free: Some(Bytes(1 << 40)),
            }],
        }
    }

    /// One look at what is well but for `spoil`.
    fn look(&mut self, spoil: impl Fn(&mut Facts)) -> Vec<Change> {
        self.now = self.now.after(LOOK);
        if self.chain {
            self.height += 1;
        }
        let mut facts = self.well();
        spoil(&mut facts);
        self.alerts.step(self.now, &facts, &self.limits)
    }

    /// Looks for `span`; what changed, and when it did so first.
    fn run(&mut self, span: Millis, spoil: impl Fn(&mut Facts)) -> Vec<(Millis, Change)> {
        let began = self.now;
        let mut seen = Vec::new();
        while self.now.since(began) < span {
            let changes = self.look(&spoil);
            seen.extend(changes.into_iter().map(|c| (self.now.since(began), c)));
        }
        seen
    }
}

fn raised(changes: &[(Millis, Change)]) -> Vec<(AlertCode, Severity)> {
    let raised = changes.iter().filter_map(|(_, change)| match change {
        Change::Raised(alert) => Some((alert.code, alert.severity)),
        Change::Cleared(_) => None,
    });
    raised.collect()
}

fn cleared(changes: &[(Millis, Change)]) -> Vec<AlertCode> {
    let cleared = changes.iter().filter_map(|(_, change)| match change {
        Change::Cleared(alert) => Some(alert.code),
        Change::Raised(_) => None,
    });
    cleared.collect()
}

/// What `spoil` spoils raises one alert of this kind after `hold`, with a mend; when it is well again
/// the alert is cleared once, after the calm, and remembered.
fn check(code: AlertCode, severity: Severity, hold: Millis, spoil: impl Fn(&mut Facts)) {
    let mut bench = Bench::new();
    assert_eq!(bench.run(Millis(60_000), |_| ()), [], "all is well");
    let changes = bench.run(hold.after(Millis(300_000)), &spoil);
    assert_eq!(raised(&changes), [(code, severity)], "{changes:?}");
    assert!(
        changes[0].0.0.abs_diff(hold.0) <= 2 * LOOK.0,
        "{code:?} after {:?}, not {hold:?}",
        changes[0].0
    );
    let open = bench.alerts.open();
    assert!(open.len() == 1 && open[0].message.len() > 40, "{open:?}");
    let changes = bench.run(Millis(120_000), |_| ());
    assert_eq!(cleared(&changes), [code], "{changes:?}");
    assert!(changes[0].0.0.abs_diff(bench.limits.calm.0) <= LOOK.0);
    assert!(bench.alerts.open().is_empty());
    let remembered: Vec<_> = bench.alerts.cleared().map(|a| a.code).collect();
    assert_eq!(remembered, [code]);
}

trait Later {
    fn after(self, more: Millis) -> Millis;
}

impl Later for Millis {
    fn after(self, more: Millis) -> Millis {
        Self(self.0 + more.0)
    }
}

const NOW: Millis = Millis(0);

#[test]
fn no_peers() {
    let hold = Millis(120_000);
    check(AlertCode::NoPeers, Severity::Warning, hold, |f| f.peers = 0);
}

#[test]
fn an_old_backup_but_not_a_vault_without_any() {
    let old = |days: u64| {
        move |f: &mut Facts| f.newest_snapshot = Some(Time(START.0 - days * 86_400_000))
    };
    check(AlertCode::BackupOld, Severity::Warning, NOW, old(8));
    check(AlertCode::BackupOld, Severity::Critical, NOW, old(40));
    let late = |days: u64| {
        move |f: &mut Facts| {
            let age = Millis(days * 86_400_000);
            let good = f.newest_snapshot.map(|now| now.before(age));
            f.schedules.iter_mut().for_each(|s| s.good = good.unwrap());
        }
    };
    check(AlertCode::DrillFailed, Severity::Critical, NOW, |f| {
        f.drill.iter_mut().for_each(|drill| drill.failures = 1);
    });
    check(AlertCode::BackupOld, Severity::Warning, NOW, late(3));
    check(AlertCode::BackupOld, Severity::Critical, NOW, late(9));
    let mut bench = Bench::new();
    let none = bench.run(Millis(60_000), |f| f.newest_snapshot = None);
    assert_eq!(none, []);
}

#[test]
fn lapsing_contracts() {
    let code = AlertCode::ContractsLapsing;
    check(code, Severity::Critical, NOW, |f| f.rent.lapsing = 1);
}

#[test]
fn low_credit_but_not_of_who_rents_nothing() {
    let code = AlertCode::CreditLow;
    // 7 days are 168 epochs of 1,000 nano.
    check(code, Severity::Warning, NOW, |f| {
        f.rent.free = Amount(167_999)
    });
    check(code, Severity::Critical, NOW, |f| f.rent.free = Amount(999));
    let mut bench = Bench::new();
    let none = bench.run(Millis(60_000), |f| f.rent = RentFacts::default());
    assert_eq!(none, []);
}

#[test]
fn redundancy_below_target() {
    let code = AlertCode::RedundancyLow;
    let two_epochs = Millis(2 * EPOCH.0);
    check(code, Severity::Warning, two_epochs, |f| {
        f.segments.below_full = 1
    });
    check(code, Severity::Critical, NOW, |f| f.segments.lost = 1);
}

#[test]
fn missed_proofs_and_a_faulted_provider() {
    let code = AlertCode::ProofsMissed;
    let missed = |row, left| {
        move |f: &mut Facts| {
            f.provider = Some(ProviderFacts {
                misses_in_a_row: row,
                strikes: row,
                misses_left: left,
                ..ProviderFacts::default()
            });
        }
    };
    check(code, Severity::Warning, NOW, missed(1, 3));
    check(code, Severity::Critical, NOW, missed(3, 1));
    check(code, Severity::Critical, NOW, |f| {
        f.provider = Some(ProviderFacts {
            faulted: true,
            ..ProviderFacts::default()
        });
    });
}

#[test]
fn a_failing_and_a_full_disk() {
    let code = AlertCode::DiskFailing;
    check(code, Severity::Critical, NOW, |f| {
        f.disks[0].trouble = Some("it is not there".into());
    });
    check(code, Severity::Warning, NOW, |f| {
        f.disks[0].free = Some(Bytes(1 << 20));
    });
}

#[test]
fn each_disk_has_an_alert_of_its_own() {
    let mut bench = Bench::new();
    let two = |f: &mut Facts| {
        f.disks[0].trouble = Some("gone".into());
        f.disks.push(DiskFacts {
            path: "/mnt/b".into(),
            trouble: Some("gone".into()),
            free: None,
        });
    };
    bench.look(two);
    let subjects: Vec<_> = bench.alerts.open().into_iter().map(|a| a.subject).collect();
    assert_eq!(subjects, ["/mnt/a", "/mnt/b"]);
}

#[test]
fn damage_counts_from_when_it_was_found_and_for_a_week() {
    let mut bench = Bench::new();
    bench.limits.damage_for = Millis(600_000);
    let damaged = |n| move |f: &mut Facts| f.provider.as_mut().unwrap().damaged = n;
    assert_eq!(
        bench.run(Millis(60_000), damaged(5)),
        [],
        "found before the start"
    );
    let changes = bench.run(Millis(900_000), damaged(6));
    assert_eq!(
        raised(&changes),
        [(AlertCode::ShardsDamaged, Severity::Warning)]
    );
    assert_eq!(cleared(&changes), [AlertCode::ShardsDamaged]);
    let lasted = changes[1].0.0 - changes[0].0.0;
    assert!((600_000..=680_000).contains(&lasted), "{lasted}");
}

#[test]
fn a_ledger_that_stands_still_and_one_that_is_merely_idle() {
    let mut bench = Bench::new();
    bench.run(Millis(60_000), |_| ());
    bench.chain = false;
    let (height, time) = (bench.height, bench.now);
    let still =
        move |due: Time| move |f: &mut Facts| f.chain = Some(ChainFacts { height, time, due });
    let idle = bench.run(Millis(600_000), still(time.after(EPOCH)));
    assert_eq!(idle, [], "nothing is due");
    let changes = bench.run(Millis(300_000), still(time));
    assert_eq!(
        raised(&changes),
        [(AlertCode::LedgerStalled, Severity::Critical)]
    );
    bench.chain = true;
    let changes = bench.run(Millis(120_000), |_| ());
    assert_eq!(cleared(&changes), [AlertCode::LedgerStalled]);
}

#[test]
fn a_clock_that_is_behind_or_ahead_but_not_a_chain_that_is_caught_up_with() {
    let hold = Millis(120_000);
    check(AlertCode::ClockWrong, Severity::Warning, hold, |f| {
        let chain = f.chain.as_mut().unwrap();
        chain.time = chain.time.after(Millis(90_000));
    });
    check(AlertCode::ClockWrong, Severity::Warning, hold, |f| {
        let chain = f.chain.as_mut().unwrap();
        chain.time = chain.time.before(Millis(90_000));
    });
    let mut bench = Bench::new();
    let began = bench.now;
    // An hour behind, ten times as fast.
    let caught_up = bench.run(Millis(300_000), |f| {
        let chain = f.chain.as_mut().unwrap();
        let passed = chain.time.since(began).0;
        chain.time = began.before(EPOCH).after(Millis(passed * 10));
    });
    assert_eq!(caught_up, []);
}

#[test]
fn what_comes_and_goes_is_one_alert() {
    let mut bench = Bench::new();
    bench.run(Millis(180_000), |f| f.peers = 0);
    let mut changes = Vec::new();
    for _ in 0..50 {
        changes.extend(bench.run(Millis(20_000), |_| ()));
        changes.extend(bench.run(Millis(5_000), |f| f.peers = 0));
    }
    assert_eq!(changes, [], "open all the while");
    assert_eq!(bench.alerts.open().len(), 1);
    let mut bench = Bench::new();
    let mut changes = Vec::new();
    for _ in 0..50 {
        changes.extend(bench.run(Millis(60_000), |f| f.peers = 0));
        changes.extend(bench.run(Millis(5_000), |_| ()));
    }
    assert_eq!(changes, [], "never for long enough");
}

#[test]
fn credit_at_the_threshold_does_not_flap() {
    let mut bench = Bench::new();
    bench.look(|f| f.rent.free = Amount(167_000));
    let mut changes = Vec::new();
    for _ in 0..20 {
        changes.extend(bench.run(Millis(120_000), |f| f.rent.free = Amount(169_000)));
        changes.extend(bench.run(Millis(120_000), |f| f.rent.free = Amount(167_000)));
    }
    assert_eq!(changes, []);
    let changes = bench.run(Millis(120_000), |f| f.rent.free = Amount(211_000));
    assert_eq!(cleared(&changes), [AlertCode::CreditLow]);
}

#[test]
fn what_becomes_critical_is_raised_again_and_only_once() {
    let mut bench = Bench::new();
    let missed = |left| {
        move |f: &mut Facts| {
            let provider = f.provider.as_mut().unwrap();
            (provider.misses_in_a_row, provider.misses_left) = (1, left);
        }
    };
    let mut changes = bench.run(Millis(30_000), missed(2));
    changes.extend(bench.run(Millis(30_000), missed(1)));
    changes.extend(bench.run(Millis(30_000), missed(2)));
    let code = AlertCode::ProofsMissed;
    let twice = [(code, Severity::Warning), (code, Severity::Critical)];
    assert_eq!(raised(&changes), twice);
    assert_eq!(bench.alerts.open()[0].severity, Severity::Critical);
}

#[test]
fn a_machine_that_slept_is_judged_anew() {
    let mut bench = Bench::new();
    bench.look(|f| f.peers = 0);
    bench.now = bench.now.after(Millis(8 * EPOCH.0));
    assert_eq!(bench.look(|f| f.peers = 0), []);
    assert_eq!(bench.look(|_| ()), []);
    assert!(bench.alerts.open().is_empty());
}

#[test]
fn what_was_cleared_is_remembered_within_bounds() {
    let mut bench = Bench::new();
    for _ in 0..MAX_CLEARED + 5 {
        bench.look(|f| f.segments.lost = 1);
        bench.run(Millis(70_000), |_| ());
    }
    assert_eq!(bench.alerts.cleared().count(), MAX_CLEARED);
    let newest = bench.alerts.cleared().next().unwrap();
    assert!(newest.cleared > bench.alerts.cleared().last().unwrap().cleared);
}

//! Looks every few seconds at what the engine, the ledger, the transport, the vault and the disks
//! know, and keeps what is an alert. What is one decides `larder_engine::alerts`; here facts are
//! gathered, and people and programs are told: in the log, by `node_alerts` and by webhooks.

pub mod hooks;
pub mod rules;

pub use hooks::Hooks;
pub use rules::Rules;

use crate::chain::Ledger;
use crate::drills::Drills;
use crate::driver::{DriverHandle, Stopping};
use crate::home::now;
use crate::net::NetHandle;
use crate::schedules::Schedules;
use crate::shards::Volumes;
use larder_backup::Vault;
use larder_engine::Engine;
use larder_engine::alerts::{
    Alert, AlertCode, Alerts, ChainFacts, Change, DiskFacts, Facts, ProviderFacts, Severity,
};
use larder_ledger::Provider;
use larder_types::{Bytes, Millis, NodeId, Schedule, Time};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::spawn_blocking;
use tokio::time::MissedTickBehavior;

/// Looks in an epoch, but at least and at most at these intervals: a missed proof is to be seen
/// before the next one is due.
const LOOKS: u64 = 16;
const LOOK_BOUNDS: (u64, u64) = (250, 5_000);
/// Reading the vault's snapshots costs more than the rest: it is done this often.
const SNAPSHOTS_EVERY: Duration = Duration::from_secs(60);

/// The open alerts and those that were cleared. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Board(Arc<Mutex<Alerts>>);

impl Board {
    /// The open ones, the worst first; then those that were cleared, the newest first.
    #[must_use]
    pub fn all(&self) -> Vec<Alert> {
        let alerts = self.lock();
        let mut all = alerts.open();
        all.extend(alerts.cleared().cloned());
        all
    }

    /// The open ones, the worst first.
    #[must_use]
    pub fn open(&self) -> Vec<Alert> {
        self.lock().open()
    }

    /// How many are open of each kind; kinds without any too.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<AlertCode, u64> {
        let mut counts: BTreeMap<AlertCode, u64> =
            AlertCode::ALL.into_iter().map(|code| (code, 0)).collect();
        for alert in self.open() {
            *counts.entry(alert.code).or_default() += 1;
        }
        counts
    }

    fn step(&self, now: Time, facts: &Facts, rules: &Rules) -> Vec<Change> {
        self.lock().step(now, facts, &rules.now().limits)
    }

    fn lock(&self) -> MutexGuard<'_, Alerts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks.
#[derive(Debug)]
pub struct Watcher {
    /// The engine.
    pub driver: DriverHandle,
    /// The ledger's state.
    pub ledger: Ledger,
    /// The transport.
    pub net: NetHandle,
    /// Snapshots.
    pub vault: Vault,
    /// Backups that begin by themselves.
    pub schedules: Schedules,
    /// What drills came to.
    pub drills: Drills,
    /// The provider's volumes, if it has any.
    pub volumes: Option<Volumes>,
    /// The home's folder.
    pub home: PathBuf,
    /// This node.
    pub node: NodeId,
    /// The network's calendar.
    pub schedule: Schedule,
    /// The network's epoch.
    pub epoch: Millis,
    /// From when on something is an alert.
    pub rules: Rules,
    /// Where alerts are kept.
    pub board: Board,
    /// Who else is told.
    pub hooks: Hooks,
}

impl Watcher {
    /// Looks until the engine stops.
    pub async fn run(self) {
        let (least, most) = LOOK_BOUNDS;
        let every = Duration::from_millis((self.epoch.0 / LOOKS).clamp(least, most));
        let mut looks = tokio::time::interval(every);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut newest = Newest::default();
        loop {
            looks.tick().await;
            newest.look(&self.vault).await;
            let Ok(facts) = self.facts(newest.snapshot).await else {
                return;
            };
            for change in self.board.step(now(), &facts, &self.rules) {
                log(&change);
                self.hooks.tell(&self.rules.now(), change, now());
            }
        }
    }

    async fn facts(&self, newest_snapshot: Option<Time>) -> Result<Facts, Stopping> {
        let ask = |e: &Engine| (e.rent_facts(), e.segment_facts(), e.provided());
        let (rent, segments, provided) = self.driver.query(ask).await?;
        let peers = self.net.peers().await.map_or(0, |peers| peers.len());
        let (chain, record) = {
            let guard = self.ledger.read();
            let state = &guard.0;
            let head = state.head();
            let chain = (head.height > 0).then(|| ChainFacts {
                height: head.height,
                time: head.time,
                // Each slot makes a block.
                due: self.schedule.next_event(head.time),
            });
            let of = |p: &Provider| judged(p, state.params().faulted_after);
            (chain, state.provider(&self.node).map(of))
        };
        let provider = provided.map(|report| ProviderFacts {
            damaged: report.damaged,
            ..record.unwrap_or_default()
        });
        let (home, volumes) = (self.home.clone(), self.volumes.clone());
        let disks = spawn_blocking(move || disks(&home, volumes.as_ref())).await;
        Ok(Facts {
            peers: u32::try_from(peers).unwrap_or(u32::MAX),
            chain,
            newest_snapshot,
            schedules: self.schedules.facts(),
            drill: self.drills.facts(),
            rent,
            segments,
            provider,
            disks: disks.unwrap_or_default(),
        })
    }
}

/// How the ledger judges a provider.
fn judged(record: &Provider, faulted_after: u32) -> ProviderFacts {
    let (strikes, row) = (record.misses.count_ones(), record.consecutive_misses());
    ProviderFacts {
        strikes,
        misses_in_a_row: row,
        misses_left: crate::providing::misses_left(strikes, row, faulted_after),
        faulted: record.faulted.is_some(),
        damaged: 0,
    }
}

/// The home's disk, and each volume's.
fn disks(home: &Path, volumes: Option<&Volumes>) -> Vec<DiskFacts> {
    let mut disks = vec![DiskFacts {
        path: home.display().to_string(),
        trouble: None,
        free: free(home),
    }];
    let report = volumes.map_or_else(Vec::new, Volumes::report);
    disks.extend(report.into_iter().map(|volume| DiskFacts {
        path: volume.config.path.display().to_string(),
        // A volume that is full by its own quota is no trouble; of the disk the home's line tells.
        free: free(&volume.config.path).filter(|_| volume.readable),
        trouble: volume.trouble,
    }));
    merged(disks)
}

/// The home is a volume of its provider too: one line for each folder.
fn merged(disks: Vec<DiskFacts>) -> Vec<DiskFacts> {
    let mut merged: Vec<DiskFacts> = Vec::new();
    for disk in disks {
        match merged.iter_mut().find(|seen| seen.path == disk.path) {
            Some(seen) => {
                seen.trouble = seen.trouble.take().or(disk.trouble);
                seen.free = seen.free.and(disk.free);
            }
            None => merged.push(disk),
        }
    }
    merged
}

/// What a folder's disk has left.
fn free(folder: &Path) -> Option<Bytes> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    Some(Bytes(disk.f_bavail.saturating_mul(disk.f_frsize)))
}

/// When the newest snapshot was made, as far as was looked.
#[derive(Debug, Default)]
struct Newest {
    snapshot: Option<Time>,
    looked: Option<tokio::time::Instant>,
}

impl Newest {
    async fn look(&mut self, vault: &Vault) {
        if self.looked.is_some_and(|at| at.elapsed() < SNAPSHOTS_EVERY) {
            return;
        }
        self.looked = Some(tokio::time::Instant::now());
        match vault.snapshots().await {
            Ok(all) => self.snapshot = all.iter().map(|(_, snapshot)| snapshot.time).max(),
            Err(e) => tracing::debug!("the vault's snapshots cannot be read: {e}"),
        }
    }
}

fn log(change: &Change) {
    match change {
        Change::Raised(alert) if alert.severity == Severity::Critical => {
            tracing::error!(code = alert.code.name(), "alert: {}", alert.message);
        }
        Change::Raised(alert) => {
            tracing::warn!(code = alert.code.name(), "alert: {}", alert.message);
        }
        Change::Cleared(alert) => tracing::info!(code = alert.code.name(), "alert cleared"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(path: &str, trouble: Option<&str>, free: Option<u64>) -> DiskFacts {
        DiskFacts {
            path: path.into(),
            trouble: trouble.map(str::to_owned),
            free: free.map(Bytes),
        }
    }

    #[test]
    fn the_home_and_its_volume_are_one_disk() {
        let disks = vec![
            disk("/h", None, Some(5)),
            disk("/h", Some("gone"), None),
            disk("/b", None, Some(7)),
        ];
        let one = [disk("/h", Some("gone"), None), disk("/b", None, Some(7))];
        assert_eq!(merged(disks), one);
    }

    #[test]
    fn every_kind_is_counted_though_none_is_open() {
        let counts = Board::default().counts();
        assert_eq!(counts.len(), AlertCode::ALL.len());
        assert!(counts.values().all(|n| *n == 0));
    }
}

//! Pruning: what nothing needs any more is found, what is needed in part is written anew, and what may go is
//! laid out for the admin key to sign.

use super::Jobs;
use crate::home::now;
use crate::shown::{hex, stopping};
use crate::working::Working;
use larder_backup::lock::LockError;
use larder_backup::{Mark, PruneError, PruneOptions, Say, SnapshotId};
use larder_engine::head::MAX_DOOMS;
use larder_engine::{Command, DeviceCommand, Engine, Input};
use larder_rpc::{Code, JobKind, JobResult, PruneParams, PruneSummary, RpcError, Text};
use larder_types::{Class, Epoch, SegmentId, codec};
use std::time::{Duration, Instant};

/// How much may stay that nothing needs where nobody says otherwise, in percent of what is needed.
const MAX_UNUSED: u32 = 10;
/// How long other devices have to say that they need nothing of what is about to go.
const ACKNOWLEDGE: Duration = Duration::from_secs(90);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);
/// Segments that one mark names: half a megabyte.
const IN_A_MARK: usize = 16_384;

impl Jobs {
    /// Begins a prune as of the ledger's epoch `now`; gives its job's name.
    ///
    /// # Errors
    /// If too many jobs are open.
    pub fn prune(&self, params: PruneParams, now: Epoch) -> Result<String, RpcError> {
        self.begin(JobKind::Prune, move |jobs, working| async move {
            jobs.do_prune(params, now, &working)
                .await
                .map(JobResult::Prune)
        })
    }

    async fn do_prune(
        &self,
        params: PruneParams,
        epoch: Epoch,
        working: &Working,
    ) -> Result<PruneSummary, RpcError> {
        let authority = self.vault.authority().ok_or_else(|| {
            let why = "this home has no device certificate: make it anew with `larder recover`";
            RpcError::new(Code::NoAccount, why)
        })?;
        let percent = params.max_unused.unwrap_or(MAX_UNUSED);
        let spare = self.driver.query(Engine::others_segments).await;
        let options = PruneOptions {
            now: epoch,
            max_unused_ppm: percent.saturating_mul(10_000),
            dry_run: true,
            spare: spare.map_err(stopping)?.into_iter().collect(),
        };
        working.note("looking for what nothing needs".to_owned());
        let mut done = self.prune_once(options.clone(), working).await?;
        let mut waits_for = Vec::new();
        if !params.dry_run && done.dead + done.repacked > 0 {
            let options = PruneOptions {
                dry_run: false,
                ..options
            };
            done = self
                .prune_for_good(&options, done.bytes_repacked, working)
                .await?;
            // Another device may have backed up against what is doomed before it heard of it.
            let told = done.doomed.iter().take(MAX_DOOMS).copied();
            let told: Vec<SegmentId> = told.collect();
            if self
                .driver
                .query(|e| !e.devices().is_empty())
                .await
                .map_err(stopping)?
            {
                waits_for = self.acknowledged(&told, working).await?;
                let first = std::mem::take(&mut done);
                done = self
                    .prune_for_good(&options, first.bytes_repacked, working)
                    .await?;
                done.doomed
                    .retain(|id| waits_for.is_empty() && told.contains(id));
            }
        }
        Ok(PruneSummary {
            snapshots: done.snapshots,
            locked: done.locked,
            gone: done.gone,
            segments: done.segments,
            dead: done.dead,
            repacked: done.repacked,
            bytes_freed: done.bytes_freed,
            bytes_repacked: done.bytes_repacked,
            bytes_stored_freed: done.bytes_stored_freed,
            bytes_unused: done.bytes_unused,
            admin: hex(&authority.admin),
            genesis: Text(authority.genesis),
            marks: marks(&done.doomed, epoch),
            waits_for,
        })
    }

    /// Dooms and repacks; what is written anew the words alone must bring back before what it was
    /// written from goes.
    async fn prune_for_good(
        &self,
        options: &PruneOptions,
        bytes: u64,
        working: &Working,
    ) -> Result<larder_backup::PruneSummary, RpcError> {
        if bytes > 0 {
            working.note(format!("making room for {bytes} bytes"));
            self.prepare(Class::default(), bytes, &working.cancel)
                .await?;
        }
        let done = self.prune_once(options.clone(), working).await?;
        // What lies elsewhere too, written anew now or before, the words alone must bring back from there
        // before this place of it goes.
        if !done.doomed.is_empty() {
            let published = self.wait_for_head(working).await?.is_some();
            let all = |e: &Engine| {
                let known = e.known_segments().into_iter().map(|s| s.segment);
                e.covered(&known.collect::<Vec<_>>())
            };
            if published && !self.driver.query(all).await.map_err(stopping)? {
                let why = "providers do not hold the newest head yet; run this again in a minute";
                return Err(RpcError::new(Code::NotDurable, why));
            }
        }
        Ok(done)
    }

    /// Tells the other devices what is about to go, and waits a while until each has said that it
    /// needs nothing of it anew. Gives the names of those that have not.
    async fn acknowledged(
        &self,
        doomed: &[SegmentId],
        working: &Working,
    ) -> Result<Vec<String>, RpcError> {
        let doom = Command::Device(DeviceCommand::Doom(doomed.to_vec()));
        self.driver
            .input(Input::Command(doom))
            .await
            .map_err(stopping)?;
        let began = Instant::now();
        loop {
            let look = |e: &Engine| {
                let since = e.doomed_since();
                let is_out = e.head_state().is_some_and(|head| head.seq >= since);
                let waits = e.unacknowledged(if is_out { since } else { u64::MAX });
                let all = e
                    .devices()
                    .into_iter()
                    .filter(|d| waits.contains(&d.device));
                all.map(|d| (d.name, hex(&d.device.0))).collect::<Vec<_>>()
            };
            let waits = self.driver.query(look).await.map_err(stopping)?;
            let names: Vec<String> = waits
                .iter()
                .map(|(name, key)| format!("{name} ({key})"))
                .collect();
            if names.is_empty() || began.elapsed() >= ACKNOWLEDGE {
                return Ok(names);
            }
            working.note(format!("waiting for {}", names.join(", ")));
            let wait = tokio::time::sleep(LOOK);
            if working.cancel.run_until_cancelled(wait).await.is_none() {
                return Err(RpcError::new(Code::Cancelled, "interrupted"));
            }
        }
    }

    async fn prune_once(
        &self,
        options: PruneOptions,
        working: &Working,
    ) -> Result<larder_backup::PruneSummary, RpcError> {
        let (progress, cancel) = (&working.progress, &working.cancel);
        let pruned = self.vault.prune(options, &self.segments, progress, cancel);
        pruned.await.map_err(|e| refused(&e))
    }
}

fn marks(doomed: &[SegmentId], epoch: Epoch) -> Vec<String> {
    let marks = doomed.chunks(IN_A_MARK).map(|ids| Mark {
        snapshot: SnapshotId::default(),
        no: 0,
        epoch,
        time: now(),
        say: Say::Dropped(ids.to_vec()),
    });
    marks.map(|mark| hex(&codec::encode(&mark))).collect()
}

fn refused(error: &PruneError) -> RpcError {
    let code = match error {
        PruneError::Unreadable { .. } | PruneError::Fetch(_) => Code::SegmentUnavailable,
        PruneError::Lock(LockError::Busy | LockError::Turn) => Code::VaultBusy,
        PruneError::Lock(LockError::Io(_)) | PruneError::Index(_) | PruneError::Uncovered(_) => {
            Code::Internal
        }
        PruneError::Store(inner) => return super::backup_error(inner),
    };
    RpcError::new(code, error)
}

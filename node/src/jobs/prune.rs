//! Pruning: what nothing needs any more is found, what is needed in part is written anew, and what may go is
//! laid out for the admin key to sign.

use super::Jobs;
use crate::home::now;
use crate::shown::{hex, stopping};
use crate::working::Working;
use larder_backup::lock::LockError;
use larder_backup::{Mark, PruneError, PruneOptions, Say, SnapshotId};
use larder_engine::Engine;
use larder_rpc::{Code, JobKind, JobResult, PruneParams, PruneSummary, RpcError, Text};
use larder_types::{Class, Epoch, SegmentId, codec};

/// How much may stay that nothing needs where nobody says otherwise, in percent of what is needed.
const MAX_UNUSED: u32 = 10;
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
        let options = PruneOptions {
            now: epoch,
            max_unused_ppm: percent.saturating_mul(10_000),
            dry_run: true,
        };
        working.note("looking for what nothing needs".to_owned());
        let mut done = self.prune_once(options, working).await?;
        if !params.dry_run && done.dead + done.repacked > 0 {
            if done.bytes_repacked > 0 {
                working.note(format!("making room for {} bytes", done.bytes_repacked));
                let bytes = done.bytes_repacked;
                self.prepare(Class::default(), bytes, &working.cancel)
                    .await?;
            }
            let options = PruneOptions {
                dry_run: false,
                ..options
            };
            done = self.prune_once(options, working).await?;
            // What lies elsewhere too, written anew now or before, the words alone must bring back from there
            // before this place of it goes.
            if !done.doomed.is_empty() {
                let published = self.wait_for_head(working).await?.is_some();
                let all = |e: &Engine| {
                    let known = e.known_segments().into_iter().map(|s| s.segment);
                    e.covered(&known.collect::<Vec<_>>())
                };
                if published && !self.driver.query(all).await.map_err(stopping)? {
                    let why =
                        "providers do not hold the newest head yet; run this again in a minute";
                    return Err(RpcError::new(Code::NotDurable, why));
                }
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
        })
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

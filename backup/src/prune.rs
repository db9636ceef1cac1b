//! What nothing needs any more. A segment is *dead* if no blob of it is needed by a snapshot that is not
//! forgotten, or that can still be brought back. Of segments that are needed in part those with the most
//! unused bytes are repacked: their needed blobs go into new segments, and they are dead then.
//!
//! Dead segments are *doomed* first: from then on nothing is deduplicated against them, so that what is
//! dead stays dead. They go when a mark that the words sign says so. Liveness counts the ledger's epochs
//! and no clock; a tree that cannot be read ends a prune before anything is doomed. After a crash
//! anywhere the next prune goes on: what was repacked is known, what was not still lies where it was.

use crate::backup::{BackupError, join};
use crate::content::Piece;
use crate::emit::Blob;
use crate::fetch::FetchError;
use crate::index::IndexError;
use crate::index::live::{Live, Use};
use crate::liveness::Walk;
use crate::lock::{Held, LockError, hold};
use crate::mark::Standing;
use crate::pack::Packer;
use crate::progress::{Phase, Progress};
use crate::segments::{SealedSegment, SegmentKind, Segments};
use crate::snapshot::{Snapshot, SnapshotId};
use crate::vault::Vault;
use larder_types::{Class, Epoch, SegmentId};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

/// A million: shares are counted in parts of it.
const WHOLE: u128 = 1_000_000;
/// Blobs of a segment that is repacked, read at a time: 16 MiB of the usual ones.
const BLOBS: usize = 16;

/// What to prune.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PruneOptions {
    /// The ledger's epoch.
    pub now: Epoch,
    /// How much may stay that nothing needs, in millionths of what is needed.
    pub max_unused_ppm: u32,
    /// Only say what would go.
    pub dry_run: bool,
    /// Segments that other devices of the account look after: they stay, whatever is in them.
    pub spare: BTreeSet<SegmentId>,
}

/// What is dead, and what was repacked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PruneSummary {
    /// Snapshots that need what they need.
    pub snapshots: u64,
    /// Those of them that are forgotten, and can be brought back for a while.
    pub locked: u64,
    /// Snapshots that are forgotten for good.
    pub gone: u64,
    /// Durable segments in all.
    pub segments: u64,
    /// Segments without anything that is needed.
    pub dead: u64,
    /// Segments that are needed in part, and are repacked.
    pub repacked: u64,
    /// Bytes of blobs that are freed: all of the dead ones, the unused ones of the repacked.
    pub bytes_freed: u64,
    /// Bytes of blobs that are written anew.
    pub bytes_repacked: u64,
    /// Bytes with providers that become free, redundancy included, as far as it was told.
    pub bytes_stored_freed: u64,
    /// Bytes of blobs that nothing needs and that stay.
    pub bytes_unused: u64,
    /// The segments that may go now; none of a dry run.
    pub doomed: Vec<SegmentId>,
}

/// Why nothing was pruned. What was repacked until then stays.
#[derive(Debug, thiserror::Error)]
pub enum PruneError {
    /// A snapshot cannot be read whole: what it needs is not known.
    #[error(
        "snapshot {snapshot} cannot be read, so nothing is pruned: {source}; `larder check` says more"
    )]
    Unreadable {
        /// Which.
        snapshot: SnapshotId,
        /// Why.
        source: FetchError,
    },
    /// A blob cannot be moved.
    #[error("repacking: {0}")]
    Fetch(#[from] FetchError),
    /// Something needed lies nowhere else: a bug, and nothing is pruned.
    #[error("blob {0} is needed and would go: nothing is pruned; please report this")]
    Uncovered(larder_types::BlobId),
    /// Someone else writes.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The index.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// Storing what was repacked.
    #[error(transparent)]
    Store(#[from] BackupError),
}

/// What is to happen to some segments.
#[derive(Debug, Default, PartialEq, Eq)]
struct Chosen {
    dead: Vec<Use>,
    repack: Vec<Use>,
    unused: u64,
}

/// Which of `uses` are dead and which are repacked: those with the greatest share of unused bytes
/// first, until what stays unused is at most `max_unused_ppm` of what is needed. What is doomed already is
/// finished in any case. What is lost and still needed waits for better days: it cannot be read.
fn choose(uses: Vec<Use>, max_unused_ppm: u32) -> Chosen {
    let needed: u128 = uses.iter().map(|u| u128::from(u.live)).sum();
    let most = needed * u128::from(max_unused_ppm) / WHOLE;
    let mut chosen = Chosen::default();
    let mut rest = Vec::new();
    for it in uses {
        if it.marks || it.lost && it.live > 0 {
            chosen.unused += it.len - it.live;
        } else if it.live == 0 {
            chosen.dead.push(it);
        } else if it.doomed {
            chosen.repack.push(it);
        } else {
            chosen.unused += it.len - it.live;
            rest.push(it);
        }
    }
    let share = |u: &Use| u128::from(u.len - u.live) * WHOLE / u128::from(u.len.max(1));
    rest.sort_by_key(|u| (std::cmp::Reverse(share(u)), u.no));
    for it in rest {
        if u128::from(chosen.unused) <= most || it.live == it.len {
            break;
        }
        chosen.unused -= it.len - it.live;
        chosen.repack.push(it);
    }
    chosen
}

impl PruneSummary {
    fn count(&mut self, chosen: &Chosen, segments: usize) {
        self.segments += segments as u64;
        self.dead += chosen.dead.len() as u64;
        self.repacked += chosen.repack.len() as u64;
        self.bytes_unused += chosen.unused;
        for it in &chosen.dead {
            self.bytes_freed += it.len;
            self.bytes_stored_freed += it.stored;
        }
        for it in &chosen.repack {
            self.bytes_freed += it.len - it.live;
            self.bytes_repacked += it.live;
            let unused = u128::from(it.stored) * u128::from(it.len - it.live);
            let freed = unused / u128::from(it.len.max(1));
            self.bytes_stored_freed += u64::try_from(freed).unwrap_or(u64::MAX);
        }
    }
}

impl Vault {
    /// Finds what is dead, and repacks what is needed in part. Nothing goes by this: what may go is in
    /// the summary, and goes when a signed mark says so ([`Vault::store_marks`]).
    ///
    /// # Errors
    /// [`PruneError`]; whatever it was, nothing that is needed is touched.
    pub async fn prune<S: Segments>(
        &self,
        options: PruneOptions,
        segments: &Arc<S>,
        progress: &Progress,
        cancel: &CancellationToken,
    ) -> Result<PruneSummary, PruneError> {
        let stop = cancel.child_token();
        let _ends_with_us = stop.clone().drop_guard();
        progress.phase(Phase::Preparing);
        let lock = match options.dry_run {
            true => None,
            false => Some(Arc::new(hold(&self.turn, &self.dir).await?)),
        };
        let mut left = Vec::new();
        if lock.is_some() {
            self.bury().await?;
            // Else a copy that is gone could count for more than one that is there.
            self.face_losses(segments.as_ref()).await?;
            left = self.left_over(segments.as_ref()).await?;
        }
        let mut summary = PruneSummary::default();
        let history = self.history().await?;
        let mut needed = Vec::new();
        for (id, snapshot, Standing { forgotten, .. }) in history {
            if forgotten.is_some_and(|f| !f.is_locked(options.now)) {
                summary.gone += 1;
                continue;
            }
            summary.snapshots += 1;
            summary.locked += u64::from(forgotten.is_some());
            needed.push((id, snapshot));
        }
        progress.phase(Phase::Planning);
        let mut live = self.walk(needed, segments, &stop).await?;
        let spare = self.index.numbers(&options.spare).await?;
        // Data first: a metadata segment may only say what lies in segments that are dead then.
        for kind in [SegmentKind::Data, SegmentKind::Meta] {
            let mut uses = live.uses(kind).await?;
            let all = uses.len();
            uses.retain(|it| !spare.contains(&it.no));
            let chosen = choose(uses, options.max_unused_ppm);
            summary.count(&chosen, all);
            let Some(lock) = &lock else { continue };
            let doomed = chosen.dead.iter().chain(&chosen.repack);
            let doomed: Vec<i64> = doomed.map(|u| u.no).collect();
            self.index.doom(&doomed).await?;
            progress.phase(Phase::Storing);
            let work = (chosen.repack, std::mem::take(&mut left));
            live = self
                .repack(live, work, segments, (progress, &stop, lock))
                .await?;
        }
        if lock.is_some() {
            if let Some(blob) = live.uncovered().await? {
                return Err(PruneError::Uncovered(blob));
            }
            let mut doomed = self.index.doomed().await?;
            doomed.retain(|id| !options.spare.contains(id));
            summary.doomed = doomed.into_iter().collect();
        }
        progress.phase(Phase::Done);
        Ok(summary)
    }

    /// What `snapshots` need.
    async fn walk<S: Segments>(
        &self,
        snapshots: Vec<(SnapshotId, Snapshot)>,
        segments: &Arc<S>,
        stop: &CancellationToken,
    ) -> Result<Live, PruneError> {
        let live = self.index.live().await?;
        let source = self.source(segments, stop);
        let mut walk = Walk::new(self.keys.clone(), source, live);
        let walking = spawn_blocking(move || -> Result<Live, PruneError> {
            for (snapshot, it) in snapshots {
                let walked = walk.snapshot(snapshot, &it);
                walked.map_err(|source| PruneError::Unreadable { snapshot, source })?;
            }
            Ok(walk.finish()?)
        });
        join(walking.await)?
    }

    /// Moves what is needed of doomed segments into new ones. Gives `live` back.
    async fn repack<S: Segments>(
        &self,
        mut live: Live,
        (repack, left): (Vec<Use>, Vec<SealedSegment>),
        segments: &Arc<S>,
        (progress, stop, lock): (&Progress, &CancellationToken, &Arc<Held>),
    ) -> Result<Live, PruneError> {
        if repack.is_empty() && left.is_empty() {
            return Ok(live);
        }
        let mut moves = Vec::new();
        for it in repack {
            moves.push((it.class, it.no, live.needed_in(it.no).await?));
        }
        moves.sort_by_key(|(class, no, _)| (*class, *no));
        let (vault, segments) = (self.clone(), Arc::clone(segments));
        let tools = |class| {
            let tools = vault.tools(&segments, progress, stop, lock);
            Packer::new(tools, class, false)
        };
        // What an earlier run left was packed in some class; sending it needs none.
        let mut packers = vec![(Vec::new(), left, tools(Class::default()))];
        for class in Class::ALL {
            let of_class: Vec<_> = moves.iter().filter(|(c, ..)| *c == class).collect();
            let blobs: Vec<_> = of_class
                .into_iter()
                .map(|(_, no, b)| (*no, b.clone()))
                .collect();
            packers.push((blobs, Vec::new(), tools(class)));
        }
        let stop = stop.clone();
        let moving = spawn_blocking(move || -> Result<(), PruneError> {
            for (moves, left, packer) in packers {
                let (_, nothing) = sync_channel(1);
                let mut packer = packer.run(left, &nothing)?;
                for (no, blobs) in moves {
                    // One at a time: its fetched file goes with it.
                    let mut source = vault.source(&segments, &stop);
                    for blobs in blobs.chunks(BLOBS) {
                        packer.pack(read(&mut source, no, blobs)?)?;
                    }
                }
                packer.settle()?;
            }
            Ok(())
        });
        join(moving.await)??;
        Ok(live)
    }
}

fn read<S: Segments>(
    source: &mut crate::fetch::Source<S>,
    segment: i64,
    blobs: &[larder_coding::IndexEntry],
) -> Result<Vec<Blob>, FetchError> {
    blobs
        .iter()
        .map(|blob| {
            let place = crate::index::Place {
                segment,
                offset: blob.offset.into(),
                len: blob.len.into(),
            };
            let piece = Piece {
                id: blob.id,
                len: blob.plain_len,
            };
            Ok(Blob {
                kind: blob.kind,
                id: blob.id,
                plain: source.read_at(place, piece)?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(no: i64, len: u64, live: u64) -> Use {
        Use {
            no,
            class: Class::Normal,
            len,
            live,
            stored: len * 2,
            doomed: false,
            marks: false,
            lost: false,
        }
    }

    fn chosen(uses: &[Use], ppm: u32) -> (Vec<i64>, Vec<i64>, u64) {
        let nos = |uses: Vec<Use>| uses.iter().map(|u| u.no).collect();
        let chosen = choose(uses.to_vec(), ppm);
        (nos(chosen.dead), nos(chosen.repack), chosen.unused)
    }

    #[test]
    fn the_emptiest_are_repacked_until_little_enough_is_unused() {
        let uses = [
            part(1, 100, 100),
            part(2, 100, 0),
            part(3, 100, 10),
            part(4, 100, 80),
            part(5, 100, 50),
        ];
        assert_eq!(chosen(&uses, 1_000_000), (vec![2], vec![], 160));
        assert_eq!(chosen(&uses, 300_000), (vec![2], vec![3], 70));
        assert_eq!(chosen(&uses, 100_000), (vec![2], vec![3, 5], 20));
        assert_eq!(chosen(&uses, 0), (vec![2], vec![3, 5, 4], 0));
    }

    #[test]
    fn marks_stay_and_what_is_doomed_is_finished() {
        let marks = Use {
            marks: true,
            ..part(1, 10, 0)
        };
        let doomed = Use {
            doomed: true,
            ..part(3, 100, 99)
        };
        assert_eq!(chosen(&[marks, doomed], 1_000_000), (vec![], vec![3], 10));
    }

    #[test]
    fn what_is_lost_goes_once_nothing_needs_it_and_is_never_read() {
        let lost = |no, live| Use {
            lost: true,
            ..part(no, 100, live)
        };
        let uses = [lost(1, 0), lost(2, 10), part(3, 100, 10)];
        assert_eq!(chosen(&uses, 0), (vec![1], vec![3], 90));
    }
}

//! The index anew, from metadata segments alone: each is fetched, its snapshots and listings are
//! opened. Listings say what data segments hold, so that none of these is fetched: a recovery of
//! 500 GB reads some hundred MB. `docs/protocol.md` §3.2.

use crate::backup::{BackupError, join};
use crate::contents::{Contents, contents_of};
use crate::fetch::Fetched;
use crate::index::IndexError;
use crate::lock::{LockError, hold};
use crate::progress::{Phase, Progress};
use crate::segments::{KnownSegment, SegmentKind, Segments, SegmentsError};
use crate::spool::is_full;
use crate::vault::Vault;
use larder_types::SegmentId;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use tokio::task::{JoinSet, spawn_blocking};
use tokio_util::sync::CancellationToken;

/// Segments fetched at once: enough to hide a round trip, few enough that small disks and lines
/// keep up. They are read one after another, which bounds memory.
const FETCHES: usize = 4;

/// What a rebuild came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RebuildSummary {
    /// Segments entered: metadata that was read, data that it lists.
    pub segments: u64,
    /// Blobs entered.
    pub blobs: u64,
    /// Snapshots found.
    pub snapshots: u64,
    /// Data segments that no listing names: of a backup that was interrupted, or of a metadata
    /// segment that is lost. They were not fetched, their blobs are not known.
    pub unlisted: u64,
    /// Segments that could not be had or not be read whole, and why; data segments that are
    /// listed, but kept nowhere.
    pub lost: Vec<(SegmentId, String)>,
}

/// Why an index was not rebuilt to its end. What was entered until then stays; another rebuild
/// goes on there.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// Someone else writes.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The index.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// Segments cannot be listed, or no segment be fetched: our disk is full, the node stops.
    #[error("fetching segments: {0}")]
    Segments(#[from] SegmentsError),
    /// Somebody asked for it.
    #[error("interrupted; what was entered so far is kept")]
    Cancelled,
}

impl From<BackupError> for RebuildError {
    fn from(_: BackupError) -> Self {
        Self::Cancelled
    }
}

impl Vault {
    /// Enters every metadata segment that the index does not know, and every data segment that
    /// one of them lists. What the index knows already stays; if data segments are kept that it
    /// does not know, metadata that it knows is read again for what it says of them.
    ///
    /// # Errors
    /// [`RebuildError`] if segments cannot be listed or the index not written; a single segment
    /// that cannot be had is in the summary.
    pub async fn rebuild<S: Segments>(
        &self,
        segments: &Arc<S>,
        progress: &Progress,
        cancel: &CancellationToken,
    ) -> Result<RebuildSummary, RebuildError> {
        self.read_in(segments, true, progress, cancel).await
    }

    /// Enters what other devices of the account have stored, as [`Vault::rebuild`] does, but reads
    /// nothing twice; and deduplicates no more against segments whose ids begin like `dooms`, which
    /// they are about to let go. Waits for a backup that is under way: what it needs stands in this
    /// device's heads before anybody hears that the dooms are known.
    ///
    /// # Errors
    /// As [`Vault::rebuild`].
    pub async fn merge<S: Segments>(
        &self,
        segments: &Arc<S>,
        dooms: &BTreeSet<[u8; 8]>,
        cancel: &CancellationToken,
    ) -> Result<RebuildSummary, RebuildError> {
        let progress = Progress::default();
        let merged = self.read_in(segments, false, &progress, cancel).await?;
        let _held = hold(&self.turn, &self.dir).await?;
        self.index.doom_others(dooms).await?;
        Ok(merged)
    }

    async fn read_in<S: Segments>(
        &self,
        segments: &Arc<S>,
        again: bool,
        progress: &Progress,
        cancel: &CancellationToken,
    ) -> Result<RebuildSummary, RebuildError> {
        let _held = hold(&self.turn, &self.dir).await?;
        progress.phase(Phase::Indexing);
        let rebuild = Rebuild::new(self, segments, again, progress).await?;
        let summary = cancel.run_until_cancelled(rebuild.run()).await;
        let summary = summary.ok_or(RebuildError::Cancelled)??;
        progress.phase(Phase::Done);
        Ok(summary)
    }
}

/// A rebuild under way.
struct Rebuild<'a, S: Segments> {
    vault: &'a Vault,
    segments: &'a Arc<S>,
    progress: &'a Progress,
    /// What the index knows by now.
    known: HashSet<SegmentId>,
    /// What is kept somewhere.
    kept: HashMap<SegmentId, SegmentKind>,
    /// Metadata segments still to be fetched.
    due: Vec<KnownSegment>,
    /// Data segments that are listed, but kept nowhere.
    absent: BTreeSet<SegmentId>,
    fetches: JoinSet<(KnownSegment, Result<Fetched<S>, SegmentsError>)>,
    summary: RebuildSummary,
}

impl<'a, S: Segments> Rebuild<'a, S> {
    async fn new(
        vault: &'a Vault,
        segments: &'a Arc<S>,
        again: bool,
        progress: &'a Progress,
    ) -> Result<Self, RebuildError> {
        let (index, list) = (&vault.index, segments.list().await?);
        let known = index.segments().await?;
        let kept: HashMap<_, _> = list.iter().map(|s| (s.id, s.kind)).collect();
        // Listed by a metadata segment that an earlier rebuild read, but not found then.
        for id in index.pending().await? {
            if kept.contains_key(&id) {
                index.mark_durable(id, 0).await?;
            }
        }
        // A backup drops what was pending: what read metadata lists may be here again. They are
        // read once more.
        let is_new = |s: &KnownSegment| !known.contains(&s.id);
        let again = again
            && list
                .iter()
                .any(|s| s.kind == SegmentKind::Data && is_new(s));
        let is_due = |s: &KnownSegment| s.kind == SegmentKind::Meta && (again || is_new(s));
        let due: Vec<_> = list.into_iter().filter(is_due).collect();
        progress.segments_total(due.len() as u64);
        Ok(Self {
            vault,
            segments,
            progress,
            known,
            kept,
            due,
            absent: BTreeSet::new(),
            fetches: JoinSet::new(),
            summary: RebuildSummary::default(),
        })
    }

    async fn run(mut self) -> Result<RebuildSummary, RebuildError> {
        self.fetch();
        while let Some(fetched) = self.fetches.join_next().await {
            let (segment, fetched) = join(fetched)?;
            self.fetch();
            match fetched {
                Ok(fetched) => self.read(segment, fetched).await?,
                Err(e) if is_lost(&e) => self.lose(segment.id, e.to_string()),
                Err(e) => return Err(e.into()),
            }
            self.progress.segment();
        }
        let data = self.kept.iter().filter(|(_, k)| **k == SegmentKind::Data);
        let unlisted = data.filter(|(id, _)| !self.known.contains(id)).count();
        self.summary.unlisted = unlisted as u64;
        let buried = self.vault.bury().await?;
        for id in std::mem::take(&mut self.absent) {
            if buried.contains(&id) {
                continue;
            }
            self.lose(id, "too few of its shards are known to be kept".to_owned());
        }
        Ok(self.summary)
    }

    /// Begins as many fetches as may be under way.
    fn fetch(&mut self) {
        while self.fetches.len() < FETCHES {
            let Some(segment) = self.due.pop() else {
                return;
            };
            let segments = Arc::clone(self.segments);
            self.fetches
                .spawn(async move { (segment, Fetched::of(segments, segment.id).await) });
        }
    }

    /// Enters a metadata segment and what it lists.
    async fn read(
        &mut self,
        segment: KnownSegment,
        fetched: Fetched<S>,
    ) -> Result<(), RebuildError> {
        let (path, keys) = (fetched.path.clone(), self.vault.keys.clone());
        let reading = spawn_blocking(move || {
            let len = path.metadata().map_or(0, |m| m.len());
            (len, contents_of(&path, &keys, segment.id))
        });
        let (len, contents) = join(reading.await)?;
        drop(fetched);
        match contents {
            Ok(contents) => self.enter(segment, len, contents).await,
            Err(e) => {
                self.lose(segment.id, e.to_string());
                Ok(())
            }
        }
    }

    async fn enter(
        &mut self,
        segment: KnownSegment,
        len: u64,
        mut contents: Contents,
    ) -> Result<(), RebuildError> {
        for damage in std::mem::take(&mut contents.damage) {
            self.lose(segment.id, damage);
        }
        let is_kept = |id: &SegmentId| self.kept.contains_key(id);
        let index = &self.vault.index;
        index.enter(&segment, len, &contents, is_kept).await?;
        if self.known.insert(segment.id) {
            self.summary.segments += 1;
            self.summary.blobs += contents.blobs.len() as u64;
            self.summary.snapshots += contents.snapshots.len() as u64;
        }
        for listing in &contents.listings {
            if !self.kept.contains_key(&listing.segment) {
                self.absent.insert(listing.segment);
            } else if self.known.insert(listing.segment) {
                self.summary.segments += 1;
                self.summary.blobs += listing.blobs.len() as u64;
            }
        }
        Ok(())
    }

    fn lose(&mut self, id: SegmentId, why: String) {
        tracing::warn!(segment = %id, %why, "not entered");
        self.progress.error();
        self.summary.lost.push((id, why));
    }
}

/// Whether the segment itself is at fault; else no other can be fetched either.
fn is_lost(e: &SegmentsError) -> bool {
    match e {
        SegmentsError::Lost(_) | SegmentsError::Damaged(_) => true,
        SegmentsError::Io { source, .. } => !is_full(source),
        SegmentsError::Store(_) => false,
    }
}

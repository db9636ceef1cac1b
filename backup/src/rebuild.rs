//! The index anew, from the segments alone: each is fetched, its index read (or its blobs found
//! by their headers), its snapshots opened.

use crate::backup::{BackupError, join};
use crate::lock::hold;
use crate::progress::{Phase, Progress};
use crate::segments::{SealedSegment, SegmentKind, Segments, SegmentsError};
use crate::snapshot::{Snapshot, SnapshotId};
use crate::vault::Vault;
use larder_coding::segment::ReadError;
use larder_coding::{BlobKind, IndexEntry, SegmentReader};
use larder_keys::VaultKeys;
use larder_types::codec::{self, DecodeError};
use larder_types::{Class, SegmentId};
use std::fs::File;
use std::io;
use std::path::Path;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

/// What a rebuild came to.
#[derive(Debug, Default)]
pub struct RebuildSummary {
    /// Segments entered.
    pub segments: u64,
    /// Blobs entered.
    pub blobs: u64,
    /// Snapshots found.
    pub snapshots: u64,
    /// Segments that could not be fetched or read, and why.
    pub lost: Vec<(SegmentId, String)>,
}

/// Why a segment's contents cannot be listed.
#[derive(Debug, thiserror::Error)]
pub enum ContentsError {
    /// The file.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The segment.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A snapshot in it.
    #[error("a snapshot's description is damaged: {0}")]
    Snapshot(#[from] DecodeError),
}

/// A segment's blobs and the snapshots among them.
pub(crate) type Contents = (Vec<IndexEntry>, Vec<(SnapshotId, Snapshot)>);

/// Lists the segment `id`, whose C is the file `path`.
pub(crate) fn contents_of(
    path: &Path,
    keys: &VaultKeys,
    id: SegmentId,
) -> Result<Contents, ContentsError> {
    let mut reader = SegmentReader::new(File::open(path)?, keys, id)?;
    let blobs = match reader.read_index() {
        Ok(blobs) => blobs,
        Err(ReadError::Io(e)) => return Err(e.into()),
        Err(damaged) => {
            let found = reader.scan()?;
            if found.is_empty() {
                return Err(damaged.into());
            }
            found
        }
    };
    let mut snapshots = Vec::new();
    for blob in blobs.iter().filter(|b| b.kind == BlobKind::Snapshot) {
        let (_, plain) = reader.read_blob(u64::from(blob.offset), u64::from(blob.len))?;
        snapshots.push((blob.id, codec::decode(&plain)?));
    }
    Ok((blobs, snapshots))
}

impl Vault {
    /// Enters every segment that the index does not know. What the index knows already stays.
    ///
    /// Segments do not say their class: those found anew are taken to have the lowest that any
    /// snapshot asks for, so that a better class is never assumed.
    ///
    /// # Errors
    /// [`BackupError`] if segments cannot be listed or the index not written; a single segment
    /// that cannot be had is in the summary.
    pub async fn rebuild<S: Segments>(
        &self,
        segments: &S,
        progress: &Progress,
        cancel: &CancellationToken,
    ) -> Result<RebuildSummary, BackupError> {
        let _held = hold(&self.turn, &self.dir).await?;
        progress.phase(Phase::Reading);
        let known = self.index.segments().await?;
        let mut summary = RebuildSummary::default();
        let mut entered = Vec::new();
        for id in segments.list().await? {
            if known.contains(&id) {
                continue;
            }
            let entering = self.enter(segments, id, &mut summary);
            match cancel.run_until_cancelled(entering).await {
                None => return Err(BackupError::Cancelled),
                Some(Err(EnterError::Backup(e))) => return Err(e),
                Some(Err(EnterError::Lost(why))) => summary.lost.push((id, why)),
                Some(Ok(())) => entered.push(id),
            }
            progress.segment();
        }
        let classes = self.index.snapshots().await?;
        let lowest = classes.iter().map(|(_, s)| s.class).min();
        self.index
            .set_class(&entered, lowest.unwrap_or_default())
            .await?;
        progress.phase(Phase::Done);
        Ok(summary)
    }

    async fn enter<S: Segments>(
        &self,
        segments: &S,
        id: SegmentId,
        summary: &mut RebuildSummary,
    ) -> Result<(), EnterError> {
        let path = segments.fetch(id).await?;
        let (file, keys) = (path.clone(), self.keys.clone());
        let contents = join(spawn_blocking(move || contents_of(&file, &keys, id)).await);
        let len = tokio::fs::metadata(&path).await.map_or(0, |m| m.len());
        segments.release(id).await;
        let (blobs, snapshots) = contents?.map_err(|e| EnterError::Lost(e.to_string()))?;
        let only_data = blobs.iter().all(|b| b.kind == BlobKind::Data);
        let segment = SealedSegment {
            id,
            class: Class::Low,
            kind: if only_data {
                SegmentKind::Data
            } else {
                SegmentKind::Meta
            },
            len,
            path,
        };
        self.index
            .add_segment(&segment, &blobs, &snapshots, true)
            .await
            .map_err(BackupError::from)?;
        summary.segments += 1;
        summary.blobs += blobs.len() as u64;
        summary.snapshots += snapshots.len() as u64;
        Ok(())
    }
}

/// Why a segment was not entered: its own fault, or ours.
enum EnterError {
    Lost(String),
    Backup(BackupError),
}

impl From<BackupError> for EnterError {
    fn from(e: BackupError) -> Self {
        Self::Backup(e)
    }
}

impl From<SegmentsError> for EnterError {
    fn from(e: SegmentsError) -> Self {
        Self::Lost(e.to_string())
    }
}

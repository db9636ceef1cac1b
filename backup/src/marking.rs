//! Storing marks: they lie in a small metadata segment of their own, beside the snapshots that they
//! speak of, so that whoever recovers from the words knows them.

use crate::backup::{BackupError, join};
use crate::contents::Says;
use crate::index::IndexError;
use crate::lock::{LockError, try_hold};
use crate::mark::{Say, SignedMark};
use crate::segments::{SealedSegment, SegmentKind, Segments, SegmentsError};
use crate::snapshot::SnapshotId;
use crate::spool::SpoolError;
use crate::vault::Vault;
use larder_coding::{BlobKind, IndexEntry, SealError, blob_id, seal};
use larder_types::{Class, SegmentId, codec};
use rand::Rng as _;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::task::spawn_blocking;

/// Marks in one blob: some 200 bytes each, longer tags aside.
const IN_A_BLOB: usize = 1_000;

/// Why marks are not stored.
#[derive(Debug, thiserror::Error)]
pub enum MarkError {
    /// There is nothing to store.
    #[error("no mark was given")]
    None,
    /// This home does not know the account's admin key.
    #[error("this home has no device certificate: make it anew with `larder recover`")]
    NoAuthority,
    /// Another key signed one.
    #[error("the mark on {0} is not signed by this account's words: use the words of this home")]
    Signature(SnapshotId),
    /// On a snapshot that there is not.
    #[error("no snapshot {0}: `larder snapshots` lists them")]
    Unknown(SnapshotId),
    /// A segment that is not to go: only a prune dooms them.
    #[error("segment {0} holds what is needed, or nothing that is known; run `larder prune` again")]
    Needed(SegmentId),
    /// Someone else writes.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The index.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The spool.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// A mark that is too long for a blob: megabytes of tags.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The segment could not be stored.
    #[error("storing the marks: {0}; the next backup tries it again")]
    Segments(#[from] SegmentsError),
    /// The thread was ended from outside.
    #[error("interrupted")]
    Cancelled,
}

impl From<BackupError> for MarkError {
    fn from(_: BackupError) -> Self {
        Self::Cancelled
    }
}

impl Vault {
    /// The class that `marks` are stored in: the highest of the snapshots that they speak of, since
    /// they are worth as much; of all, where they speak of segments.
    ///
    /// # Errors
    /// [`MarkError`] if there is no such snapshot, or no mark.
    pub async fn class_of(&self, marks: &[SignedMark]) -> Result<Class, MarkError> {
        let all: BTreeMap<_, _> = self
            .index
            .snapshots()
            .await?
            .into_iter()
            .map(|(id, s)| (id, s.class))
            .collect();
        let highest_of_all = all.values().max().copied().unwrap_or_default();
        let mut highest = None;
        for mark in marks.iter().map(|m| &m.mark) {
            let class = match &mark.say {
                Say::Dropped(_) => highest_of_all,
                Say::Forget { .. } | Say::Undelete | Say::Tags(_) => *all
                    .get(&mark.snapshot)
                    .ok_or(MarkError::Unknown(mark.snapshot))?,
            };
            highest = highest.max(Some(class));
        }
        highest.ok_or(MarkError::None)
    }

    /// Stores marks. They count from when they are durable.
    ///
    /// # Errors
    /// [`MarkError`] if one is not signed by the account's admin key or names no snapshot, while a
    /// backup is under way, or if the segment cannot be stored.
    pub async fn store_marks<S: Segments>(
        &self,
        marks: Vec<SignedMark>,
        segments: &Arc<S>,
    ) -> Result<(), MarkError> {
        let authority = self.authority.ok_or(MarkError::NoAuthority)?;
        if let Some(bad) = marks.iter().find(|m| !authority.signed(m)) {
            return Err(MarkError::Signature(bad.mark.snapshot));
        }
        let class = self.class_of(&marks).await?;
        let _held = try_hold(&self.turn, &self.dir)?;
        let doomed = self.index.doomed().await?;
        let mut dropped = marks.iter().flat_map(|m| m.mark.dropped());
        if let Some(needed) = dropped.find(|id| !doomed.contains(*id)) {
            return Err(MarkError::Needed(*needed));
        }
        let (this, sealing) = (self.clone(), marks.clone());
        let sealed = join(spawn_blocking(move || this.seal_marks(class, &sealing)).await)?;
        let (segment, blobs) = sealed?;
        let says = Says {
            marks,
            ..Says::default()
        };
        self.index.add_segment(&segment, &blobs, &says).await?;
        let id = segment.id;
        let stored = segments.store(segment).await?;
        self.index.mark_durable(id, stored.bytes_stored).await?;
        self.bury().await?;
        Ok(())
    }

    fn seal_marks(
        &self,
        class: Class,
        marks: &[SignedMark],
    ) -> Result<(SealedSegment, Vec<IndexEntry>), MarkError> {
        let mut open = self.spool.begin(&self.keys, class, SegmentKind::Meta)?;
        for marks in marks.chunks(IN_A_BLOB) {
            let plain = codec::encode(&marks);
            let mut nonce = [0; 12];
            rand::rng().fill_bytes(&mut nonce);
            let id = blob_id(&self.keys, &plain);
            open.push(&seal(&self.keys, BlobKind::Marks, id, &plain, nonce)?)?;
        }
        Ok(open.finish()?)
    }
}

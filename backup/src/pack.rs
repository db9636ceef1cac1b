//! The packing side of a backup: leaves out blobs that the vault has, seals the rest, writes
//! them to segments (files' contents and metadata apart) and sends these, three at a time.
//! It runs on a blocking thread of its own; what is asynchronous it waits for there.

use crate::backup::BackupError;
use crate::contents::Says;
use crate::emit::{BATCH_BLOBS, Blob};
use crate::index::Index;
use crate::lock::Held;
use crate::progress::Progress;
use crate::segments::{SealedSegment, SegmentKind, Segments};
use crate::snapshot::{Snapshot, SnapshotId};
use crate::spool::{OpenSegment, Spool};
use crate::summary::Packed;
use larder_coding::{BlobKind, Listing, blob_id, listing, seal};
use larder_keys::VaultKeys;
use larder_types::{BlobId, Class, codec};
use rand::Rng as _;
use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

/// Segments on their way at once: with those being written, the spool holds at most 5 · 64 MiB.
pub(crate) const IN_FLIGHT: usize = 3;
/// Ids that a dry run remembers at most (48 MiB); beyond, a repeated blob may count twice.
const DRY_IDS: usize = 1 << 20;

/// Bytes of listings in one blob, unless a single segment has more (1.5 MiB at most): as with all
/// metadata, so that damage costs little.
const LISTING: usize = 512 << 10;

/// What a packer works with.
#[derive(Debug)]
pub(crate) struct Tools<S> {
    pub(crate) keys: VaultKeys,
    pub(crate) index: Index,
    pub(crate) spool: Spool,
    pub(crate) segments: Arc<S>,
    pub(crate) progress: Progress,
    pub(crate) runtime: Handle,
    pub(crate) stop: CancellationToken,
    /// Held until the last upload is over, one way or the other.
    pub(crate) lock: Arc<Held>,
}

/// Packs blobs into segments and sees them stored.
#[derive(Debug)]
pub(crate) struct Packer<S> {
    tools: Tools<S>,
    class: Class,
    dry: bool,
    data: Option<OpenSegment>,
    meta: Option<OpenSegment>,
    /// What the open metadata segment says to the index.
    says: Says,
    /// Blobs of the two open segments, which the index does not know yet.
    fresh: HashSet<BlobId>,
    uploads: JoinSet<Result<u64, BackupError>>,
    permits: Arc<Semaphore>,
    packed: Packed,
}

impl<S: Segments> Packer<S> {
    pub(crate) fn new(tools: Tools<S>, class: Class, dry: bool) -> Self {
        Self {
            tools,
            class,
            dry,
            data: None,
            meta: None,
            says: Says::default(),
            fresh: HashSet::new(),
            uploads: JoinSet::new(),
            permits: Arc::new(Semaphore::new(IN_FLIGHT)),
            packed: Packed::default(),
        }
    }

    /// Sends `left` over from an earlier run, then packs what comes until the reading side ends.
    pub(crate) fn run(
        mut self,
        left: Vec<SealedSegment>,
        batches: &Receiver<Vec<Blob>>,
    ) -> Result<Self, BackupError> {
        for segment in left {
            self.send(segment)?;
        }
        while let Ok(batch) = batches.recv() {
            self.pack(batch)?;
        }
        Ok(self)
    }

    /// Adds those of `batch` that the vault has not.
    pub(crate) fn pack(&mut self, batch: Vec<Blob>) -> Result<(), BackupError> {
        let ids: Vec<BlobId> = batch
            .iter()
            .map(|b| b.id)
            .filter(|id| !self.fresh.contains(id))
            .collect();
        debug_assert!(ids.len() <= BATCH_BLOBS);
        let known = self.wait(self.tools.index.known(&ids, self.class))??;
        for blob in batch {
            if !known.contains(&blob.id) && self.fresh.insert(blob.id) {
                self.packed.bytes_new += blob.plain.len() as u64;
                self.add(&blob)?;
                // Only a prune moves snapshots.
                if blob.kind == BlobKind::Snapshot
                    && let Ok(snapshot) = codec::decode(&blob.plain)
                {
                    self.says.snapshots.push((blob.id, snapshot));
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, blob: &Blob) -> Result<(), BackupError> {
        if self.dry {
            if self.fresh.len() > DRY_IDS {
                self.fresh.clear();
            }
            return Ok(());
        }
        let mut nonce = [0; 12];
        rand::rng().fill_bytes(&mut nonce);
        let sealed = seal(&self.tools.keys, blob.kind, blob.id, &blob.plain, nonce)?;
        let kind = segment_kind(blob.kind);
        if self
            .open(kind)
            .as_ref()
            .is_some_and(|s| !s.has_room(sealed.len()))
        {
            self.close(kind)?;
        }
        if self.open(kind).is_none() {
            let begun = self.tools.spool.begin(&self.tools.keys, self.class, kind)?;
            *self.open(kind) = Some(begun);
        }
        let open = self.open(kind).as_mut().expect("it was begun above");
        Ok(open.push(&sealed)?)
    }

    fn open(&mut self, kind: SegmentKind) -> &mut Option<OpenSegment> {
        match kind {
            SegmentKind::Data => &mut self.data,
            SegmentKind::Meta | SegmentKind::Catalogue => &mut self.meta,
        }
    }

    /// Finishes a segment, enters it as pending and sends it.
    fn close(&mut self, kind: SegmentKind) -> Result<(), BackupError> {
        let Some(open) = self.open(kind).take() else {
            return Ok(());
        };
        let (segment, blobs) = open.finish()?;
        let index = self.tools.index.clone();
        let says = match kind {
            SegmentKind::Data => Says::default(),
            SegmentKind::Meta | SegmentKind::Catalogue => std::mem::take(&mut self.says),
        };
        self.wait(index.add_segment(&segment, &blobs, &says))??;
        for blob in &blobs {
            self.fresh.remove(&blob.id);
        }
        self.send(segment)
    }

    /// Sends a segment as soon as fewer than three are on their way.
    fn send(&mut self, segment: SealedSegment) -> Result<(), BackupError> {
        while let Some(done) = self.uploads.try_join_next() {
            self.count(done)?;
        }
        let permit = loop {
            if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
                break permit;
            }
            // All three are taken: whichever ends first says whether to go on.
            self.join_one()?;
        };
        let (segments, index) = (Arc::clone(&self.tools.segments), self.tools.index.clone());
        let (progress, lock) = (self.tools.progress.clone(), Arc::clone(&self.tools.lock));
        let upload = async move {
            let id = segment.id;
            let stored = segments.store(segment).await?;
            index.mark_durable(id, stored.bytes_stored).await?;
            progress.segment();
            drop((permit, lock));
            Ok(stored.bytes_stored)
        };
        self.uploads.spawn_on(upload, &self.tools.runtime);
        Ok(())
    }

    /// Waits for one upload; `false` if there was none.
    fn join_one(&mut self) -> Result<bool, BackupError> {
        let stop = self.tools.stop.clone();
        let runtime = self.tools.runtime.clone();
        let done = runtime
            .block_on(stop.run_until_cancelled(self.uploads.join_next()))
            .ok_or(BackupError::Cancelled)?;
        match done {
            Some(done) => self.count(done).map(|()| true),
            None => Ok(false),
        }
    }

    fn count(
        &mut self,
        done: Result<Result<u64, BackupError>, JoinError>,
    ) -> Result<(), BackupError> {
        let stored = match done {
            Ok(stored) => stored?,
            Err(e) if e.is_panic() => std::panic::resume_unwind(e.into_panic()),
            Err(_) => return Err(BackupError::Cancelled),
        };
        self.packed.segments += 1;
        self.packed.bytes_stored += stored;
        Ok(())
    }

    /// Stores the rest and lists it, without a snapshot of its own.
    pub(crate) fn settle(mut self) -> Result<(), BackupError> {
        self.close(SegmentKind::Data)?;
        while self.join_one()? {}
        self.list()?;
        self.close(SegmentKind::Meta)?;
        while self.join_one()? {}
        Ok(())
    }

    /// Stores the rest, then lists it, then the snapshot: its blob goes into the last metadata
    /// segment, which is sent only when everything that it names is durable.
    pub(crate) fn finish(
        mut self,
        snapshot: Snapshot,
    ) -> Result<(SnapshotId, Packed), BackupError> {
        self.close(SegmentKind::Data)?;
        while self.join_one()? {}
        self.list()?;
        let plain = codec::encode(&snapshot);
        let id = self.add_meta(BlobKind::Snapshot, plain)?;
        self.says.snapshots.push((id, snapshot));
        // Had the metadata segment no room left, it was closed just now: wait for it too.
        while self.join_one()? {}
        self.close(SegmentKind::Meta)?;
        while self.join_one()? {}
        Ok((id, self.packed))
    }

    /// Lists the data segments that are not listed yet, those of earlier runs included, so that
    /// whoever recovers needs no data to know what lies where.
    fn list(&mut self) -> Result<(), BackupError> {
        let (mut listings, mut len, mut last) = (Vec::new(), 0, 0);
        let index = self.tools.index.clone();
        while let Some((no, listing)) = self.wait(index.unlisted(self.class, last))?? {
            let more = listing::encoded_len(listing.blobs.len());
            if len + more > LISTING && !listings.is_empty() {
                self.add_listings(&std::mem::take(&mut listings))?;
                len = 0;
            }
            listings.push(listing);
            len += more;
            last = no;
        }
        if listings.is_empty() {
            return Ok(());
        }
        self.add_listings(&listings)
    }

    fn add_listings(&mut self, listings: &[Listing]) -> Result<(), BackupError> {
        self.add_meta(BlobKind::Listing, listing::encode(listings))?;
        self.says.listed.extend(listings.iter().map(|l| l.segment));
        Ok(())
    }

    /// Adds a blob that the reading side knows nothing of. What it says counts for the segment
    /// that is open afterwards: the one before may just have been closed.
    fn add_meta(&mut self, kind: BlobKind, plain: Vec<u8>) -> Result<BlobId, BackupError> {
        let id = blob_id(&self.tools.keys, &plain);
        self.add(&Blob { kind, id, plain })?;
        Ok(id)
    }

    /// What a dry run found.
    pub(crate) fn packed(&self) -> Packed {
        self.packed
    }

    fn wait<T>(&self, work: impl Future<Output = T>) -> Result<T, BackupError> {
        self.tools
            .runtime
            .block_on(self.tools.stop.run_until_cancelled(work))
            .ok_or(BackupError::Cancelled)
    }
}

const fn segment_kind(kind: BlobKind) -> SegmentKind {
    match kind {
        BlobKind::Data => SegmentKind::Data,
        BlobKind::Tree
        | BlobKind::Snapshot
        | BlobKind::List
        | BlobKind::Listing
        | BlobKind::Index
        | BlobKind::Marks
        | BlobKind::Catalogue => SegmentKind::Meta,
    }
}

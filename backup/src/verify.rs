//! Reading what is stored, to see whether it is still what was stored: every shard of a segment that
//! can be reached, and every blob in it. What is damaged is found and named by the files that need
//! it, never in the way of the rest; mending it is the keeper of segments' work.

use crate::backup::{BackupError, join};
use crate::content::{Content, Piece};
use crate::entry::{Entry, Kind};
use crate::fetch::{EntryCursor, FetchError, Fetched, PieceCursor, Source};
use crate::index::{Index, IndexError};
use crate::problems::{Problem, Problems};
use crate::progress::{Phase, Progress};
use crate::segments::{KnownSegment, Probed, Segments, SegmentsError};
use crate::snapshot::SnapshotId;
use crate::vault::Vault;
use crate::walk::PathBytes;
use larder_coding::SegmentReader;
use larder_keys::VaultKeys;
use larder_types::SegmentId;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::task::{JoinSet, spawn_blocking};
use tokio_util::sync::CancellationToken;

/// Segments under way at once: a segment's file takes up to 64 MiB, its shards a multiple of that.
const AT_ONCE: usize = 2;
/// Entries and blobs looked up at a time.
const WINDOW: usize = 512;

/// What reading the segments came to.
#[derive(Debug, Default)]
pub struct Verified {
    /// Segments read.
    pub segments: u64,
    /// Bytes of them, before coding.
    pub bytes: u64,
    /// Blobs opened.
    pub blobs: u64,
    /// Shards that were not what was stored.
    pub damaged_shards: u64,
    /// Shards that could not be reached: nothing is known of them. One is counted for each segment of
    /// which too few were reached.
    pub unread_shards: u64,
    /// Segments that could not be read though enough of them is kept: whoever keeps it is away.
    pub unreached: BTreeSet<SegmentId>,
    /// Segments with damage, each with what is wrong, in the order of their ids.
    pub damaged: BTreeMap<SegmentId, String>,
    /// Those of them that cannot be read any more, in whole or in part.
    pub lost: BTreeSet<SegmentId>,
    /// The files and folders that lie in them, as `SNAPSHOT:/PATH`, in the newest snapshot that has
    /// them.
    pub paths: Problems,
}

/// Why the segments could not be read.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The index.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// Segments cannot be fetched at all.
    #[error(transparent)]
    Segments(#[from] SegmentsError),
    /// Somebody asked for it.
    #[error("interrupted")]
    Cancelled,
}

impl From<BackupError> for VerifyError {
    fn from(_: BackupError) -> Self {
        Self::Cancelled
    }
}

impl Vault {
    /// Reads these segments and everything in them, then names the files that damage befell. What is
    /// lost is remembered: the next backup does not count on it.
    ///
    /// # Errors
    /// [`VerifyError`] if the index cannot be read or no segment be fetched; damage is no error.
    pub async fn verify<S: Segments>(
        &self,
        mut ids: Vec<SegmentId>,
        segments: &Arc<S>,
        progress: &Progress,
        cancel: &CancellationToken,
    ) -> Result<Verified, VerifyError> {
        progress.phase(Phase::Reading);
        progress.segments_total(ids.len() as u64);
        let mut verified = Verified::default();
        let all = ids.clone();
        let mut reading = JoinSet::new();
        loop {
            while reading.len() < AT_ONCE
                && let Some(id) = ids.pop()
            {
                let (segments, keys) = (Arc::clone(segments), self.keys.clone());
                reading.spawn(async move { (id, read(segments, keys, id).await) });
            }
            let next = cancel.run_until_cancelled(reading.join_next()).await;
            let Some(ended) = next.ok_or(VerifyError::Cancelled)? else {
                break;
            };
            let (id, read) = join(ended)?;
            verified.take(id, read)?;
            progress.segment();
        }
        if !verified.unreached.is_empty() {
            // What a read found to be bad is not counted as kept any more.
            verified.sort_out(&segments.list().await?);
        }
        // So that the next backup stores again what is lost, if it still meets it.
        let gone: Vec<_> = verified.lost.iter().copied().collect();
        self.index.set_lost(&gone, true).await?;
        let out_of_reach = |id: &SegmentId| verified.unreached.contains(id);
        let well = all.into_iter();
        let well = well.filter(|id| !verified.lost.contains(id) && !out_of_reach(id));
        self.index
            .set_lost(&well.collect::<Vec<_>>(), false)
            .await?;
        if !verified.damaged.is_empty() {
            verified.paths = self.befallen(&verified, segments, cancel).await?;
        }
        progress.phase(Phase::Done);
        Ok(verified)
    }

    /// The files and folders that lie in damaged segments.
    async fn befallen<S: Segments>(
        &self,
        verified: &Verified,
        segments: &Arc<S>,
        cancel: &CancellationToken,
    ) -> Result<Problems, VerifyError> {
        let mut snapshots = self.snapshots().await?;
        snapshots.reverse();
        let damaged = verified.damaged.keys().copied().collect();
        let mut naming = Naming {
            source: self.source(segments, cancel),
            index: self.index.clone(),
            damaged,
            lost: verified.lost.clone(),
            segments: HashMap::new(),
            seen: HashSet::new(),
            named: HashSet::new(),
            paths: Problems::default(),
        };
        let named = spawn_blocking(move || {
            for (id, snapshot) in &snapshots {
                naming.tree(*id, &snapshot.root, &mut PathBytes::default())?;
            }
            Ok(naming.paths)
        });
        join(named.await)?
    }
}

/// What reading one segment came to.
struct Read {
    probed: Probed,
    bytes: u64,
    blobs: u64,
    wrong: Option<String>,
}

/// Fetches a segment with all of its shards, and opens every blob in it.
async fn read<S: Segments>(
    segments: Arc<S>,
    keys: VaultKeys,
    id: SegmentId,
) -> Result<Read, SegmentsError> {
    let (fetched, probed) = Fetched::probed(segments, id).await?;
    let path = fetched.path.clone();
    let opened = spawn_blocking(move || open_all(&path, &keys, id)).await;
    let (bytes, blobs, wrong) = opened.unwrap_or_else(|e| (0, 0, Some(e.to_string())));
    Ok(Read {
        probed,
        bytes,
        blobs,
        wrong,
    })
}

/// Bytes, blobs that open, and the first thing that is wrong.
fn open_all(path: &Path, keys: &VaultKeys, id: SegmentId) -> (u64, u64, Option<String>) {
    let reader = File::open(path).and_then(|file| SegmentReader::new(file, keys, id));
    let mut reader = match reader {
        Ok(reader) => reader,
        Err(e) => return (0, 0, Some(e.to_string())),
    };
    let bytes = reader.len();
    let index = match reader.read_index() {
        Ok(index) => index,
        Err(e) => return (bytes, 0, Some(e.to_string())),
    };
    let mut blobs = 0;
    let mut wrong = None;
    for blob in index {
        match reader.read_blob(u64::from(blob.offset), u64::from(blob.len)) {
            Ok((header, _)) if header.id == blob.id => blobs += 1,
            Ok(_) => {
                wrong = wrong.or_else(|| Some(format!("another blob lies at {}", blob.offset)))
            }
            Err(e) => wrong = wrong.or_else(|| Some(e.to_string())),
        }
    }
    (bytes, blobs, wrong)
}

impl Verified {
    fn take(
        &mut self,
        id: SegmentId,
        read: Result<Read, SegmentsError>,
    ) -> Result<(), VerifyError> {
        let read = match read {
            Ok(read) => read,
            Err(SegmentsError::Lost(_)) => {
                self.unreached.insert(id);
                return Ok(());
            }
            Err(e @ SegmentsError::Damaged(_)) => {
                self.lost.insert(id);
                self.damaged.insert(id, e.to_string());
                return Ok(());
            }
            Err(e @ (SegmentsError::Io { .. } | SegmentsError::Store(_))) => return Err(e.into()),
        };
        self.segments += 1;
        self.bytes += read.bytes;
        self.blobs += read.blobs;
        self.damaged_shards += u64::from(read.probed.damaged);
        self.unread_shards += u64::from(read.probed.unread);
        if let Some(wrong) = read.wrong {
            self.lost.insert(id);
            self.damaged.insert(id, wrong);
        } else if read.probed.damaged > 0 {
            let shards = read.probed.damaged;
            self.damaged
                .insert(id, format!("{shards} of its shards are damaged"));
        }
        Ok(())
    }

    /// Of the segments that could not be had, those are lost of which too little is kept; the others
    /// are out of reach.
    fn sort_out(&mut self, known: &[KnownSegment]) {
        let kept: BTreeSet<SegmentId> = known.iter().map(|segment| segment.id).collect();
        for id in std::mem::take(&mut self.unreached) {
            if kept.contains(&id) {
                self.unread_shards += 1;
                self.unreached.insert(id);
            } else {
                self.lost.insert(id);
                self.damaged
                    .insert(id, "too little of it is left".to_owned());
            }
        }
    }
}

/// Looks for the files that lie in damaged segments, newest snapshots first.
struct Naming<S: Segments> {
    source: Source<S>,
    index: Index,
    damaged: BTreeSet<SegmentId>,
    /// Those of them that are lost.
    lost: BTreeSet<SegmentId>,
    /// The ids of segments, by their numbers in the index.
    segments: HashMap<i64, SegmentId>,
    /// Folders that were looked through: most are the same in many snapshots.
    seen: HashSet<(PathBuf, Vec<Piece>)>,
    named: HashSet<PathBuf>,
    paths: Problems,
}

impl<S: Segments> Naming<S> {
    fn tree(
        &mut self,
        id: SnapshotId,
        tree: &Content,
        at: &mut PathBytes,
    ) -> Result<(), VerifyError> {
        let pieces = tree.pieces().unwrap_or_default();
        if !self.seen.insert((at.as_path().to_owned(), pieces)) {
            return Ok(());
        }
        let mut cursor = match EntryCursor::new(tree) {
            Ok(cursor) => cursor,
            Err(e) => return self.unreadable(id, at, e),
        };
        loop {
            let entries = match cursor.next(&mut self.source, WINDOW) {
                Ok(entries) if entries.is_empty() => return Ok(()),
                Ok(entries) => entries,
                Err(e) => return self.unreadable(id, at, e),
            };
            for entry in entries {
                let mark = at.enter(&entry.name);
                let looked = self.entry(id, &entry, at);
                at.leave(mark);
                looked?;
            }
        }
    }

    fn entry(
        &mut self,
        id: SnapshotId,
        entry: &Entry,
        at: &mut PathBytes,
    ) -> Result<(), VerifyError> {
        let (Kind::File(content) | Kind::Dir(content)) = &entry.kind else {
            return Ok(());
        };
        match self.touches(content) {
            Ok(None) => {}
            Ok(Some(Damage::Lost)) => {
                self.name(id, at, "it lies in a segment that is lost in part")
            }
            Ok(Some(Damage::Mendable)) => {
                self.name(id, at, "it lies in a segment with damaged shards");
            }
            Err(e) => self.unreadable(id, at, e)?,
        }
        if matches!(entry.kind, Kind::Dir(_)) {
            self.tree(id, content, at)?;
        }
        Ok(())
    }

    /// The worst damage in the segments that a content lies in.
    fn touches(&mut self, content: &Content) -> Result<Option<Damage>, FetchError> {
        let mut worst = None;
        let mut cursor = PieceCursor::new(content)?;
        loop {
            let mut ids = Vec::new();
            while ids.len() < WINDOW
                && let Some(piece) = cursor.next(&mut self.source)?
            {
                ids.push(piece.id);
            }
            if ids.is_empty() {
                return Ok(worst);
            }
            for place in self.source.locate(&ids)?.values() {
                worst = worst.max(self.damage(place.segment)?);
            }
        }
    }

    /// What is wrong with the segment of a number.
    fn damage(&mut self, no: i64) -> Result<Option<Damage>, FetchError> {
        let id = match self.segments.get(&no) {
            Some(id) => *id,
            None => {
                let id = self.source.wait(self.index.segment_id(no))??;
                self.segments.insert(no, id);
                id
            }
        };
        Ok(
            match (self.damaged.contains(&id), self.lost.contains(&id)) {
                (_, true) => Some(Damage::Lost),
                (true, false) => Some(Damage::Mendable),
                (false, false) => None,
            },
        )
    }

    /// A listing cannot be read on: the folder is named, and the rest looked at.
    fn unreadable(
        &mut self,
        id: SnapshotId,
        at: &PathBytes,
        e: FetchError,
    ) -> Result<(), VerifyError> {
        if e.is_local() {
            self.name(id, at, &e.to_string());
            return Ok(());
        }
        if let FetchError::Index(e) = e {
            return Err(e.into());
        }
        Err(VerifyError::Cancelled)
    }

    fn name(&mut self, id: SnapshotId, at: &PathBytes, why: &str) {
        let path = at.as_path().to_owned();
        if self.named.insert(path.clone()) {
            self.paths.note(Problem {
                path: PathBuf::from(format!("{id}:{}", path.display())),
                error: why.to_owned(),
            });
        }
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Damage {
    /// Enough sound shards are left.
    Mendable,
    /// A blob, or all of them, cannot be read.
    Lost,
}

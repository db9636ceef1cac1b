//! Sharing: which blobs a folder of a snapshot needs and where they lie; and restoring from what
//! somebody else lent, with nothing but the keys that came with it. `docs/protocol.md` §3.13.

use crate::backup::join;
use crate::browse::{BrowseError, Found, Reader, find};
use crate::content::{Content, Piece};
use crate::entry::{Entry, Kind};
use crate::exclude::Globs;
use crate::fetch::{EntryCursor, FetchError, PieceCursor, Source};
use crate::index::{Index, IndexError};
use crate::planner::Wanted;
use crate::progress::Progress;
use crate::restore::{How, RestoreError, RestoreSummary, What};
use crate::segments::Segments;
use crate::snapshot::Snapshot;
use crate::vault::Vault;
use larder_coding::blob::key_of;
use larder_coding::{BlobKind, GivenKeys, IndexEntry, OpenKeys};
use larder_keys::GivenKey;
use larder_types::{BlobId, SegmentId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

/// Entries read at a time.
const WINDOW: usize = 512;

/// What is shared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tree {
    /// What a folder holds.
    #[serde(rename = "d")]
    Folder(Content),
    /// A file, or another single entry.
    #[serde(rename = "e")]
    Single(Box<Entry>),
}

/// A blob and where it lies.
#[derive(Clone, Debug)]
pub struct LentBlob {
    /// What it is and where in its segment it lies.
    pub entry: IndexEntry,
    /// The key that opens it, and no other blob.
    pub key: GivenKey,
}

/// A segment and the blobs in it that are lent.
#[derive(Clone, Debug)]
pub struct LentSegment {
    /// Which.
    pub id: SegmentId,
    /// Bytes of C.
    pub len: u64,
    /// The key of its outer encryption.
    pub outer: GivenKey,
    /// The blobs.
    pub blobs: Vec<LentBlob>,
}

/// All that it takes to read what is shared.
#[derive(Clone, Debug)]
pub struct Shared {
    /// What is shared.
    pub tree: Tree,
    /// Files in it.
    pub files: u64,
    /// Folders in it, the topmost not counted.
    pub dirs: u64,
    /// Bytes of the files.
    pub bytes: u64,
    /// Where it lies; C's length is the caller's to fill in.
    pub segments: Vec<LentSegment>,
}

/// Why a folder cannot be shared.
#[derive(Debug, thiserror::Error)]
pub enum ShareFault {
    /// No such path, or its metadata cannot be had.
    #[error(transparent)]
    Browse(#[from] BrowseError),
    /// More blobs than a share has room for.
    #[error("the folder has more than {0} pieces: share a smaller folder")]
    TooMany(usize),
}

impl From<FetchError> for ShareFault {
    fn from(error: FetchError) -> Self {
        Self::Browse(error.into())
    }
}

impl From<crate::backup::BackupError> for ShareFault {
    fn from(error: crate::backup::BackupError) -> Self {
        Self::Browse(error.into())
    }
}

/// What is gathered on the way down.
struct Gathering<S: Segments> {
    source: Source<S>,
    /// Every blob that is needed, and the length of its plaintext.
    blobs: BTreeMap<BlobId, u32>,
    most: usize,
    files: u64,
    dirs: u64,
    bytes: u64,
}

impl<S: Segments> Gathering<S> {
    fn note(&mut self, pieces: &[Piece]) -> Result<(), ShareFault> {
        let of = pieces.iter().map(|piece| (piece.id, piece.len));
        self.blobs.extend(of);
        if self.blobs.len() > self.most {
            return Err(ShareFault::TooMany(self.most));
        }
        Ok(())
    }

    fn folder(&mut self, tree: &Content) -> Result<(), ShareFault> {
        let mut cursor = EntryCursor::new(tree)?;
        loop {
            let entries = cursor.next(&mut self.source, WINDOW)?;
            // Trees and the lists of their pieces.
            let read = self.source.take_trail();
            self.note(&read)?;
            if entries.is_empty() {
                return Ok(());
            }
            for entry in &entries {
                self.entry(entry)?;
            }
        }
    }

    fn entry(&mut self, entry: &Entry) -> Result<(), ShareFault> {
        match &entry.kind {
            Kind::Dir(below) => {
                self.dirs += 1;
                self.folder(below)
            }
            Kind::File(content) => {
                self.files += 1;
                self.bytes += entry.size;
                self.content(content)
            }
            Kind::Symlink(_) | Kind::Fifo | Kind::CharDevice(_) | Kind::BlockDevice(_) => Ok(()),
        }
    }

    fn content(&mut self, content: &Content) -> Result<(), ShareFault> {
        let mut cursor = PieceCursor::new(content)?;
        while let Some(piece) = cursor.next(&mut self.source)? {
            self.note(&[piece])?;
        }
        let lists = self.source.take_trail();
        self.note(&lists)
    }
}

impl Vault {
    /// What it takes to read `path` of a snapshot, of at most `most` blobs. Trees are read for it, so
    /// that their segments are fetched; files are not.
    ///
    /// # Errors
    /// [`ShareFault`] if there is no such path, or some of its metadata cannot be had: what cannot be
    /// listed whole is not shared in part.
    pub async fn share<S: Segments>(
        &self,
        snapshot: Snapshot,
        path: PathBuf,
        most: usize,
        (segments, cancel): (&Arc<S>, &CancellationToken),
    ) -> Result<Shared, ShareFault> {
        let stop = cancel.child_token();
        let _ends_with_us = stop.clone().drop_guard();
        let source = self.source(segments, &stop);
        let vault = self.clone();
        let gathering = spawn_blocking(move || vault.gather(source, &snapshot, &path, most));
        join(gathering.await)?
    }

    fn gather<S: Segments>(
        &self,
        mut source: Source<S>,
        snapshot: &Snapshot,
        path: &std::path::Path,
        most: usize,
    ) -> Result<Shared, ShareFault> {
        let found = find(&mut source, snapshot, path)?;
        source.keep_trail();
        let mut gathering = Gathering {
            source,
            blobs: BTreeMap::new(),
            most,
            files: 0,
            dirs: 0,
            bytes: 0,
        };
        let tree = match found {
            Found::Root => Tree::Folder(snapshot.root.clone()),
            Found::Entry(entry) => match &entry.kind {
                Kind::Dir(tree) => Tree::Folder(tree.clone()),
                Kind::File(_)
                | Kind::Symlink(_)
                | Kind::Fifo
                | Kind::CharDevice(_)
                | Kind::BlockDevice(_) => Tree::Single(entry),
            },
        };
        match &tree {
            Tree::Folder(content) => gathering.folder(content)?,
            Tree::Single(entry) => gathering.entry(entry)?,
        }
        let segments = self.places(&gathering)?;
        Ok(Shared {
            tree,
            files: gathering.files,
            dirs: gathering.dirs,
            bytes: gathering.bytes,
            segments,
        })
    }

    /// Where the blobs lie, segment by segment.
    fn places<S: Segments>(&self, of: &Gathering<S>) -> Result<Vec<LentSegment>, FetchError> {
        let ids: Vec<BlobId> = of.blobs.keys().copied().collect();
        let places = of.source.locate(&ids)?;
        let mut by_segment: BTreeMap<i64, Vec<LentBlob>> = BTreeMap::new();
        for (id, plain_len) in &of.blobs {
            let place = places.get(id).ok_or(FetchError::Unknown(*id))?;
            let small = |n: u64| u32::try_from(n).map_err(|_| FetchError::Other(*id));
            let entry = IndexEntry {
                id: *id,
                // Whoever reads by id needs no kind.
                kind: BlobKind::Data,
                offset: small(place.offset)?,
                len: small(place.len)?,
                plain_len: *plain_len,
            };
            let key = GivenKey(*key_of(&self.keys, id));
            let blobs = by_segment.entry(place.segment).or_default();
            blobs.push(LentBlob { entry, key });
        }
        let mut segments = Vec::new();
        for (no, blobs) in by_segment {
            let id = of.source.wait(self.index.segment_id(no))??;
            segments.push(LentSegment {
                id,
                len: 0,
                outer: GivenKey(*self.keys.segment_key(&id)),
                blobs,
            });
        }
        Ok(segments)
    }

    /// The key of a segment's masks, as a share gives it.
    #[must_use]
    pub fn mask_key(&self, id: &SegmentId) -> GivenKey {
        GivenKey(*self.keys.mask_key(id))
    }

    /// The key that reads for the holder of the share `id`.
    #[must_use]
    pub fn reader_key(&self, id: &[u8; 16]) -> larder_keys::Signer {
        self.keys.reader_key(id)
    }
}

/// What somebody else lent: an index and keys for as long as it is read. Nothing of it stays.
#[derive(Debug)]
pub struct Lent {
    tree: Tree,
    reader: Reader,
    _folder: tempfile::TempDir,
}

impl Lent {
    /// Takes in what came with a share; scratch files lie in the vault's folder.
    ///
    /// # Errors
    /// [`IndexError`] if the index of it cannot be made.
    pub async fn open(
        vault: &Vault,
        tree: Tree,
        segments: Vec<LentSegment>,
    ) -> Result<Self, IndexError> {
        let tmp = vault.tmp();
        let folder = tempfile::Builder::new()
            .prefix("shared-")
            .tempdir_in(&tmp)
            .map_err(|e| IndexError::Sql(sqlx::Error::Io(e)))?;
        let index = Index::open(&folder.path().join("shared.db")).await?;
        let mut given = GivenKeys::default();
        let mut entries: HashMap<SegmentId, (u64, Vec<IndexEntry>)> = HashMap::new();
        for segment in segments {
            given.segment(segment.id, segment.outer.0);
            let blobs = segment.blobs.iter().map(|blob| {
                given.blob(blob.entry.id, blob.key.0);
                blob.entry
            });
            entries.insert(segment.id, (segment.len, blobs.collect()));
        }
        let rows = entries
            .into_iter()
            .map(|(id, (len, blobs))| (id, len, blobs));
        index.enter_shared(&rows.collect::<Vec<_>>()).await?;
        Ok(Self {
            tree,
            reader: Reader {
                keys: OpenKeys::Given(Arc::new(given)),
                index,
                tmp,
            },
            _folder: folder,
        })
    }

    /// Restores all of it below `target`.
    ///
    /// # Errors
    /// [`RestoreError`]; what could not be restored whole is no error, it is in the summary.
    pub async fn restore<S: Segments>(
        &self,
        target: PathBuf,
        segments: &Arc<S>,
        progress: &Progress,
        cancel: &CancellationToken,
    ) -> Result<RestoreSummary, RestoreError> {
        let what = match &self.tree {
            Tree::Folder(content) => What::Tree(content.clone()),
            Tree::Single(entry) => What::Entry(entry.clone()),
        };
        let wanted = Wanted {
            include: Globs::new(Vec::<String>::new())?,
            exclude: Globs::new(Vec::<String>::new())?,
            foreign: true,
        };
        let how = How {
            target,
            verify: false,
            foreign: true,
        };
        self.reader
            .restore((what, wanted), how, segments, (progress, cancel))
            .await
    }

    /// Lets go of its files.
    pub async fn close(self) {
        self.reader.index.close().await;
    }
}

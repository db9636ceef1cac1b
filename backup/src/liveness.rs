//! What snapshots reach: every blob of their trees, lists and files. What cannot be read ends it: whoever
//! does not know all that is needed must not call anything unneeded.

use crate::content::{Content, Piece, pieces_of};
use crate::entry::Kind;
use crate::fetch::{EntryCursor, FetchError, Source};
use crate::index::live::Live;
use crate::segments::Segments;
use crate::snapshot::{Snapshot, SnapshotId};
use larder_coding::blob_id;
use larder_keys::VaultKeys;
use larder_types::BlobId;
use std::collections::HashSet;

/// Entries of a directory held at a time.
const WINDOW: usize = 512;
/// Blobs entered at a time.
const BATCH: usize = 4_000;

/// Walks snapshots. For blocking threads.
#[derive(Debug)]
pub(crate) struct Walk<S: Segments> {
    keys: VaultKeys,
    source: Source<S>,
    live: Live,
    batch: Vec<BlobId>,
    /// Folders that were walked, by what they consist of: snapshots share most of theirs.
    seen: HashSet<BlobId>,
}

impl<S: Segments> Walk<S> {
    pub(crate) fn new(keys: VaultKeys, source: Source<S>, live: Live) -> Self {
        Self {
            keys,
            source,
            live,
            batch: Vec::new(),
            seen: HashSet::new(),
        }
    }

    /// All that a snapshot needs is needed.
    pub(crate) fn snapshot(
        &mut self,
        id: SnapshotId,
        snapshot: &Snapshot,
    ) -> Result<(), FetchError> {
        self.need(&[id])?;
        self.tree(&snapshot.root)
    }

    /// What is needed.
    pub(crate) fn finish(mut self) -> Result<Live, FetchError> {
        self.enter()?;
        Ok(self.live)
    }

    fn tree(&mut self, tree: &Content) -> Result<(), FetchError> {
        if !self.seen.insert(self.name(tree)?) {
            return Ok(());
        }
        self.content(tree)?;
        let mut cursor = EntryCursor::new(tree)?;
        loop {
            let entries = cursor.next(&mut self.source, WINDOW)?;
            if entries.is_empty() {
                return Ok(());
            }
            for entry in &entries {
                match &entry.kind {
                    Kind::Dir(tree) => self.tree(tree)?,
                    Kind::File(content) => self.content(content)?,
                    Kind::Symlink(_) | Kind::Fifo | Kind::CharDevice(_) | Kind::BlockDevice(_) => {}
                }
            }
        }
    }

    /// The pieces of a content, and of the lists that name them.
    fn content(&mut self, content: &Content) -> Result<(), FetchError> {
        let mut pieces = content.pieces().ok_or(FetchError::List)?;
        for _ in 0..content.depth {
            self.need_all(&pieces)?;
            let mut bytes = Vec::new();
            for list in &pieces {
                bytes.extend(self.source.read(*list)?);
            }
            pieces = pieces_of(&bytes).ok_or(FetchError::List)?;
        }
        self.need_all(&pieces)
    }

    fn need_all(&mut self, pieces: &[Piece]) -> Result<(), FetchError> {
        let ids: Vec<BlobId> = pieces.iter().map(|p| p.id).collect();
        self.need(&ids)
    }

    fn need(&mut self, ids: &[BlobId]) -> Result<(), FetchError> {
        self.batch.extend(ids);
        if self.batch.len() >= BATCH {
            self.enter()?;
        }
        Ok(())
    }

    fn enter(&mut self) -> Result<(), FetchError> {
        let batch = std::mem::take(&mut self.batch);
        Ok(self.source.wait(self.live.add(&batch))??)
    }

    /// A folder's name: what it consists of.
    fn name(&self, tree: &Content) -> Result<BlobId, FetchError> {
        let pieces = tree.pieces().ok_or(FetchError::List)?;
        let mut bytes = vec![tree.depth];
        for piece in pieces {
            bytes.extend(piece.id.0);
        }
        Ok(blob_id(&self.keys, &bytes))
    }
}

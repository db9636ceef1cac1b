//! Catalogues: segments that say where other segments lie. What they say is the engine's; here it
//! is bytes, cut into blobs and put back together.

use crate::backup::{BackupError, join};
use crate::segments::{SealedSegment, SegmentKind};
use crate::spool::SpoolError;
use crate::vault::Vault;
use larder_coding::blob::MAX_PLAIN;
use larder_coding::segment::ReadError;
use larder_coding::{BlobKind, SealError, SegmentReader, blob_id, seal};
use larder_types::{Class, SegmentId};
use rand::Rng as _;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use tokio::task::spawn_blocking;

/// Most bytes of a catalogue: sealed, even if nothing of it compresses, they fit one segment. Of
/// segments with 40 shards it describes forty thousand, of 64 MiB each.
pub const MAX_CATALOGUE: usize = 7 * MAX_PLAIN;

/// Why a catalogue was not sealed, or cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// Too long for a segment: split it.
    #[error("a catalogue holds at most {MAX_CATALOGUE} bytes, not {len}")]
    TooLong {
        /// Bytes given.
        len: usize,
    },
    /// The spool: its disk is full, for example.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// A blob that cannot be sealed: a bug.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The file cannot be opened.
    #[error("opening a catalogue: {0}")]
    Open(#[from] io::Error),
    /// The segment is damaged, or another's.
    #[error("catalogue {segment} is damaged: {why}")]
    Damaged {
        /// Which.
        segment: SegmentId,
        /// What is wrong.
        why: ReadError,
    },
    /// It holds something else.
    #[error("segment {0} is no catalogue: it holds a {1:?} blob")]
    Other(SegmentId, BlobKind),
    /// The thread was ended from outside.
    #[error("interrupted")]
    Cancelled,
}

impl From<BackupError> for CatalogueError {
    fn from(_: BackupError) -> Self {
        Self::Cancelled
    }
}

impl Vault {
    /// Seals `contents` into a segment of `class` in the spool, ready for
    /// [`crate::Segments::store`]. A backup may be under way meanwhile. What is never stored is
    /// deleted when the vault is opened next.
    ///
    /// # Errors
    /// [`CatalogueError`] if it is longer than [`MAX_CATALOGUE`] or the spool fails.
    pub async fn seal_catalogue(
        &self,
        class: Class,
        contents: Vec<u8>,
    ) -> Result<SealedSegment, CatalogueError> {
        let len = contents.len();
        if len > MAX_CATALOGUE {
            return Err(CatalogueError::TooLong { len });
        }
        let vault = self.clone();
        join(spawn_blocking(move || vault.seal_now(class, &contents)).await)?
    }

    fn seal_now(&self, class: Class, contents: &[u8]) -> Result<SealedSegment, CatalogueError> {
        let kind = SegmentKind::Catalogue;
        let mut open = self.spool.begin(&self.keys, class, kind)?;
        let part = open.part().to_owned();
        let sealed = contents
            .chunks(MAX_PLAIN)
            .try_for_each(|plain| {
                let mut nonce = [0; 12];
                rand::rng().fill_bytes(&mut nonce);
                let id = blob_id(&self.keys, plain);
                let sealed = seal(&self.keys, BlobKind::Catalogue, id, plain, nonce)?;
                Ok(open.push(&sealed)?)
            })
            .and_then(|()| Ok(open.finish()?.0));
        if sealed.is_err() {
            // Half of one is of no use, and the disk may be full because of it.
            let _gone = std::fs::remove_file(part);
        }
        sealed
    }

    /// What the catalogue `id` says, whose C is the file `path`.
    ///
    /// # Errors
    /// [`CatalogueError`] unless all of it is there and whole.
    pub async fn read_catalogue(
        &self,
        path: PathBuf,
        id: SegmentId,
    ) -> Result<Vec<u8>, CatalogueError> {
        let vault = self.clone();
        join(spawn_blocking(move || vault.read_now(path, id)).await)?
    }

    fn read_now(&self, path: PathBuf, id: SegmentId) -> Result<Vec<u8>, CatalogueError> {
        let damaged = |why| CatalogueError::Damaged { segment: id, why };
        let mut reader = SegmentReader::new(File::open(path)?, &self.keys, id)?;
        let mut contents = Vec::new();
        for blob in reader.read_index().map_err(damaged)? {
            let place = (u64::from(blob.offset), u64::from(blob.len));
            let (header, plain) = reader.read_blob(place.0, place.1).map_err(damaged)?;
            if header.kind != BlobKind::Catalogue {
                return Err(CatalogueError::Other(id, header.kind));
            }
            contents.extend_from_slice(&plain);
            if contents.len() > MAX_CATALOGUE {
                let len = contents.len();
                return Err(CatalogueError::TooLong { len });
            }
        }
        Ok(contents)
    }
}

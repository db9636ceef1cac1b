//! Segments in a local folder: one file each, named by id, class and kind, without redundancy. A disk that is
//! plugged in, and what the tests stand on.

use crate::segments::{KnownSegment, SealedSegment, SegmentKind, Segments, SegmentsError, Stored};
use larder_types::{Class, SegmentId};
use std::path::{Path, PathBuf};
use tokio::fs;

/// A folder of segments.
#[derive(Clone, Debug)]
pub struct LocalSegments {
    dir: PathBuf,
}

impl LocalSegments {
    /// The folder `dir`, made if it is missing.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn open(dir: PathBuf) -> Result<Self, SegmentsError> {
        std::fs::create_dir_all(&dir).map_err(at(&dir))?;
        Ok(Self { dir })
    }

    /// Where a segment lies, if it is there.
    #[must_use]
    pub fn path(&self, id: SegmentId) -> Option<PathBuf> {
        let names = Class::ALL.into_iter().flat_map(|class| {
            SegmentKind::ALL.map(|kind| KnownSegment { id, class, kind }.to_string())
        });
        names
            .map(|name| self.dir.join(name))
            .find(|path| path.exists())
    }

    /// Copies to a temporary name, syncs, renames, syncs the folder: durable or absent.
    async fn keep(&self, segment: &SealedSegment) -> Result<(), SegmentsError> {
        let name = segment.known();
        let (path, part) = (
            self.dir.join(name.to_string()),
            self.dir.join(format!("{name}.part")),
        );
        let copied = fs::copy(&segment.path, &part)
            .await
            .map_err(at(&segment.path))?;
        if copied != segment.len {
            return Err(SegmentsError::Damaged(segment.id));
        }
        sync(&part).await?;
        fs::rename(&part, &path).await.map_err(at(&path))?;
        sync(&self.dir).await
    }
}

async fn sync(path: &Path) -> Result<(), SegmentsError> {
    let file = fs::File::open(path).await.map_err(at(path))?;
    file.sync_all().await.map_err(at(path))
}

fn at(path: &Path) -> impl FnOnce(std::io::Error) -> SegmentsError {
    let path = path.to_owned();
    move |source| SegmentsError::Io { path, source }
}

impl Segments for LocalSegments {
    async fn store(&self, segment: SealedSegment) -> Result<Stored, SegmentsError> {
        self.keep(&segment).await?;
        fs::remove_file(&segment.path)
            .await
            .map_err(at(&segment.path))?;
        Ok(Stored {
            bytes_stored: segment.len,
        })
    }

    async fn fetch(&self, id: SegmentId) -> Result<PathBuf, SegmentsError> {
        self.path(id).ok_or(SegmentsError::Lost(id))
    }

    async fn release(&self, _id: SegmentId) {}

    async fn list(&self) -> Result<Vec<KnownSegment>, SegmentsError> {
        let mut entries = fs::read_dir(&self.dir).await.map_err(at(&self.dir))?;
        let mut known = Vec::new();
        while let Some(entry) = entries.next_entry().await.map_err(at(&self.dir))? {
            // Temporary names are no segments'.
            known.extend(entry.file_name().to_str().and_then(KnownSegment::parse));
        }
        Ok(known)
    }
}

//! Segments in a local folder: one file each, named by its id, without redundancy. A disk that is
//! plugged in, and what the tests stand on.

use crate::segments::{SealedSegment, Segments, SegmentsError, Stored};
use larder_types::SegmentId;
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

    /// Where a segment lies.
    #[must_use]
    pub fn path(&self, id: SegmentId) -> PathBuf {
        self.dir.join(id.to_string())
    }

    /// Copies to a temporary name, syncs, renames, syncs the folder: durable or absent.
    async fn keep(&self, segment: &SealedSegment) -> Result<(), SegmentsError> {
        let (path, part) = (
            self.path(segment.id),
            self.dir.join(format!("{}.part", segment.id)),
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
        let path = self.path(id);
        match fs::try_exists(&path).await {
            Ok(true) => Ok(path),
            Ok(false) => Err(SegmentsError::Lost(id)),
            Err(source) => Err(SegmentsError::Io { path, source }),
        }
    }

    async fn release(&self, _id: SegmentId) {}

    async fn list(&self) -> Result<Vec<SegmentId>, SegmentsError> {
        let mut entries = fs::read_dir(&self.dir).await.map_err(at(&self.dir))?;
        let mut ids = Vec::new();
        while let Some(entry) = entries.next_entry().await.map_err(at(&self.dir))? {
            // Temporary names are no ids.
            if let Some(id) = entry.file_name().to_str().and_then(|n| n.parse().ok()) {
                ids.push(id);
            }
        }
        Ok(ids)
    }
}

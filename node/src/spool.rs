//! Where segments lie on their way: `spool/<segment>/<position>` holds the masked shards of one
//! being placed, `fetch/<segment>/` those of one coming back and the decoded segment itself.
//! Sealed segments stay in the vault's own spool until they are durable.

use larder_types::SegmentId;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Buffer of one shard that is being written.
const BUFFER: usize = 256 << 10;

/// The spool and the fetch folder of one home.
#[derive(Debug, Clone)]
pub struct Spool {
    dir: PathBuf,
    fetch: PathBuf,
    /// Where the sealed segments that are being placed lie.
    sources: Arc<Mutex<BTreeMap<SegmentId, PathBuf>>>,
}

impl Spool {
    /// Opens the folders below `home`. What was fetched before is of no use any more.
    ///
    /// # Errors
    /// If they cannot be made or cleared.
    pub fn open(home: &Path) -> io::Result<Self> {
        let (dir, fetch) = (home.join("spool"), home.join("fetch"));
        if fetch.exists() {
            fs::remove_dir_all(&fetch)?;
        }
        fs::create_dir_all(&dir)?;
        fs::create_dir_all(&fetch)?;
        Ok(Self {
            dir,
            fetch,
            sources: Arc::default(),
        })
    }

    /// Removes the shards of segments that nobody places any more.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn keep_only(&self, wanted: &[SegmentId]) -> io::Result<()> {
        let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let known = entry
                .file_name()
                .to_str()
                .is_some_and(|n| wanted.iter().any(|w| w == n));
            if !known {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }

    /// Notes where a sealed segment lies.
    pub fn register(&self, segment: SegmentId, path: PathBuf) {
        self.sources
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(segment, path);
    }

    /// The sealed segment is no longer needed.
    pub fn unregister(&self, segment: &SegmentId) {
        self.sources
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(segment);
    }

    /// Where a sealed segment lies.
    #[must_use]
    pub fn source(&self, segment: &SegmentId) -> Option<PathBuf> {
        self.sources
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(segment)
            .cloned()
    }

    /// New files for a segment's shards.
    ///
    /// # Errors
    /// If they cannot be made.
    pub fn create_shards(&self, segment: &SegmentId, n: u16) -> io::Result<Vec<BufWriter<File>>> {
        fs::create_dir_all(self.dir.join(segment.to_string()))?;
        (0..n)
            .map(|j| {
                Ok(BufWriter::with_capacity(
                    BUFFER,
                    File::create(self.shard(segment, j))?,
                ))
            })
            .collect()
    }

    /// A shard that is being placed.
    #[must_use]
    pub fn shard(&self, segment: &SegmentId, position: u16) -> PathBuf {
        self.dir
            .join(segment.to_string())
            .join(position.to_string())
    }

    /// A shard that came back.
    #[must_use]
    pub fn fetched_shard(&self, segment: &SegmentId, position: u16) -> PathBuf {
        self.fetch
            .join(segment.to_string())
            .join(position.to_string())
    }

    /// A segment that was decoded.
    #[must_use]
    pub fn fetched(&self, segment: &SegmentId) -> PathBuf {
        self.fetch.join(segment.to_string()).join("segment")
    }

    /// Deletes a segment's files from one of the two folders; what is not there is no error.
    ///
    /// # Errors
    /// If they cannot be deleted.
    pub fn discard(&self, segment: SegmentId, fetched: bool) -> io::Result<()> {
        let dir = if fetched { &self.fetch } else { &self.dir };
        match fs::remove_dir_all(dir.join(segment.to_string())) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

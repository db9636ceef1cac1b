//! Where segments lie on their way: `spool/<segment>/<position>` holds the masked shards of one
//! being placed, `fetch/<segment>/` those of one coming back and the decoded segment itself.
//! Sealed segments stay in the vault's own spool until they are durable. What is discarded is renamed
//! at once to `.gone-…` and deleted when there is time.

use larder_types::SegmentId;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Buffer of one shard that is being written.
const BUFFER: usize = 256 << 10;
/// How the name of a discarded folder begins.
const GONE: &str = ".gone-";

/// The spool and the fetch folder of one home.
#[derive(Debug, Clone)]
pub struct Spool {
    dir: PathBuf,
    fetch: PathBuf,
    /// Where the sealed segments that are being placed lie.
    sources: Arc<Mutex<BTreeMap<SegmentId, PathBuf>>>,
    /// Tells discarded folders and coming shards apart. It begins at the time of opening: what an earlier run could
    /// not delete is not in the way.
    next_gone: Arc<AtomicU64>,
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
            next_gone: Arc::new(AtomicU64::new(crate::home::now().0)),
        })
    }

    /// Removes the shards of segments that nobody places any more, and whatever else lies there.
    /// What cannot be removed stays, with a warning.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn keep_only(&self, wanted: &[SegmentId]) -> io::Result<()> {
        let wanted: BTreeSet<String> = wanted.iter().map(ToString::to_string).collect();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let name = entry.file_name();
            if name.to_str().is_some_and(|n| wanted.contains(n)) {
                continue;
            }
            if let Err(e) = remove(&entry) {
                tracing::warn!(path = %entry.path().display(), "it stays in the spool: {e}");
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

    /// New files for a segment's shards of these positions.
    ///
    /// # Errors
    /// If they cannot be made.
    pub fn create_shards(
        &self,
        segment: &SegmentId,
        positions: impl IntoIterator<Item = u16>,
    ) -> io::Result<Vec<BufWriter<File>>> {
        fs::create_dir_all(self.dir.join(segment.to_string()))?;
        positions
            .into_iter()
            .map(|j| {
                Ok(BufWriter::with_capacity(
                    BUFFER,
                    File::create(self.shard(segment, j))?,
                ))
            })
            .collect()
    }

    /// Makes the names of a segment's shards durable, and its folder's.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn sync(&self, segment: &SegmentId) -> io::Result<()> {
        File::open(self.dir.join(segment.to_string()))?.sync_all()?;
        File::open(&self.dir)?.sync_all()
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

    /// Where a shard is written until it is known to be the right one. Each has a name of its own:
    /// a transfer that nobody waits for any more may still run beside its successor.
    #[must_use]
    pub fn coming_shard(&self, segment: &SegmentId, position: u16) -> PathBuf {
        let number = self.next_gone.fetch_add(1, Ordering::Relaxed);
        self.fetch
            .join(segment.to_string())
            .join(format!("{position}-{number}"))
    }

    /// A segment that was decoded.
    #[must_use]
    pub fn fetched(&self, segment: &SegmentId) -> PathBuf {
        self.fetch.join(segment.to_string()).join("segment")
    }

    /// Takes a segment's folder away from one of the two places at once, so that a new one may
    /// follow; gives where it waits to be deleted, or nothing if there is none.
    ///
    /// # Errors
    /// If it cannot be renamed.
    pub fn retire(&self, segment: &SegmentId, fetched: bool) -> io::Result<Option<PathBuf>> {
        let dir = if fetched { &self.fetch } else { &self.dir };
        let number = self.next_gone.fetch_add(1, Ordering::Relaxed);
        let gone = dir.join(format!("{GONE}{number}"));
        match fs::rename(dir.join(segment.to_string()), &gone) {
            Ok(()) => Ok(Some(gone)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }
}

fn remove(entry: &fs::DirEntry) -> io::Result<()> {
    if entry.file_type()?.is_dir() {
        fs::remove_dir_all(entry.path())
    } else {
        fs::remove_file(entry.path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap();
        let mut names: Vec<String> = entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_comes_after_a_discard_is_not_discarded() {
        let home = tempfile::tempdir().unwrap();
        let spool = Spool::open(home.path()).unwrap();
        let segment = SegmentId([7; 32]);
        assert_eq!(spool.retire(&segment, false).unwrap(), None);
        drop(spool.create_shards(&segment, 0..2).unwrap());
        let gone = spool.retire(&segment, false).unwrap().unwrap();
        drop(spool.create_shards(&segment, 0..3).unwrap());
        spool.sync(&segment).unwrap();
        fs::remove_dir_all(gone).unwrap();
        assert!(spool.shard(&segment, 2).is_file());
        assert_eq!(names(&home.path().join("spool")), [segment.to_string()]);
    }

    #[test]
    fn only_what_is_wanted_survives_the_start() {
        let home = tempfile::tempdir().unwrap();
        let spool = Spool::open(home.path()).unwrap();
        let (wanted, other) = (SegmentId([1; 32]), SegmentId([2; 32]));
        for segment in [&wanted, &other] {
            drop(spool.create_shards(segment, 0..1).unwrap());
        }
        spool.retire(&other, false).unwrap();
        drop(spool.create_shards(&other, 0..1).unwrap());
        fs::write(home.path().join("spool").join("stray"), b"file").unwrap();
        spool.keep_only(&[wanted]).unwrap();
        assert_eq!(names(&home.path().join("spool")), [wanted.to_string()]);
    }
}

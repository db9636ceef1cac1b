//! The spool: segments while they are written (`.part`) and until they are durable (`.seg`). What
//! a crash leaves is told apart by name: a finished segment is sent again, a half-written one is
//! deleted (its id is never used again). Catalogues live beside backups and are not theirs: what a
//! crash leaves of them is deleted when the vault is opened.

use crate::segments::{KnownSegment, SealedSegment, SegmentKind};
use larder_coding::segment::WriteError;
use larder_coding::{IndexEntry, SegmentWriter};
use larder_keys::VaultKeys;
use larder_types::{Class, SegmentId};
use rand::Rng as _;
use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

/// Blobs of one segment at most; bounds what is held in memory for it to about 2 MiB.
const BLOBS: usize = 1 << 15;
/// The code is not known when a segment is sealed: whoever encodes it extends it with zeros.
const K: u16 = 1;

/// Why the spool failed.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// No room left on its disk.
    #[error("the disk of {dir} is full: free some space (about 300 MB) and run this again", dir = dir.display())]
    Full {
        /// The spool's folder.
        dir: PathBuf,
    },
    /// Anything else that the system said.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A blob that is none: a bug.
    #[error(transparent)]
    Write(WriteError),
}

/// Whether the system says that there is no room.
pub(crate) fn is_full(e: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(e.kind(), StorageFull | QuotaExceeded)
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> SpoolError {
    let path = path.to_owned();
    move |source| {
        if is_full(&source) {
            let dir = path.parent().unwrap_or(&path).to_owned();
            SpoolError::Full { dir }
        } else {
            SpoolError::Io { path, source }
        }
    }
}

/// The spool's folder.
#[derive(Clone, Debug)]
pub(crate) struct Spool {
    dir: PathBuf,
}

impl Spool {
    /// The folder, made if it is missing; without the catalogues that a crash left: what the
    /// engine did not code yet it asks for again, what it coded it has shards of.
    pub(crate) fn open(dir: PathBuf) -> Result<Self, SpoolError> {
        fs::create_dir_all(&dir).map_err(at(&dir))?;
        let spool = Self { dir };
        for (path, left) in spool.left()? {
            if left.known.kind == SegmentKind::Catalogue {
                fs::remove_file(&path).map_err(at(&path))?;
            }
        }
        Ok(spool)
    }

    /// Begins a segment under a fresh id.
    pub(crate) fn begin(
        &self,
        keys: &VaultKeys,
        class: Class,
        kind: SegmentKind,
    ) -> Result<OpenSegment, SpoolError> {
        let mut id = SegmentId::default();
        rand::rng().fill_bytes(&mut id.0);
        let stem = self.dir.join(KnownSegment { id, class, kind }.to_string());
        let part = with_suffix(&stem, "part");
        let file = File::create_new(&part).map_err(at(&part))?;
        let sink = BufWriter::with_capacity(256 << 10, file);
        Ok(OpenSegment {
            writer: SegmentWriter::new(sink, keys, id),
            blobs: 0,
            part,
            done: with_suffix(&stem, "seg"),
            class,
            kind,
        })
    }

    /// Finished segments that an earlier backup left; half-written ones are deleted.
    pub(crate) fn leftovers(&self) -> Result<Vec<SealedSegment>, SpoolError> {
        let mut found = Vec::new();
        for (path, left) in self.left()? {
            match left {
                Left { known, .. } if known.kind == SegmentKind::Catalogue => {}
                Left { whole: false, .. } => fs::remove_file(&path).map_err(at(&path))?,
                Left { known, whole: true } => {
                    let len = fs::metadata(&path).map_err(at(&path))?.len();
                    found.push(SealedSegment {
                        id: known.id,
                        class: known.class,
                        kind: known.kind,
                        len,
                        path,
                    });
                }
            }
        }
        Ok(found)
    }

    /// The files in it that are ours.
    fn left(&self) -> Result<Vec<(PathBuf, Left)>, SpoolError> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(at(&self.dir))? {
            let path = entry.map_err(at(&self.dir))?.path();
            if let Some(left) = parse(&path) {
                found.push((path, left));
            }
        }
        Ok(found)
    }

    /// Deletes a segment that nobody wants.
    pub(crate) fn discard(&self, segment: &SealedSegment) -> Result<(), SpoolError> {
        fs::remove_file(&segment.path).map_err(at(&segment.path))
    }
}

/// A file in the spool.
struct Left {
    known: KnownSegment,
    /// Whether it was finished.
    whole: bool,
}

fn with_suffix(stem: &Path, suffix: &str) -> PathBuf {
    let mut name = stem.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

fn parse(path: &Path) -> Option<Left> {
    let (stem, suffix) = path.file_name()?.to_str()?.rsplit_once('.')?;
    let whole = match suffix {
        "seg" => true,
        "part" => false,
        _ => return None,
    };
    let known = KnownSegment::parse(stem)?;
    Some(Left { known, whole })
}

/// A segment that is being written.
#[derive(Debug)]
pub(crate) struct OpenSegment {
    writer: SegmentWriter<BufWriter<File>>,
    blobs: usize,
    part: PathBuf,
    done: PathBuf,
    class: Class,
    kind: SegmentKind,
}

impl OpenSegment {
    /// The file that is being written.
    pub(crate) fn part(&self) -> &Path {
        &self.part
    }

    /// Whether a sealed blob of `len` bytes still belongs here.
    pub(crate) fn has_room(&self, len: usize) -> bool {
        self.blobs < BLOBS && self.writer.has_room(len)
    }

    pub(crate) fn push(&mut self, sealed: &[u8]) -> Result<(), SpoolError> {
        match self.writer.push(sealed) {
            Ok(_) => {
                self.blobs += 1;
                Ok(())
            }
            Err(WriteError::Io(e)) => Err(at(&self.part)(e)),
            Err(e @ (WriteError::Full { .. } | WriteError::Blob(_))) => Err(SpoolError::Write(e)),
        }
    }

    /// Finishes it: synced, then renamed, then the folder synced.
    pub(crate) fn finish(self) -> Result<(SealedSegment, Vec<IndexEntry>), SpoolError> {
        let mut nonce = [0; 12];
        rand::rng().fill_bytes(&mut nonce);
        let (summary, sink) = self.writer.finish(K, nonce).map_err(at(&self.part))?;
        let file = sink
            .into_inner()
            .map_err(|e| at(&self.part)(e.into_error()))?;
        file.sync_all().map_err(at(&self.part))?;
        fs::rename(&self.part, &self.done).map_err(at(&self.part))?;
        if let Some(dir) = self.done.parent() {
            File::open(dir)
                .and_then(|d| d.sync_all())
                .map_err(at(dir))?;
        }
        let segment = SealedSegment {
            id: summary.id,
            class: self.class,
            kind: self.kind,
            len: summary.len,
            path: self.done,
        };
        Ok((segment, summary.blobs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_apart_and_names_the_folder() {
        let full = io::Error::from(rustix::io::Errno::NOSPC);
        let told = at(Path::new("/home/u/spool/x.part"))(full);
        assert!(matches!(&told, SpoolError::Full { dir } if dir == Path::new("/home/u/spool")));
        let other = at(Path::new("/x"))(io::Error::from(rustix::io::Errno::IO));
        assert!(matches!(other, SpoolError::Io { .. }));
    }
}

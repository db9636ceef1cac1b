//! The reading side of a backup: goes through the folders, cuts files into blobs, writes trees.
//! What cannot be read is noted and left out; nothing but a cancellation ends it early.

use crate::content::{Content, ContentWriter};
use crate::emit::{Emitter, Stop};
use crate::entry::{Entry, Kind, Meta, shared_inode};
use crate::problems::{Problem, Problems};
use crate::progress::Progress;
use crate::summary::Tally;
use crate::tree::TreeWriter;
use crate::walk::{
    PathBytes, Roots, Walker, is_pseudo, open_dir, open_dir_above, open_file, open_root, stat,
};
use larder_coding::{BlobKind, Cutter, Pieces};
use rustix::fd::OwnedFd;
use rustix::fs::{FileType, Stat};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;

/// Files with several names whose contents are remembered, so that each is read once; beyond
/// that they are read again (and deduplicated): about 20 MiB at most.
const LINKS: usize = 65_536;

/// What was read.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    pub(crate) root: Content,
    pub(crate) tally: Tally,
    pub(crate) problems: Problems,
}

/// Reads folders into an [`Emitter`].
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    walker: &'a Walker,
    content: &'a Cutter,
    out: Emitter<'a>,
    progress: &'a Progress,
    path: PathBytes,
    tally: Tally,
    problems: Problems,
    links: HashMap<(u64, u64), (Content, u64)>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(
        walker: &'a Walker,
        content: &'a Cutter,
        out: Emitter<'a>,
        progress: &'a Progress,
    ) -> Self {
        Self {
            walker,
            content,
            out,
            progress,
            path: PathBytes::default(),
            tally: Tally::default(),
            problems: Problems::default(),
            links: HashMap::new(),
        }
    }

    /// Reads all of `roots`; every blob has been handed on when this returns.
    pub(crate) fn run(mut self, roots: &Roots) -> Result<Reading, Stop> {
        let root = match open_root() {
            Ok(dir) => self.roots(&dir, roots)?,
            Err(e) => {
                self.problem(e);
                Content::default()
            }
        };
        self.out.flush()?;
        Ok(Reading {
            root,
            tally: self.tally,
            problems: self.problems,
        })
    }

    /// A directory at or above the roots.
    fn roots(&mut self, dir: &OwnedFd, roots: &Roots) -> Result<Content, Stop> {
        if roots.whole {
            return self.directory(dir);
        }
        let mut tree = TreeWriter::default();
        for (name, below) in &roots.children {
            let mark = self.path.enter(name);
            let entry = if below.whole {
                self.root_entry(dir, name)?
            } else {
                self.above(dir, name, below)?
            };
            self.path.leave(mark);
            if let Some(entry) = entry {
                tree.push(&mut self.out, &entry)?;
            }
        }
        tree.finish(&mut self.out)
    }

    /// A directory above a root: its own metadata, and only the way down.
    fn above(
        &mut self,
        parent: &OwnedFd,
        name: &[u8],
        roots: &Roots,
    ) -> Result<Option<Entry>, Stop> {
        let opened =
            open_dir_above(parent, name).and_then(|dir| Ok((rustix::fs::fstat(&dir)?, dir)));
        match opened {
            Ok((stat, dir)) => {
                let content = self.roots(&dir, roots)?;
                Ok(Some(entry_of(name, &stat, Kind::Dir(content))))
            }
            Err(e) => {
                self.problem(e);
                Ok(None)
            }
        }
    }

    /// A root itself: never left out by a glob.
    fn root_entry(&mut self, parent: &OwnedFd, name: &[u8]) -> Result<Option<Entry>, Stop> {
        match stat(parent, name) {
            Ok(stat) => self.entry(parent, name, &stat, stat.st_dev),
            Err(e) => {
                self.problem(e);
                Ok(None)
            }
        }
    }

    /// All that a directory holds.
    fn directory(&mut self, dir: &OwnedFd) -> Result<Content, Stop> {
        let mut tree = TreeWriter::default();
        let looked = rustix::fs::fstat(dir)
            .map_err(io::Error::from)
            .and_then(|s| Ok((s.st_dev, self.walker.names(dir)?)));
        let (device, names) = match looked {
            Ok(looked) => looked,
            Err(e) => {
                self.problem(e);
                return tree.finish(&mut self.out);
            }
        };
        for name in names.iter() {
            self.out.check()?;
            let mark = self.path.enter(name);
            let entry = match stat(dir, name) {
                Ok(stat) if !self.walker.admits(self.path.as_path(), &stat) => None,
                Ok(stat) => self.entry(dir, name, &stat, device)?,
                Err(e) => {
                    self.problem(e);
                    None
                }
            };
            self.path.leave(mark);
            if let Some(entry) = entry {
                tree.push(&mut self.out, &entry)?;
            }
        }
        tree.finish(&mut self.out)
    }

    /// One name, or `None` if it could not be read.
    fn entry(
        &mut self,
        dir: &OwnedFd,
        name: &[u8],
        stat: &Stat,
        device: u64,
    ) -> Result<Option<Entry>, Stop> {
        let simple = |kind| Ok(Some(entry_of(name, stat, kind)));
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => self.file(dir, name, stat),
            FileType::Directory => self.subdirectory(dir, name, stat, device),
            FileType::Symlink => match rustix::fs::readlinkat(dir, os(name), Vec::new()) {
                Ok(target) => simple(Kind::Symlink(target.into_bytes())),
                Err(e) => {
                    self.problem(e.into());
                    Ok(None)
                }
            },
            FileType::Fifo => simple(Kind::Fifo),
            FileType::CharacterDevice => simple(Kind::CharDevice(stat.st_rdev)),
            FileType::BlockDevice => simple(Kind::BlockDevice(stat.st_rdev)),
            FileType::Socket | FileType::Unknown => Ok(None),
        }
    }

    fn subdirectory(
        &mut self,
        parent: &OwnedFd,
        name: &[u8],
        stat: &Stat,
        device: u64,
    ) -> Result<Option<Entry>, Stop> {
        self.tally.dirs += 1;
        let content = match open_dir(parent, name) {
            Ok(dir) if stat.st_dev != device && is_pseudo(&dir) => Content::default(),
            Ok(_) if self.walker.is_own(stat) => Content::default(),
            Ok(dir) => self.directory(&dir)?,
            Err(e) => {
                self.problem(e);
                return Ok(None);
            }
        };
        Ok(Some(entry_of(name, stat, Kind::Dir(content))))
    }

    fn file(&mut self, dir: &OwnedFd, name: &[u8], stat: &Stat) -> Result<Option<Entry>, Stop> {
        self.progress.file(self.path.as_path());
        let shared = shared_inode(stat);
        let known = shared.and_then(|inode| self.links.get(&inode).cloned());
        let (content, size, stat) = match known {
            Some((content, size)) => {
                self.progress.bytes(size);
                (content, size, *stat)
            }
            None => match self.read_file(dir, name)? {
                Some(read) => read,
                None => return Ok(None),
            },
        };
        if let Some(inode) = shared
            && self.links.len() < LINKS
        {
            self.links.insert(inode, (content.clone(), size));
        }
        self.tally.files += 1;
        self.tally.bytes += size;
        self.progress.file_done();
        let mut entry = entry_of(name, &stat, Kind::File(content));
        entry.size = size;
        Ok(Some(entry))
    }

    /// A file's contents, their length, and what the file was when reading began.
    fn read_file(
        &mut self,
        dir: &OwnedFd,
        name: &[u8],
    ) -> Result<Option<(Content, u64, Stat)>, Stop> {
        let opened = open_file(dir, name).and_then(|f| Ok((rustix::fs::fstat(&f)?, f)));
        let (stat, file) = match opened {
            Ok((stat, file)) if is_regular(&stat) => (stat, file),
            // Another kind of thing took its place since it was listed.
            Ok(_) => return self.gone(io::ErrorKind::NotFound.into()),
            Err(e) => return self.gone(e),
        };
        match self.contents(&file, &stat)? {
            Ok((content, size)) => {
                if has_changed(&file, &stat) {
                    self.tally.changed += 1;
                }
                Ok(Some((content, size, stat)))
            }
            Err(e) => self.gone(e),
        }
    }

    fn gone<T>(&mut self, error: io::Error) -> Result<Option<T>, Stop> {
        self.problem(error);
        Ok(None)
    }

    /// Cuts a file. A short one is read in one go, without the cutter's buffer.
    fn contents(&mut self, file: &File, stat: &Stat) -> Result<io::Result<(Content, u64)>, Stop> {
        let short = self.content.sizes().min as u64;
        let expected = u64::try_from(stat.st_size).unwrap_or(0);
        let mut head = Vec::new();
        if expected < short {
            head.reserve_exact(usize::try_from(expected + 1).unwrap_or(0));
            if let Err(e) = file.take(short).read_to_end(&mut head) {
                return Ok(Err(e));
            }
            if (head.len() as u64) < short {
                return self.short(head).map(Ok);
            }
        }
        self.long(io::Cursor::new(head).chain(file))
    }

    fn short(&mut self, bytes: Vec<u8>) -> Result<(Content, u64), Stop> {
        let size = bytes.len() as u64;
        let mut content = ContentWriter::default();
        if !bytes.is_empty() {
            let piece = self.out.emit(BlobKind::Data, bytes)?;
            content.push(&mut self.out, piece)?;
        }
        self.progress.bytes(size);
        Ok((content.finish(&mut self.out)?, size))
    }

    fn long(&mut self, source: impl Read) -> Result<io::Result<(Content, u64)>, Stop> {
        let mut pieces = Pieces::new(self.content, source);
        let (mut content, mut size) = (ContentWriter::default(), 0);
        loop {
            match pieces.next_piece() {
                Ok(Some(bytes)) => {
                    let len = bytes.len() as u64;
                    let piece = self.out.emit(BlobKind::Data, bytes.to_vec())?;
                    content.push(&mut self.out, piece)?;
                    size += len;
                    self.progress.bytes(len);
                    self.out.check()?;
                }
                Ok(None) => return Ok(Ok((content.finish(&mut self.out)?, size))),
                Err(e) => return Ok(Err(e)),
            }
        }
    }

    fn problem(&mut self, error: io::Error) {
        self.progress.error();
        self.problems.note(Problem {
            path: self.path.as_path().to_owned(),
            error: error.to_string(),
        });
    }
}

fn entry_of(name: &[u8], stat: &Stat, kind: Kind) -> Entry {
    Entry {
        name: name.to_vec(),
        kind,
        meta: Meta::of(stat),
        size: 0,
        inode: shared_inode(stat),
    }
}

fn is_regular(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

fn has_changed(file: &File, before: &Stat) -> bool {
    let when = |s: &Stat| (s.st_size, s.st_mtime, s.st_mtime_nsec);
    rustix::fs::fstat(file).is_ok_and(|after| when(&after) != when(before))
}

fn os(name: &[u8]) -> std::ffi::OsString {
    std::ffi::OsString::from_vec(name.to_vec())
}

/// What a backup of `roots` would read, without reading it: files and their bytes.
pub(crate) fn estimate(
    walker: &Walker,
    roots: &Roots,
    go_on: &dyn Fn() -> bool,
) -> Option<(u64, u64)> {
    let mut scout = Scout {
        walker,
        go_on,
        path: PathBytes::default(),
        sum: (0, 0),
    };
    let dir = open_root().ok()?;
    scout.roots(&dir, roots)?;
    Some(scout.sum)
}

/// Counts; `None` as soon as nobody wants to know any more.
struct Scout<'a> {
    walker: &'a Walker,
    go_on: &'a dyn Fn() -> bool,
    path: PathBytes,
    sum: (u64, u64),
}

impl Scout<'_> {
    fn roots(&mut self, dir: &OwnedFd, roots: &Roots) -> Option<()> {
        if roots.whole {
            return self.directory(dir);
        }
        for (name, below) in &roots.children {
            let mark = self.path.enter(name);
            if !below.whole {
                if let Ok(dir) = open_dir_above(dir, name) {
                    self.roots(&dir, below)?;
                }
            } else if let Ok(stat) = stat(dir, name) {
                self.entry(dir, name, &stat, stat.st_dev)?;
            }
            self.path.leave(mark);
        }
        Some(())
    }

    fn directory(&mut self, dir: &OwnedFd) -> Option<()> {
        let (Ok(here), Ok(names)) = (rustix::fs::fstat(dir), self.walker.names(dir)) else {
            return Some(());
        };
        for name in names.iter() {
            let mark = self.path.enter(name);
            if let Ok(stat) = stat(dir, name)
                && self.walker.admits(self.path.as_path(), &stat)
            {
                self.entry(dir, name, &stat, here.st_dev)?;
            }
            self.path.leave(mark);
        }
        Some(())
    }

    fn entry(&mut self, dir: &OwnedFd, name: &[u8], stat: &Stat, device: u64) -> Option<()> {
        if !(self.go_on)() {
            return None;
        }
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                self.sum.0 += 1;
                self.sum.1 += u64::try_from(stat.st_size).unwrap_or(0);
                Some(())
            }
            FileType::Directory => match open_dir(dir, name) {
                Ok(_) if self.walker.is_own(stat) => Some(()),
                Ok(below) if stat.st_dev == device || !is_pseudo(&below) => self.directory(&below),
                Ok(_) | Err(_) => Some(()),
            },
            FileType::Symlink
            | FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => Some(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_keys::VaultKeys;
    use std::io::Write;
    use std::sync::mpsc::sync_channel;
    use tokio_util::sync::CancellationToken;

    /// Calls `test` with a reader and an open folder that holds the file `name`.
    fn with_reader(test: impl FnOnce(&mut Reader<'_>, &OwnedFd, &std::path::Path)) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("name"), b"before").unwrap();
        let dir = OwnedFd::from(File::open(folder.path()).unwrap());
        let keys = VaultKeys::from_root(&[1; 32]);
        let (content, metadata) = (Cutter::content(&keys), Cutter::metadata(&keys));
        let (tx, _rx) = sync_channel(1);
        let out = Emitter::new(&keys, &metadata, tx, CancellationToken::new());
        let walker = Walker::new(&[], true, &[]).unwrap();
        let progress = Progress::new();
        let mut reader = Reader::new(&walker, &content, out, &progress);
        test(&mut reader, &dir, &folder.path().join("name"));
    }

    #[test]
    fn a_file_that_vanishes_or_turns_into_something_else_is_a_problem_and_no_more() {
        with_reader(|reader, dir, path| {
            let seen = stat(dir, b"name").unwrap();
            std::fs::remove_file(path).unwrap();
            assert_eq!(reader.file(dir, b"name", &seen), Ok(None));
            // A pipe in its place must not block the reader.
            rustix::fs::mkfifoat(dir, "name", 0o600.into()).unwrap();
            assert_eq!(reader.file(dir, b"name", &seen), Ok(None));
            std::fs::remove_file(path).unwrap();
            std::os::unix::fs::symlink("/etc/passwd", path).unwrap();
            assert_eq!(reader.file(dir, b"name", &seen), Ok(None));
            assert_eq!((reader.problems.count, reader.tally.files), (3, 0));
        });
    }

    #[test]
    fn a_file_that_changes_is_read_as_it_is_and_counted() {
        with_reader(|reader, dir, path| {
            let file = open_file(dir, b"name").unwrap();
            let before = rustix::fs::fstat(&file).unwrap();
            assert!(!has_changed(&file, &before));
            let mut more = File::options().append(true).open(path).unwrap();
            // It grows between the look and the read, beyond the length that was seen.
            more.write_all(&vec![7; 2_000_000]).unwrap();
            let (_, size) = reader.contents(&file, &before).unwrap().unwrap();
            assert_eq!(size, 2_000_006);
            assert!(has_changed(&file, &before));
        });
    }
}

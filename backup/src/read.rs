//! The reading side of a backup: goes through the folders, cuts files into blobs, writes trees.
//! What cannot be read is noted and left out; nothing but a cancellation ends it early.

use crate::attrs::Of;
use crate::content::{Content, ContentWriter, Piece};
use crate::emit::{Emitter, Stop};
use crate::entry::{Entry, Kind, Meta, shared_inode};
use crate::holes::{self, Hole, Stretch};
use crate::ignores::Ignores;
use crate::owners::Owners;
use crate::problems::{Problem, Problems};
use crate::progress::Progress;
use crate::receipt::{Receipt, Rule};
use crate::seen::Seen;
use crate::summary::Tally;
use crate::tree::TreeWriter;
use crate::walk::{
    PathBytes, Roots, Walker, is_pseudo, is_regular, open_dir, open_dir_above, open_file,
    open_root, stat,
};
use larder_coding::{BlobKind, Cutter, Pieces};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FileType, Stat};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;

/// Files with several names whose contents are remembered, so that each is read once; beyond
/// that they are read again (and deduplicated): about 20 MiB at most.
const LINKS: usize = 65_536;
/// Of more holes than this, it is read again as well: sixteen bytes each would be much of so many.
const LINK_HOLES: usize = 16;

/// From this many bytes on it is written down of every file where its holes are, or that it has
/// none; a restore makes holes of zeros where it is not. Shorter files have it if they have holes.
const LOOKED: u64 = 64 << 10;

/// A file's contents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Body {
    content: Content,
    size: u64,
    holes: Vec<Hole>,
}

/// What was read.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    pub(crate) root: Content,
    pub(crate) tally: Tally,
    pub(crate) problems: Problems,
    pub(crate) receipt: Receipt,
}

/// Reads folders into an [`Emitter`].
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    walker: &'a Walker,
    content: &'a Cutter,
    out: Emitter<'a>,
    progress: &'a Progress,
    seen: Seen<'a>,
    path: PathBytes,
    tally: Tally,
    problems: Problems,
    receipt: Receipt,
    ignores: Ignores,
    links: HashMap<(u64, u64), Body>,
    owners: Owners,
    /// The longest blob of zeros, once it was handed on: holes are made of it.
    zeros: Option<Piece>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(
        walker: &'a Walker,
        content: &'a Cutter,
        out: Emitter<'a>,
        progress: &'a Progress,
        seen: Seen<'a>,
    ) -> Self {
        Self {
            walker,
            content,
            out,
            progress,
            seen,
            path: PathBytes::default(),
            tally: Tally::default(),
            problems: Problems::default(),
            receipt: Receipt::default(),
            ignores: Ignores::default(),
            links: HashMap::new(),
            owners: Owners::default(),
            zeros: None,
        }
    }

    /// Reads all of `roots`; every blob has been handed on when this returns.
    pub(crate) fn run(mut self, roots: &Roots) -> Result<Reading, Stop> {
        let read = self.all(roots);
        self.seen.finish(read.is_err());
        Ok(Reading {
            root: read?,
            tally: self.tally,
            problems: self.problems,
            receipt: self.receipt,
        })
    }

    fn all(&mut self, roots: &Roots) -> Result<Content, Stop> {
        let root = match open_root() {
            Ok(dir) => self.roots(&dir, roots)?,
            Err(e) => {
                self.problem(e);
                Content::default()
            }
        };
        self.out.flush()?;
        Ok(root)
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
                let of = Of::Open(dir.as_fd());
                Ok(Some(self.describe(name, &stat, Kind::Dir(content), &of)))
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
        let (device, listed) = match looked {
            Ok(looked) => looked,
            Err(e) => {
                self.problem(e);
                return tree.finish(&mut self.out);
            }
        };
        if listed.is_cache {
            self.leave_out(Rule::CacheTag);
        }
        let ignores = listed.has_ignores();
        if ignores {
            for wrong in self.ignores.enter(dir, self.path.as_path()) {
                self.trouble(format!("its .larderignore: {wrong}"));
            }
        }
        for name in listed.names.iter() {
            self.out.check()?;
            let mark = self.path.enter(name);
            let entry = match stat(dir, name) {
                Ok(stat) => match self
                    .walker
                    .refuses(self.path.as_path(), &stat, &self.ignores)
                {
                    Some(rule) => {
                        self.leave_out(rule);
                        None
                    }
                    None => self.entry(dir, name, &stat, device)?,
                },
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
        if ignores {
            self.ignores.leave();
        }
        tree.finish(&mut self.out)
    }

    fn leave_out(&mut self, rule: Rule) {
        self.receipt.note(rule, self.path.as_path());
    }

    /// One name, or `None` if it could not be read.
    fn entry(
        &mut self,
        dir: &OwnedFd,
        name: &[u8],
        stat: &Stat,
        device: u64,
    ) -> Result<Option<Entry>, Stop> {
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => return self.file(dir, name, stat),
            FileType::Directory => return self.subdirectory(dir, name, stat, device),
            FileType::Symlink => match rustix::fs::readlinkat(dir, name, Vec::new()) {
                Ok(target) => Kind::Symlink(target.into_bytes()),
                Err(e) => {
                    self.problem(e.into());
                    return Ok(None);
                }
            },
            FileType::Fifo => Kind::Fifo,
            FileType::CharacterDevice => Kind::CharDevice(stat.st_rdev),
            FileType::BlockDevice => Kind::BlockDevice(stat.st_rdev),
            FileType::Socket | FileType::Unknown => {
                self.leave_out(Rule::Socket);
                return Ok(None);
            }
        };
        let of = Of::named(dir.as_fd(), OsStr::from_bytes(name));
        Ok(Some(self.describe(name, stat, kind, &of)))
    }

    fn subdirectory(
        &mut self,
        parent: &OwnedFd,
        name: &[u8],
        stat: &Stat,
        device: u64,
    ) -> Result<Option<Entry>, Stop> {
        self.tally.dirs += 1;
        let dir = match open_dir(parent, name) {
            Ok(dir) => dir,
            Err(e) => {
                self.problem(e);
                return Ok(None);
            }
        };
        let content = if stat.st_dev != device && is_pseudo(&dir) {
            self.leave_out(Rule::View);
            Content::default()
        } else if self.walker.is_own(stat) {
            self.leave_out(Rule::Own);
            Content::default()
        } else {
            self.directory(&dir)?
        };
        let of = Of::Open(dir.as_fd());
        Ok(Some(self.describe(name, stat, Kind::Dir(content), &of)))
    }

    fn file(&mut self, dir: &OwnedFd, name: &[u8], stat: &Stat) -> Result<Option<Entry>, Stop> {
        self.progress.file(self.path.as_path());
        let troubles = self.problems.count;
        let linked = || shared_inode(stat).and_then(|inode| self.links.get(&inode).cloned());
        let (entry, stat, ids) = if let Some(entry) = self.seen.find(self.path.bytes(), stat) {
            self.progress.bytes(entry.size);
            self.tally.unchanged += 1;
            (entry, *stat, None)
        } else if let Some(body) = linked() {
            self.progress.bytes(body.size);
            let of = Of::named(dir.as_fd(), OsStr::from_bytes(name));
            // What lists name is remembered with the first name.
            let ids = (body.content.depth == 0).then(Vec::new);
            (self.file_entry(name, stat, body, &of), *stat, ids)
        } else {
            self.out.begin_noting();
            let read = self.read_file(dir, name)?;
            let noted = self.out.noted();
            let Some((body, file, stat)) = read else {
                return Ok(None);
            };
            let ids = (body.content.depth == 0).then(Vec::new).or(noted);
            let of = Of::Open(file.as_fd());
            (self.file_entry(name, &stat, body, &of), stat, ids)
        };
        // What was trouble this time is to be seen the next time too.
        if let Some(ids) = ids
            && self.problems.count == troubles
        {
            self.seen.keep(self.path.bytes(), &stat, &entry, ids);
        }
        self.link(&entry);
        self.tally.files += 1;
        self.tally.bytes += entry.size;
        self.progress.file_done();
        Ok(Some(entry))
    }

    fn file_entry(&mut self, name: &[u8], stat: &Stat, body: Body, of: &Of<'_>) -> Entry {
        let mut entry = self.describe(name, stat, Kind::File(body.content), of);
        entry.size = body.size;
        entry.holes = (body.size >= LOOKED || !body.holes.is_empty()).then_some(body.holes);
        entry
    }

    /// Remembers a file that has several names.
    fn link(&mut self, entry: &Entry) {
        if let (Some(inode), Kind::File(content)) = (entry.inode, &entry.kind)
            && self.links.len() < LINKS
            && entry.holes.as_ref().is_none_or(|h| h.len() <= LINK_HOLES)
        {
            self.links.entry(inode).or_insert_with(|| Body {
                content: content.clone(),
                size: entry.size,
                holes: entry.holes.clone().unwrap_or_default(),
            });
        }
    }

    /// A file's contents, the file, and what it was when reading began.
    fn read_file(
        &mut self,
        dir: &OwnedFd,
        name: &[u8],
    ) -> Result<Option<(Body, File, Stat)>, Stop> {
        let opened = open_file(dir, name).and_then(|f| Ok((rustix::fs::fstat(&f)?, f)));
        let (stat, file) = match opened {
            Ok((stat, file)) if is_regular(&stat) => (stat, file),
            // Another kind of thing took its place since it was listed.
            Ok(_) => return self.gone(io::ErrorKind::NotFound.into()),
            Err(e) => return self.gone(e),
        };
        match self.contents(&file, &stat)? {
            Ok(body) => {
                if has_changed(&file, &stat) {
                    self.tally.changed += 1;
                    self.trouble(CHANGED.to_owned());
                }
                Ok(Some((body, file, stat)))
            }
            Err(e) => self.gone(e),
        }
    }

    fn gone<T>(&mut self, error: io::Error) -> Result<Option<T>, Stop> {
        self.problem(error);
        Ok(None)
    }

    /// Cuts a file. A short one is read in one go, without the cutter's buffer.
    fn contents(&mut self, file: &File, stat: &Stat) -> Result<io::Result<Body>, Stop> {
        let mut known = match holes::of(file, stat) {
            Ok(known) => known,
            Err(e) => return Ok(Err(e)),
        };
        let least = holes::UNREAD;
        let expected = u64::try_from(stat.st_size).unwrap_or(0);
        let mut head = Vec::new();
        if expected < least {
            head.reserve_exact(usize::try_from(expected + 1).unwrap_or(0));
            if let Err(e) = file.take(least).read_to_end(&mut head) {
                return Ok(Err(e));
            }
        }
        let read = if expected < least && (head.len() as u64) < least {
            Ok(self.short(head)?)
        } else {
            let stretches = holes::stretches(&known, expected, least);
            self.long(io::Cursor::new(head), file, &stretches)?
        };
        Ok(read.map(|(content, size)| {
            // Had it become shorter meanwhile, holes beyond its end would be none of it.
            known.retain_mut(|(at, len)| {
                *len = size.saturating_sub(*at).min(*len);
                *len > 0
            });
            Body {
                content,
                size,
                holes: known,
            }
        }))
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

    /// Content and length of `head` and whatever follows in `file`, stretch by stretch.
    fn long(
        &mut self,
        mut head: impl Read,
        mut file: &File,
        stretches: &[Stretch],
    ) -> Result<io::Result<(Content, u64)>, Stop> {
        let (mut content, mut at) = (ContentWriter::default(), 0);
        for stretch in stretches {
            let (done, end) = match *stretch {
                Stretch::Zeros(len) => (Ok(self.zeros(&mut content, len)?), at + len),
                Stretch::Data(end) => {
                    if at > 0
                        && let Err(e) = file.seek(SeekFrom::Start(at))
                    {
                        return Ok(Err(e));
                    }
                    let source = head.by_ref().chain(file);
                    let source = source.take(end.map_or(u64::MAX, |end| end - at));
                    (self.pour(&mut content, source)?, end.unwrap_or(at))
                }
            };
            match done {
                Ok(len) => at += len,
                Err(e) => return Ok(Err(e)),
            }
            // It was cut off while we read: what came behind is gone.
            if at < end {
                break;
            }
        }
        Ok(Ok((content.finish(&mut self.out)?, at)))
    }

    /// Cuts what `source` has into `content`; its length.
    fn pour(
        &mut self,
        content: &mut ContentWriter,
        source: impl Read,
    ) -> Result<io::Result<u64>, Stop> {
        let mut pieces = Pieces::new(self.content, source);
        let mut size = 0;
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
                Ok(None) => return Ok(Ok(size)),
                Err(e) => return Ok(Err(e)),
            }
        }
    }

    /// A hole: zeros that nobody reads, in blobs that are all the same one.
    fn zeros(&mut self, content: &mut ContentWriter, len: u64) -> Result<u64, Stop> {
        let (longest, mut left) = (self.content.sizes().max, len);
        while left > 0 {
            let part = usize::try_from(left).map_or(longest, |left| left.min(longest));
            let piece = match self.zeros {
                Some(piece) if part == longest => {
                    self.out.note(piece.id);
                    piece
                }
                Some(_) | None => self.out.emit(BlobKind::Data, vec![0; part])?,
            };
            if part == longest {
                self.zeros = Some(piece);
            }
            content.push(&mut self.out, piece)?;
            left -= part as u64;
            self.progress.bytes(part as u64);
            self.out.check()?;
        }
        Ok(len)
    }

    fn problem(&mut self, error: io::Error) {
        self.trouble(error.to_string());
    }

    fn trouble(&mut self, error: String) {
        self.progress.error();
        let path = self.path.as_path().to_owned();
        self.problems.note(Problem { path, error });
    }

    /// An entry with all that is known of it besides its contents.
    fn describe(&mut self, name: &[u8], stat: &Stat, kind: Kind, of: &Of<'_>) -> Entry {
        let mut entry = Entry::new(name.to_vec(), kind, Meta::of(stat));
        entry.inode = shared_inode(stat);
        entry.user = self.owners.user(stat.st_uid);
        entry.group = self.owners.group(stat.st_gid);
        match of.read() {
            Ok(xattrs) => entry.xattrs = xattrs,
            Err(e) => self.trouble(format!("its extended attributes are not kept: {e}")),
        }
        entry
    }
}

/// What is said of a file whose length or time is another after it was read.
const CHANGED: &str = "changed while it was read: what is kept may be half old and half new; back \
                       it up again, or stop what writes to it meanwhile";

fn has_changed(file: &File, before: &Stat) -> bool {
    let when = |s: &Stat| (s.st_size, s.st_mtime, s.st_mtime_nsec);
    rustix::fs::fstat(file).is_ok_and(|after| when(&after) != when(before))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seen::{Known, SETTLED};
    use larder_keys::VaultKeys;
    use larder_types::{BlobId, Class};
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
        let (progress, roots) = (Progress::new(), Roots::default());
        let known: Known<'_> = Box::new(|_: &[BlobId], _: Class| Default::default());
        let known = (known, Class::Normal);
        let seen = Seen::open(folder.path(), &keys, &roots, known, SETTLED, true);
        let mut reader = Reader::new(&walker, &content, out, &progress, seen);
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
            let body = reader.contents(&file, &before).unwrap().unwrap();
            assert_eq!(body.size, 2_000_006);
            assert!(has_changed(&file, &before));
        });
    }
}

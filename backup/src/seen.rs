//! Files as the last backup saw them: those that did not change since are recognised without being
//! read. A file is taken for unchanged if device, inode, length, and the times of its last change
//! of content and of anything are what they were, to the nanosecond, and the vault still has every
//! blob of it in the class that is wanted.
//!
//! It is a cache and nothing else: one file beside the index, written anew by each run and put in
//! the old one's place at the end. What is damaged or missing of it is read in full. It is a
//! sequence of items in the order in which folders are walked, so that old and new pass by once
//! and memory does not grow with them: an item is looked for behind the one before. What is gone
//! from below a root is not taken over, nor is anything whose blobs the vault has lost; what lies
//! elsewhere, or is only left out this time, is, the former within bounds.
//!
//! A file that changes twice within one tick of the clock looks the same after both; so nothing is
//! kept of one whose times are not older than the run's beginning (git's rule for its index), and
//! by a minute, because of memory maps. Of file systems with whole seconds two more are asked for.
//!
//! Blocks: id of the rest under the vault's key (32) | length (4) | items. Items, little endian:
//! bytes shared with the path before (2) | further bytes of the path (2) | these | device (8) |
//! inode (8) | change time (8 + 4) | length of the entry (4) | the entry as in trees | ids (4) |
//! these: every blob of a file that is described by lists.

use crate::content::Content;
use crate::entry::{Entry, Kind};
use crate::tree::decode_entry;
use crate::walk::Roots;
use larder_coding::blob_id;
use larder_keys::VaultKeys;
use larder_types::{BlobId, Class, codec};
use rustix::fs::Stat;
use std::cmp::Ordering;
use std::collections::{HashSet, VecDeque};
use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A block is closed at this many bytes: some five hundred files.
const BLOCK: usize = 128 << 10;
/// No block is longer, since one is held in memory: a file of 190 GB with all its ids.
const LONGEST: usize = 8 << 20;
/// Ids of one file at most; of more it is not remembered.
pub(crate) const MOST_IDS: usize = LONGEST / 32;

/// How long before a run a file must have changed last. What is written to a page through a memory
/// map changes a file's times once, and not again until the kernel has written that page to disk:
/// it begins after 30 s, and looks every 5 s (`vm.dirty_expire_centisecs` and its neighbour).
pub(crate) const SETTLED: Duration = Duration::from_secs(60);

/// Bytes taken over of what lies below none of a run's roots, unless the run writes more itself: a
/// million files. Roots that are backed up in turns keep theirs; the cache does not grow without
/// end with those that never are again.
const ELSEWHERE: u64 = 256 << 20;

/// Seconds and nanoseconds since the epoch.
type Moment = (i64, u32);

/// Says which blobs the vault has in a class or a higher one.
pub(crate) type Known<'a> = Box<dyn Fn(&[BlobId], Class) -> HashSet<BlobId> + Send + 'a>;

/// What the last run saw, and what this one sees.
pub(crate) struct Seen<'a> {
    keys: &'a VaultKeys,
    roots: &'a Roots,
    known: Known<'a>,
    /// The class that is wanted.
    class: Class,
    old: Option<Blocks<BufReader<File>>>,
    items: VecDeque<Item>,
    /// The path last read of the old ones.
    last: Vec<u8>,
    new: Option<New>,
    /// Bytes written of what lies below the roots, and of what does not.
    here: u64,
    elsewhere: u64,
    /// Only what changed last before this is remembered.
    before: Moment,
}

impl fmt::Debug for Seen<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seen")
            .field("before", &self.before)
            .finish_non_exhaustive()
    }
}

/// A file as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Item {
    path: Vec<u8>,
    of: Of,
    entry: Entry,
    /// Every blob, if the entry itself does not name them.
    ids: Vec<BlobId>,
    kept: Kept,
}

/// Whether the vault has every blob of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    /// In the class that is wanted.
    Well,
    /// Some in a lower class: of no use to this run, but to one that wants no more.
    Lower,
    No,
}

/// What tells a file from what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Of {
    dev: u64,
    ino: u64,
    ctime: Moment,
}

impl Of {
    fn stat(stat: &Stat) -> Self {
        Self {
            dev: stat.st_dev,
            ino: stat.st_ino,
            ctime: (stat.st_ctime, nanos(stat.st_ctime_nsec)),
        }
    }
}

fn nanos<T: TryInto<u32>>(ns: T) -> u32 {
    ns.try_into().unwrap_or(0)
}

fn mtime(stat: &Stat) -> Moment {
    (stat.st_mtime, nanos(stat.st_mtime_nsec))
}

impl Item {
    fn is(&self, stat: &Stat) -> bool {
        let meta = &self.entry.meta;
        self.of == Of::stat(stat)
            && (meta.mtime_s, meta.mtime_ns) == mtime(stat)
            && u64::try_from(stat.st_size) == Ok(self.entry.size)
    }

    fn blobs(&self) -> Vec<BlobId> {
        if let Kind::File(content) = &self.entry.kind
            && content.depth == 0
        {
            return ids_of(content);
        }
        self.ids.clone()
    }
}

fn ids_of(content: &Content) -> Vec<BlobId> {
    let pieces = content.pieces().unwrap_or_default();
    pieces.iter().map(|p| p.id).collect()
}

impl<'a> Seen<'a> {
    /// The cache in the vault's folder `dir`; a dry run only looks into it. Where no file can be
    /// made, nothing is remembered. `settled` is [`SETTLED`], but in tests.
    pub(crate) fn open(
        dir: &Path,
        keys: &'a VaultKeys,
        roots: &'a Roots,
        (known, class): (Known<'a>, Class),
        settled: Duration,
        dry_run: bool,
    ) -> Self {
        let (done, part) = (dir.join("seen"), dir.join("seen.part"));
        let old = File::open(&done).ok();
        let begun = if dry_run {
            Ok(None)
        } else {
            New::begin(part, done).map(Some)
        };
        let begun = begun.unwrap_or_else(|e| {
            tracing::warn!(error = %e, "what this backup sees is not remembered");
            None
        });
        let (new, began) = begun.map_or((None, (i64::MIN, 0)), |(new, at)| (Some(new), at));
        let settled = i64::try_from(settled.as_secs()).unwrap_or(i64::MAX);
        Self {
            keys,
            roots,
            known,
            class,
            old: old.map(|f| Blocks(BufReader::new(f))),
            items: VecDeque::new(),
            last: Vec::new(),
            new,
            here: 0,
            elsewhere: 0,
            before: (began.0.saturating_sub(settled), began.1),
        }
    }

    /// The entry of the file `path`, if it is what it was. Paths come in the order of the walk.
    pub(crate) fn find(&mut self, path: &[u8], stat: &Stat) -> Option<Entry> {
        self.pass(|roots, item| match order(&item.path, path) {
            Ordering::Less => Pass::On {
                keep: !is_gone(roots, &item.path),
            },
            Ordering::Equal | Ordering::Greater => Pass::Stop,
        });
        let next = self.items.front()?;
        if next.path != path {
            return None;
        }
        let item = self.items.pop_front()?;
        if !item.is(stat) || item.kept != Kept::Well {
            return None;
        }
        self.write(&item);
        Some(item.entry)
    }

    /// Remembers a file that was read, with every blob that lists name if there are any; unless it
    /// might change once more without looking so.
    pub(crate) fn keep(&mut self, path: &[u8], stat: &Stat, entry: &Entry, ids: Vec<BlobId>) {
        if is_older(Of::stat(stat).ctime, self.before) && is_older(mtime(stat), self.before) {
            self.write(&Item {
                path: path.to_vec(),
                of: Of::stat(stat),
                entry: entry.clone(),
                ids,
                kept: Kept::Well,
            });
        }
    }

    /// Puts what this run saw in the old one's place. If it was `cut` short, what it did not come
    /// to is taken over.
    pub(crate) fn finish(mut self, cut: bool) {
        self.pass(|roots, item| Pass::On {
            keep: cut || !is_gone(roots, &item.path),
        });
        if let Some(new) = self.new.take()
            && let Err(e) = new.finish(self.keys)
        {
            tracing::warn!(error = %e, "what this backup saw is not remembered; the next reads all");
        }
    }

    /// Passes old items by.
    fn pass(&mut self, what: impl Fn(&Roots, &Item) -> Pass) {
        loop {
            let Some(item) = self.items.front() else {
                if !self.load() {
                    return;
                }
                continue;
            };
            let Pass::On { keep } = what(self.roots, item) else {
                return;
            };
            if let Some(item) = self.items.pop_front()
                && keep
                && item.kept != Kept::No
            {
                self.write(&item);
            }
        }
    }

    /// Reads the next block; `false` at the end, or where nothing can be made of it.
    fn load(&mut self) -> bool {
        let block = self.old.as_mut().and_then(|old| old.next(self.keys));
        let items = block.and_then(|block| items_of(&block, &mut self.last));
        let Some(mut items) = items else {
            self.old = None;
            return false;
        };
        let blobs: Vec<Vec<BlobId>> = items.iter().map(Item::blobs).collect();
        let mut missing = blobs.concat();
        let well = (self.known)(&missing, self.class);
        missing.retain(|id| !well.contains(id));
        let lower = if missing.is_empty() {
            HashSet::new()
        } else {
            (self.known)(&missing, Class::Low)
        };
        let is_there = |id: &BlobId| well.contains(id) || lower.contains(id);
        for (item, blobs) in items.iter_mut().zip(&blobs) {
            item.kept = if blobs.iter().all(|id| well.contains(id)) {
                Kept::Well
            } else if blobs.iter().all(is_there) {
                Kept::Lower
            } else {
                Kept::No
            };
        }
        self.items.extend(items);
        true
    }

    fn write(&mut self, item: &Item) {
        let is_here = self.roots.covers(&item.path);
        if !is_here && self.elsewhere >= self.here.max(ELSEWHERE) {
            return;
        }
        let written = self.new.as_mut().map(|new| new.push(item, self.keys));
        match written {
            None => {}
            Some(Ok(len)) if is_here => self.here += len,
            Some(Ok(len)) => self.elsewhere += len,
            Some(Err(e)) => {
                tracing::warn!(error = %e, "what this backup sees is not remembered");
                self.new = None;
            }
        }
    }
}

/// Whether nothing is left of a path that this run should have come to.
fn is_gone(roots: &Roots, path: &[u8]) -> bool {
    roots.covers(path)
        && Path::new(OsStr::from_bytes(path))
            .symlink_metadata()
            .is_err()
}

/// What to do with an old item.
enum Pass {
    On { keep: bool },
    Stop,
}

/// As folders are walked: by names, a folder's contents before what comes after it.
fn order(a: &[u8], b: &[u8]) -> Ordering {
    let by_name = |b: &u8| if *b == b'/' { 0 } else { *b };
    a.iter().map(by_name).cmp(b.iter().map(by_name))
}

/// Whether a later change would have another time, `began` being an earlier moment than it.
fn is_older(time: Moment, began: Moment) -> bool {
    let ticks = if time.1 == 0 { 2 } else { 0 };
    (time.0.saturating_add(ticks), time.1) < began
}

/// Blocks of a file, one after another.
struct Blocks<R>(R);

impl<R: Read> Blocks<R> {
    /// The next one; `None` at the end or if it is damaged.
    fn next(&mut self, keys: &VaultKeys) -> Option<Vec<u8>> {
        let (mut id, mut len) = ([0; 32], [0; 4]);
        self.0.read_exact(&mut id).ok()?;
        self.0.read_exact(&mut len).ok()?;
        let len = usize::try_from(u32::from_le_bytes(len)).ok()?;
        let mut block = Vec::new();
        let most = LONGEST.min(len) as u64;
        self.0.by_ref().take(most).read_to_end(&mut block).ok()?;
        (block.len() == len && blob_id(keys, &block).0 == id).then_some(block)
    }
}

/// The items of a block; `last` is the path before the first, and becomes that of the last.
fn items_of(mut block: &[u8], last: &mut Vec<u8>) -> Option<Vec<Item>> {
    let mut items = Vec::new();
    while !block.is_empty() {
        let shared = usize::from(u16::from_le_bytes(take(&mut block)?));
        let more = usize::from(u16::from_le_bytes(take(&mut block)?));
        last.truncate(shared);
        last.extend_from_slice(block.split_off(..more)?);
        let of = Of {
            dev: u64::from_le_bytes(take(&mut block)?),
            ino: u64::from_le_bytes(take(&mut block)?),
            ctime: (
                i64::from_le_bytes(take(&mut block)?),
                u32::from_le_bytes(take(&mut block)?),
            ),
        };
        let len = usize::try_from(u32::from_le_bytes(take(&mut block)?)).ok()?;
        let (entry, _) = decode_entry(block.split_off(..len)?).ok()?;
        let ids = usize::try_from(u32::from_le_bytes(take(&mut block)?)).ok()?;
        let (ids, _) = block.split_off(..ids.checked_mul(32)?)?.as_chunks::<32>();
        items.push(Item {
            path: last.clone(),
            of,
            entry,
            ids: ids.iter().map(|id| BlobId(*id)).collect(),
            kept: Kept::No,
        });
    }
    Some(items)
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    bytes.split_off(..N)?.try_into().ok()
}

/// The cache of this run, under construction.
struct New {
    sink: BufWriter<File>,
    block: Vec<u8>,
    /// The path of the last item.
    path: Vec<u8>,
    part: PathBuf,
    done: PathBuf,
}

impl New {
    /// An empty one, and when it was begun: by the kernel, in the ticks that files are stamped with.
    fn begin(part: PathBuf, done: PathBuf) -> io::Result<(Self, Moment)> {
        let sink = File::create(&part)?;
        let stat = rustix::fs::fstat(&sink)?;
        let new = Self {
            sink: BufWriter::new(sink),
            block: Vec::new(),
            path: Vec::new(),
            part,
            done,
        };
        Ok((new, mtime(&stat)))
    }

    /// Appends an item, unless it is too long; its bytes.
    fn push(&mut self, item: &Item, keys: &VaultKeys) -> io::Result<u64> {
        let shared = item.path.iter().zip(&self.path);
        let shared = shared.take_while(|(a, b)| a == b).count();
        let shared = shared.min(usize::from(u16::MAX));
        let rest = &item.path[shared..];
        let entry = codec::encode(&item.entry);
        let lengths = (
            u16::try_from(shared),
            u16::try_from(rest.len()),
            u32::try_from(entry.len()),
            u32::try_from(item.ids.len()),
        );
        let (Ok(shared), Ok(more), Ok(len), Ok(ids)) = lengths else {
            return Ok(0);
        };
        let before = self.block.len();
        if before + rest.len() + entry.len() + 32 * item.ids.len() + 64 > LONGEST {
            return Ok(0);
        }
        let block = &mut self.block;
        block.extend_from_slice(&shared.to_le_bytes());
        block.extend_from_slice(&more.to_le_bytes());
        block.extend_from_slice(rest);
        block.extend_from_slice(&item.of.dev.to_le_bytes());
        block.extend_from_slice(&item.of.ino.to_le_bytes());
        block.extend_from_slice(&item.of.ctime.0.to_le_bytes());
        block.extend_from_slice(&item.of.ctime.1.to_le_bytes());
        block.extend_from_slice(&len.to_le_bytes());
        block.extend_from_slice(&entry);
        block.extend_from_slice(&ids.to_le_bytes());
        for id in &item.ids {
            block.extend_from_slice(&id.0);
        }
        self.path.clone_from(&item.path);
        let written = self.block.len() - before;
        if self.block.len() >= BLOCK {
            self.flush(keys)?;
        }
        Ok(written as u64)
    }

    fn flush(&mut self, keys: &VaultKeys) -> io::Result<()> {
        let len = u32::try_from(self.block.len()).expect("a block is at most 8 MiB");
        self.sink.write_all(&blob_id(keys, &self.block).0)?;
        self.sink.write_all(&len.to_le_bytes())?;
        self.sink.write_all(&self.block)?;
        self.block.clear();
        Ok(())
    }

    /// Not synced: what a power cut leaves of it is recognised by its blocks' ids.
    fn finish(mut self, keys: &VaultKeys) -> io::Result<()> {
        if !self.block.is_empty() {
            self.flush(keys)?;
        }
        self.sink
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        fs::rename(self.part, self.done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Meta;

    const ID: BlobId = BlobId([1; 32]);

    /// A run over `roots` while the vault has the blobs `ids`.
    fn open<'a>(
        dir: &Path,
        keys: &'a VaultKeys,
        roots: &'a Roots,
        ids: &'static [BlobId],
    ) -> Seen<'a> {
        let known: Known<'a> =
            Box::new(move |_: &[BlobId], _: Class| ids.iter().copied().collect());
        Seen::open(dir, keys, roots, (known, Class::Normal), SETTLED, false)
    }

    /// The file `path`, made now, as if it had been made `age` seconds ago; and its entry, whose
    /// blobs are in lists.
    fn made(path: &Path, age: i64) -> (Stat, Entry) {
        fs::write(path, b"f").unwrap();
        let mut stat = rustix::fs::stat(path).unwrap();
        stat.st_mtime -= age;
        stat.st_ctime -= age;
        let mut content = Content::default();
        content.depth = 1;
        let mut entry = Entry::new(b"f".to_vec(), Kind::File(content), Meta::of(&stat));
        entry.size = 1;
        (stat, entry)
    }

    #[test]
    fn a_file_is_recognised_once_it_was_left_alone_for_a_minute() {
        let dir = tempfile::tempdir().unwrap();
        let keys = VaultKeys::from_root(&[1; 32]);
        let roots = Roots::of(&[dir.path().to_owned()]);
        let file = dir.path().join("f");
        let path = file.as_os_str().as_bytes();
        for (age, is_found) in [(0, false), (50, false), (100, true)] {
            let (stat, entry) = made(&file, age);
            let mut seen = open(dir.path(), &keys, &roots, &[ID]);
            seen.keep(path, &stat, &entry, vec![ID]);
            seen.finish(false);
            let found = open(dir.path(), &keys, &roots, &[ID]).find(path, &stat);
            assert_eq!(found, is_found.then_some(entry), "{age}");
        }
    }

    #[test]
    fn what_lies_below_other_roots_is_taken_over_within_bounds_and_while_it_is_stored() {
        let dir = tempfile::tempdir().unwrap();
        let keys = VaultKeys::from_root(&[1; 32]);
        let here = Roots::of(&[dir.path().to_owned()]);
        let other = Roots::of(&[dir.path().join("other")]);
        let file = dir.path().join("f");
        let path = file.as_os_str().as_bytes();
        let (stat, entry) = made(&file, 100);
        let remember = || {
            let mut seen = open(dir.path(), &keys, &here, &[ID]);
            seen.keep(path, &stat, &entry, vec![ID]);
            seen.finish(false);
        };
        let is_known = || {
            let mut seen = open(dir.path(), &keys, &here, &[ID]);
            seen.find(path, &stat).is_some()
        };
        remember();
        open(dir.path(), &keys, &other, &[ID]).finish(false);
        assert!(is_known());
        let mut full = open(dir.path(), &keys, &other, &[ID]);
        full.elsewhere = ELSEWHERE;
        full.finish(false);
        assert!(!is_known());
        remember();
        assert!(is_known());
        open(dir.path(), &keys, &other, &[]).finish(false);
        assert!(!is_known());
    }

    #[test]
    fn paths_are_ordered_as_they_are_walked() {
        let walked = ["/a", "/a b/x", "/a-", "/a.d/y", "/a/b", "/a/b/c", "/aa"];
        // `a` is a folder in one tree and a file in another: what is in it follows it at once.
        let mut sorted = walked;
        sorted.sort_by(|a, b| order(a.as_bytes(), b.as_bytes()));
        assert_eq!(
            sorted,
            ["/a", "/a/b", "/a/b/c", "/a b/x", "/a-", "/a.d/y", "/aa"]
        );
    }

    #[test]
    fn only_what_is_older_than_the_run_can_be_told_from_a_later_change() {
        let began = (100, 500);
        for (time, want) in [
            ((100, 499), true),
            ((100, 500), false),
            ((101, 1), false),
            ((99, 999_999_999), true),
            // Whole seconds: of a file system that knows no others, or by chance.
            ((99, 0), false),
            ((98, 0), true),
            ((i64::MIN, 0), true),
        ] {
            assert_eq!(is_older(time, began), want, "{time:?}");
        }
    }
}

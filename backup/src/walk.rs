//! Looking at folders: directories opened relative to their parent, so that no symbolic link is
//! followed and no path is too long; names sorted by their bytes; what is left out, left out.

use crate::exclude::{CACHEDIR_SIGNATURE, DEFAULTS, GlobError, Globs};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// Pseudo file systems, by their magic number: proc, sysfs, debugfs, tracefs, cgroup, cgroup2,
/// devpts, securityfs, bpf. Their files are views of the kernel, some without an end.
const PSEUDO: [u64; 9] = [
    0x9fa0,
    0x6265_6572,
    0x6462_6720,
    0x7472_6163,
    0x0027_e0eb,
    0x6367_7270,
    0x1cd1,
    0x7363_6673,
    0xcafe_4a11,
];

/// A directory's names in one allocation, sorted: 28 MB for a million names of twenty bytes.
#[derive(Debug, Default)]
pub(crate) struct Names {
    bytes: Vec<u8>,
    spans: Vec<(u32, u16)>,
}

impl Names {
    /// All names of `dir` but `.` and `..`.
    pub(crate) fn of(dir: &OwnedFd) -> io::Result<Self> {
        let mut names = Self::default();
        for entry in Dir::read_from(dir)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(name)?;
            }
        }
        let Self { bytes, mut spans } = names;
        spans.sort_unstable_by(|a, b| slice(&bytes, *a).cmp(slice(&bytes, *b)));
        Ok(Self { bytes, spans })
    }

    fn push(&mut self, name: &[u8]) -> io::Result<()> {
        let start = u32::try_from(self.bytes.len());
        let len = u16::try_from(name.len());
        let (Ok(start), Ok(len)) = (start, len) else {
            return Err(io::Error::from(io::ErrorKind::OutOfMemory));
        };
        self.spans.push((start, len));
        self.bytes.extend_from_slice(name);
        Ok(())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.spans.iter().map(|span| slice(&self.bytes, *span))
    }
}

fn slice(bytes: &[u8], (start, len): (u32, u16)) -> &[u8] {
    &bytes[start as usize..start as usize + usize::from(len)]
}

/// The paths of a backup as one tree from the root: what lies above them is described but not
/// read, what lies below is read whole.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Roots {
    pub(crate) whole: bool,
    pub(crate) children: BTreeMap<Vec<u8>, Self>,
}

impl Roots {
    /// The tree of absolute `paths`; a path below another adds nothing.
    pub(crate) fn of(paths: &[PathBuf]) -> Self {
        let mut root = Self::default();
        for path in paths {
            let mut at = &mut root;
            for part in path.components() {
                if let Component::Normal(name) = part {
                    at = at.children.entry(name.as_bytes().to_vec()).or_default();
                }
            }
            at.whole = true;
        }
        root.prune();
        root
    }

    fn prune(&mut self) {
        if self.whole {
            self.children.clear();
        }
        self.children.values_mut().for_each(Self::prune);
    }
}

/// `path` as it is known in snapshots: absolute, symbolic links kept, no `.` and no `..`.
pub(crate) fn absolute(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    if path.components().any(|c| c == Component::ParentDir) {
        // What `..` means depends on links: ask the system.
        return path.canonicalize();
    }
    Ok(path.components().collect())
}

/// What is looked at and what is not.
#[derive(Debug)]
pub(crate) struct Walker {
    globs: Globs,
    skip_caches: bool,
    /// (device, inode) of folders never entered: our own.
    own: Vec<(u64, u64)>,
}

impl Walker {
    pub(crate) fn new(
        excludes: &[String],
        defaults: bool,
        own: &[PathBuf],
    ) -> Result<Self, GlobError> {
        let own = own
            .iter()
            .filter_map(|p| rustix::fs::stat(p).ok())
            .map(|s| (s.st_dev, s.st_ino));
        let made_again = if defaults { &DEFAULTS[..] } else { &[] };
        let globs = made_again
            .iter()
            .copied()
            .chain(excludes.iter().map(String::as_str));
        Ok(Self {
            globs: Globs::new(globs)?,
            skip_caches: defaults,
            own: own.collect(),
        })
    }

    /// Whether an entry found in a directory is wanted at all.
    pub(crate) fn admits(&self, path: &Path, stat: &Stat) -> bool {
        let kind = FileType::from_raw_mode(stat.st_mode);
        kind != FileType::Socket
            && !self.is_own(stat)
            && !self.globs.matches(path, kind == FileType::Directory)
    }

    pub(crate) fn is_own(&self, stat: &Stat) -> bool {
        self.own.contains(&(stat.st_dev, stat.st_ino))
    }

    /// The names in `dir` that may be wanted: of a tagged cache only the tag.
    pub(crate) fn names(&self, dir: &OwnedFd) -> io::Result<Names> {
        if self.skip_caches && is_cache(dir) {
            let mut names = Names::default();
            names.push(b"CACHEDIR.TAG")?;
            return Ok(names);
        }
        Names::of(dir)
    }
}

fn is_cache(dir: &OwnedFd) -> bool {
    use std::io::Read;
    let Ok(file) = open_file(dir, b"CACHEDIR.TAG") else {
        return false;
    };
    let mut head = Vec::new();
    let limit = CACHEDIR_SIGNATURE.len() as u64;
    file.take(limit).read_to_end(&mut head).is_ok() && head == CACHEDIR_SIGNATURE
}

/// Whether a directory on another device than its parent is a view of the kernel.
pub(crate) fn is_pseudo(dir: &OwnedFd) -> bool {
    rustix::fs::fstatfs(dir)
        .is_ok_and(|fs| u64::try_from(fs.f_type).is_ok_and(|t| PSEUDO.contains(&t)))
}

/// The root directory.
pub(crate) fn open_root() -> io::Result<OwnedFd> {
    open(CWD, b"/", OFlags::DIRECTORY)
}

/// The directory `name` in `dir`; links are not followed.
pub(crate) fn open_dir(dir: &OwnedFd, name: &[u8]) -> io::Result<OwnedFd> {
    open(dir, name, OFlags::DIRECTORY | OFlags::NOFOLLOW)
}

/// The directory `name` in `dir`; it may be reached through a link, as what lies above a root may.
pub(crate) fn open_dir_above(dir: &OwnedFd, name: &[u8]) -> io::Result<OwnedFd> {
    open(dir, name, OFlags::DIRECTORY)
}

/// The file `name` in `dir`; links are not followed, and a pipe in its place does not block.
pub(crate) fn open_file(dir: &OwnedFd, name: &[u8]) -> io::Result<std::fs::File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    // Not to touch the access time is the owner's privilege.
    let file = match open(dir, name, flags | OFlags::NOATIME) {
        Err(e) if e.raw_os_error() == Some(Errno::PERM.raw_os_error()) => open(dir, name, flags),
        opened => opened,
    };
    file.map(Into::into)
}

fn open(dir: impl AsFd, name: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
    let flags = flags | OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::openat(dir, OsStr::from_bytes(name), flags, Mode::empty()).map_err(Into::into)
}

/// What `name` in `dir` is; a link is a link.
pub(crate) fn stat(dir: &OwnedFd, name: &[u8]) -> io::Result<Stat> {
    rustix::fs::statat(dir, OsStr::from_bytes(name), AtFlags::SYMLINK_NOFOLLOW).map_err(Into::into)
}

/// A path under construction, byte by byte.
#[derive(Debug, Default, Clone)]
pub(crate) struct PathBytes(Vec<u8>);

impl PathBytes {
    /// Goes down to `name`; what to hand to [`Self::leave`].
    pub(crate) fn enter(&mut self, name: &[u8]) -> usize {
        let mark = self.0.len();
        self.0.push(b'/');
        self.0.extend_from_slice(name);
        mark
    }

    pub(crate) fn leave(&mut self, mark: usize) {
        self.0.truncate(mark);
    }

    /// Goes up by one name.
    pub(crate) fn leave_last(&mut self) {
        let up = self.0.iter().rposition(|b| *b == b'/').unwrap_or(0);
        self.0.truncate(up);
    }

    /// The path without its leading `/`.
    pub(crate) fn relative(&self) -> &[u8] {
        self.0.get(1..).unwrap_or_default()
    }

    /// The path; `/` at the top.
    pub(crate) fn as_path(&self) -> &Path {
        let bytes: &[u8] = if self.0.is_empty() { b"/" } else { &self.0 };
        Path::new(OsStr::from_bytes(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_form_one_tree() {
        let paths = ["/a/b", "/a/c", "/a/b/x", "/d"].map(PathBuf::from);
        let roots = Roots::of(&paths);
        assert_eq!(roots.children.len(), 2);
        let a = &roots.children[&b"a"[..]];
        assert!(!a.whole && a.children.len() == 2);
        assert!(a.children[&b"b"[..]].whole && a.children[&b"b"[..]].children.is_empty());
        assert!(Roots::of(&["/".into(), "/a".into()]).whole);
    }

    #[test]
    fn names_come_sorted_by_bytes() {
        let dir = tempfile::tempdir().unwrap();
        for name in [&b"b"[..], b"\xff", b"a\n", b"B"] {
            std::fs::write(dir.path().join(OsStr::from_bytes(name)), b"").unwrap();
        }
        let fd = open(CWD, dir.path().as_os_str().as_bytes(), OFlags::DIRECTORY).unwrap();
        let names = Names::of(&fd).unwrap();
        let got: Vec<&[u8]> = names.iter().collect();
        assert_eq!(got, [&b"B"[..], b"a\n", b"b", b"\xff"]);
    }
}

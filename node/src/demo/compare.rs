//! Compares a restored tree with its source: names, kinds, content byte for byte, permissions,
//! times to the nanosecond, where links point, and owners when run by root. What a backup leaves
//! out by default may be missing from the copy.

use larder_backup::exclude::{CACHEDIR_SIGNATURE, DEFAULTS, GlobError, Globs};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// Differences kept word for word; all are counted.
const NAMED: usize = 20;
/// Bytes read at a time from each side.
const BUFFER: usize = 256 * 1024;

/// What a comparison found.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Comparison {
    /// Files compared.
    pub(super) files: u64,
    /// Bytes compared.
    pub(super) bytes: u64,
    /// Differences in all.
    pub(super) differences: u64,
    /// The first of them, a line each.
    pub(super) named: Vec<String>,
}

impl Comparison {
    fn differ(&mut self, path: &Path, what: &str) {
        self.differences += 1;
        if self.named.len() < NAMED {
            self.named.push(format!("{}: {what}", path.display()));
        }
    }
}

/// Compares each of the absolute `sources` with its copy below `target`.
pub(super) fn compare(sources: &[PathBuf], target: &Path) -> Result<Comparison, GlobError> {
    let excluded = Globs::new(DEFAULTS)?;
    let mut found = Comparison::default();
    let mut rest = sources.to_vec();
    while let Some(source) = rest.pop() {
        let copy = target.join(source.strip_prefix("/").unwrap_or(&source));
        match both(&source, &copy, &mut found) {
            Ok(true) => match children(&source, &copy, &excluded, &mut found) {
                Ok(more) => rest.extend(more),
                Err(e) => found.differ(&source, &e.to_string()),
            },
            Ok(false) => {}
            Err(e) => found.differ(&source, &e.to_string()),
        }
    }
    Ok(found)
}

/// Compares one entry with its copy; whether both are folders.
fn both(source: &Path, copy: &Path, found: &mut Comparison) -> io::Result<bool> {
    let a = fs::symlink_metadata(source)?;
    let b = match fs::symlink_metadata(copy) {
        Ok(meta) => meta,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            found.differ(source, "missing from the copy");
            return Ok(false);
        }
        Err(e) => return Err(e),
    };
    if a.file_type() != b.file_type() {
        found.differ(source, "another kind of file");
        return Ok(false);
    }
    attributes(source, &a, &b, found);
    if a.is_symlink() {
        if fs::read_link(source)? != fs::read_link(copy)? {
            found.differ(source, "the link points elsewhere");
        }
    } else if a.is_file() {
        found.files += 1;
        found.bytes += a.len();
        if !same_content(source, copy)? {
            found.differ(source, "another content");
        }
    }
    Ok(a.is_dir())
}

fn attributes(path: &Path, a: &Metadata, b: &Metadata, found: &mut Comparison) {
    if a.mode() & 0o7777 != b.mode() & 0o7777 && !a.is_symlink() {
        found.differ(path, "other permissions");
    }
    if (a.mtime(), a.mtime_nsec()) != (b.mtime(), b.mtime_nsec()) {
        found.differ(path, "another time");
    }
    let owners_kept = rustix::process::geteuid().is_root();
    if owners_kept && (a.uid(), a.gid()) != (b.uid(), b.gid()) {
        found.differ(path, "another owner");
    }
}

fn same_content(a: &Path, b: &Path) -> io::Result<bool> {
    let (mut a, mut b) = (File::open(a)?, File::open(b)?);
    let (mut x, mut y) = (vec![0; BUFFER], vec![0; BUFFER]);
    loop {
        let (n, m) = (fill(&mut a, &mut x)?, fill(&mut b, &mut y)?);
        if x[..n] != y[..m] {
            return Ok(false);
        }
        if n < BUFFER {
            return Ok(true);
        }
    }
}

/// Reads until the buffer is full or the file ends.
fn fill(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut len = 0;
    while len < buffer.len() {
        match file.read(&mut buffer[len..])? {
            0 => break,
            n => len += n,
        }
    }
    Ok(len)
}

/// What lies in a folder and still has to be compared; what only one side has is noted.
fn children(
    source: &Path,
    copy: &Path,
    excluded: &Globs,
    found: &mut Comparison,
) -> io::Result<Vec<PathBuf>> {
    let theirs = names(copy)?;
    if is_cache(source) {
        return Ok(Vec::new());
    }
    let ours = names(source)?;
    for extra in theirs.difference(&ours) {
        found.differ(&source.join(extra), "only in the copy");
    }
    let mut wanted = Vec::new();
    for name in ours {
        let path = source.join(&name);
        let kind = fs::symlink_metadata(&path)?.file_type();
        let left_out = kind.is_socket() || excluded.matches(&path, kind.is_dir());
        if theirs.contains(&name) || !left_out {
            wanted.push(path);
        }
    }
    Ok(wanted)
}

fn names(dir: &Path) -> io::Result<BTreeSet<OsString>> {
    fs::read_dir(dir)?
        .map(|entry| entry.map(|e| e.file_name()))
        .collect()
}

/// Whether a folder says of itself that it is a cache.
fn is_cache(dir: &Path) -> bool {
    let mut head = vec![0; CACHEDIR_SIGNATURE.len()];
    File::open(dir.join("CACHEDIR.TAG"))
        .and_then(|mut tag| tag.read_exact(&mut head))
        .is_ok_and(|()| head == CACHEDIR_SIGNATURE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::process::Command;

    /// A source and a faithful copy of it below a target.
    fn pair() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().canonicalize().unwrap().join("source");
        fs::create_dir_all(source.join("sub")).unwrap();
        fs::write(source.join("sub/big"), vec![7; BUFFER + 3]).unwrap();
        fs::write(source.join("empty"), []).unwrap();
        symlink("nowhere", source.join("link")).unwrap();
        let target = dir.path().join("target");
        let copy = target.join(source.strip_prefix("/").unwrap());
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        let done = Command::new("cp").arg("-a").args([&source, &copy]).status();
        assert!(done.unwrap().success());
        (dir, source, target)
    }

    fn differences(change: impl FnOnce(&Path)) -> Vec<String> {
        let (_dir, source, target) = pair();
        change(&target.join(source.strip_prefix("/").unwrap()));
        compare(&[source], &target).unwrap().named
    }

    #[test]
    fn a_faithful_copy_has_no_differences() {
        let (_dir, source, target) = pair();
        let found = compare(&[source], &target).unwrap();
        assert_eq!(found.named, Vec::<String>::new());
        assert_eq!((found.files, found.bytes), (2, BUFFER as u64 + 3));
    }

    #[test]
    fn every_kind_of_difference_is_found() {
        let has = |named: &[String], what: &str| named.iter().any(|n| n.contains(what));
        let changed = differences(|copy| {
            let mut content = vec![7; BUFFER + 3];
            content[BUFFER + 2] = 8;
            fs::write(copy.join("sub/big"), content).unwrap();
        });
        assert!(has(&changed, "content") && has(&changed, "time"));
        let longer = differences(|copy| fs::write(copy.join("empty"), [1]).unwrap());
        assert!(has(&longer, "content"));
        let missing = differences(|copy| fs::remove_file(copy.join("sub/big")).unwrap());
        assert!(has(&missing, "missing"));
        let extra = differences(|copy| fs::write(copy.join("extra"), []).unwrap());
        assert!(has(&extra, "only in the copy"));
        let mode = differences(|copy| {
            fs::set_permissions(copy.join("empty"), fs::Permissions::from_mode(0o604)).unwrap();
        });
        assert!(has(&mode, "permissions"));
        let link = differences(|copy| {
            fs::remove_file(copy.join("link")).unwrap();
            symlink("elsewhere", copy.join("link")).unwrap();
        });
        assert!(has(&link, "points elsewhere"));
        let kind = differences(|copy| {
            fs::remove_file(copy.join("empty")).unwrap();
            fs::create_dir(copy.join("empty")).unwrap();
        });
        assert!(has(&kind, "another kind"));
    }
}

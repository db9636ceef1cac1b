//! Folders to back up, and what must be the same of their copies.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata, Permissions};
use std::hash::{DefaultHasher, Hasher as _};
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Bytes handled at a time.
const BUFFER: usize = 1 << 20;

/// Writes a file of `len` bytes that no compression makes smaller; the same for the same seed.
pub(crate) fn noise(path: &Path, seed: u64, len: usize) {
    let mut file = File::create(path).unwrap();
    let (mut state, mut left) = (seed, len);
    while left > 0 {
        let words = (0..BUFFER / 8).flat_map(|_| splitmix(&mut state).to_le_bytes());
        let part: Vec<u8> = words.take(left).collect();
        file.write_all(&part).unwrap();
        left -= part.len();
    }
}

/// SplitMix64: Steele, Lea, Flood, *Fast splittable pseudorandom number generators*, 2014.
fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A folder with a few files of noise, `mib` MiB in all.
pub(crate) fn plain(dir: &Path, mib: usize) {
    fs::create_dir_all(dir.join("deep/er")).unwrap();
    fs::write(dir.join("deep/er/note"), "a small one").unwrap();
    for (number, seed) in (0..mib).zip(1_000..) {
        noise(&dir.join(format!("deep/{number:03}")), seed, 1 << 20);
    }
}

/// A folder with all that a tree may hold: names that are no UTF-8, links of both kinds, modes,
/// times to the nanosecond, empty files and folders, a file of many pieces.
pub(crate) fn varied(dir: &Path) {
    plain(dir, 3);
    noise(&dir.join("big"), 7, (9 << 20) + 12_345);
    let odd = dir.join(OsStr::from_bytes(b"odd\xff\xfe name\nwith a line"));
    fs::write(&odd, "named in bytes").unwrap();
    fs::write(dir.join("empty"), "").unwrap();
    fs::create_dir(dir.join("hollow")).unwrap();
    fs::hard_link(dir.join("big"), dir.join("big too")).unwrap();
    symlink("big", dir.join("to big")).unwrap();
    symlink(OsStr::from_bytes(b"no\xffwhere"), dir.join("dangling")).unwrap();
    let script = dir.join("script");
    fs::write(&script, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&script, Permissions::from_mode(0o4750)).unwrap();
    for (path, seconds, nanos) in [
        (&odd, 981_173_106, 123_456_789),
        (&script, 4_102_444_799, 1),
        (&dir.join("hollow"), 1, 999_999_999),
    ] {
        let time = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos);
        File::open(path).unwrap().set_modified(time).unwrap();
    }
}

/// What must be the same: for each path below `root`, in words.
pub(crate) fn facts(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut facts = BTreeMap::new();
    let mut links: BTreeMap<(u64, u64), PathBuf> = BTreeMap::new();
    let mut rest = vec![root.to_owned()];
    while let Some(path) = rest.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        let name = path.strip_prefix(root).unwrap().to_owned();
        if meta.is_dir() {
            let mut below: Vec<PathBuf> = children(&path);
            below.sort();
            rest.extend(below);
        }
        let mut fact = attributes(&meta) + &content(&path, &meta);
        if meta.is_file() && meta.nlink() > 1 {
            let inode = (meta.dev(), meta.ino());
            let first = links.entry(inode).or_insert_with(|| name.clone());
            fact += &format!(" one file with {first:?}");
        }
        facts.insert(name, fact);
    }
    facts
}

fn children(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn attributes(meta: &Metadata) -> String {
    format!(
        "{:o} {}:{} at {}.{:09}",
        meta.mode(),
        meta.uid(),
        meta.gid(),
        meta.mtime(),
        meta.mtime_nsec()
    )
}

fn content(path: &Path, meta: &Metadata) -> String {
    if meta.is_symlink() {
        return format!(" to {:?}", fs::read_link(path).unwrap());
    }
    if !meta.is_file() {
        return String::new();
    }
    let (mut file, mut hasher) = (File::open(path).unwrap(), DefaultHasher::new());
    let mut buffer = vec![0; BUFFER];
    loop {
        match file.read(&mut buffer).unwrap() {
            0 => return format!(" {} bytes {:016x}", meta.len(), hasher.finish()),
            read => hasher.write(&buffer[..read]),
        }
    }
}

/// The folder's copy below `target` is the same as the folder.
///
/// # Panics
/// If it is not; says what differs.
pub(crate) fn same(folder: &Path, target: &Path) {
    let (was, is) = (facts(folder), facts(&copy_of(folder, target)));
    let gone = was
        .iter()
        .filter(|(path, fact)| is.get(*path) != Some(*fact));
    let gone: Vec<_> = gone.take(5).collect();
    let new = is.keys().filter(|path| !was.contains_key(*path));
    let new: Vec<_> = new.take(5).collect();
    assert!(
        gone.is_empty() && new.is_empty(),
        "lost: {gone:?}, new: {new:?}"
    );
}

/// Where the copy of the absolute path `source` lies below `target`.
pub(crate) fn copy_of(source: &Path, target: &Path) -> PathBuf {
    target.join(source.strip_prefix("/").unwrap())
}

/// The regular files below a folder.
pub(crate) fn files(root: &Path) -> Vec<PathBuf> {
    let (mut found, mut rest) = (Vec::new(), vec![root.to_owned()]);
    while let Some(dir) = rest.pop() {
        for path in children(&dir) {
            let meta = fs::symlink_metadata(&path).unwrap();
            if meta.is_dir() {
                rest.push(path);
            } else if meta.is_file() {
                found.push(path);
            }
        }
    }
    found
}

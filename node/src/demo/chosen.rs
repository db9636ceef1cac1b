//! The folder of real files that the demo takes when none is named: what a development machine
//! has anyway (headers, documentation, sources), about [`ENOUGH`] bytes of it, at most [`CAP`].

use crate::cli::Failure;
use larder_types::size::MIB;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Stop choosing at this many bytes, once there are [`FILES`] too.
const ENOUGH: u64 = 220 * MIB;
/// Never choose more bytes.
const CAP: u64 = 260 * MIB;
/// Stop choosing at this many files, once there are [`ENOUGH`] bytes too.
const FILES: u64 = 2_500;
/// Paths named at most: they travel in one request.
const PATHS: usize = 400;
/// How far below a candidate folders are looked at one by one.
const DEPTH: u32 = 3;

/// Where real files lie, those with many small ones first.
const CANDIDATES: [&str; 7] = [
    "/usr/include",
    "/usr/lib/python3",
    "/usr/share/doc",
    "~/.cargo/registry/src",
    "~/.rustup/toolchains",
    "/usr/share",
    "/usr/lib",
];

/// Files and bytes of a tree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) files: u64,
    pub(super) bytes: u64,
}

impl Size {
    fn plus(self, other: Self) -> Self {
        Self {
            files: self.files + other.files,
            bytes: self.bytes + other.bytes,
        }
    }

    fn is_enough(self) -> bool {
        self.bytes >= ENOUGH && self.files >= FILES
    }
}

/// The paths to back up, absolute and without links in them, and their size.
pub(super) fn choose(named: Option<&Path>) -> Result<(Vec<PathBuf>, Size), Failure> {
    if let Some(path) = named {
        let path = path
            .canonicalize()
            .map_err(|e| Failure::new(1, format_args!("cannot read {}: {e}", path.display())))?;
        let size = measure(&path, u64::MAX).unwrap_or_default();
        return Ok((vec![path], size));
    }
    let mut choice = Choice::default();
    for candidate in CANDIDATES {
        if let Some(path) = expand(candidate) {
            choice.fill(&path, DEPTH);
        }
    }
    if choice.paths.is_empty() {
        return Err(Failure::new(
            1,
            "found no files to show the demo with: name a folder, `larder demo PATH`",
        ));
    }
    Ok((choice.paths, choice.size))
}

fn expand(candidate: &str) -> Option<PathBuf> {
    let path = match candidate.strip_prefix("~/") {
        Some(rest) => PathBuf::from(std::env::var_os("HOME")?).join(rest),
        None => PathBuf::from(candidate),
    };
    path.canonicalize().ok()
}

#[derive(Default)]
struct Choice {
    paths: Vec<PathBuf>,
    size: Size,
}

impl Choice {
    /// Takes `path` if it fits, else what fits of the folders in it.
    fn fill(&mut self, path: &Path, depth: u32) {
        let full = self.size.is_enough() || self.paths.len() >= PATHS;
        if full || self.paths.iter().any(|taken| path.starts_with(taken)) {
            return;
        }
        let holds_taken = self.paths.iter().any(|taken| taken.starts_with(path));
        if !holds_taken && let Some(size) = measure(path, CAP - self.size.bytes) {
            if size.files > 0 {
                self.size = self.size.plus(size);
                self.paths.push(path.to_owned());
            }
            return;
        }
        if depth > 0 {
            for folder in folders(path) {
                self.fill(&folder, depth - 1);
            }
        }
    }
}

/// The folders in `path` by name, links left out.
fn folders(path: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<_> = fs::read_dir(path)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|e| e.file_type().is_ok_and(|t| t.is_dir()))
        .map(|e| e.path())
        .collect();
    folders.sort();
    folders
}

/// What lies at `path`; `None` once it is more than `cap` bytes, or if some of it cannot be read.
fn measure(path: &Path, cap: u64) -> Option<Size> {
    let mut size = Size::default();
    let mut rest = vec![path.to_owned()];
    while let Some(path) = rest.pop() {
        let meta = fs::symlink_metadata(&path).ok()?;
        if meta.is_dir() {
            for entry in fs::read_dir(&path).ok()? {
                rest.push(entry.ok()?.path());
            }
        } else if meta.is_file() {
            if !is_readable(&meta) {
                return None;
            }
            size = size.plus(Size {
                files: 1,
                bytes: meta.len(),
            });
        }
        if size.bytes > cap {
            return None;
        }
    }
    Some(size)
}

/// Whether anybody may read it, or we are the one who may read everything.
fn is_readable(meta: &Metadata) -> bool {
    meta.mode() & 0o444 != 0 && (meta.mode() & 0o004 != 0 || rustix::process::geteuid().is_root())
        || meta.uid() == rustix::process::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_are_measured_up_to_a_cap() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("a")).unwrap();
        fs::write(dir.path().join("a/x"), [0; 100]).unwrap();
        fs::write(dir.path().join("y"), [0; 50]).unwrap();
        let size = Size {
            files: 2,
            bytes: 150,
        };
        assert_eq!(measure(dir.path(), 1_000), Some(size));
        assert_eq!(measure(dir.path(), 149), None);
        assert_eq!(
            choose(Some(dir.path())).unwrap(),
            (vec![dir.path().canonicalize().unwrap()], size)
        );
        assert!(choose(Some(&dir.path().join("none"))).is_err());
    }

    #[test]
    fn a_folder_that_is_too_big_is_taken_in_parts() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a", "b", "c"] {
            fs::create_dir(dir.path().join(name)).unwrap();
            fs::write(dir.path().join(name).join("x"), [0; 100]).unwrap();
        }
        let mut choice = Choice {
            paths: Vec::new(),
            size: Size {
                files: 0,
                bytes: CAP - 250,
            },
        };
        choice.fill(dir.path(), 1);
        assert_eq!(choice.paths, [dir.path().join("a"), dir.path().join("b")]);
        choice.fill(&dir.path().join("a"), 1);
        assert_eq!(choice.paths.len(), 2, "nothing is taken twice");
    }
}

//! A change of files as a list of steps, each of which a crash may come after. What is to be done is decided
//! before any of it is, so that a test can stop behind each step.

use super::HomeError;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// One step.
pub(super) enum Step {
    /// A file is written whole and durably, under a name that nobody reads.
    Write {
        path: PathBuf,
        bytes: Zeroizing<Vec<u8>>,
        mode: u32,
    },
    /// It takes the place of what was there.
    Rename { from: PathBuf, to: PathBuf },
    /// What was renamed or removed in a folder is durable.
    Sync(PathBuf),
    /// A file is overwritten and removed.
    Wipe(PathBuf),
    /// A file is removed.
    Remove(PathBuf),
}

/// The steps that write a file whole or not at all.
pub(super) fn put(path: &Path, bytes: Zeroizing<Vec<u8>>, mode: u32) -> Vec<Step> {
    let (fresh, to) = (fresh(path), path.to_owned());
    let write = Step::Write {
        path: fresh.clone(),
        bytes,
        mode,
    };
    vec![write, Step::Rename { from: fresh, to }, sync(path)]
}

/// The step after which what happened to `path` in its folder is durable.
pub(super) fn sync(path: &Path) -> Step {
    // The parent of a bare name is nothing, which is no folder.
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
    Step::Sync(folder.unwrap_or(Path::new(".")).to_owned())
}

/// Where a file lies until it is whole.
pub(super) fn fresh(path: &Path) -> PathBuf {
    path.with_extension("new")
}

/// Carries steps out, in order.
pub(super) fn carry_out(steps: &[Step]) -> Result<(), HomeError> {
    steps.iter().try_for_each(|step| {
        step.carry_out().map_err(|source| HomeError::Io {
            path: step.path().to_owned(),
            source,
        })
    })
}

impl Step {
    fn path(&self) -> &Path {
        match self {
            Self::Write { path, .. }
            | Self::Rename { to: path, .. }
            | Self::Sync(path)
            | Self::Wipe(path)
            | Self::Remove(path) => path,
        }
    }

    fn carry_out(&self) -> io::Result<()> {
        match self {
            Self::Write { path, bytes, mode } => write(path, bytes, *mode),
            Self::Rename { from, to } => fs::rename(from, to),
            Self::Sync(dir) => File::open(dir)?.sync_all(),
            Self::Wipe(path) => wipe(path),
            Self::Remove(path) => fs::remove_file(path),
        }
    }
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(path)?;
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Where a disk writes in place, nothing of the file remains; others keep the old bytes for a while, whoever
/// asks (ADR 19).
fn wipe(path: &Path) -> io::Result<()> {
    let length = usize::try_from(fs::metadata(path)?.len()).unwrap_or(usize::MAX);
    let mut file = OpenOptions::new().write(true).open(path)?;
    file.write_all(&vec![0; length.min(1 << 12)])?;
    file.sync_all()?;
    fs::remove_file(path)
}

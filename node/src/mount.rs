//! Snapshots as a folder of this machine: the kernel's FUSE before `larder_backup::View`. Read-only,
//! without set-user-ids and devices. Whoever runs the node may look into it; others only if that
//! was asked for, and then as the recorded modes allow.

mod able;
mod shown;

use self::able::NoFuse;
use self::shown::Shown;
use fuser::{Config, MountOption, Session, SessionACL, SessionUnmounter};
use larder_backup::{Segments, View};
use rustix::io::Errno;
use rustix::mount::UnmountFlags;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::oneshot;

/// Requests that are answered at once; of more the kernel makes a queue. Each may wait for a segment,
/// and looking on shall go on meanwhile.
const THREADS: usize = 16;
/// How long an unmounting waits until the kernel has let go. Files that somebody has open keep it.
const LET_GO: Duration = Duration::from_secs(5);

/// Why snapshots cannot be mounted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MountError {
    /// This machine has no FUSE, or not for this process.
    #[error(transparent)]
    NoFuse(#[from] NoFuse),
    /// The folder cannot be made or looked at.
    #[error("{path}: {source}")]
    Folder {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A mount lies there whose process is gone.
    #[error(
        "{0} is a mount whose process is gone: take it away with `fusermount3 -u {0}` or `umount {0}`"
    )]
    Dead(PathBuf),
    /// Something lies in the folder.
    #[error("{0} is not empty, and a mount would hide what it holds: name an empty folder")]
    NotEmpty(PathBuf),
    /// It is no folder.
    #[error("{0} is no folder: name an empty folder")]
    NoFolder(PathBuf),
    /// Something is mounted there.
    #[error("something is mounted at {0} already: name a folder below it, or unmount it first")]
    MountPoint(PathBuf),
    /// Others may not look in, says the machine.
    #[error(
        "this machine does not let users open mounts for others: put `user_allow_other` into /etc/fuse.conf, or mount without --allow-other"
    )]
    NotForOthers,
    /// The kernel or fusermount3 refused.
    #[error("mounting at {path}: {source}")]
    Refused {
        /// Where.
        path: PathBuf,
        /// What was said.
        source: io::Error,
    },
}

/// A mount that stands.
#[derive(Debug)]
pub(crate) struct Mounted {
    /// Where, without links.
    path: PathBuf,
    unmounter: SessionUnmounter,
    ended: oneshot::Receiver<io::Result<()>>,
}

/// Mounts `view` at the folder `target`, which is made if it is missing. Waits for the kernel: for
/// a blocking thread.
///
/// # Errors
/// [`MountError`].
pub(crate) fn mount<S: Segments>(
    view: View<S>,
    target: &Path,
    for_others: bool,
) -> Result<Mounted, MountError> {
    able::judge(able::look())?;
    let path = empty_folder(target)?;
    let mut config = Config::default();
    config.mount_options = vec![
        MountOption::RO,
        MountOption::NoSuid,
        MountOption::NoDev,
        MountOption::NoAtime,
        MountOption::FSName("larder".to_owned()),
        MountOption::Subtype("larder".to_owned()),
    ];
    if for_others {
        config.acl = SessionACL::All;
        config.mount_options.push(MountOption::DefaultPermissions);
    }
    config.n_threads = Some(THREADS);
    let session = Session::new(Shown::new(view), &path, &config);
    let mut session = session.map_err(|source| {
        if source.kind() == io::ErrorKind::NotFound {
            // The kernel refused, and there is no fusermount3 to ask instead.
            return NoFuse::NotAllowed.into();
        }
        if source.kind() == io::ErrorKind::PermissionDenied && for_others {
            return MountError::NotForOthers;
        }
        MountError::Refused {
            path: path.clone(),
            source,
        }
    })?;
    let unmounter = session.unmount_callable();
    let (over, ended) = oneshot::channel();
    let serving = move || {
        // Nobody listens any more where the unmounting waited long enough.
        over.send(session.run()).ok();
    };
    let thread = std::thread::Builder::new().name("mount".to_owned());
    thread
        .spawn(serving)
        .map_err(|source| MountError::Refused {
            path: path.clone(),
            source,
        })?;
    Ok(Mounted {
        path,
        unmounter,
        ended,
    })
}

impl Mounted {
    /// Waits until somebody has unmounted it.
    ///
    /// # Errors
    /// If the kernel's requests could not be served any more.
    pub(crate) async fn ended(&mut self) -> io::Result<()> {
        match (&mut self.ended).await {
            Ok(ended) => ended,
            Err(_) => Err(io::Error::other("its thread has ended")),
        }
    }

    /// Unmounts it. Where a file of it is open, or a shell is in it, it is taken out of sight, and
    /// reads of what is open fail.
    ///
    /// # Errors
    /// If it stays.
    pub(crate) async fn unmount(self) -> io::Result<()> {
        let Self {
            path,
            mut unmounter,
            ended,
        } = self;
        let unmounting = tokio::task::spawn_blocking(move || match unmounter.unmount() {
            Ok(()) => Ok(()),
            Err(_) => detach(&path),
        });
        unmounting.await.map_err(io::Error::other)??;
        if tokio::time::timeout(LET_GO, ended).await.is_err() {
            tracing::warn!("somebody still has files of the mount open");
        }
        Ok(())
    }
}

/// Takes a busy mount out of sight; that there is none any more is as good.
fn detach(path: &Path) -> io::Result<()> {
    match rustix::mount::unmount(path, UnmountFlags::DETACH) {
        Ok(()) | Err(Errno::INVAL | Errno::NOENT) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

/// The folder without links, if a mount there hides nothing. That nothing is mounted there yet
/// matters twice: fuser unmounts once more after somebody else has, and would take what was below.
fn empty_folder(target: &Path) -> Result<PathBuf, MountError> {
    let wrong = |source: io::Error| match Errno::from_io_error(&source) {
        Some(Errno::NOTCONN) => MountError::Dead(target.to_owned()),
        Some(Errno::NOTDIR | Errno::EXIST) => MountError::NoFolder(target.to_owned()),
        Some(_) | None => MountError::Folder {
            path: target.to_owned(),
            source,
        },
    };
    // Of a dead mount `create_dir_all` would only say that it exists.
    if let Err(e) = fs::metadata(target)
        && e.kind() != io::ErrorKind::NotFound
    {
        return Err(wrong(e));
    }
    fs::create_dir_all(target).map_err(wrong)?;
    let path = target.canonicalize().map_err(wrong)?;
    if fs::read_dir(&path).map_err(wrong)?.next().is_some() {
        return Err(MountError::NotEmpty(path));
    }
    let device = |path: &Path| fs::metadata(path).map(|meta| meta.dev());
    let below = path.parent().map_or(Ok(0), device).map_err(wrong)?;
    if device(&path).map_err(wrong)? != below {
        return Err(MountError::MountPoint(path));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_empty_folder_is_mounted_on() {
        let dir = tempfile::tempdir().unwrap();
        let new = dir.path().join("not/there/yet");
        assert!(empty_folder(&new).unwrap().is_dir());
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&new, &link).unwrap();
        assert_eq!(empty_folder(&link).unwrap(), new.canonicalize().unwrap());
        let full = empty_folder(dir.path());
        assert!(matches!(full, Err(MountError::NotEmpty(_))), "{full:?}");
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let file = empty_folder(&file);
        assert!(matches!(file, Err(MountError::NoFolder(_))), "{file:?}");
    }
}

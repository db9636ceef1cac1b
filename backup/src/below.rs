//! Making and changing files below one folder, and nowhere else: every step down is opened
//! relative to its parent and follows no link, whatever lies in the target already.

use crate::entry::Meta;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What is made before its contents are written: the owner's only.
const PRIVATE_DIR: u32 = 0o700;
const PRIVATE_FILE: u32 = 0o600;

/// A folder and the way to wherever below it we were last.
#[derive(Debug)]
pub(crate) struct Below {
    root: OwnedFd,
    way: Vec<(Vec<u8>, OwnedFd)>,
    owns: bool,
}

impl Below {
    /// The folder `target`, made if it is missing.
    pub(crate) fn open(target: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(target)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self {
            root: rustix::fs::open(target, flags, Mode::empty())?,
            way: Vec::new(),
            owns: rustix::process::geteuid().is_root(),
        })
    }

    /// The open folder that holds `path`, and the last name of it.
    fn parent<'p>(&mut self, path: &'p [u8]) -> io::Result<(&OwnedFd, &'p OsStr)> {
        let mut names: Vec<&[u8]> = path.split(|b| *b == b'/').collect();
        let last = names.pop().unwrap_or_default();
        if last.is_empty() || last == b"." || last == b".." {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let same = self
            .way
            .iter()
            .zip(&names)
            .take_while(|((name, _), want)| name == *want)
            .count();
        self.way.truncate(same);
        for name in &names[same..] {
            let dir = open_dir(self.way.last().map_or(&self.root, |(_, fd)| fd), name)?;
            self.way.push((name.to_vec(), dir));
        }
        let dir = self.way.last().map_or(&self.root, |(_, fd)| fd);
        Ok((dir, OsStr::from_bytes(last)))
    }

    /// Makes a directory, or takes the one that is there.
    pub(crate) fn make_dir(&mut self, path: &[u8]) -> io::Result<()> {
        let (dir, name) = self.parent(path)?;
        let mode = Mode::from_raw_mode(PRIVATE_DIR);
        match rustix::fs::mkdirat(dir, name, mode) {
            Ok(()) => Ok(()),
            Err(Errno::EXIST) => match open_dir(dir, name.as_bytes()) {
                // Ours to write to until its own mode is set at the end.
                Ok(there) => match rustix::fs::fchmod(&there, mode) {
                    Ok(()) | Err(Errno::PERM) => Ok(()),
                    Err(e) => Err(e.into()),
                },
                Err(_) => {
                    clear(dir, name)?;
                    Ok(rustix::fs::mkdirat(dir, name, mode)?)
                }
            },
            Err(e) => Err(e.into()),
        }
    }

    /// Makes an empty file of `size` bytes in place of whatever file is there.
    pub(crate) fn make_file(&mut self, path: &[u8], size: u64) -> io::Result<File> {
        let (dir, name) = self.parent(path)?;
        clear(dir, name)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let mode = Mode::from_raw_mode(PRIVATE_FILE);
        let file = File::from(rustix::fs::openat(
            dir,
            name,
            flags | OFlags::CLOEXEC,
            mode,
        )?);
        file.set_len(size)?;
        Ok(file)
    }

    /// Opens a file that was made before, to read and to write.
    pub(crate) fn open_file(&mut self, path: &[u8]) -> io::Result<File> {
        let (dir, name) = self.parent(path)?;
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(dir, name, flags, Mode::empty())?.into())
    }

    pub(crate) fn make_symlink(&mut self, path: &[u8], target: &[u8]) -> io::Result<()> {
        let (dir, name) = self.parent(path)?;
        clear(dir, name)?;
        Ok(rustix::fs::symlinkat(OsStr::from_bytes(target), dir, name)?)
    }

    /// Makes a pipe or a device.
    pub(crate) fn make_node(&mut self, path: &[u8], kind: FileType, dev: u64) -> io::Result<()> {
        let (dir, name) = self.parent(path)?;
        clear(dir, name)?;
        let mode = Mode::from_raw_mode(PRIVATE_FILE);
        Ok(rustix::fs::mknodat(dir, name, kind, mode, dev)?)
    }

    /// Gives the file `first` a second name.
    pub(crate) fn make_link(&mut self, first: &[u8], path: &[u8]) -> io::Result<()> {
        let (from, from_name) = self.parent(first)?;
        let from = from.try_clone()?;
        let (dir, name) = self.parent(path)?;
        clear(dir, name)?;
        Ok(rustix::fs::linkat(
            from,
            from_name,
            dir,
            name,
            AtFlags::empty(),
        )?)
    }

    /// Sets owner (as root only), mode and times, in the order in which none undoes another.
    pub(crate) fn finish(&mut self, path: &[u8], meta: &Meta, is_link: bool) -> io::Result<()> {
        let owns = self.owns;
        let (dir, name) = self.parent(path)?;
        let no_follow = AtFlags::SYMLINK_NOFOLLOW;
        if owns {
            let (uid, gid) = (Uid::from_raw(meta.uid), Gid::from_raw(meta.gid));
            rustix::fs::chownat(dir, name, Some(uid), Some(gid), no_follow)?;
        }
        if !is_link {
            let mode = Mode::from_raw_mode(meta.mode & 0o7777);
            rustix::fs::chmodat(dir, name, mode, AtFlags::empty())?;
        }
        let time = Timespec {
            tv_sec: meta.mtime_s,
            tv_nsec: meta.mtime_ns.into(),
        };
        let times = Timestamps {
            last_access: time,
            last_modification: time,
        };
        Ok(rustix::fs::utimensat(dir, name, &times, no_follow)?)
    }
}

fn open_dir(dir: &OwnedFd, name: &[u8]) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    if name.is_empty() || name == b"." || name == b".." {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok(rustix::fs::openat(
        dir,
        OsStr::from_bytes(name),
        flags,
        Mode::empty(),
    )?)
}

/// Removes a file or link in the way; a directory stays, and is an error to whoever comes.
fn clear(dir: &OwnedFd, name: &OsStr) -> io::Result<()> {
    match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leads_out_of_the_folder() {
        let (target, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::os::unix::fs::symlink(outside.path(), target.path().join("link")).unwrap();
        let mut below = Below::open(target.path()).unwrap();
        for path in [&b"link/x"[..], b"../x", b"..", b"a/../../x", b"/x", b""] {
            assert!(below.make_file(path, 1).is_err(), "{path:?}");
        }
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
        // A link in the place of a directory makes way; what it pointed to is untouched.
        below.make_dir(b"link").unwrap();
        below.make_file(b"link/x", 1).unwrap();
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
    }
}
